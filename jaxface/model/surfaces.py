"""Triangle meshes as registration sees them: their parts, their rims, and the closest point that faces the same way."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

_TURN_MM = 5.0
"""In the search for near triangles: how many millimetres a normal turned by 60° is worth."""
_AGREES = 0.5
"""The cosine down to which normals agree: a rounded surface meets one of another roundness."""
_DISAGREES_MM = 30.0
"""How far a cosine lower by 1 is worth: keeps an upper lip from meeting the lower one."""
_NEAR = 16
"""How many triangles, by their centres and normals, are tried for the closest one."""

_COTANGENT = (0.05, 10.0)
"""Bounds of a cotangent weight: thin triangles else outweigh all others."""


class Surface:
    """A mesh (V, 3) mm, (F, 3) to find points on, with unit normals at triangles and vertices, and its rim."""

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray):
        from scipy.spatial import cKDTree

        self.vertices, self.triangles = vertices, triangles
        cross = triangle_normals(vertices, triangles)
        self.normals = unit(cross)
        summed = np.zeros_like(vertices)
        for corner in triangles.T:
            np.add.at(summed, corner, cross)
        self.vertex_normals = unit(summed)
        self.triangle_area = np.linalg.norm(cross, axis=1) / 2
        self.area = np.bincount(triangles.ravel(), np.repeat(self.triangle_area / 3, 3), len(vertices))
        self.rim = np.zeros(len(vertices))
        self.rim[rim_edges(triangles)] = 1
        centres = vertices[triangles].mean(axis=1)
        self._tree = cKDTree(np.concatenate([centres, _TURN_MM * self.normals], axis=1))

    def closest(self, points: np.ndarray, normals: np.ndarray) -> "Closest":
        """For each point (n, 3) with a unit normal (n, 3) the closest on the surface, among what faces as it does."""
        import trimesh

        tried = range(1, min(_NEAR, len(self.triangles)) + 1)
        near = self._tree.query(np.concatenate([points, _TURN_MM * normals], axis=1), tried)[1]
        corners = self.vertices[self.triangles[near]].reshape(-1, 3, 3)
        found = trimesh.triangles.closest_point(corners, np.repeat(points, len(tried), axis=0))
        found = found.reshape(len(points), len(tried), 3)
        against = np.clip(_AGREES - np.einsum("nkc,nc->nk", self.normals[near], normals), 0, None)
        cost = np.square(found - points[:, None]).sum(axis=-1) + np.square(_DISAGREES_MM * against)
        best = cost.argmin(axis=1)
        row = np.arange(len(points))
        triangle, position = near[row, best], found[row, best]
        barycentric = trimesh.triangles.points_to_barycentric(self.vertices[self.triangles[triangle]], position)
        barycentric = np.clip(barycentric, 0, None)
        barycentric /= barycentric.sum(axis=1, keepdims=True)
        at = lambda values: np.einsum("nk,nk...->n...", barycentric, values[self.triangles[triangle]])
        return Closest(
            triangle,
            barycentric,
            position,
            np.linalg.norm(position - points, axis=1),
            np.einsum("nc,nc->n", unit(at(self.vertex_normals)), normals),
            at(self.rim) > 0.999,
        )


@dataclass(frozen=True)
class Closest:
    """Points found on a surface: ``position`` and ``distance`` in mm, ``cosine`` between the normals."""

    triangle: Int[np.ndarray, "n"]
    barycentric: Float[np.ndarray, "n 3"]
    position: Float[np.ndarray, "n 3"]
    distance: Float[np.ndarray, "n"]
    cosine: Float[np.ndarray, "n"]
    on_rim: Bool[np.ndarray, "n"]

    def interpolate(self, values: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """Values at vertices (V, ...) at these points (n, ...)."""
        return np.einsum("nk,nk...->n...", self.barycentric, values[triangles[self.triangle]], optimize=True)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, 3) of length 1; a zero vector stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def triangle_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F, 3) normals, as long as twice the triangle's area."""
    a, b, c = (vertices[corner] for corner in triangles.T)
    return np.cross(b - a, c - a)


def edges(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(E, 2) each edge once, and (E,) how many triangles have it."""
    low, high = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64), axis=1).T
    beyond = triangles.max(initial=0) + 1
    found, count = np.unique(low * beyond + high, return_counts=True)  # a number each: rows take five times as long
    return np.stack(np.divmod(found, beyond), axis=1), count


def laplacian(vertices: np.ndarray, triangles: np.ndarray):
    """The cotangent Laplacian (V, V) of Pinkall and Polthier 1993, sparse, its weights held within ``_COTANGENT``."""
    from scipy import sparse

    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    first, second, weight = [], [], []
    for apex, end, other, columns in ((a, b, c, (1, 2)), (b, c, a, (2, 0)), (c, a, b, (0, 1))):
        u, v = end - apex, other - apex
        area = np.maximum(np.linalg.norm(np.cross(u, v), axis=1), 1e-12)
        weight.append(np.clip((u * v).sum(axis=1) / area, *_COTANGENT) / 2)
        first.append(triangles[:, columns[0]])
        second.append(triangles[:, columns[1]])
    ends = np.concatenate(first), np.concatenate(second)
    pull = sparse.coo_array((np.concatenate(weight), ends), (len(vertices), len(vertices))).tocsr()
    pull = pull + pull.T
    return sparse.diags_array(pull.sum(axis=1)) - pull


def gradient(surface: Surface):
    """(3F, V) sparse: takes values at vertices to their gradients on the triangles, three rows each, which lie in the
    triangle's plane."""
    from scipy import sparse

    corners, count = surface.vertices[surface.triangles], len(surface.triangles)
    facing = np.roll(corners, 1, axis=1) - np.roll(corners, -1, axis=1)
    hats = np.cross(surface.normals[:, None], facing) / np.maximum(2 * surface.triangle_area, 1e-9)[:, None, None]
    at = np.repeat(np.arange(3 * count), 3), np.repeat(surface.triangles, 3, axis=0).ravel()
    return sparse.csr_array((hats.swapaxes(1, 2).ravel(), at), (3 * count, len(surface.vertices)))


def rotations(maps: np.ndarray) -> np.ndarray:
    """The rotation (..., 3, 3) closest to each linear map (..., 3, 3)."""
    u, _, vt = np.linalg.svd(maps)
    u[..., 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def solve(matrix, right: np.ndarray) -> np.ndarray:
    """The solution (n, k) of a sparse symmetric positive definite system.

    Raises:
      ValueError: it has none, because the mesh is torn or flat.
    """
    from scipy.sparse.linalg import splu

    symmetric = dict(permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    try:
        solution = splu(matrix.tocsc(), **symmetric).solve(right)
    except RuntimeError:
        solution = np.array([np.nan])
    if not np.isfinite(solution).all():
        raise ValueError("the mesh is too irregular: it is torn or flat")
    return solution


def rim_edges(triangles: np.ndarray) -> np.ndarray:
    """(E, 2) the edges that only one triangle has."""
    pairs, count = edges(triangles)
    return pairs[count == 1]


def graph(vertices: int, triangles: np.ndarray):
    """(V, V) sparse: 1 where an edge joins two vertices, once an edge."""
    from scipy.sparse import coo_array

    pairs = edges(triangles)[0]
    return coo_array((np.ones(len(pairs)), pairs.T), shape=(vertices, vertices))


def parts(vertices: int, triangles: np.ndarray) -> np.ndarray:
    """(V,) which connected part of the mesh each vertex belongs to."""
    from scipy.sparse.csgraph import connected_components

    return connected_components(graph(vertices, triangles), directed=False)[1]
