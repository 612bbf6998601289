"""The coarse pose: of the mean face from 2D alone, with the silhouette of one side (Section 3.2)."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxface import energies, visibility
from jaxface.camera import HIGHEST
from jaxface.solvers.lanes import joined
from jaxface.types import Scheme

_FEWEST = 4
"""So many points, not in a plane, have one affine camera; a side that leaves fewer tells no pose."""


class Sides(NamedTuple):
    """The mean face's points as the coarse pose takes them without the right side's silhouette, and without the left's:
    centred ``points``, their ``weight``, the ``inverse`` of their moments, and whether enough are left to tell a pose;
    where not, all weigh alike."""

    points: Float[Array, "2 3 L"]
    weight: Float[Array, "2 L"]
    inverse: Float[Array, "2 3 3"]
    told: Bool[Array, "2"]


def sides_of(points: Float[Array | np.ndarray, "3 L"], scheme: Scheme, weight: Float[Array, "L"] | None) -> Sides:
    """Of landmarks that weigh alike a matter of the model alone, in JAX or, of NumPy's points, in NumPy."""
    xp = points.__array_namespace__()
    heed, told = without_a_side(xp.ones_like(points[0]) if weight is None else weight, scheme)
    heed = xp.where(told[:, None], heed, 1.0)
    share = heed / heed.sum(axis=1, keepdims=True)
    with jax.default_matmul_precision("highest"):
        centred = points - (share @ points.T)[:, :, None]
        return Sides(centred, heed, inverse_moments(centred, centred * heed[:, None]), told)


def without_a_side(weight: Float[Array | np.ndarray, "L"], scheme: Scheme):
    """Landmarks' weights (2, L) without the right side's silhouette and without the left's, and whether (2,) enough are
    left to tell a pose."""
    xp = weight.__array_namespace__()
    heed = xp.where(visibility.silhouettes(scheme), 0.0, weight)
    return heed, xp.sum(heed > 0, axis=1) >= _FEWEST


def inverse_moments(points: Float[Array | np.ndarray, "*b 3 L"], heavy: Float[Array | np.ndarray, "*b 3 L"]) -> Any:
    """(Σ w x xᵀ)⁻¹ (*b, 3, 3) of centred points, themselves and times their weights, by cofactors."""
    xp = points.__array_namespace__()
    with jax.default_matmul_precision("highest"):
        moments = points @ xp.swapaxes(heavy, -1, -2)
        x, y, z = (moments[..., row, :] for row in range(3))
        cofactors = xp.cross(xp.stack([y, z, x], axis=-2), xp.stack([z, x, y], axis=-2))
        return cofactors / xp.sum(x * cofactors[..., 0, :], axis=-1)[..., None, None]


def affine_pose(points: Float[Array, "3 L"], target: energies.Target, inverse: Float[Array, "3 3"]):
    """A first pose in closed form, of centred points with the inverse of their moments: the least-squares affine camera
    of the targets' x and y, its two rows made orthonormal.

    Returns ``scale, rotation``. The rows A (2, 3) become (A Aᵀ)^-½ A and the scale the mean of A's singular values.
    """
    # As the solver's own moments, which are computed once.
    heavy = points if target.weight is None else points * target.weight
    cross = jnp.matmul(target.points, heavy.T, precision=HIGHEST)
    rows = jnp.matmul(cross[:2], inverse, precision=HIGHEST)
    square = jnp.matmul(rows, rows.T, precision=HIGHEST)
    (a, b), (_, c) = square
    product = jnp.sqrt(a * c - b**2)  # of the two singular values
    total = jnp.sqrt(a + c + 2 * product)  # their sum
    # (A Aᵀ)^½ = (A Aᵀ + product) / total, a 2x2 matrix of determinant ``product``: its inverse is its adjugate over it.
    adjugate = jnp.array([[c, -b], [-b, a]])
    adjugate = adjugate + product * np.eye(2, dtype=rows.dtype)
    rows = jnp.matmul(adjugate / (total * product), rows, precision=HIGHEST)
    return total / 2, jnp.concatenate([rows, jnp.cross(rows[0], rows[1])[None]])


def target_2d(xy: Float[Array, "2 L"], weight: Float[Array, "L"]) -> energies.Target:
    """What pulls points in the image alone."""
    # The centred points' products with the landmarks are those with the centred landmarks.
    image, flat = jnp.concatenate([xy, jnp.zeros_like(xy[:1])]), jnp.array([1.0, 1.0, 0.0], xy.dtype)
    return energies.Target(image, flat, weight)


def coarse_pose(sides: Sides, xy: Float[Array, "2 L"], solve_pose):
    """The pose from 2D alone, with one side's silhouette, the chin and the inner points; of both, the larger |yaw|.

    The silhouette of the side turned away is what a 2D detector gets wrong, and it pulls the yaw towards 0.
    """

    def wider(widest, side: Sides):
        target = target_2d(xy, side.weight)
        found = solve_pose(side.points, target, *affine_pose(side.points, target, side.inverse), "coarse")
        turned, before = (jnp.abs(rotation[2, 0]) for _, rotation in (found, widest))  # the sines of the yaws
        return jax.tree.map(partial(jnp.where, side.told & (turned >= before)), found, widest), None

    none = joined((jnp.zeros((), xy.dtype), jnp.zeros((3, 3), xy.dtype)), xy)
    return jax.lax.scan(wider, none, sides)[0]  # one after the other: with the arrays, and the code, of one face
