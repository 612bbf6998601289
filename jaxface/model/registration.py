"""One model's mean face found on another's, and with it landmarks that the other lacks.

A similarity by common points, the anchors, comes first, then non-rigid ICP of the skin. Both faces open their mouths
for it, by the same thin plate between the anchors: closed lips touch, and the closest point of one would be on the
other.
"""

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jaxface.model.correspondences import FEWEST_NAMED, MIRRORS, NAMED_POINTS
from jaxface.model.morphable import Embedding, MorphableModel
from jaxface.model.nonrigid import draw_to
from jaxface.model.surfaces import Closest, Surface, laplacian, parts, solve, unit
from jaxface.types import POINTS

_OPENING_MM = 15.0
_LOWERED = np.isin(np.arange(68), [*range(4, 13), *range(55, 60), *range(65, 68)]).astype(float)
"""Which of the 68 points an open mouth lowers: the chin's and the lower lip's, without its corners."""
_PLATE_HOLD = 100.0
"""How strictly the thin plate keeps to the anchors."""
_REACH_MM = 15.0
"""Beyond it a vertex has no partner while it is drawn."""
_NEIGHBOURS = 20
"""How many vertices of the skin carry a vertex of another part along."""
_LAYING_ROUNDS = 5
"""How often an iris is shifted toward the surface that it is laid on."""
_PART_MM = 10.0
"""Parts whose distance is larger, on average, do not belong together."""


@dataclass(frozen=True)
class Shape:
    """A model's mean face: ``vertices`` (V, 3) mm, ``triangles`` (F, 3), which connected ``part`` (V,) of the mesh each
    vertex belongs to, which part is the ``skin``, and sparse rows of barycentric coordinates ``anchors`` (L, V) of
    points found on every face, ``lowered`` (L,) where an open mouth lowers them."""

    vertices: np.ndarray
    triangles: np.ndarray
    part: np.ndarray
    skin: int
    anchors: sparse.csr_array
    lowered: np.ndarray

    @property
    def places(self) -> np.ndarray:
        """(L, 3) mm, where the anchors are."""
        return self.anchors @ self.vertices

    @property
    def other_parts(self) -> list[int]:
        """All but the skin: eyeballs, teeth, tongue."""
        return [part for part in np.unique(self.part[self.triangles]).tolist() if part != self.skin]

    def of(self, part: int) -> tuple[np.ndarray, np.ndarray]:
        """A part's vertices (n,), and its triangles (f, 3) counted among them."""
        inside = np.nonzero(self.part == part)[0]
        number = np.full(len(self.part), -1)
        number[inside] = np.arange(len(inside))
        return inside, number[self.triangles[self.part[self.triangles[:, 0]] == part]]


def shape_of(model: MorphableModel) -> Shape:
    """The mean face of a model, which must have the 68 points: they are the anchors."""
    if "ibug68" not in model.landmarks:
        raise ValueError(f"{model.name}: has no landmarks 'ibug68'; registration takes them as anchors")
    return _shape(model, barycentric_rows(model, "ibug68"), _LOWERED)


def named_shapes(*models: MorphableModel) -> list[Shape]:
    """The mean faces of models; the anchors are the named points (``NAMED_POINTS``) that all of them have."""
    points = [named_points(model) for model in models]
    common = [name for name in NAMED_POINTS if all(name in found for found in points)]
    if len(common) < FEWEST_NAMED:
        names = " and ".join(model.name for model in models)
        raise ValueError(f"{names}: have {len(common)} named points in common; registration takes {FEWEST_NAMED}")
    lowered = np.array([_LOWERED[NAMED_POINTS[name]].mean() for name in common])
    anchors = (sparse.csr_array(np.stack([found[name] for name in common])) for found in points)
    return [_shape(model, rows, lowered) for model, rows in zip(models, anchors, strict=True)]


