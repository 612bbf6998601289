"""The pose before any shape is known: in closed form, then coarse, then refined (Section 3.2)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxface import camera, energies, visibility
from jaxface.camera import HIGHEST
from jaxface.fitting.marching import Contour, marched
from jaxface.model.morphable import LandmarkModel
from jaxface.solvers.lanes import joined
from jaxface.weighting import adaptive_weights

_FEWEST = 4
"""So many points, not in a plane, have one affine camera; a side that leaves fewer tells no pose."""


def affine_pose(points: Float[Array, "3 L"], target: energies.Target):
    """A first pose in closed form, of centred points: the least-squares affine camera of the targets' x and y, its two
    rows made orthonormal.

    Returns ``scale, rotation``. The rows A (2, 3) become (A Aᵀ)^-½ A and the scale the mean of A's singular values.
    """
    # As the solver's own moments, which are computed once.
    heavy = points if target.weight is None else points * target.weight
    moments, cross = (jnp.matmul(side, heavy.T, precision=HIGHEST) for side in (points, target.points))
    x, y, z = moments
    cofactors = jnp.cross(jnp.stack([y, z, x]), jnp.stack([z, x, y]))
    inverse = cofactors / jnp.vdot(moments[0], cofactors[0], precision=HIGHEST)
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


def data_weights(variant: str, yaw_deg: Float[Array, ""]):
    """λ2d and λ3d of a variant at this yaw."""
    one = jnp.ones_like(yaw_deg)
    if variant == "2d":
        return one, 0 * one
    if variant == "2d+3d":
        return one / 2, one / 2
    return adaptive_weights(yaw_deg)


def initial_pose(
    model: LandmarkModel,
    xy: Float[Array, "2 L"],
    xyz: Float[Array, "3 L"],
    weight,
    variant,
    solve_pose,
    contour: Contour | None = None,
):
    """The pose of the mean face: ``scale, rotation`` and the 2D landmarks that the fit is to use.

    With ``p`` in the variant it starts from the coarse pose, with the landmarks that it hides replaced; without, from
    the affine camera, with the landmarks as they are. Either way it then minimises Eq. 4. With a ``contour`` none is
    replaced: that of the mean face marches there, and the landmarks stay as they are for the rounds to come.
    """
    points = model.centred
    heed = jnp.ones_like(xy[0]) if weight is None else weight
    if "p" in variant.split("+"):
        sides = visibility.silhouettes(model.scheme)
        scale, rotation = coarse_pose(points, xy, weight, sides, solve_pose)
        stage = "refined"
        if contour is None:
            replaced = visibility.hidden(model.normals, rotation) & sides.any(axis=0)
            xy = visible_xy(xy, xyz, heed, replaced)
    else:
        (scale, rotation), stage = affine_pose(*in_2d(points, xy, heed)), "coarse"
    weights = data_weights(variant, camera.yaw_deg(rotation))
    shown = xy
    if contour is not None:
        shown = marched(contour, xy, jnp.zeros(contour.basis.shape[-1], xy.dtype), scale, rotation)
    target = energies.merge(energies.centred(shown, weight), energies.centred(xyz, weight), weight, *weights)
    return *solve_pose(energies.recentred(points, weight), target, scale, rotation, stage), xy


def coarse_pose(
    points: Float[Array, "3 L"], xy: Float[Array, "2 L"], weight, sides: Bool[np.ndarray, "2 L"], solve_pose
):
    """The pose from 2D alone, with one side's silhouette, the chin and the inner points; of both, the larger |yaw|.

    The silhouette of the side turned away is what a 2D detector gets wrong, and it pulls the yaw towards 0.
    ``sides``: which landmarks are on either side's silhouette.
    """
    heed = jnp.ones_like(xy[0]) if weight is None else weight

    def wider(widest, side):
        other, told = side
        rest = jnp.where(other, 0.0, heed)
        problem = in_2d(points, xy, rest if told is None else jnp.where(told, rest, 1.0))
        found = solve_pose(*problem, *affine_pose(*problem), "coarse")
        turned, before = (jnp.abs(rotation[2, 0]) for _, rotation in (found, widest))  # the sines of the yaws
        better = turned >= before if told is None else told & (turned >= before)
        return jax.tree.map(partial(jnp.where, better), found, widest), None

    none = joined((jnp.zeros((), xy.dtype), jnp.zeros((3, 3), xy.dtype)), xy)
    told = None if weight is None else jnp.sum(jnp.where(sides, 0.0, weight) > 0, axis=1) >= _FEWEST
    # One after the other: with the arrays, and the code, of one face.
    return jax.lax.scan(wider, none, (sides, told))[0]


def in_2d(points: Float[Array, "3 L"], xy: Float[Array, "2 L"], weight) -> tuple[Float[Array, "3 L"], energies.Target]:
    """The centred points and what pulls them in the image alone."""
    # The centred points' products with the landmarks are those with the centred landmarks.
    image, flat = jnp.concatenate([xy, jnp.zeros_like(xy[:1])]), jnp.array([1.0, 1.0, 0.0], xy.dtype)
    return energies.centred(points, weight), energies.Target(image, flat, weight)


def visible_xy(xy: Float[Array, "2 L"], xyz: Float[Array, "3 L"], weight, replaced: Bool[Array, "L"]):
    """The 2D landmarks (2, L), the hidden ones replaced by the 3D ones' x and y.

    Both detections are brought together by their mean offset over the landmarks that stay.
    """
    offset = energies.mean_point(xy - xyz[:2], jnp.where(replaced, 0.0, weight))
    return jnp.where(replaced, xyz[:2] + offset[:, None], xy)
