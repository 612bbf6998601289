"""Which landmark is which: the groups of the 68 points, the surest of them by name, their mirror images, and 68 chosen
among MediaPipe's 478.

All indices are 0-based. Left and right are the subject's; iBUG numbers run from the subject's right to their left.
"""

import numpy as np

JAW = slice(0, 17)
RIGHT_BROW = slice(17, 22)
LEFT_BROW = slice(22, 27)
NOSE_BRIDGE = slice(27, 31)
NOSE_BASE = slice(31, 36)
RIGHT_EYE = slice(36, 42)
LEFT_EYE = slice(42, 48)
OUTER_LIPS = slice(48, 60)
INNER_LIPS = slice(60, 68)
INNER = slice(17, 68)
"""All but the jaw."""
NOSE_TIP = 30

# fmt: off
IBUG68_FROM_MEDIAPIPE478 = np.array([
    127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356,  # jaw, right ear to left ear
    70, 63, 105, 66, 107,  # right brow, from its outer end
    336, 296, 334, 293, 300,  # left brow, from its inner end
    168, 197, 5, 4,  # bridge of the nose, downwards
    75, 97, 2, 326, 305,  # base of the nose
    33, 160, 158, 133, 153, 144,  # right eye, outer corner, upper lid, inner corner, lower lid
    362, 385, 387, 263, 373, 380,  # left eye, inner corner, upper lid, outer corner, lower lid
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
])
"""(68,) For each iBUG point the MediaPipe point in its place."""

NAMED_POINTS = {
    "center.chin.tip": [8],
    "center.nose.tip": [30],
    "right.nose.wing.tip": [31], "center.nose.attachement_to_philtrum": [33], "left.nose.wing.tip": [35],
    "right.eye.corner_outer": [36], "right.eye.top": [37, 38], "right.eye.corner_inner": [39],
    "right.eye.bottom": [40, 41],
    "left.eye.corner_inner": [42], "left.eye.top": [43, 44], "left.eye.corner_outer": [45], "left.eye.bottom": [46, 47],
    "right.lips.corner": [48], "left.lips.corner": [54],
    "right.lips.philtrum_ridge": [50], "center.lips.upper.outer": [51], "left.lips.philtrum_ridge": [52],
    "center.lips.lower.outer": [57], "center.lips.upper.inner": [62], "center.lips.lower.inner": [66],
}
"""The points that a face itself fixes, by the names that Basel's files give them: for each the iBUG points in whose
middle it lies. The other iBUG points divide a line between these, or lie on brows and jaw, where annotators disagree.
"""

FEWEST_NAMED = 8
"""With fewer named points than this a face is not placed on another."""

IBUG68_MIRROR = np.array([
    *range(16, -1, -1),
    *range(26, 16, -1),
    27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
])
"""(68,) For each iBUG point the one across the sagittal plane; an involution."""

_MIDLINE = [
    0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 94, 151, 152, 164, 168, 175, 195, 197, 199, 200,
]
# fmt: on


def _mediapipe_mirror() -> np.ndarray:
    """MediaPipe numbers the left half (248-467) in the order of the right half, then the irises (468-477)."""
    mirror = np.arange(478)
    right, left = np.setdiff1d(np.arange(248), _MIDLINE), np.arange(248, 468)
    mirror[right], mirror[left] = left, right
    mirror[468:473], mirror[473:478] = [473, 476, 475, 474, 477], [468, 471, 470, 469, 472]
    return mirror


MEDIAPIPE478_MIRROR = _mediapipe_mirror()
"""(478,) The same for MediaPipe's points: irises 468-472 (right) and 473-477 (left) included."""
MIRRORS = {"ibug68": IBUG68_MIRROR.astype(np.int32), "mediapipe478": MEDIAPIPE478_MIRROR.astype(np.int32)}
"""Both by scheme, of 32 bits, which JAX takes as they are: of 64 it keeps a copy of the precision that it was first
used in."""