def named_points(model: MorphableModel) -> dict[str, np.ndarray]:
    """Which of the named points a model has, each a row (V,) of barycentric coordinates: made of its 68 points, or
    landmarks that a reader has found under these names."""
    if "ibug68" in model.landmarks:
        rows = barycentric_rows(model, "ibug68")
        return {name: rows[points].mean(axis=0) for name, points in NAMED_POINTS.items()}
    return {name: barycentric_rows(model, name).toarray()[0] for name in NAMED_POINTS if name in model.landmarks}


def _shape(model: MorphableModel, anchors: sparse.csr_array, lowered: np.ndarray) -> Shape:
    """The mean face with these anchors, most of which lie on its skin."""
    triangles = np.asarray(model.triangles)
    part = parts(len(model.mean), triangles)
    skin = int(np.bincount(part[anchors.nonzero()[1]]).argmax())
    return Shape(np.asarray(model.mean, np.float64), triangles, part, skin, anchors, lowered)


def barycentric_rows(model: MorphableModel, scheme: str) -> sparse.csr_array:
    """A scheme's points as a sparse matrix (L, V) that takes vertices to them."""
    at = model.landmarks[scheme]
    corners = np.asarray(model.triangles)[np.asarray(at.triangle)]
    weights = np.asarray(at.barycentric, np.float64).ravel()
    rows = np.repeat(np.arange(len(corners)), 3)
    return sparse.csr_array((weights, (rows, corners.ravel())), (len(corners), len(model.mean)))


@dataclass(frozen=True)
class Similarity:
    """``scale * rotation @ x + shift``: takes one model's frame into another's."""

    scale: float
    rotation: np.ndarray
    shift: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return self.scale * points @ self.rotation.T + self.shift


def similarity(source: np.ndarray, target: np.ndarray) -> Similarity:
    """That takes source points (n, 3) to target points, least squares: Umeyama 1991."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    proper = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation, scale = (u * proper) @ vt, (s * proper).sum() / np.square(a).sum()
    return Similarity(scale, rotation, target.mean(axis=0) - scale * rotation @ source.mean(axis=0))


@dataclass(frozen=True)
class Registration:
    """A template's mean face on a target's, in the target's frame.

    ``placed``: the similarity between their frames. ``skin`` and ``target_skin``: their vertices. ``surface``: the
    template's skin, and ``target`` the target's, both with open mouth; ``drawn`` (n, 3) mm the former on the latter,
    ``maps`` (n, 3, 3) the linear part of what took each vertex there, ``found`` where it then lies.
    """

    placed: Similarity
    skin: np.ndarray
    target_skin: np.ndarray
    surface: Surface
    target: Surface
    drawn: np.ndarray
    maps: np.ndarray
    found: Closest


def register(template: Shape, target: Shape) -> Registration:
    """Draw the skin of one mean face onto that of another."""
    placed = similarity(template.places, target.places)
    skin, target_skin = template.of(template.skin)[0], target.of(target.skin)[0]
    surface, anchors = _opened(replace(template, vertices=placed(template.vertices)))
    goal, goal_anchors = _opened(target)
    drawn, maps = draw_to(surface, goal, anchors, goal_anchors @ goal.vertices, _REACH_MM)
    found = goal.closest(drawn, Surface(drawn, surface.triangles).vertex_normals)
    return Registration(placed, skin, target_skin, surface, goal, drawn, maps, found)


def _opened(shape: Shape) -> tuple[Surface, sparse.csr_array]:
    """The skin with its mouth open, and the anchors on it: a thin plate on the mesh lowers what is below the mouth."""
    skin, triangles = shape.of(shape.skin)
    vertices, anchors = shape.vertices[skin], shape.anchors[:, skin]
    bend = laplacian(vertices, triangles)
    area = np.maximum(Surface(vertices, triangles).area, 1e-6)
    plate = bend @ sparse.diags_array(1 / area) @ bend + _PLATE_HOLD * anchors.T @ anchors
    down = solve(plate + sparse.diags_array(1e-9 * area), _PLATE_HOLD * (anchors.T @ shape.lowered)[:, None])
    return Surface(vertices - _OPENING_MM * down * [0, 1, 0], triangles), anchors


def carried(registration: Registration, points: np.ndarray) -> np.ndarray:
    """Points (n, 3) mm of the template beside its skin, in the target's frame: the nearest skin carries them along."""
    from scipy.spatial import cKDTree

    placed = registration.placed(points)
    near = cKDTree(registration.surface.vertices).query(placed, _NEIGHBOURS)[1]
    return placed + (registration.drawn - registration.surface.vertices)[near].mean(axis=1)


