"""The pose before any shape is known: in closed form, then coarse, then refined (Section 3.2)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface import camera, energies, visibility
from jaxface.camera import HIGHEST
from jaxface.model.morphable import LandmarkModel
from jaxface.types import Landmarks
from jaxface.weighting import adaptive_weights


def affine_pose(points: Float[Array, "L 3"], xy: Float[Array, "L 2"], weight: Float[Array, "L"]):
    """A first pose in closed form: the least-squares affine camera, its two rows made orthonormal.

    Returns ``scale, rotation``. The rows A (2, 3) become (A Aᵀ)^-½ A and the scale the mean of A's singular values.
    """
    points, xy = energies.centred(points, weight), energies.centred(xy, weight)
    weighted = points * weight[:, None]
    moments = jnp.matmul(weighted.T, points, precision=HIGHEST)
    rows = jnp.linalg.solve(moments, jnp.matmul(weighted.T, xy, precision=HIGHEST)).T
    square = jnp.matmul(rows, rows.T, precision=HIGHEST)
    product = jnp.sqrt(square[0, 0] * square[1, 1] - square[0, 1] ** 2)  # of the two singular values
    total = jnp.sqrt(square[0, 0] + square[1, 1] + 2 * product)  # their sum
    root = (square + product * jnp.eye(2, dtype=square.dtype)) / total  # the square root of a 2x2 matrix
    rows = jnp.linalg.solve(root, rows)
    return total / 2, jnp.concatenate([rows, jnp.cross(rows[0], rows[1])[None]])


def data_weights(variant: str, yaw_deg: Float[Array, ""]):
    """λ2d and λ3d of a variant at this yaw."""
    one = jnp.ones_like(yaw_deg)
    if variant == "2d":
        return one, 0 * one
    if variant == "2d+3d":
        return one / 2, one / 2
    return adaptive_weights(yaw_deg)


def initial_pose(model: LandmarkModel, landmarks: Landmarks, variant: str, solve_pose):
    """The pose of the mean face: ``scale, rotation`` and the 2D landmarks that the fit is to use.

    With ``p`` in the variant it starts from the coarse pose, with the landmarks that it hides replaced; without, from
    the affine camera, with the landmarks as they are. Either way it then minimises Eq. 4.
    """
    weight = jnp.ones_like(landmarks.xy[:, 0]) if landmarks.weight is None else landmarks.weight
    if "p" in variant.split("+"):
        scale, rotation = coarse_pose(model, landmarks, weight, solve_pose)
        xy = visible_xy(model, landmarks, weight, rotation)
    else:
        scale, rotation = affine_pose(model.mean, landmarks.xy, weight)
        xy = landmarks.xy
    weights = data_weights(variant, camera.euler_deg(rotation)[1])
    target = energies.merge(xy, landmarks.xyz, landmarks.weight, *weights)
    points = energies.centred(model.mean, landmarks.weight)
    return *solve_pose(points, target, scale, rotation), xy


def coarse_pose(model: LandmarkModel, landmarks: Landmarks, weight: Float[Array, "L"], solve_pose):
    """The pose from 2D alone, with one side's silhouette and the inner points; of both sides, the larger |yaw|.

    The silhouette of the side turned away is what a 2D detector gets wrong, and it pulls the yaw towards 0.
    """
    flat = jnp.array([1.0, 1.0, 0.0], landmarks.xy.dtype)
    depth = jnp.zeros_like(landmarks.xy[:, :1])

    def from_side(other):
        seen = jnp.where(other, 0.0, weight)
        points = energies.centred(model.mean, seen)
        target = jnp.concatenate([energies.centred(landmarks.xy, seen), depth], axis=-1)
        return solve_pose(points, energies.Target(target, flat, seen), *affine_pose(points, landmarks.xy, seen))

    scale, rotation = jax.vmap(from_side)(visibility.silhouettes(landmarks.scheme))
    yaw = jnp.abs(camera.euler_deg(rotation)[:, 1])
    pick = lambda pair: jnp.where(yaw[0] > yaw[1], pair[0], pair[1])
    return pick(scale), pick(rotation)


def visible_xy(model: LandmarkModel, landmarks: Landmarks, weight, rotation) -> Float[Array, "L 2"]:
    """The 2D landmarks, those on the silhouette that this pose hides replaced by the 3D ones' x and y.

    Both detections are brought together by their mean offset over the landmarks that stay.
    """
    silhouette = visibility.silhouettes(landmarks.scheme).any(axis=0)
    replaced = visibility.hidden(model.normals, rotation) & silhouette
    anatomical = landmarks.xyz[:, :2]
    offset = energies.mean_point(landmarks.xy - anatomical, jnp.where(replaced, 0.0, weight))
    return jnp.where(replaced[:, None], anatomical + offset, landmarks.xy)
