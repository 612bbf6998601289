"""Which points of the truth correspond to those of a reconstruction: it is drawn there, held by landmarks."""

import numpy as np
from jaxtyping import Float, Int

from jaxface.evaluation.distances import ExactSurface
from jaxface.model.nonrigid import draw_to
from jaxface.model.surfaces import Surface, parts

_TRIANGLES = 2500
"""What a denser mesh is thinned to while it is drawn: the time goes with it, and it bends smoothly."""
_REACH_MM = 15.0
"""Beyond it a vertex has no partner while it is drawn."""


def partners(
    points: Float[np.ndarray, "n 3"],
    vertices: Float[np.ndarray, "V 3"],
    triangles: Int[np.ndarray, "F 3"],
    truth: tuple[np.ndarray, np.ndarray],
    held: Float[np.ndarray, "L 3"],
    places: Float[np.ndarray, "L 3"],
) -> Float[np.ndarray, "n 3"]:
    """The points (n, 3) of the true surface that correspond to points (n, 3) of a placed mesh, all in millimetres.

    Args:
      vertices, triangles: the placed mesh, some of it around the points too: a rim would hold it back.
      truth: vertices and triangles of the true surface.
      held: landmarks (L, 3) of the mesh that are drawn ...
      places: (L, 3) ... to these of the truth.

    Raises:
      ValueError: a mesh is too irregular to be drawn.
    """
    middle = places.mean(axis=0)  # a stiff affine map turns about the origin, which may lie anywhere
    points, held, places = points - middle, held - middle, places - middle
    template, target = Surface(*_thinned(vertices - middle, triangles)), Surface(truth[0] - middle, truth[1])
    try:
        drawn, _ = draw_to(template, target, _rows(template, held), places, _REACH_MM)
    except np.linalg.LinAlgError:
        raise ValueError("the mesh is too irregular or too flat to be drawn onto the other") from None
    moved = points + _rows(template, points) @ (drawn - template.vertices)
    return ExactSurface(target.vertices, target.triangles).closest(moved).position + middle


def _thinned(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh in one piece, sewn up where vertices coincide, with at most ``_TRIANGLES`` triangles."""
    import igl

    vertices, index = np.unique(vertices, axis=0, return_inverse=True)
    triangles = index.reshape(-1)[triangles]
    triangles = triangles[(triangles != np.roll(triangles, 1, axis=1)).all(axis=1)]
    if not len(triangles):
        raise ValueError("the mesh has no triangle with an area around the nose, and cannot be drawn onto the other")
    if len(triangles) > _TRIANGLES:
        thin = igl.decimate(np.asfortranarray(vertices), np.asfortranarray(triangles, np.int32), _TRIANGLES)
        if len(thin[1]):  # none of a mesh that is no manifold, which is drawn as it is
            vertices, triangles = np.ascontiguousarray(thin[0]), np.ascontiguousarray(thin[1])
    part = parts(len(vertices), triangles)[triangles[:, 0]]
    triangles = triangles[part == np.bincount(part).argmax()]  # thinning may break a triangle off, which nothing holds
    used, index = np.unique(triangles, return_inverse=True)
    return vertices[used], index.reshape(-1, 3)


def _rows(surface: Surface, points: np.ndarray):
    """The closest points of a surface to points (n, 3), as sparse rows (n, V) of barycentric coordinates."""
    import igl
    from scipy import sparse

    triangles = np.ascontiguousarray(surface.triangles, np.int64)
    _, triangle, position = igl.point_mesh_squared_distance(np.ascontiguousarray(points), surface.vertices, triangles)
    corners = triangles[triangle]
    weights = igl.barycentric_coordinates(position, *(np.ascontiguousarray(surface.vertices[c]) for c in corners.T))
    rows = np.repeat(np.arange(len(points)), 3)
    return sparse.csr_array(
        (np.asarray(weights).ravel(), (rows, corners.ravel())), (len(points), len(surface.vertices))
    )
