"""The energy of Eq. 4 and its two sub-problems, as pure functions of one face.

Eq. 4 pulls one projected point l towards a 2D and a 3D detection. Its two free shifts, the image translation t (Eq. 3)
and t' (Eq. 6), only ever subtract means, so both data terms are sums over centred points (written with a tilde), and

    λ2d |l̃_xy - L̃2d|² + λ3d |l̃ - L̃3d|²  =  (l̃ - L̄)ᵀ D (l̃ - L̄) + λ2d λ3d / (λ2d + λ3d) |L̃2d - L̃3d_xy|²

with D = diag(λ2d + λ3d, λ2d + λ3d, λ3d) and L̄ the λ-weighted mean of the two detections: one anisotropic 3D problem.

Points stand as rows of coordinates here and in the solvers, (3, L) or (2, L): arithmetic then runs along the landmarks.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.camera import HIGHEST
from jaxface.pytree import pytree


def mean_point(points: Float[Array, "*k L"], weight: Float[Array, "L"] | None) -> Float[Array, "*k"]:
    """The weighted mean of points, or of anything else that each landmark has."""
    share = jnp.full(points.shape[-1], 1 / points.shape[-1], points.dtype) if weight is None else weight / weight.sum()
    return jnp.matmul(points, share, precision=HIGHEST)


def centred(points: Float[Array, "*k L"], weight: Float[Array, "L"] | None) -> Float[Array, "*k L"]:
    """Points less their weighted mean."""
    return points - mean_point(points, weight)[..., None]


def recentred(points: Float[Array, "*k L"], weight: Float[Array, "L"] | None) -> Float[Array, "*k L"]:
    """Points of mean 0 less their weighted mean, which is 0 already where all weigh alike."""
    return points if weight is None else centred(points, weight)


def energy_2d(projected: Float[Array, "3 L"], xy: Float[Array, "2 L"], weight: Float[Array, "L"] | None):
    """E2d of Eq. 5, minimised over the image translation t."""
    return sum_of_squares(centred(projected[:2] - xy, weight), weight)


def energy_3d(projected: Float[Array, "3 L"], xyz: Float[Array, "3 L"], weight: Float[Array, "L"] | None):
    """E3d of Eq. 6, minimised over t'."""
    return sum_of_squares(centred(projected - xyz, weight), weight)


def sum_of_squares(residual: Float[Array, "k L"], weight: Float[Array, "L"] | None):
    """Σ |residual|², each landmark by its weight."""
    heavy = residual if weight is None else weight * residual
    return jnp.vdot(heavy, residual, precision=HIGHEST)


def energy(projected, xy, xyz, weight, weight_2d, weight_3d, coefficients, prior: Float[Array, ""]):
    """E_fit of Eq. 4: both data terms and the priors of Eqs 10-12, ``prior`` being λα in the coordinates of
    ``jaxface.fitting.coordinates``."""
    data = weight_2d * energy_2d(projected, xy, weight) + weight_3d * energy_3d(projected, xyz, weight)
    return data + priors(weight_2d, weight_3d, coefficients, prior)


def priors(weight_2d, weight_3d, coefficients: Float[Array, "N"], prior: Float[Array, ""]):
    """The priors of Eqs 10-12 as they stand in Eq. 4."""
    return (weight_2d + weight_3d) * prior * jnp.vdot(coefficients, coefficients, precision=HIGHEST)


@pytree
class Target:
    """What both data terms pull towards: the merged detections L̄ (centred) with the diagonal of D.

    ``weight`` is each landmark's own, ``None`` for all ones.
    """

    points: Float[Array, "3 L"]
    axes: Float[Array, "3"]
    weight: Float[Array, "L"] | None


def merge(xy: Float[Array, "2 L"], xyz: Float[Array, "3 L"], weight, weight_2d, weight_3d) -> Target:
    """The two centred detections of a face as one target (see the top of this file)."""
    both = weight_2d + weight_3d
    share_2d = jnp.stack([weight_2d, weight_2d, jnp.zeros_like(both)]) / both
    seen = jnp.concatenate([xy, xyz[2:]])
    return Target(xyz + share_2d[:, None] * (seen - xyz), jnp.stack([both, both, weight_3d]), weight)


