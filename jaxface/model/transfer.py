"""Expressions carried from one model's mesh onto another's: one's identity merged with the other's expression.

The identity model's skin is drawn onto the expression model's by non-rigid ICP (``jaxface.model.nonrigid``). What an
expression does at the point where a vertex then lies is what it does to the vertex, less the similarity and the local
stretch between the two faces. Vertices without a counterpart follow their neighbours, ever less with distance.

Eyeballs, teeth and tongue are parts of their own. Each moves rigidly, as the nearest of the expression model's parts
does; without one near, it stays.
"""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jaxface.model.morphable import MorphableModel
from jaxface.model.registration import Shape, carried, matching_part, register, shape_of
from jaxface.model.surfaces import Surface, laplacian, solve

_SURE_MM = 3.0
"""How far from the surface a vertex may end and still have a counterpart: its weight is a bell of this width."""
_HOLD = 3.0
"""How much a sure counterpart counts beside smoothness: at 100 the ICT expressions on their own re-meshed head are as
exact, but eyelids of another shape fold."""
_FADE_MM = 20.0
"""Over what distance the displacements of vertices without a counterpart fade."""


def merge(identity_model: MorphableModel, expression_model: MorphableModel) -> MorphableModel:
    """The identity of one model and the expressions of another, on the first one's mesh.

    Raises:
      ValueError: a model lacks the 68 points, or the second has no expressions.
    """
    if not expression_model.expression.shape[-1]:
        raise ValueError(f"{expression_model.name}: has no expressions to carry")
    to, source = shape_of(identity_model), shape_of(expression_model)
    moves = carry(to, source, np.asarray(expression_model.expression))
    return replace(
        identity_model,
        expression=jnp.asarray(moves, jnp.float32),
        expression_names=expression_model.expression_names,
        name=f"{identity_model.name} + expressions of {expression_model.name}",
        licence=f"identity: {identity_model.licence}; expression: {expression_model.licence}",
    )


def carry(to: Shape, source: Shape, moves: np.ndarray) -> np.ndarray:
    """Displacements (V_source, 3, N) mm of one shape's vertices as displacements (V_to, 3, N) of the other's."""
    registration = register(to, source)
    found, surface = registration.found, registration.surface
    sure = np.exp(-np.square(found.distance / _SURE_MM)) * np.clip(found.cosine, 0, 1) * ~found.on_rim
    there = found.interpolate(moves[registration.target_skin], registration.target.triangles)
    out = np.zeros((len(to.vertices), *moves.shape[1:]))
    out[registration.skin] = _extend(surface, sure, np.einsum("nij,njk->nik", np.linalg.inv(registration.maps), there))
    for part in to.other_parts:
        inside = to.of(part)[0]
        out[inside] = _rigid(carried(registration, to.vertices[inside]), source, moves)
    placed = registration.placed
    return np.einsum("ji,njk->nik", placed.rotation, out) / placed.scale


def _extend(surface: Surface, sure: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Displacements (n, 3, N) that keep to those given as far as they are sure (n,) in 0..1, and are elsewhere smooth:
    harmonic on the mesh, with a pull to zero that fades them over ``_FADE_MM``."""
    hold = _HOLD * sure
    matrix = laplacian(surface.vertices, surface.triangles) + sparse.diags_array(hold + surface.area / _FADE_MM**2)
    return solve(matrix, hold[:, None] * moves.reshape(len(moves), -1)).reshape(moves.shape)


def _rigid(points: np.ndarray, source: Shape, moves: np.ndarray) -> np.ndarray:
    """Displacements (n, 3, N) of a part's vertices (n, 3): the shift and small turn that fit what the nearest vertices
    of the matching part do; zero where no part matches."""
    from scipy.spatial import cKDTree

    match = matching_part(points, source)
    if match is None:
        return np.zeros((len(points), *moves.shape[1:]))
    inside = source.of(match)[0]
    nearest = inside[cKDTree(source.vertices[inside]).query(points)[1]]
    x, y, z = (points - points.mean(axis=0)).T
    o, i = np.zeros_like(x), np.ones_like(x)
    motions = np.array([[i, o, o, o, z, -y], [o, i, o, -z, o, x], [o, o, i, y, -x, o]])
    motions = motions.transpose(2, 0, 1).reshape(-1, 6)
    amounts = np.linalg.lstsq(motions, moves[nearest].reshape(len(motions), -1), rcond=None)[0]
    return (motions @ amounts).reshape(len(points), *moves.shape[1:])
