"""The texture of a fitted face from its photograph.

Three layers, each showing where the ones above it end: what the photograph shows of a point, what it shows of the
mirrored point (a face is nearly symmetric), and a smooth fill that carries the seen colours over the whole surface.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jaxface.detection.reading import require_photograph
from jaxface.model.morphable import MorphableModel
from jaxface.model.surfaces import graph, solve
from jaxface.rendering.observation import Observation, observe, smoothstep
from jaxface.rendering.posed import image_vertices, require_one_face
from jaxface.rendering.rasterizer import rasterize
from jaxface.rendering.shading import vertex_normals
from jaxface.types import FitResult, Status

ENOUGH = 0.75
"""Belief in what the photograph shows, above which the fill does not show through."""
FAITH = 4.0
"""Pull of a spread colour toward one that is wholly believed, against 1 for the pull of one neighbour."""
STIFFNESS = 1e-4
"""Pull toward the default where nothing is seen: a colour fades into it over about 100 vertices."""
_LARGEST = 8192
"""Side of an atlas in pixels that every OpenGL draws."""
UNSEEN = np.array([200.0, 170.0, 150.0], np.float32)
"""The colour of a face that its photograph does not show at all, or that was not fitted."""


def texture(image: np.ndarray, model: MorphableModel, result: FitResult, size: int = 1024) -> np.ndarray:
    """Bake the model's texture atlas from a photograph; of a face that was not fitted it has one colour.

    Args:
      image: (H, W, 3) uint8 RGB, the photograph that was fitted.
      size: side of the atlas in pixels.

    Returns:
      (size, size, 3) uint8; texel (row, column) lies at u = (column + 0.5) / size, v = 1 - (row + 0.5) / size. Colours
      continue beyond the borders of the atlas's islands, so that filtering draws no seams.

    Raises:
      ValueError: the model has no texture atlas, ``result`` is a batch, ``image`` is not (H, W, 3) uint8, or ``size``
        is no whole number from 1 to 8192.
    """
    from scipy.ndimage import distance_transform_edt

    if not (isinstance(size, int | np.integer) and 1 <= size <= _LARGEST):
        raise ValueError(f"size: got {size!r}, takes a whole number from 1 to {_LARGEST}")
    if model.uv is None:
        raise ValueError(f"model: got {model.name!r}, which has no texture atlas (uv); texture takes a model with one")
    image = require_photograph(image)
    require_one_face(result)
    if not Status(int(result.status)).fitted:
        return np.full((size, size, 3), UNSEEN, np.uint8)
    surface = _Surface.of(image, model, result, detail=size)
    colours, belief = surface.seen(lambda attribute: attribute)
    believed = belief > 0.5
    median = np.median(colours[believed], axis=0) if believed.any() else UNSEEN
    fill = _spread(colours, belief, surface.triangles, median)

    corners = np.asarray(model.uv, np.float64) * [size, -size] + [0, size]
    atlas = rasterize(np.pad(corners, ((0, 0), (0, 1))), np.asarray(model.uv_triangles), size, size)
    at_texels = lambda attribute: atlas.interpolate(attribute, surface.triangles)
    colours, belief = surface.seen(at_texels)
    opacity = smoothstep(belief, 0.0, ENOUGH)[:, None]
    texels = np.zeros((size, size, 3), np.uint8)
    texels[atlas.covered] = np.clip(opacity * colours + (1 - opacity) * at_texels(fill) + 0.5, 0, 255)
    rows, columns = distance_transform_edt(~atlas.covered, return_distances=False, return_indices=True)
    return texels[rows, columns]


def bake(image: np.ndarray, model: MorphableModel, result: FitResult) -> np.ndarray | None:
    """``texture``, or None of a model that has no atlas."""
    return None if model.uv is None else texture(image, model, result)


_Gather = Callable[[np.ndarray], np.ndarray]
"""Takes an attribute of the vertices (V, C) to points of the surface (n, C)."""


@dataclass(frozen=True, eq=False)
class _Surface:
    """A face in its photograph. ``mirror`` (V,) is the vertex across, ``tone`` (V, 3) what is added to its colour."""

    photograph: Observation
    vertices: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    mirror: np.ndarray | None
    tone: np.ndarray | None

    @classmethod
    def of(cls, image: np.ndarray, model: MorphableModel, result: FitResult, detail: int) -> "_Surface":
        vertices, triangles = image_vertices(model, result), np.asarray(model.triangles)
        normals = vertex_normals(vertices, triangles)
        photograph = observe(image, vertices, triangles, float(result.pose.scale), detail)
        if model.symmetry is None:
            return cls(photograph, vertices, normals, triangles, None, None)
        # The two sides of a face are lit differently: where both are seen their difference is known, and spread from
        # there it makes the mirrored side meet the seen one without a step.
        mirror = np.asarray(model.symmetry)
        colours, belief = photograph.sample(vertices, normals)
        both = np.minimum(belief, belief[mirror])
        tone = _spread(colours - colours[mirror], both, triangles, np.zeros(3))
        return cls(photograph, vertices, normals, triangles, mirror, tone)

    def seen(self, at: _Gather) -> tuple[np.ndarray, np.ndarray]:
        """Colours (n, 3) in 0..255 and belief (n,) in 0..1 of points, the mirrored point standing in for one that is
        not seen itself."""
        colours, belief = self.photograph.sample(at(self.vertices), at(self.normals))
        if self.mirror is None or self.tone is None:
            return colours, belief
        across, across_belief = self.photograph.sample(at(self.vertices[self.mirror]), at(self.normals[self.mirror]))
        total = belief + (1 - belief) * across_belief
        share = (belief / np.maximum(total, 1e-6))[:, None]
        return share * colours + (1 - share) * np.clip(across + at(self.tone), 0, 255), total


def _spread(values: np.ndarray, belief: np.ndarray, triangles: np.ndarray, default: np.ndarray) -> np.ndarray:
    """Values a vertex (V, C) that follow the given ones where they are believed and are harmonic on the mesh between.

    Solves (W + L + ε) x = W values + ε default, with L the mesh's graph Laplacian, W = ``FAITH`` belief² and
    ε = ``STIFFNESS``.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import laplacian

    links = graph(len(values), triangles)
    weight = FAITH * belief.astype(float) ** 2
    matrix = sparse.diags_array(weight + STIFFNESS) + laplacian(links + links.T)
    return solve(matrix, weight[:, None] * values + STIFFNESS * default)
