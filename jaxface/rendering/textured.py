"""A head with its baked texture, seen from anywhere."""

import numpy as np

from jaxface.model.morphable import MorphableModel
from jaxface.rendering.rasterizer import rasterize


def draw_textured(
    model: MorphableModel, vertices: np.ndarray, atlas: np.ndarray, height: int, width: int, background: float = 255.0
) -> np.ndarray:
    """Draw a mesh of the model with a texture, unlit.

    Args:
      model: one with a texture atlas.
      vertices: (V, 3) in the image frame: pixels, z away from the viewer.
      atlas: (S, S, 3) uint8, as ``jaxface.rendering.texture.texture`` bakes it.
      background: grey level where no triangle is seen.

    Returns:
      (height, width, 3) uint8.
    """
    triangles = np.asarray(model.uv_triangles)
    fragments = rasterize(vertices[np.asarray(model.uv_vertices)], triangles, height, width)
    u, v = fragments.interpolate(np.asarray(model.uv), triangles).T * len(atlas)
    rows, columns = np.clip([len(atlas) - v, u], 0, len(atlas) - 1).astype(int)
    picture = np.full((height, width, 3), background, np.uint8)
    picture[fragments.covered] = atlas[rows, columns]
    return picture
