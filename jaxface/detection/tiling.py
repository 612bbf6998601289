"""Where in a photograph to look for faces.

BlazeFace finds those that are about 1/8 to 1/2 of the square that it is given. A photograph is searched whole, then
with a margin around it, for a face that fills it, then in ever smaller tiles.
"""

from collections.abc import Iterator
from math import ceil

import numpy as np

from jaxface.detection.crops import Crop, square

_MARGIN = 0.25
"""In parts of the photograph's shorter side."""

_SMALLEST = 0.25
"""Tiles are no smaller than this part of the shorter side, ..."""

_SMALLEST_PX = 128
"""... and than this."""


def levels(height: int, width: int) -> Iterator[list[Crop]]:
    """The squares to look at, from the whole photograph to its smallest tiles."""
    longer, shorter = float(max(height, width)), min(height, width)
    for side in (longer, longer + 2 * _MARGIN * shorter):
        yield [square(np.array([width, height]) / 2, side)]
    side = longer / 2
    while side >= max(_SMALLEST * shorter, _SMALLEST_PX):
        yield [square(np.array([x, y]), side) for y in _middles(height, side) for x in _middles(width, side)]
        side /= 2


def _middles(length: int, side: float) -> np.ndarray:
    """Middles of spans that cover a length and overlap by half or more, so that what is half as long lies in one."""
    spare = max(length - side, 0.0)
    return np.linspace(0, spare, ceil(2 * spare / side) + 1) + min(side, length) / 2
