"""The texture atlas: MakeHuman's islands that belong to the head, laid out anew on a square sheet of their own."""

import numpy as np

from jaxface.assets._makehuman import Head

EYE_SCALE = 3.0
"""How much larger the eyeballs are drawn than MakeHuman does: they are small on the sheet and looked at closely."""
MARGIN = 0.005


def layout(head: Head) -> np.ndarray:
    """(T, 2) texture coordinates in [0, 1], origin bottom left: the skin upright, the other islands in a row above it.

    The skin fills the width, and the height is stretched until the sheet is full.
    """
    skin = _place(_upright(head.sheet[head.island == 0]), 0.0, 0.0, 1.0)
    scale = np.ptp(skin[:, 0]) / np.ptp(head.sheet[head.island == 0][:, 1])
    uv = np.zeros_like(head.sheet)
    uv[head.island == 0] = skin

    eyes = set(head.island[head.sheet_triangles[head.parts("helper-l-eye", "helper-r-eye")]].ravel())
    islands = range(1, head.island.max() + 1)
    row = {k: head.sheet[head.island == k] * scale * (EYE_SCALE if k in eyes else 1) for k in islands}
    width = sum(np.ptp(points[:, 0]) for points in row.values()) + MARGIN * (len(row) - 1)
    left, bottom, shrink = 0.0, skin[:, 1].max() + MARGIN, min(1.0, 1 / width)
    for island, points in row.items():
        uv[head.island == island] = placed = _place(points, left, bottom, shrink * np.ptp(points[:, 0]))
        left = placed[:, 0].max() + MARGIN * shrink
    return uv / [1.0, uv[:, 1].max()]


def _upright(points: np.ndarray) -> np.ndarray:
    """A quarter turn: MakeHuman lays the face on its side."""
    return points[:, ::-1] * [1, -1]


def _place(points: np.ndarray, left: float, bottom: float, width: float) -> np.ndarray:
    """The same shape with its lower left corner there and that width."""
    low = points.min(axis=0)
    return (points - low) * width / np.ptp(points[:, 0]) + [left, bottom]
