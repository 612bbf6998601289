"""A frame of a video with the fitted faces over it."""

import numpy as np

from jaxface.model.morphable import MorphableModel
from jaxface.rendering.overlay import with_mesh
from jaxface.rendering.posed import image_vertices
from jaxface.types import FitResult


def draw_over(frame: np.ndarray, model: MorphableModel, result: FitResult) -> None:
    """Draw one fitted face into a frame (H, W, 3) uint8, as a half-transparent mesh."""
    vertices = image_vertices(model, result)
    limit = np.array(frame.shape[1::-1])
    low = np.clip(np.floor(vertices[:, :2].min(axis=0)), 0, limit).astype(int)
    high = np.clip(np.ceil(vertices[:, :2].max(axis=0)), 0, limit).astype(int)
    if (high <= low).any():
        return
    part = frame[low[1] : high[1], low[0] : high[0]]
    part[:] = with_mesh(part, vertices - [*low, 0], np.asarray(model.triangles))
