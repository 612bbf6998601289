"""Non-rigid ICP: Amberg, Romdhani and Vetter 2007, "Optimal Step Nonrigid ICP Algorithms for Surface Registration".

Equation numbers are that paper's. Each vertex i has an affine transformation X_i (3, 4); a template is drawn to a
surface while neighbouring transformations differ little, ever less stiffly. Vertices are weighted by their area, so
that one schedule of stiffness serves meshes of any density.
"""

import numpy as np
from scipy import sparse

from jaxface.model.surfaces import Surface, edges, solve, unit

SCHEDULE = tuple(zip(np.geomspace(30.0, 0.3, 6), np.geomspace(3.0, 0.03, 6), strict=True))
"""α² (Eq. 3) and β² (Eq. 4) in steps from stiff to soft, both relative to the distances' mean square (Eq. 2)."""
_ROUNDS = 2
"""How often each step looks for closest points."""
_UNIT = 100.0
"""Millimetres: the unit in which a transformation's shift weighs as much as its linear part (γ = 1 in Eq. 3)."""


def draw_to(template: Surface, target: Surface, anchors, places: np.ndarray, reach: float):
    """The template's vertices (V, 3) drawn to the target, both in millimetres.

    Args:
      anchors: sparse (L, V), rows of barycentric coordinates: points of the template that are held ...
      places: (L, 3) ... to these places.
      reach: mm; beyond it a vertex has no partner.

    Returns:
      (V, 3) mm, and each vertex's linear map (V, 3, 3).
    """
    count = len(template.vertices)
    homogeneous = np.concatenate([template.vertices / _UNIT, np.ones((count, 1))], axis=1)
    row = np.arange(count)
    positions = sparse.csr_array((homogeneous.ravel(), (np.repeat(row, 4), np.arange(4 * count))))  # D, Eq. 8
    pairs = edges(template.triangles)[0]
    ends = sparse.csr_array(
        (np.tile([1.0, -1.0], len(pairs)), (np.repeat(np.arange(len(pairs)), 2), pairs.ravel())), (len(pairs), count)
    )
    stiff = sparse.kron(ends.T @ ends, sparse.eye_array(4), format="csr")
    held = anchors @ positions
    area = template.area / template.area.sum()
    moved, maps = template.vertices, np.tile(np.eye(3), (count, 1, 1))
    for stiffness, anchoring in SCHEDULE:
        for _ in range(_ROUNDS):
            normals = unit(np.einsum("nij,nj->ni", np.linalg.inv(maps).swapaxes(1, 2), template.vertex_normals))
            found = target.closest(moved, normals)
            weight = area * np.clip(found.cosine, 0, 1) * ~found.on_rim * (found.distance < reach)
            share = anchoring / len(places)
            matrix = stiffness / len(pairs) * stiff + share * held.T @ held
            matrix = matrix + positions.T @ (sparse.diags_array(weight) @ positions)
            right = positions.T @ (weight[:, None] * found.position) + share * held.T @ places
            affine = solve(matrix, right / _UNIT)
            moved = _UNIT * (positions @ affine)
            maps = affine.reshape(count, 4, 3)[:, :3].swapaxes(1, 2)
    return moved, maps
