"""Where a drawn head ends: what its outline is held against, at two pixels a millimetre."""

import numpy as np
from scipy.ndimage import distance_transform_edt

from jaxface.rendering.rasterizer import rasterize

PIXELS_A_MM, SIDE = 2.0, 560
NEAR_MM = 2.0
"""1 % of a face's size."""
EDGE_MM = 4.0
"""Where the depth falls by so much from one pixel to the next, something ends."""


def distance_mm(vertices, triangles):
    """(SIDE, SIDE) mm, how far each pixel is from the next place where the drawn mesh hides something behind it."""
    fragments = rasterize(vertices, triangles, SIDE, SIDE)
    depth = np.full((SIDE, SIDE), np.inf)
    depth[fragments.covered] = fragments.interpolate(vertices[:, 2:], triangles)[:, 0]
    behind = np.stack([np.roll(depth, step, axis) for axis in (0, 1) for step in (-1, 1)]).max(axis=0)
    with np.errstate(invalid="ignore"):
        ends = fragments.covered & (behind - depth > EDGE_MM * PIXELS_A_MM)
    return distance_transform_edt(~ends) / PIXELS_A_MM
