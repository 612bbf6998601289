"""The faces of a video, frame by frame: where a face was is looked at first, which takes a fraction of a search."""

from dataclasses import replace

import numpy as np

from jaxface.detection.crops import square
from jaxface.detection.faces import apart, box, size
from jaxface.detection.registry import Detector, Follower
from jaxface.types import Landmarks

_SEEN_IN = 2.0
"""The square around a face's last place that is looked at, in sizes of the face."""

_MOVED = 0.5
"""What is farther from a face's last place than this part of its size is another face."""

_SEARCHED_EVERY = 30
"""Frames from one search for further faces to the next."""


class Tracker:
    """Follows faces through the frames of one video with any detector.

    A frame is searched whole when nothing is followed, when a face is lost and every 30 frames; otherwise only the
    surroundings of the last frame's faces are looked at, by the detector's own ``follow`` where it has one.
    """

    def __init__(self, detector: Detector):
        self._detector = detector
        self._faces: list[Landmarks] = []
        self._followed = 0

    def update(self, frame: np.ndarray) -> list[Landmarks]:
        """The faces of the next frame, (H, W, 3) uint8 RGB.

        A face that was in the last frame keeps its place before those that were not; among themselves new ones come
        from left to right.
        """
        followed = [self._follow(frame, face) for face in self._faces]
        kept = _once([face for face in followed if face is not None])
        self._followed += 1
        if not kept or len(kept) < len(self._faces) or self._followed >= _SEARCHED_EVERY:
            kept = _once(kept + self._detector.detect(frame))
            self._followed = 0
        self._faces = kept
        return list(kept)

    def _follow(self, frame: np.ndarray, face: Landmarks) -> Landmarks | None:
        if isinstance(self._detector, Follower):
            followed = self._detector.follow(frame, face)
            seen = [] if followed is None else [followed]
        else:
            part, corner = _around(frame, face)
            seen = [_moved(other, corner) for other in self._detector.detect(part)]
        nearest = min(seen, key=lambda other: apart(face, other), default=None)
        return nearest if nearest is not None and apart(face, nearest) < _MOVED else None


def _once(faces: list[Landmarks]) -> list[Landmarks]:
    """Faces without those that lie on an earlier one."""
    kept: list[Landmarks] = []
    for face in faces:
        if all(apart(other, face) >= _MOVED for other in kept):
            kept.append(face)
    return kept


def _around(image: np.ndarray, face: Landmarks) -> tuple[np.ndarray, tuple[int, int]]:
    """The square around a face in an image, pixel by pixel, black beyond it; and the left top corner."""
    low, high = np.reshape(box(face), (2, 2))
    side = int(_SEEN_IN * size(face))
    left, top = ((low + high - side) / 2).astype(int).tolist()
    return square(np.array([left, top]) + side / 2, float(side)).cut(image, side, black=True), (left, top)


def _moved(face: Landmarks, by: tuple[int, int]) -> Landmarks:
    shift = np.array([*by, 0], face.xyz.dtype)
    return replace(face, xy=face.xy + shift[:2], xyz=face.xyz + shift)
