"""Where in a photograph to look for faces.

MediaPipe looks for faces in what it is given at a small fixed size, and finds those that are about 1/6 to 1/2 of it.
A photograph is searched whole, then with a margin around it, for a face that fills it, then in ever smaller tiles.
"""

from collections.abc import Callable, Iterator
from math import ceil

import numpy as np

_MARGIN = 0.25
"""In parts of the photograph's shorter side."""

_SMALLEST = 0.25
"""Tiles are no smaller than this part of the shorter side, ..."""

_SMALLEST_PX = 128
"""... and than this."""

_CONFIRMED_IN = 2.5, 4.0
"""A face that a tile shows must be seen again in squares of these many times its size around it: small parts of a
photograph hold much that looks a little like a face, but seldom twice."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


def search(image: np.ndarray, detect: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The faces of the first level of tiles that shows any; those that several tiles show, once.

    Args:
      image: (H, W, 3) uint8.
      detect: takes such an image to the (faces, 478, 3) points that it shows.

    Returns:
      (faces, 478, 3) in pixels of the image.
    """
    for tiles in _levels(*image.shape[:2]):
        found = []
        for left, top, right, bottom in tiles:
            for points in detect(cut(image, (left, top, right, bottom))):
                off_centre = np.abs(points[:, :2].mean(axis=0) / (right - left, bottom - top) - 0.5).max()
                points = points + np.array([left, top, 0], points.dtype)
                again = (cut(image, square_around(points, size)) for size in _CONFIRMED_IN)
                if len(tiles) == 1 or all(len(detect(square)) for square in again):
                    found.append((off_centre, points))
        if found:
            return np.stack(_once([points for _, points in sorted(found, key=lambda face: face[0])]))
    return np.empty((0, 478, 3), np.float32)


def _levels(height: int, width: int) -> Iterator[list[Box]]:
    yield [(0, 0, width, height)]
    margin = int(_MARGIN * min(height, width))
    yield [(-margin, -margin, width + margin, height + margin)]
    side = max(height, width) // 2
    while side >= max(_SMALLEST * min(height, width), _SMALLEST_PX):
        yield [(x[0], y[0], x[1], y[1]) for y in _spans(height, side) for x in _spans(width, side)]
        side //= 2


def _spans(length: int, side: int) -> list[tuple[int, int]]:
    """Spans that cover a length and overlap by half or more, so that what is half as long lies whole in one."""
    count = ceil(2 * max(length - side, 0) / side) + 1
    return [(int(start), int(start) + min(side, length)) for start in np.linspace(0, max(length - side, 0), count)]


def square_around(points: np.ndarray, size: float) -> Box:
    """The square around points (L, 2 or more), ``size`` times as long as they reach."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    half = size * (high - low).max() / 2
    left, top = ((low + high) / 2 - half).astype(int)
    return int(left), int(top), int(left + 2 * half), int(top + 2 * half)


def cut(image: np.ndarray, box: Box) -> np.ndarray:
    """A part of an image, black where it reaches beyond it."""
    height, width = image.shape[:2]
    left, top, right, bottom = box
    part = image[max(top, 0) : bottom, max(left, 0) : right]
    beyond = [(max(-top, 0), max(bottom - height, 0)), (max(-left, 0), max(right - width, 0)), (0, 0)]
    return np.pad(part, beyond) if np.any(beyond) else part


def _once(faces: list[np.ndarray]) -> list[np.ndarray]:
    """Faces without those whose middle lies on an earlier one."""
    kept: list[np.ndarray] = []
    for points in faces:
        centre = points[:, :2].mean(axis=0)
        if not any(np.linalg.norm(centre - other[:, :2].mean(axis=0)) < np.ptp(other[:, 1]) / 2 for other in kept):
            kept.append(points)
    return kept
