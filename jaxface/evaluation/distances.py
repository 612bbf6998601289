"""Exact distances from points to a triangle mesh, found by libigl's bounding-volume tree."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from jaxface.model.surfaces import triangle_normals, unit


@dataclass(frozen=True)
class Nearest:
    """The closest points of a surface: ``position`` (n, 3), ``normal`` (n, 3) of the triangle there, unit length, and
    ``distance`` (n,), all in the surface's unit."""

    position: Float[np.ndarray, "n 3"]
    normal: Float[np.ndarray, "n 3"]
    distance: Float[np.ndarray, "n"]


class ExactSurface:
    """A mesh to measure distances to: vertices (V, 3), triangles (F, 3); triangles without area are left out.

    Raises:
      ValueError: a vertex is not finite, or no triangle has an area.
    """

    def __init__(self, vertices: Float[np.ndarray, "V 3"], triangles: Int[np.ndarray, "F 3"]):
        import igl

        self.vertices = _finite(vertices, "a vertex of the mesh")
        normals = triangle_normals(self.vertices, triangles)
        solid = np.linalg.norm(normals, axis=1) > 0
        if not solid.any():
            raise ValueError("the mesh has no triangle with an area; distances are measured to a surface")
        self.triangles = np.ascontiguousarray(triangles[solid], np.int64)
        self.normals = unit(normals[solid])
        self._tree = igl.AABB()
        self._tree.init(self.vertices, self.triangles)

    def closest(self, points: Float[np.ndarray, "n 3"]) -> Nearest:
        """The closest point of the surface to each point (n, 3).

        Raises:
          ValueError: a point is not finite.
        """
        points = _finite(points, "a point to measure from")
        squared, triangle, position = self._tree.squared_distance(self.vertices, self.triangles, points)
        return Nearest(position, self.normals[triangle], np.sqrt(squared))


def _finite(points: np.ndarray, which: str) -> np.ndarray:
    """Points (n, 3) as libigl takes them, which reads beyond its arrays for one that is not finite."""
    points = np.ascontiguousarray(points, np.float64)
    if not np.isfinite(points).all():
        raise ValueError(f"{which} is not a finite number; are both faces whole, and their landmarks on them?")
    return points


def point_to_plane(points: Float[np.ndarray, "n 3"], nearest: Nearest) -> Float[np.ndarray, "n"]:
    """Distances (n,) from points to the planes of the triangles that are closest to them: a point beyond an edge is
    nearer to the plane than to the triangle."""
    return np.abs(np.einsum("nc,nc->n", points - nearest.position, nearest.normal))


def rmse(distances: Float[np.ndarray, "n"]) -> float:
    """The root mean square, Eq. 13."""
    return float(np.sqrt(np.square(distances).mean()))