def matching_part(points: np.ndarray, target: Shape) -> int | None:
    """The part, other than skin, that lies nearest to all of these points (n, 3); None if there is none near."""
    from scipy.spatial import cKDTree

    distance_to = lambda part: cKDTree(target.vertices[target.of(part)[0]]).query(points)[0].mean()
    distance = {part: distance_to(part) for part in target.other_parts}
    best = min(distance, key=lambda part: distance[part], default=None)
    return best if best is not None and distance[best] < _PART_MM else None


def register_landmarks(model: MorphableModel, source: MorphableModel) -> MorphableModel:
    """A model with every landmark scheme of another: the points that it lacks are found on its mean face.

    Points on the source's eyeballs come onto the model's eyeballs, where it has some. Where the model is symmetric,
    so are the points.

    Raises:
      ValueError: the two have too few named points in common.
    """
    lacking = [scheme for scheme in source.landmarks if scheme not in model.landmarks]
    if not lacking:
        return model
    template, target = named_shapes(source, model)
    registration = register(template, target)
    found = {scheme: _find(scheme, model, source, template, target, registration) for scheme in lacking}
    kept = {scheme: points for scheme, points in model.landmarks.items() if scheme in POINTS}
    return replace(model, landmarks={**kept, **found})


def _find(scheme, model, source, template: Shape, target: Shape, registration: Registration) -> Embedding:
    """Where a scheme's points lie on the target, part by part."""
    rows = barycentric_rows(source, scheme)
    owner = template.part[np.asarray(source.triangles)[np.asarray(source.landmarks[scheme].triangle), 0]]
    triangle, barycentric = np.zeros(len(owner), int), np.zeros((len(owner), 3))
    for part in np.unique(owner).tolist():
        points = np.nonzero(owner == part)[0]
        inside, triangles = template.of(part)
        at = rows[points][:, inside]
        if part == template.skin:
            goal, goal_part = registration.target, target.skin
            place, normals = at @ registration.drawn, at @ Surface(registration.drawn, triangles).vertex_normals
            if model.symmetry is not None:
                place = (place + place[MIRRORS[scheme][points]] * [-1, 1, 1]) / 2
            found = goal.closest(place, normals)
        else:
            moved = carried(registration, template.vertices[inside])
            match = matching_part(moved, target)
            goal_part = target.skin if match is None else match
            vertices, goal_triangles = target.of(goal_part)
            goal = Surface(target.vertices[vertices], goal_triangles)
            placed = Surface(registration.placed(template.vertices[inside]), triangles)
            shift = (moved - placed.vertices).mean(axis=0)
            found = _laid(at @ placed.vertices + shift, at @ placed.vertex_normals, goal)
        triangle[points] = np.nonzero(target.part[target.triangles[:, 0]] == goal_part)[0][found.triangle]
        barycentric[points] = found.barycentric
    return Embedding(jnp.asarray(triangle, jnp.int32), jnp.asarray(barycentric, jnp.float32))


def _laid(points: np.ndarray, normals: np.ndarray, goal: Surface) -> Closest:
    """An iris's points (n, 3) laid on another eyeball or on closed lids: shifted as one, so that it stays round."""
    forward = np.tile(unit(normals.mean(axis=0)), (len(points), 1))
    for _ in range(_LAYING_ROUNDS):
        found = goal.closest(points, forward)
        points = points + (found.position - points).mean(axis=0)
    return found
