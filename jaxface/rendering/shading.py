"""How light falls on a mesh: vertex normals, a soft studio light, and a drawn picture of both."""

import numpy as np

from jaxface.model.surfaces import unit
from jaxface.rendering.rasterizer import rasterize

_KEY = np.array([-0.42, -0.56, -0.71], np.float32)
"""Toward the main light: over the viewer's left shoulder, in the camera frame."""
_HALFWAY = (_KEY + [0.0, 0.0, -1.0]) / np.linalg.norm(_KEY + [0.0, 0.0, -1.0])
_SAMPLES = 2
"""Each pixel's side is divided by this, and its colour is the mean of the parts."""


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) float32 of a mesh (V, 3), (F, 3), in the frame of its vertices; outward where the triangles
    run counter-clockwise seen from outside."""
    import trimesh

    return np.asarray(trimesh.Trimesh(vertices, triangles, process=False).vertex_normals, np.float32)


def shade(normals: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """Colours of surface points under a key light, a sky and a faint highlight.

    Args:
      normals: (n, 3) in the camera frame, of any length; a point that looks away is lit as its other side.
      albedo: (3,) or (n, 3) colours in 0..1.

    Returns:
      (n, 3) float32 colours in 0..1.
    """
    facing = unit(normals)
    facing = np.where(facing[:, 2:] > 0, -facing, facing)
    key = np.clip(facing @ _KEY, 0.0, None)
    sky = 0.5 - 0.5 * facing[:, 1]
    highlight = 0.10 * np.clip(facing @ _HALFWAY, 0.0, None) ** 24
    light = 0.22 + 0.20 * sky + 0.66 * key
    return np.clip(light[:, None] * albedo + highlight[:, None], 0.0, 1.0).astype(np.float32)


def draw_mesh(vertices: np.ndarray, triangles: np.ndarray, height: int, width: int, albedo: np.ndarray) -> np.ndarray:
    """A shaded mesh with smooth edges.

    Args:
      vertices: (V, 3) in the image frame (``jaxface.rendering.rasterizer.rasterize``).
      triangles: (F, 3).
      height, width: the picture's size in pixels.
      albedo: one colour (3,) or a colour a vertex (V, 3), in 0..1.

    Returns:
      (height, width, 4) float32: red, green and blue multiplied by the coverage, and the coverage, in 0..1.
    """
    fine = vertices * np.array([_SAMPLES, _SAMPLES, 1], np.float32)
    fragments = rasterize(fine, triangles, _SAMPLES * height, _SAMPLES * width)
    normals = fragments.interpolate(vertex_normals(vertices, triangles), triangles)
    colours = albedo if np.ndim(albedo) == 1 else fragments.interpolate(albedo, triangles)
    picture = np.zeros((*fragments.triangle.shape, 4), np.float32)
    picture[fragments.covered] = np.concatenate([shade(normals, colours), np.ones((len(normals), 1))], axis=-1)
    return picture.reshape(height, _SAMPLES, width, _SAMPLES, 4).mean(axis=(1, 3))
