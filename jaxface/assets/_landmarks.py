"""Where MediaPipe's 478 points lie on the mean head: draw it from many sides, detect, and carry the points back.

The head is painted so that the detector sees a face like those it knows.
"""

import jax.numpy as jnp
import numpy as np
import trimesh
from scipy.spatial import cKDTree

from jaxface.assets._makehuman import EXPRESSIONS, Head, MakeHuman
from jaxface.assets._paint import PaintedHead
from jaxface.detection.mediapipe import dense_points, landmarker
from jaxface.model.correspondences import MEDIAPIPE478_MIRROR
from jaxface.model.morphable import Embedding

VIEWS = [(pitch, yaw, 0.0) for yaw in (-50, -35, -20, -8, 0, 8, 20, 35, 50) for pitch in (-12, 0, 12)]
LIGHTS = np.array([[-0.2, 0.3, 1.0], [0.5, 0.5, 1.0], [-0.5, 0.4, 0.8]])
FACING = 0.2
"""A point is believed in a view where its surface's normal has at least this cosine to the viewing direction."""
MOUTH_OPEN = 0.25
"""How much of jawOpen parts the lips, so that the points inside them are told apart."""

NEAR = 40
"""How many triangles, by their centres, are tried for the one closest to a point."""

# fmt: off
UPPER_LIP = np.array([
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306,
    62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292, 78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308,
])
LOWER_LIP = np.array([
    146, 91, 181, 84, 17, 314, 405, 321, 375, 77, 90, 180, 85, 16, 315, 404, 320, 307,
    96, 89, 179, 86, 15, 316, 403, 319, 325, 95, 88, 178, 87, 14, 317, 402, 318, 324,
])
IRISES = np.arange(468, 478)
# fmt: on
SIDE = np.sign(np.arange(478) - MEDIAPIPE478_MIRROR)
"""1 on the subject's left, -1 on the right. Turned away, a side's points slide to the silhouette: only views from a
point's own side count."""


def place_landmarks(source: MakeHuman, mean: np.ndarray) -> Embedding:
    """MediaPipe's 478 points on the symmetric mean head (V, 3) mm, symmetric too."""
    opened = source.target(EXPRESSIONS + "jawOpen")
    regions = _regions(source, opened)
    lips = np.concatenate([UPPER_LIP, LOWER_LIP])
    painted = PaintedHead(source, mean)
    found = []
    with landmarker() as detector:
        for number, angles in enumerate(VIEWS):
            light = LIGHTS[number % len(LIGHTS)]
            points = _see(painted, detector, mean, angles, light, regions)
            points[lips] = _see(painted, detector, mean + MOUTH_OPEN * opened, angles, light, regions)[lips]
            points[np.sign(angles[1]) == SIDE] = np.nan
            found.append(points)
    positions = np.nanmedian(found, axis=0)
    positions = (positions + positions[MEDIAPIPE478_MIRROR] * [-1, 1, 1]) / 2
    return _embed(source, mean, positions, regions)


def _regions(source: MakeHuman, opened: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which points (indices) may lie on which triangles (F,) bool: lips, irises, and the other visible skin."""
    head = source.head
    drop = -opened[head.triangles, 1].mean(axis=1)
    lower = drop > 0.4 * drop[head.skin].max()
    return [
        (UPPER_LIP, head.skin & ~lower),
        (LOWER_LIP, head.skin & lower),
        (IRISES, head.parts("helper-l-eye", "helper-r-eye")),
        (np.setdiff1d(np.arange(478), np.concatenate([UPPER_LIP, LOWER_LIP, IRISES])), head.skin),
    ]


def _see(painted: PaintedHead, detector, vertices, angles, light, regions) -> np.ndarray:
    """The 478 points in one view, as positions (478, 3) on the mean head; NaN where a point is not well seen."""
    out = np.full((478, 3), np.nan)
    view = painted.draw(vertices, angles, light)
    faces = dense_points(detector, view.picture)
    if len(faces) == 0:
        return out
    for points, allowed in regions:
        pixels = np.nonzero(allowed[view.triangle])[0]
        nearest = cKDTree(view.pixels[pixels]).query(faces[0, points, :2])[1]
        pixel = pixels[nearest]
        seen = view.facing[pixel] > FACING
        out[points[seen]] = view.on_mean[pixel[seen]]
    return out


def _embed(source: MakeHuman, mean: np.ndarray, positions: np.ndarray, regions) -> Embedding:
    """The closest points of the allowed triangles."""
    head = source.head
    triangle, barycentric = np.zeros(478, int), np.zeros((478, 3))
    for points, allowed in regions:
        rows = np.nonzero(allowed)[0]
        corners = mean[head.triangles[rows]]
        near = cKDTree(corners.mean(axis=1)).query(positions[points], NEAR)[1]
        target = np.repeat(positions[points], NEAR, axis=0)
        closest = trimesh.triangles.closest_point(corners[near.ravel()], target)
        best = np.linalg.norm(closest - target, axis=1).reshape(-1, NEAR).argmin(axis=1)
        point = np.arange(len(points))
        face, spot = near[point, best], closest.reshape(-1, NEAR, 3)[point, best]
        triangle[points] = rows[face]
        barycentric[points] = trimesh.triangles.points_to_barycentric(corners[face], spot)
    corners = head.triangles[triangle]
    off_middle = (SIDE == 0)[:, None] & (head.symmetry[corners] != corners)
    barycentric = np.where(off_middle, 0.0, np.clip(barycentric, 0, None))
    return _symmetric(head, triangle, barycentric / barycentric.sum(axis=1, keepdims=True))


def _symmetric(head: Head, triangle: np.ndarray, barycentric: np.ndarray) -> Embedding:
    """The left half replaced by the right half's mirror image."""
    number = {tuple(np.sort(corners)): row for row, corners in enumerate(head.triangles)}
    for left in np.nonzero(SIDE > 0)[0]:
        right = MEDIAPIPE478_MIRROR[left]
        corners = head.symmetry[head.triangles[triangle[right]]]
        triangle[left] = number[tuple(np.sort(corners))]
        order = [list(corners).index(corner) for corner in head.triangles[triangle[left]]]
        barycentric[left] = barycentric[right, order]
    return Embedding(jnp.asarray(triangle), jnp.asarray(barycentric))
