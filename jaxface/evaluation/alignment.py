"""Where a reconstruction is put before it is measured: by landmarks, then by what ICP minimises.

ICP's objective is the sum of squared distances from points to the closest points of a surface, over a rigid motion or
a similarity. Levenberg-Marquardt takes it to the same minimum in fewer rounds: Fitzgibbon 2003, "Robust registration
of 2D and 3D point sets". The prediction moves, and distances are in the truth's unit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jaxface.evaluation.distances import ExactSurface
from jaxface.model.registration import Similarity, similarity
from jaxface.model.surfaces import unit

_TOLERANCE = 1e-6
"""Relative: the distances of faces to the surface then change by less than 1e-5 mm."""
_TOUCHES = 1e-9
"""Below it, in the truth's unit, a distance has no direction; the surface's normal stands in."""


@dataclass(frozen=True)
class Pairs:
    """Matched points under one placement: ``predicted`` (n, 3) in the prediction's frame, ``true`` (n, 3) and the
    surface's unit ``normal`` (n, 3) in the truth's."""

    predicted: np.ndarray
    true: np.ndarray
    normal: np.ndarray


def rigid(source: Float[np.ndarray, "n 3"], target: Float[np.ndarray, "n 3"]) -> Similarity:
    """The rotation and shift, without scale, that take source points (n, 3) to target points: least squares."""
    rotation = similarity(source, target).rotation
    return Similarity(1.0, rotation, target.mean(axis=0) - rotation @ source.mean(axis=0))


def undone(placed: Similarity, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Points (n, 3) of the truth's frame in the prediction's."""
    return (points - placed.shift) @ placed.rotation / placed.scale


def points_to_truth(points: Float[np.ndarray, "n 3"], truth: ExactSurface) -> Callable[[Similarity], Pairs]:
    """Each point (n, 3) of the prediction with the closest of the true surface."""

    def pairs(placed: Similarity) -> Pairs:
        nearest = truth.closest(placed(points))
        return Pairs(points, nearest.position, nearest.normal)

    return pairs


def scan_to_mesh(scan: Float[np.ndarray, "n 3"], predicted: ExactSurface) -> Callable[[Similarity], Pairs]:
    """Each point (n, 3) of the truth with the closest of the predicted surface."""

    def pairs(placed: Similarity) -> Pairs:
        nearest = predicted.closest(undone(placed, scan))
        return Pairs(nearest.position, scan, nearest.normal @ placed.rotation.T)

    return pairs


def refine(start: Similarity, pairs: Callable[[Similarity], Pairs], *, scaled: bool) -> Similarity:
    """The placement near ``start`` that minimises the squared distances between matched points.

    Args:
      pairs: ``points_to_truth`` or ``scan_to_mesh``.
      scaled: whether the scale is free, or stays as it is in ``start``.
    """
    from scipy.optimize import least_squares
    from scipy.spatial.transform import Rotation

    points = start(pairs(start).predicted)
    centre = points.mean(axis=0)
    size = np.sqrt(np.square(points - centre).sum(axis=1).mean())

    def placement(step: np.ndarray) -> Similarity:
        """``start`` turned by step[:3] and scaled by exp(step[6]) about the centre, and shifted by step[3:6]."""
        turn, growth = Rotation.from_rotvec(step[:3]).as_matrix(), np.exp(step[6]) if scaled else 1.0
        shift = centre + step[3:6] + growth * turn @ (start.shift - centre)
        return Similarity(growth * start.scale, turn @ start.rotation, shift)

    latest = (None, None)

    def evaluated(step: np.ndarray):
        """Signed distances (n,), positive outside, and their derivatives (n, 6 or 7); kept for the second asking."""
        nonlocal latest
        if latest[0] is None or not np.array_equal(latest[0], step):
            placed = placement(step)
            found = pairs(placed)
            moved = placed(found.predicted)
            gap = moved - found.true
            distance = np.linalg.norm(gap, axis=1)
            side = np.where(np.einsum("nc,nc->n", gap, found.normal) < 0, -1.0, 1.0)
            away = np.where(distance[:, None] > _TOUCHES, side[:, None] * unit(gap), found.normal)
            arm = moved - centre - step[3:6]
            turning = np.cross(arm, away) @ left_jacobian(step[:3])
            growing = [np.einsum("nc,nc->n", arm, away)[:, None]] if scaled else []
            latest = step.copy(), (side * distance, np.concatenate([turning, away, *growing], axis=1))
        return latest[1]

    found = least_squares(
        lambda step: evaluated(step)[0],
        np.zeros(7 if scaled else 6),
        lambda step: evaluated(step)[1],
        method="lm",
        x_scale=np.array([1 / size, 1 / size, 1 / size, 1, 1, 1, 1 / size])[: 7 if scaled else 6],
        ftol=_TOLERANCE,
        xtol=_TOLERANCE,
        gtol=_TOLERANCE,
    )
    return placement(found.x)


def left_jacobian(turn: np.ndarray) -> np.ndarray:
    """(3, 3): what a change of a rotation vector (3,) is as a small turn after it."""
    angle = np.linalg.norm(turn)
    if angle < 1e-8:
        return np.eye(3)
    x, y, z = turn / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + (1 - np.cos(angle)) / angle * cross + (1 - np.sin(angle) / angle) * cross @ cross
