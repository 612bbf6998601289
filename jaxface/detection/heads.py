"""How a head stands under detected points: laid on MediaPipe's canonical face, whose points are the same."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from jaxface.detection.crops import Crop, turned, uprightness
from jaxface.model.registration import similarity
from jaxface.types import Scheme

_FOREHEAD, _CHIN = 10, 152
_AROUND = 1.5
"""A crop's sides, in extents of the points in it: what the network was taught on."""
_STRETCH = 1.2
"""How far a turned head is stretched sideways at most. The network turns heads too little; a stretched one it sees
turned less, and so rightly, but a larger stretch distorts the shape."""


@lru_cache(maxsize=2)
def _canonical(scheme: str) -> np.ndarray:
    """The canonical face's points (L, 3) in the camera frame, their mean at the origin of the dense ones."""
    from jaxface.model.canonical import canonical_face

    face = canonical_face()
    dense = np.asarray(face.landmark_positions(face.mean, "mediapipe478"), np.float64)
    points = np.asarray(face.landmark_positions(face.mean, scheme), np.float64)
    return (points - dense.mean(axis=0)) * (1, -1, -1)


def dense(points: Float[np.ndarray, "L 3"], scheme: Scheme) -> Float[np.ndarray, "478 3"]:
    """The 478 points of a face of either scheme: itself, or where the canonical face has them under the affine map that
    lays its 68 on the face's."""
    if scheme == "mediapipe478":
        return points
    with_one = lambda points: np.column_stack([points, np.ones(len(points))])
    affine = np.linalg.lstsq(with_one(_canonical("ibug68")), points, rcond=None)[0]
    return with_one(_canonical("mediapipe478")) @ affine


def middle(points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "2"]:
    """The mean of points in the image."""
    return points[:, :2].mean(axis=0)


def extent(points: Float[np.ndarray, "478 3"]) -> float:
    """The longer side of the points' box in the image."""
    return float(np.ptp(points[:, :2], axis=0).max())


def laid(points: Float[np.ndarray, "478 3"]) -> tuple[Float[np.ndarray, "3 3"], float]:
    """The rotation that lays the canonical face on points; and what they are off then, in parts of their spread, root
    mean square: 0.06 to 0.18 for faces."""
    face = _canonical("mediapipe478")
    placed = similarity(face, points)
    there = placed(face)
    return placed.rotation, float(np.linalg.norm(points - there) / np.linalg.norm(there - there.mean(axis=0)))


def crop_around(points: Float[np.ndarray, "478 3"]) -> Crop:
    """The crop in which the network sees a face's points as it was taught, forehead above chin, but for a head that is
    turned away: that is stretched sideways to the width that it would have from the front, if it can be."""
    rotation, _ = laid(points)
    across = np.hypot(rotation[0, 0], rotation[1, 0])  # how much of the head's width is seen: the cosine of its yaw
    stretch = min(1 / max(across, 1 / _STRETCH), _STRETCH)
    down = points[_CHIN, :2] - points[_FOREHEAD, :2]
    angle = uprightness(down)
    turn = turned(angle)
    upright = points[:, :2] @ turn
    low, high = upright.min(axis=0), upright.max(axis=0)
    x, y = turn @ ((low + high) / 2)
    side = _AROUND * float(max(stretch * (high - low)[0], (high - low)[1]))
    return Crop(float(x), float(y), side / stretch, side, angle)