def turned(matrix: Float[Array, "3 3"], points: Float[Array, "3 L"]) -> Float[Array, "3 L"]:
    """``matrix @ points``, written out: a product with so few rows is slow as one."""
    return jnp.sum(matrix[:, :, None] * points, axis=1)


def pose_at(tangent: Float[Array, "4"], scale: Float[Array, ""], rotation: Float[Array, "3 3"]):
    """The scale and rotation that a step leads to: a turn of the camera frame (three) and a change of log scale.

    The turn is Cayley's, that of the quaternion (1, ω/2): exp's up to the second order, a rotation for any ω, and few
    operations.
    """
    half = tangent[:3] / 2
    square = jnp.vdot(half, half, precision=HIGHEST)
    unit = np.eye(3, dtype=half.dtype)
    turn = (1 - square) * unit + 2 * (half[:, None] * half + jnp.cross(unit, half))
    return scale * jnp.exp(tangent[3]), turned(turn / (1 + square), rotation)


@pytree
class ShapeProblem:
    """Eq. 4 in the coefficients at a fixed pose, seen from a start: ridge regression.

    ``coefficients`` are the start and ``points`` the centred landmarks there; ``basis`` is how the landmarks move with
    each coefficient (centred too where all landmarks weigh alike), all x, all y, all z in one matrix, ``gram`` its
    Gram matrices and ``squares`` their diagonals (``None`` where landmarks have weights) and ``core`` its gist;
    ``prior`` is λα, one for all, as the coefficients are those of ``jaxface.fitting.coordinates``.
    """

    coefficients: Float[Array, "N"]
    points: Float[Array, "3 L"]
    basis: Float[Array, "3*L N"]
    gram: Float[Array, "3 3 N N"] | None
    squares: Float[Array, "3 3 N"] | None
    core: Float[Array, "M A"]
    scale: Float[Array, ""]
    rotation: Float[Array, "3 3"]
    target: Target
    prior: Float[Array, ""]


def shape_displacement(coefficients: Float[Array, "N"], problem: ShapeProblem) -> Float[Array, "3 L"]:
    """How far the landmarks of these coefficients are from their targets, at the problem's pose."""
    moved = jnp.matmul(problem.basis, coefficients - problem.coefficients, precision=HIGHEST)
    points = problem.points + recentred(moved.reshape(problem.points.shape), problem.target.weight)
    return problem.scale * turned(problem.rotation, points) - problem.target.points


def pose_residual(tangent, scale, rotation, points: Float[Array, "3 L"], target: Target) -> Float[Array, "3*L"]:
    """Eq. 4 at fixed centred points as residuals, of a step from a start (``pose_at``)."""
    scale, rotation = pose_at(tangent, scale, rotation)
    return whitened(scale * turned(rotation, points) - target.points, target)


def shape_residual(coefficients: Float[Array, "N"], problem: ShapeProblem) -> Float[Array, "M"]:
    """Eq. 4 at a fixed pose as residuals, the priors' after the landmarks'."""
    data = whitened(shape_displacement(coefficients, problem), problem.target)
    return jnp.concatenate([data, jnp.sqrt(problem.target.axes[0] * problem.prior) * coefficients])


def whitened(displacement: Float[Array, "3 L"], target: Target) -> Float[Array, "3*L"]:
    """Displacements as residuals, whose plain sum of squares is the data part of Eq. 4."""
    square = target.axes[:, None] if target.weight is None else target.axes[:, None] * target.weight
    return (displacement * root(square)).ravel()


def root(square: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The roots of weights, of slope 0 at 0, where that of a root is infinite: a weight of 0 takes no part."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def gram(basis: Float[Array | np.ndarray, "3 L N"], weight: Float[Array, "L"] | None):
    """Gram matrices ``[a, b] = Γ̃_aᵀ Γ̃_b`` (3, 3, N, N) between x, y and z, summed over (weighted) landmarks. Γ̃ is the
    basis less its mean over them: the shape step eliminates translation."""
    xp = basis.__array_namespace__()
    heed = xp.ones(basis.shape[1], basis.dtype) if weight is None else weight
    with jax.default_matmul_precision("highest"):
        centred = basis - xp.einsum("l,aln->an", heed / heed.sum(), basis)[:, None]
        return xp.einsum("aln,blm->abnm", heed[:, None] * centred, centred, optimize=True)
