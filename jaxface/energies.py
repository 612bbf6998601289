"""The energy of Eq. 4 and its two sub-problems, as pure functions of one face.

Eq. 4 pulls one projected point l towards a 2D and a 3D detection. Its two free shifts, the image translation t (Eq. 3)
and t' (Eq. 6), only ever subtract means, so both data terms are sums over centred points (written with a tilde), and

    λ2d |l̃_xy - L̃2d|² + λ3d |l̃ - L̃3d|²  =  (l̃ - L̄)ᵀ D (l̃ - L̄) + λ2d λ3d / (λ2d + λ3d) |L̃2d - L̃3d_xy|²

with D = diag(λ2d + λ3d, λ2d + λ3d, λ3d) and L̄ the λ-weighted mean of the two detections: one anisotropic 3D problem.
"""

import jax.numpy as jnp
import jaxlie
from jaxtyping import Array, Float

from jaxface.camera import HIGHEST
from jaxface.pytree import pytree


def mean_point(points: Float[Array, "L *k"], weight: Float[Array, "L"] | None) -> Float[Array, "*k"]:
    """The weighted mean of points, or of anything else that each landmark has."""
    if weight is None:
        return points.mean(axis=0)
    return jnp.tensordot(weight / weight.sum(), points, axes=1, precision=HIGHEST)


def centred(points: Float[Array, "L *k"], weight: Float[Array, "L"] | None) -> Float[Array, "L *k"]:
    """Points less their weighted mean."""
    return points - mean_point(points, weight)


def energy_2d(projected: Float[Array, "L 3"], xy: Float[Array, "L 2"], weight: Float[Array, "L"] | None):
    """E2d of Eq. 5, minimised over the image translation t."""
    return _sum_of_squares(centred(projected[:, :2] - xy, weight), weight)


def energy_3d(projected: Float[Array, "L 3"], xyz: Float[Array, "L 3"], weight: Float[Array, "L"] | None):
    """E3d of Eq. 6, minimised over t'."""
    return _sum_of_squares(centred(projected - xyz, weight), weight)


def _sum_of_squares(residual: Float[Array, "L k"], weight: Float[Array, "L"] | None):
    squares = jnp.sum(residual**2, axis=-1)
    return jnp.sum(squares if weight is None else weight * squares)


def energy(projected, xy, xyz, weight, weight_2d, weight_3d, coefficients, prior: Float[Array, "N"]):
    """E_fit of Eq. 4: both data terms and the priors of Eqs 10-12, ``prior`` holding λα or λβ for each coefficient."""
    data = weight_2d * energy_2d(projected, xy, weight) + weight_3d * energy_3d(projected, xyz, weight)
    return data + (weight_2d + weight_3d) * jnp.sum(prior * coefficients**2)


@pytree
class Target:
    """What both data terms pull towards: the merged detections L̄ (centred) with the diagonal of D.

    ``weight`` is each landmark's own, ``None`` for all ones.
    """

    points: Float[Array, "L 3"]
    axes: Float[Array, "3"]
    weight: Float[Array, "L"] | None


def merge(xy, xyz, weight, weight_2d, weight_3d) -> Target:
    """The two detections of a face as one target (see the top of this file)."""
    both = weight_2d + weight_3d
    flat = (weight_2d * centred(xy, weight) + weight_3d * centred(xyz[:, :2], weight)) / both
    depth = centred(xyz[:, 2:], weight)
    return Target(jnp.concatenate([flat, depth], axis=-1), jnp.stack([both, both, weight_3d]), weight)


def pose_at(tangent: Float[Array, "4"], scale: Float[Array, ""], rotation: Float[Array, "3 3"]):
    """The scale and rotation that a step (three of rotation, one of log scale) away from a pose leads to."""
    turn = jaxlie.SO3.exp(tangent[:3]).as_matrix()
    return scale * jnp.exp(tangent[3]), jnp.matmul(rotation, turn, precision=HIGHEST)


def pose_displacement(tangent, scale, rotation, points: Float[Array, "n 3"], target: Float[Array, "n 3"]):
    """How far centred model points, in the pose that a step from a start leads to, are from their targets: (n, 3)."""
    scale, rotation = pose_at(tangent, scale, rotation)
    return scale * jnp.matmul(points, rotation.T, precision=HIGHEST) - target


@pytree
class ShapeProblem:
    """Eq. 4 in the coefficients c = (α, β) at a fixed pose: ridge regression.

    ``mean`` and ``basis`` are the centred model at its landmarks; ``gram`` its Gram matrices (``LandmarkModel``);
    ``prior`` (λ2d + λ3d) times λα or λβ for each coefficient.
    """

    mean: Float[Array, "L 3"]
    basis: Float[Array, "L 3 N"]
    gram: Float[Array, "3 3 N N"]
    scale: Float[Array, ""]
    rotation: Float[Array, "3 3"]
    target: Target
    prior: Float[Array, "N"]


def shape_displacement(coefficients: Float[Array, "N"], problem: ShapeProblem) -> Float[Array, "L 3"]:
    """How far the landmarks of these coefficients are from their targets, at the problem's pose."""
    points = problem.mean + jnp.einsum("lcn,n->lc", problem.basis, coefficients, precision=HIGHEST)
    return problem.scale * jnp.matmul(points, problem.rotation.T, precision=HIGHEST) - problem.target.points


def whitened(displacement: Float[Array, "n 3"], target: Target) -> Float[Array, "3*n"]:
    """Displacements as residuals, whose plain sum of squares is the data part of Eq. 4."""
    square = target.axes if target.weight is None else target.axes * target.weight[:, None]
    positive = square > 0  # the root's slope at 0 is infinite: a weight of 0 takes no part
    return (displacement * jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)).ravel()
