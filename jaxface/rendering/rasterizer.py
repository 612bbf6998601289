"""Which triangle each pixel shows: the one step of drawing that a GPU library does for us (moderngl, off screen).

Everything is orthographic, so a pixel's barycentric coordinates are linear in the image and are exact from the
triangle's index alone; colours, normals and positions are then interpolated in NumPy.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

_VERTEX = """
#version 330
in vec3 position;
void main() { gl_Position = vec4(position, 1.0); }
"""
_FRAGMENT = """
#version 330
out int triangle;
void main() { triangle = gl_PrimitiveID; }
"""


@dataclass(frozen=True, eq=False)
class Fragments:
    """What each pixel shows: ``triangle`` (H, W) int32, -1 where none; ``barycentric`` (H, W, 3) float32, 0 there."""

    triangle: np.ndarray
    barycentric: np.ndarray

    @cached_property
    def covered(self) -> np.ndarray:
        """(H, W) bool: where a triangle is seen."""
        return self.triangle >= 0

    def interpolate(self, attribute: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """A per-vertex attribute (V, C) at the covered pixels, (n, C), in the order of ``covered``."""
        from scipy.sparse import csr_array

        corners = triangles[self.triangle[self.covered]]
        rows = np.arange(0, corners.size + 1, 3)
        weights = self.barycentric[self.covered].ravel()
        return csr_array((weights, corners.ravel(), rows), shape=(len(corners), len(attribute))) @ attribute


_drawer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jaxface-opengl")
"""An OpenGL context belongs to one thread: all drawing happens on this one, whichever thread asks."""


@lru_cache(maxsize=1)
def _context():
    import moderngl

    backend: dict[str, Any] = {"backend": "egl"} if sys.platform.startswith("linux") else {}
    try:
        context = moderngl.create_context(standalone=True, require=330, **backend)
    except Exception as error:
        raise RuntimeError(
            f"drawing needs OpenGL 3.3 off screen, and opening it failed ({error}). "
            "On Debian and Ubuntu `apt-get install libegl1 libgl1 libgl1-mesa-dri` brings a software renderer."
        ) from error
    return context, context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)


def rasterize(vertices: np.ndarray, triangles: np.ndarray, height: int, width: int) -> Fragments:
    """Rasterise a mesh as the camera sees it.

    Args:
      vertices: (V, 3) in the image frame: x and y in pixels (a pixel's centre is at +0.5), z away from the viewer.
      triangles: (F, 3) vertex indices. Both sides are drawn; the nearest wins.
      height, width: the image's size in pixels.

    Raises:
      RuntimeError: no OpenGL can be opened on this machine; the message says what to install.
    """
    vertices = np.asarray(vertices, np.float64)
    triangles = np.asarray(triangles, np.int32)
    depth = vertices[:, 2]
    span = max(float(np.ptp(depth)), 1e-6)
    clip = np.stack(
        [
            2 * vertices[:, 0] / width - 1,
            2 * vertices[:, 1] / height - 1,  # OpenGL's first row is its bottom one; it is read back as the top one
            1.8 * (depth - depth.min()) / span - 0.9,
        ],
        axis=-1,
    )
    triangle = _drawer.submit(_draw, clip.astype(np.float32), triangles, height, width).result()
    return Fragments(triangle, _barycentric(vertices, triangles, triangle))


def _draw(clip: np.ndarray, triangles: np.ndarray, height: int, width: int) -> np.ndarray:
    """Triangle indices (height, width) int32 of a mesh in OpenGL's clip space, -1 where nothing."""
    import moderngl

    context, program = _context()
    ids = context.texture((width, height), 1, dtype="i4")
    z_buffer = context.depth_renderbuffer((width, height))
    target = context.framebuffer([ids], z_buffer)
    positions = context.buffer(clip.tobytes())
    indices = context.buffer(triangles.tobytes())
    array = context.vertex_array(program, [(positions, "3f", "position")], indices)
    try:
        target.use()
        context.enable(moderngl.DEPTH_TEST)
        target.clear()
        ids.write(np.full((height, width), -1, np.int32).tobytes())
        array.render(moderngl.TRIANGLES)
        return np.frombuffer(ids.read(), np.int32).reshape(height, width).copy()
    finally:
        for resource in (array, indices, positions, target, z_buffer, ids):
            resource.release()


def _barycentric(vertices: np.ndarray, triangles: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """Barycentric coordinates of every covered pixel's centre in the triangle it shows."""
    out = np.zeros((*triangle.shape, 3), np.float32)
    rows, columns = np.nonzero(triangle >= 0)
    shown = triangle[rows, columns]
    a, b, c = np.moveaxis(vertices[triangles, :2], 1, 0)
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    area = ux * vy - uy * vx
    area = np.where(area == 0, 1.0, area)[:, None]
    along, down = np.stack([vy, -uy], axis=-1) / area, np.stack([-vx, ux], axis=-1) / area  # β and γ by x, and by y
    x, y = columns + 0.5 - a[shown, 0], rows + 0.5 - a[shown, 1]
    single = lambda values: values.astype(np.float32)
    others = single(x)[:, None] * single(along)[shown] + single(y)[:, None] * single(down)[shown]
    weights = np.concatenate([1 - others.sum(axis=1, keepdims=True), others], axis=1).clip(0.0, 1.0)
    out[rows, columns] = weights / weights.sum(axis=-1, keepdims=True)
    return out
