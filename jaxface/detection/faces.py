"""What is asked of detected faces: where they are, which is the largest, whether their points have depth."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np

from jaxface.types import Landmarks, Scheme

_NEAR = 0.25
"""Faces are the same one if their points are apart by less than this part of their size, root mean square."""


def box(face: Landmarks) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a face's 2D points in pixels."""
    low, high = np.min(face.xy, axis=0), np.max(face.xy, axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def size(face: Landmarks) -> float:
    """The longer side of a face's box in pixels."""
    return float(np.ptp(face.xy, axis=0).max())


def apart(face: Landmarks, other: Landmarks) -> float:
    """From the middle of one face to that of another, in sizes of the first."""
    return float(np.linalg.norm(face.xy.mean(axis=0) - other.xy.mean(axis=0))) / size(face)


def lies_in(face: Landmarks, image: np.ndarray) -> bool:
    """Whether points can be those of a face in an (H, W, 3) image: one of them is in it, and they extend over less than
    two of its longer sides."""
    height, width = image.shape[:2]
    points = np.concatenate([face.xy, np.asarray(face.xyz)[:, :2]], dtype=np.float64)
    seen = ((0 < points) & (points < (width, height))).all(axis=1)
    return bool(seen.any() and np.ptp(points, axis=0).max() < 2 * max(height, width))


def flat(
    xy: np.ndarray, weight: np.ndarray | None = None, scheme: Scheme = "ibug68", detector: str | None = None
) -> Landmarks:
    """A face of which only 2D points (L, 2) are known. Every z is 0, and only the variant ``"2d"`` fits it."""
    return Landmarks(xy, np.pad(xy, ((0, 0), (0, 1))), weight, scheme, detector)


def has_depth(face: Landmarks) -> bool:
    """Whether a face's 3D points are more than its 2D ones without depth."""
    return bool(np.ptp(face.xyz[:, 2]) > 0)


def stacked(faces: Sequence[Landmarks]) -> Landmarks:
    """A batch of faces of one scheme. Where some have weights, the others' are 1; where their detectors differ it is of
    none."""
    if any(face.weight is not None for face in faces):
        ones = np.ones(len(faces[0].xy), np.float32)
        faces = [face if face.weight is not None else replace(face, weight=ones) for face in faces]
    if len({face.detector for face in faces}) > 1:
        faces = [replace(face, detector=None) for face in faces]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *faces)


def with_depth(face: Landmarks, detected: Sequence[Landmarks]) -> Landmarks:
    """A face that knows its 2D points only, with the 3D points of the same face as a detector saw it.

    Args:
      detected: faces with depth.

    Raises:
      ValueError: the face is not among those detected.
    """
    off = lambda other: float(np.sqrt(np.mean(np.sum((other.xy - face.xy) ** 2, axis=-1))))
    nearest = min((other for other in detected if other.scheme == face.scheme), key=off, default=None)
    if nearest is None or not off(nearest) < _NEAR * size(face):
        raise ValueError(
            f"there are 2D points only, and the detector finds no {face.scheme} points there to take the depth from; "
            "the variant 2d fits without"
        )
    return Landmarks(face.xy, nearest.xyz, face.weight, face.scheme)
