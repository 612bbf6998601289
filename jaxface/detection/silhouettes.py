"""The 17 contour points that a 2D detector would give, from a dense mesh that stays on the anatomy.

Seen from the front, each jaw point lies at the end of a curve that runs over the cheek from the middle of the face.
Turn the head, and the curve's outermost point is where the face ends in the image: the jaw point on the side that is
seen, a point of the cheek on the side that is turned away. Where the curves run is read off the embedded model's mean
face once; they are then followed on the detected mesh.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jaxface.model.canonical import canonical_face
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, JAW
from jaxface.model.store import load_model
from jaxface.model.surfaces import edges

_CENTRE = (2, 164)
"""Between nose and upper lip: the curves' common origin, as MediaPipe points."""

_SKIN = 468
"""MediaPipe's points but for the irises: the canonical face's first vertices."""

_INNER_PART = 0.45
"""The part of each curve next to the origin, over nose and mouth, that is left out."""


class _Curves(NamedTuple):
    """Where 17 curves cross the mesh's edges: K crossings each, the last repeated where there are fewer.

    A crossing lies at ``(1 - part) * start + part * end``; ``outward`` is each curve's direction in the frontal view,
    x right and y down; ``frontal`` (478, 3) the points of the mean face in the camera frame.
    """

    start: np.ndarray
    end: np.ndarray
    part: np.ndarray
    outward: np.ndarray
    frontal: np.ndarray


@lru_cache(maxsize=1)
def _curves() -> _Curves:
    model = load_model()
    points = model.landmarks["mediapipe478"].on(model.triangles, np.asarray(model.mean, np.float64))
    frontal = points * (1, -1, -1)
    flat = frontal[:, :2] - frontal[list(_CENTRE), :2].mean(axis=0)
    triangles = np.asarray(canonical_face().triangles)
    skin = triangles[(triangles < _SKIN).all(axis=1)]
    lines = edges(skin)[0]
    cross = lambda u, v: u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    crossings, outward = [], []
    for jaw in IBUG68_FROM_MEDIAPIPE478[JAW]:
        direction = flat[jaw] / np.linalg.norm(flat[jaw])
        a, along = flat[lines[:, 0]], flat[lines[:, 1]] - flat[lines[:, 0]]
        turn = cross(direction, along)
        turn = np.where(turn == 0, np.inf, turn)  # an edge along the curve crosses nothing
        distance, part = cross(a, along) / turn, cross(a, direction) / turn
        within = (part >= 0) & (part <= 1) & (distance > _INNER_PART * np.linalg.norm(flat[jaw]))
        end = np.array([[jaw, jaw, 0.0]])  # the jaw point itself, whatever lies beyond it
        reach = distance[within] <= np.linalg.norm(flat[jaw])
        crossings.append(np.concatenate([np.column_stack([lines[within], part[within]])[reach], end]))
        outward.append(direction)
    longest = max(map(len, crossings))
    padded = np.stack([np.pad(c, ((0, longest - len(c)), (0, 0)), mode="edge") for c in crossings])
    return _Curves(padded[..., 0].astype(int), padded[..., 1].astype(int), padded[..., 2:], np.array(outward), frontal)


def visible_contour(points: np.ndarray) -> np.ndarray:
    """The contour points 1-17 of the iBUG scheme on the visible silhouette of a dense mesh.

    Args:
      points: (478, 3) MediaPipe points, pixels in the camera frame.

    Returns:
      (17, 2) pixels.
    """
    curves = _curves()
    affine = np.linalg.lstsq(curves.frontal - curves.frontal.mean(axis=0), points - points.mean(axis=0), rcond=None)[0]
    (a, b), (c, d) = affine[:2, :2]
    outward = curves.outward @ np.array([[d, -c], [-b, a]])  # normals go by the cofactors where vectors go by affine
    xy = points[:, :2]
    crossing = (1 - curves.part) * xy[curves.start] + curves.part * xy[curves.end]
    outermost = np.argmax(np.einsum("ikc,ic->ik", crossing, outward), axis=1)
    return crossing[np.arange(len(crossing)), outermost]
