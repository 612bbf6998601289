"""The head as a picture: lit, with painted lips, lids, brows and irises."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import trimesh

from jaxface import camera
from jaxface.assets._makehuman import MakeHuman
from jaxface.rendering.rasterizer import Fragments, rasterize

SIZE, SCALE = 640, 2.2
"""Pixels of a picture, and pixels a millimetre."""
SKIN, LIPS, HAIR = np.array([[224, 184, 160], [176, 96, 92], [70, 50, 40]], float)
WHITE, IRIS, PUPIL = 235.0, 75.0, 15.0
BACKGROUND = 120
MOUTH_ISLAND = 1
"""The piece of the texture sheet that lines the mouth."""


@dataclass(frozen=True, eq=False)
class View:
    """A ``picture`` (SIZE, SIZE, 3) uint8, and what its n covered pixels show: their centres ``pixels`` (n, 2), the
    ``triangle`` (n,), where that is ``on_mean`` (n, 3) mm, and the cosine ``facing`` (n,) of its normal to the view."""

    picture: np.ndarray
    pixels: np.ndarray
    triangle: np.ndarray
    on_mean: np.ndarray
    facing: np.ndarray


class PaintedHead:
    """Draws the head; what colour a point has depends on where it lies on the mean head."""

    def __init__(self, source: MakeHuman, mean: np.ndarray):
        head = source.head
        self._triangles, self._mean = head.triangles, mean
        self._eyeball = head.parts("helper-l-eye", "helper-r-eye")
        self._outside = head.parts("body") & (head.island[head.sheet_triangles[:, 0]] != MOUTH_ISLAND)
        self._masks = np.stack([source.mask("lips"), source.mask("eyelids")], axis=-1)
        left_eye = mean[np.unique(head.triangles[head.parts("helper-l-eye")])]
        self._eye, self._pole = left_eye.mean(axis=0), left_eye[left_eye[:, 2].argmax()]

    def draw(self, vertices: np.ndarray, angles: tuple[float, float, float], light: np.ndarray) -> View:
        """The head (V, 3) mm under pitch, yaw, roll in degrees and a light (3,) that shines along this direction."""
        rotation = np.asarray(camera.rotation_from_euler(jnp.array(angles)), float)
        image = SCALE * vertices @ rotation.T + [SIZE / 2, SIZE / 2, 0]
        fragments = rasterize(image, self._triangles, SIZE, SIZE)
        mesh = trimesh.Trimesh(vertices, self._triangles, process=False)
        normals = fragments.interpolate(mesh.vertex_normals @ rotation.T, self._triangles)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        on_mean = fragments.interpolate(self._mean, self._triangles)
        shade = 0.45 + 0.6 * np.clip(-normals @ light / np.linalg.norm(light), 0, 1)
        picture = np.full((SIZE, SIZE, 3), BACKGROUND, np.uint8)
        picture[fragments.covered] = np.clip(self._colours(fragments, on_mean) * shade[:, None], 0, 255)
        rows, columns = np.nonzero(fragments.covered)
        return View(
            picture=picture,
            pixels=np.stack([columns, rows], axis=-1) + 0.5,
            triangle=fragments.triangle[fragments.covered],
            on_mean=on_mean,
            facing=-normals[:, 2],
        )

    def _colours(self, fragments: Fragments, on_mean: np.ndarray) -> np.ndarray:
        """(n, 3) RGB of the covered pixels."""
        lips, lids = fragments.interpolate(self._masks, self._triangles).T
        triangle = fragments.triangle[fragments.covered]
        out = np.where(self._outside[triangle, None], SKIN, 0.4 * LIPS)
        out = _blend(out, LIPS, lips)
        out = _blend(out, HAIR, 0.6 * lids)
        out = _blend(out, HAIR, 0.85 * self._brow(on_mean))
        radius = np.hypot(abs(on_mean[:, 0]) - self._pole[0], on_mean[:, 1] - self._pole[1])
        eye = np.where(radius < 2.2, PUPIL, np.where(radius < 5.9, IRIS, WHITE))
        return np.where(self._eyeball[triangle, None], eye[:, None], out)

    def _brow(self, on_mean: np.ndarray) -> np.ndarray:
        """(n,) from 0 to 1: an arc over the eye, 42 mm long and thinning outwards."""
        x, y, z = on_mean.T
        along = (abs(x) - (self._eye[0] - 17)) / 42
        ends = np.clip(along / 0.06, 0, 1) * np.clip((1 - along) / 0.06, 0, 1)
        along = np.clip(along, 0, 1)
        height = y - (self._eye[1] + 15 + 9 * along - 9 * along**2.5)
        return ends * np.clip((4.2 - 2.4 * along - abs(height)) / 1.2, 0, 1) * (z > self._eye[2] - 10)


def _blend(under: np.ndarray, over: np.ndarray, share: np.ndarray) -> np.ndarray:
    return under + share[:, None] * (over - under)
