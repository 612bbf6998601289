"""``uncertainty``: how sure a fit is of its coefficients, and of where each vertex lies.

At its minimum a fit is a ridge regression in the coefficients c, in mm at the scale of the face:

    c = (MᵀM + Λ)⁻¹ Mᵀ y

with y the detected landmarks, M their motion with the coefficients as the camera sees it, both by the roots of D and of
the landmarks' weights w, of Eqs 4-9 over λ2d + λ3d; less what a change of pose does as well, which is to solve for both
together (Schur). Λ are the priors of Eq. 10. With people as likely as the model says (Eqs 11-12) and landmarks that err
independently, with variances σ² / (w D), the coefficients' errors have the covariance

    C = (MᵀM + Λ)⁻¹ (σ² MᵀM + Λ²) (MᵀM + Λ)⁻¹,

which is Laplace's posterior, σ² (MᵀM + Λ)⁻¹, where σ² = Λ. ``docs/uncertainty.md`` says how well this holds.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxface.camera import HIGHEST
from jaxface.energies import centred, root
from jaxface.fitting.api import check, require, require_amount
from jaxface.fitting.options import FitOptions
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, NOSE_TIP
from jaxface.model.morphable import LandmarkModel, MorphableModel
from jaxface.pytree import pytree
from jaxface.solvers.inverse import inverse
from jaxface.types import POINTS, SCHEMES, FitResult, Landmarks, Scheme

PLACED_MM = 85.0
"""A face counts as placed by its surface within this distance of the nose tip, as ``micc85`` crops it."""
_NOSE_TIP = {"ibug68": NOSE_TIP, "mediapipe478": int(IBUG68_FROM_MEDIAPIPE478[NOSE_TIP])}
_ROWS = 8192
"""So many coordinates of vertices are looked at together: a batch of faces then needs little memory."""


class Errors(NamedTuple):
    """What a fit does not know of itself, all standard deviations in mm: the error of a landmark on a face seen from
    the front and on a profile, linear in yaw between, and what else sets a vertex of a real face off from the model's
    along each axis. Constants that give the intervals of ``docs/uncertainty.md`` their coverage, not errors measured
    one by one."""

    front: float
    profile: float
    outside: float


DETECTED: dict[Scheme, Errors] = {
    "ibug68": Errors(front=2.1, profile=6.7, outside=0.7),
    "mediapipe478": Errors(front=4.5, profile=12.4, outside=1.3),
}
CORRECTED: dict[Scheme, Errors] = {
    "ibug68": Errors(front=4.7, profile=2.4, outside=1.2),
    "mediapipe478": Errors(front=9.1, profile=5.1, outside=1.5),
}
"""Of the embedded model, fitted to the points that MediaPipe finds of people that it does not know: by the points'
scheme, with the paper's variants and with ``calibrated``, whose weights know the yaw already. ``docs/uncertainty.md``
says how they were chosen."""


@pytree
class Uncertainty:
    """How sure a fit is. Intervals of ±1 and ±1.96 standard deviations hold about 68 % and 95 %, one axis at a time.

    ``covariance`` is that of (α, β). ``axis_std`` says of each vertex how far it may lie from its true place along x, y
    and z of the model frame, in mm, once both faces are placed on each other by the rigid motion that fits them best
    within ``PLACED_MM`` of the nose tip: where a face is, and how far away, is the pose's and not the face's.
    """

    covariance: Float[Array, "*b N N"]
    axis_std: Float[Array, "*b V 3"]

    @property
    def coefficient_std(self) -> Float[Array, "*b N"]:
        """Standard deviations of the coefficients (α, β); 1 where the fit knows nothing but the prior."""
        return jnp.sqrt(jnp.diagonal(self.covariance, axis1=-2, axis2=-1))

    @property
    def vertex_std(self) -> Float[Array, "*b V"]:
        """One figure a vertex in mm: the root mean square of its three ``axis_std``."""
        return jnp.sqrt(jnp.mean(self.axis_std**2, axis=-1))

    def sample(self, model: MorphableModel, result: FitResult, key: Key[Array, ""], count: int):
        """Faces (count, V, 3) mm of the model that are as likely as the fit says: one fit's, in the model frame and not
        placed on each other, without what lies outside of the model.

        Raises:
          ValueError: this is of a batch.
        """
        for name, batch in ("uncertainty", self.covariance.shape[:-2]), ("result", np.shape(result.pose.scale)):
            if batch:
                raise ValueError(f"{name}: got a batch of shape {batch}, takes one face's; for many: jax.vmap")
        values, turn = jnp.linalg.eigh(self.covariance)
        normal = jax.random.normal(key, (count, len(values)), values.dtype)
        moved = jnp.matmul(normal * jnp.sqrt(jnp.maximum(values, 0.0)), turn.T, precision=HIGHEST)
        size = result.identity.shape[-1]
        return model.vertices(result.identity + moved[:, :size], result.expression + moved[:, size:])


def uncertainty(
    model: MorphableModel,
    result: FitResult,
    landmarks: Landmarks | None = None,
    options: FitOptions = FitOptions(),
    errors: Errors | None = None,
) -> Uncertainty:
    """How sure a fit is of its coefficients, and of where each vertex lies.

    Pure: ``jax.jit`` and ``jax.vmap`` over a batch of results go through it. In the wider of the result's and the
    model's precision.

    Args:
      model: the face model that was fitted.
      result: of one face. A face that was not fitted has the prior's uncertainty.
      landmarks: what was fitted; only their scheme counts. None: as many points as the result has weights of, else
        the 68 (MediaPipe's where the model has no 68).
      options: what they were fitted with, of which the priors count.
      errors: standard deviations in mm that no fit can know of itself; None: ``usual_errors``, measured for the
        embedded model and MediaPipe (``python -m benchmarks.coverage`` measures others).

    Raises:
      ValueError: ``result`` is a batch or of another model, ``landmarks`` are not what a fit takes, or ``errors`` are
        no `Errors`.
    """
    require("model", model, MorphableModel)
    require("result", result, FitResult)
    require("options", options, FitOptions)
    scheme: Scheme = _default_scheme(model)
    if landmarks is not None:
        check(model, landmarks, options, batch=False)
        scheme = landmarks.scheme
    elif result.landmark_weight is not None:
        scheme = SCHEMES.get(result.landmark_weight.shape[-1], scheme)
    if batch := np.shape(result.pose.scale):
        raise ValueError(
            f"result: got a batch of shape {batch}, takes one face; "
            "for many: jax.vmap(partial(jaxface.uncertainty, model))(results)"
        )
    sizes = np.shape(result.identity) + np.shape(result.expression)
    if sizes != (taken := (model.identity.shape[-1], model.expression.shape[-1])):
        raise ValueError(f"result: got {sizes} coefficients, the model {model.name!r} has {taken}")
    if result.landmark_weight is not None and result.landmark_weight.shape != (POINTS[scheme],):
        raise ValueError(f"landmarks: got {scheme}, the result is of {len(result.landmark_weight)} points")
    if errors is not None and not isinstance(errors, Errors):
        raise ValueError(f"errors: got {type(errors).__name__}, takes jaxface.fitting.Errors(front, profile, outside)")
    for name, deviation in (errors._asdict() if errors else {}).items():
        require_amount(f"errors.{name}", deviation, "a standard deviation in mm, 0 or more")
    return _uncertainty(model, result, scheme, options, errors or usual_errors(result.variant, scheme))


def usual_errors(variant: str, scheme: Scheme) -> Errors:
    """What ``uncertainty`` comes with."""
    return (CORRECTED if variant == "calibrated" else DETECTED)[scheme]


def _default_scheme(model: MorphableModel) -> Scheme:
    for scheme in POINTS:
        if scheme in model.landmarks:
            return scheme
    raise ValueError(f"the model {model.name!r} has no landmarks of {' or '.join(POINTS)}")


@partial(jax.jit, static_argnames=("scheme", "options"))
def _uncertainty(model, result, scheme: Scheme, options: FitOptions, errors: Errors) -> Uncertainty:
    dtype = jnp.result_type(model.mean, model.identity, model.expression, result.identity)
    as_wide = lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
    model, result, errors = jax.tree.map(as_wide, (model, result, jax.tree.map(jnp.asarray, errors)))
    there = model.at_landmarks(scheme)
    pose, size, weight = result.pose, there.basis.shape[-1], result.landmark_weight
    moved = motion(there, result, jnp.ones_like(there.mean[:, 0]) if weight is None else weight)
    told = jnp.einsum("cln,clm->nm", moved, moved, precision=HIGHEST)  # MᵀM
    prior = jnp.where(jnp.arange(size) < there.identity_size, options.identity_prior, options.expression_prior)
    prior = prior.astype(dtype)
    turn = jnp.minimum(jnp.abs(pose.euler_deg[1]) / 90, 1.0)
    deviation = errors.front + (errors.profile - errors.front) * turn
    gain = inverse(told + jnp.diag(prior))
    spread = deviation**2 * told + jnp.diag(prior**2)
    covariance = jnp.matmul(gain, jnp.matmul(spread, gain, precision=HIGHEST), precision=HIGHEST)
    covariance = (covariance + covariance.T) / 2

    def variance(row):
        return jnp.dot(jnp.matmul(row, covariance, precision=HIGHEST), row, precision=HIGHEST)

    rows = placed_basis(model, scheme).reshape(-1, size)
    inside = jax.lax.map(variance, rows, batch_size=_ROWS).reshape(-1, 3)
    return Uncertainty(covariance, jnp.sqrt(jnp.maximum(inside, 0.0) + errors.outside**2))


def motion(model: LandmarkModel, result: FitResult, weight: Float[Array, "L"]) -> Float[Array, "3 L N"]:
    """How the landmarks move with the coefficients as the fit's camera sees them, in mm, each coordinate times the root
    of its weight; less their mean, and what a change of pose explains as well."""
    rotation = result.pose.rotation
    basis = jnp.einsum("ij,ljn->nil", rotation, model.basis, precision=HIGHEST)
    coefficients = jnp.concatenate([result.identity, result.expression])
    face = model.mean + jnp.matmul(model.basis, coefficients, precision=HIGHEST)
    seen = centred(jnp.matmul(rotation, face.T, precision=HIGHEST), weight)
    both = result.weight_2d + result.weight_3d
    axes = jnp.stack([both, both, result.weight_3d]) / jnp.where(both > 0, both, 1.0)  # D; 0 of a face not fitted
    heed = root(axes[:, None] * weight)[..., None]
    moved = heed * jnp.moveaxis(jax.vmap(centred, (0, None))(basis, weight), 0, -1)
    pose = heed * pose_motion(seen)
    square = jnp.einsum("clk,clj->kj", pose, pose, precision=HIGHEST)
    cross = jnp.einsum("clk,cln->kn", pose, moved, precision=HIGHEST)
    safe = square + jnp.where(both > 0, 0.0, 1.0) * jnp.eye(4, dtype=square.dtype)
    return moved - jnp.einsum("clk,kn->cln", pose, jnp.linalg.solve(safe, cross), precision=HIGHEST)


def pose_motion(points: Float[Array, "3 L"]) -> Float[Array, "3 L 4"]:
    """How centred points move with a turn about x, y and z, in radians, and with the logarithm of their scale."""
    x, y, z = points
    still = jnp.zeros_like(x)
    turns = [still, -z, y], [z, still, -x], [-y, x, still]
    return jnp.stack([*(jnp.stack(turn) for turn in turns), points], axis=-1)


def placed_basis(model: MorphableModel, scheme: Scheme) -> Float[Array, "V 3 N"]:
    """The basis less what a rigid motion does as well: how a face of the model moves with its coefficients once it is
    placed on the mean face by the surface within ``PLACED_MM`` of the nose tip."""
    corners = model.mean[model.triangles]
    sides = corners[:, 1:] - corners[:, :1]
    area = jnp.linalg.norm(jnp.cross(sides[:, 0], sides[:, 1]), axis=-1)
    tip = model.landmark_positions(model.mean, scheme)[_NOSE_TIP[scheme]]
    near = jnp.linalg.norm(model.mean - tip, axis=-1) < PLACED_MM
    share = jnp.where(near, jnp.zeros_like(area, shape=len(near)).at[model.triangles].add(area[:, None]), 0.0)
    share = share / share.sum()
    points = (model.mean - share @ model.mean) / PLACED_MM
    shift = jnp.broadcast_to(jnp.eye(3, dtype=points.dtype), (len(points), 3, 3))
    motion = jnp.concatenate([shift, jnp.moveaxis(pose_motion(points.T), 0, 1)[..., :3]], axis=-1)
    basis = jnp.concatenate([model.identity, model.expression], axis=-1)
    square = jnp.einsum("v,vck,vcj->kj", share, motion, motion, precision=HIGHEST)
    cross = jnp.einsum("v,vck,vcn->kn", share, motion, basis, precision=HIGHEST)
    return basis - jnp.einsum("vck,kn->vcn", motion, jnp.linalg.solve(square, cross), precision=HIGHEST)
