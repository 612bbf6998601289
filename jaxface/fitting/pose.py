"""The pose before any shape is known: in closed form or coarse, then refined (Section 3.2)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxface import camera, energies, visibility
from jaxface.fitting.coarse import affine_pose, coarse_pose, inverse_moments, sides_of, target_2d
from jaxface.fitting.coordinates import Coordinates
from jaxface.fitting.marching import marched
from jaxface.model.morphable import LandmarkModel
from jaxface.weighting import adaptive_weights


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
    axes: Coordinates,
    xy: Float[Array, "2 L"],
    xyz: Float[Array, "3 L"],
    weight: Float[Array, "L"] | None,
    variant: str,
    solve_pose,
):
    """The pose of the mean face: ``scale, rotation`` and the 2D landmarks that the fit is to use.

    With ``p`` in the variant it starts from the coarse pose, with the landmarks that it hides replaced; without, from
    the affine camera, with the landmarks as they are. Either way it then minimises Eq. 4. Where the axes have a contour
    none is replaced: that of the mean face marches there, and the landmarks stay as they are for the rounds to come.
    """
    points, contour = energies.recentred(model.centred, weight), axes.contour
    heed = jnp.ones_like(xy[0]) if weight is None else weight
    if "p" in variant.split("+"):
        sides = axes.sides if weight is None else sides_of(model.centred, model.scheme, weight)
        scale, rotation = coarse_pose(sides, xy, solve_pose)
        stage = "refined"
        if contour is None:
            side = visibility.silhouettes(model.scheme).any(axis=0)
            xy = visible_xy(xy, xyz, heed, visibility.hidden(model.normals, rotation) & side)
    else:
        inverse = inverse_moments(points, points * heed)
        (scale, rotation), stage = affine_pose(points, target_2d(xy, heed), inverse), "coarse"
    weights = data_weights(variant, camera.yaw_deg(rotation))
    shown = xy
    if contour is not None:
        shown = marched(contour, xy, jnp.zeros(contour.basis.shape[-1], xy.dtype), scale, rotation)
    target = energies.merge(energies.centred(shown, weight), energies.centred(xyz, weight), weight, *weights)
    return *solve_pose(points, target, scale, rotation, stage), xy


def visible_xy(xy: Float[Array, "2 L"], xyz: Float[Array, "3 L"], weight, replaced: Bool[Array, "L"]):
    """The 2D landmarks (2, L), the hidden ones replaced by the 3D ones' x and y.

    Both detections are brought together by their mean offset over the landmarks that stay.
    """
    offset = energies.mean_point(xy - xyz[:2], jnp.where(replaced, 0.0, weight))
    return jnp.where(replaced, xyz[:2] + offset[:, None], xy)
