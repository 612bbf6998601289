"""Expressions carried from one model's mesh onto another's: one's identity merged with the other's expression.

The identity model's skin is drawn onto the expression model's by non-rigid ICP (``jaxface.model.nonrigid``). Its
triangles then deform as the other skin does where they lie: Sumner and Popović 2004, "Deformation Transfer for Triangle
Meshes", with the Poisson equation of Botsch et al. 2006, "Deformation Transfer for Detail-Preserving Surface Editing".
Gradients alone would let the face drift, so that over larger distances displacements decide. What has no counterpart
follows its neighbours, ever less with distance.

Eyeballs, teeth and tongue are parts of their own. Each moves rigidly, as the nearest of the expression model's parts
does; without one near, it stays.
"""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jaxface.model.morphable import MorphableModel
from jaxface.model.registration import Registration, Shape, carried, matching_part, register, shape_of
from jaxface.model.surfaces import Surface, gradient, laplacian, rotations, solve

_SURE_MM = 3.0
"""How far from the surface a vertex may end and still have a counterpart: its weight is a bell of this width."""
_HOLD_MM = 5.0
"""Over what distance displacements decide, within it their gradients: at 2 mm the ICT expressions on their own
re-meshed head are more exact, but eyelids of another shape fold."""
_FADE_MM = 20.0
"""Over what distance the displacements of vertices without a counterpart fade."""
_ANCHOR = 3.0
"""How much an anchor's displacement counts beside the gradients around it: closes eyelids whose skin covers the eye."""
_BOUNDED = 1e-3
"""How much of the Laplacian with bounded weights is added, for vertices that have but thin triangles."""


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
    out = np.zeros((len(to.vertices), *moves.shape[1:]))
    out[registration.skin] = _skin(registration, to, source, moves[registration.target_skin])
    for part in to.other_parts:
        inside = to.of(part)[0]
        out[inside] = _rigid(carried(registration, to.vertices[inside]), source, moves)
    placed = registration.placed
    return np.einsum("ji,njk->nik", placed.rotation, out) / placed.scale


def _skin(registration: Registration, to: Shape, source: Shape, moves: np.ndarray) -> np.ndarray:
    """Displacements (n, 3, N) of the skin, in the target's frame, from those (m, 3, N) of the target's skin."""
    found, corners = registration.found, registration.surface.triangles
    face = Surface(registration.placed(to.vertices[registration.skin]), corners)
    goal = Surface(source.vertices[registration.target_skin], registration.target.triangles)
    anchors, goal_anchors = to.anchors[:, registration.skin], source.anchors[:, registration.target_skin]
    back = rotations(registration.maps).swapaxes(1, 2)
    anchors_back = rotations(np.einsum("lv,vij->lji", anchors.toarray(), registration.maps))
    sure = np.exp(-np.square(found.distance / _SURE_MM)) * np.clip(found.cosine, 0, 1) * ~found.on_rim
    hold, fade = face.area * sure / _HOLD_MM**2, face.area * (1 - sure) / _FADE_MM**2
    known = sure[corners].min(axis=1)[:, None, None]
    gradient_there, gradient_here = gradient(goal), gradient(face)
    divergence = gradient_here.T * np.repeat(face.triangle_area, 3)

    def right_side(move):
        rate = back @ (gradient_there @ move).reshape(-1, 3, 3)[found.triangle] @ back.swapaxes(1, 2)
        place = (back @ found.interpolate(move, goal.triangles)[..., None])[..., 0]
        anchored = (anchors_back @ (goal_anchors @ move)[..., None])[..., 0]
        rates = (known * rate[corners].mean(axis=1)).reshape(-1, 3)
        return divergence @ rates + hold[:, None] * place + _ANCHOR * anchors.T @ anchored

    right = np.stack([right_side(moves[..., k]) for k in range(moves.shape[-1])], axis=-1)
    matrix = divergence @ gradient_here + _BOUNDED * laplacian(face.vertices, corners)
    matrix = matrix + sparse.diags_array(hold + fade) + _ANCHOR * anchors.T @ anchors
    return solve(matrix, right.reshape(len(right), -1)).reshape(right.shape)


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
