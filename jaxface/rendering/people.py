"""Subjects as photographs: lit, with skin, lips, brows and eyes, for a detector to find.

The colours are painted on the mean face and move with it. Lips and brows are where the model's 68 points say they are.
"""

import numpy as np
from jaxtyping import Float, Int, UInt8

from jaxface.evaluation.subjects import Subjects
from jaxface.model.canonical import canonical_face
from jaxface.model.correspondences import INNER_LIPS, LEFT_BROW, OUTER_LIPS, RIGHT_BROW
from jaxface.model.registration import Shape, matching_part, shape_of, similarity
from jaxface.rendering.shading import draw_mesh

SIDE, PIXELS_A_MM = 512, 1.7
"""Of a photograph, in pixels, and its scale."""
_SKINS = np.array([[0.87, 0.68, 0.58], [0.76, 0.55, 0.43], [0.50, 0.34, 0.26]])
_LIPS, _BROWS = np.array([0.85, 0.62, 0.62]), np.array([0.45, 0.40, 0.38])
"""What they make of the skin's red, green and blue."""
_WHITE, _IRIS, _PUPIL = 0.95, 0.30, 0.06
_IRIS_MM, _PUPIL_MM, _BROW_MM = 6.0, 2.5, 3.5
"""Radii, and half of a brow's height."""


class Painter:
    """Photographs people of one model."""

    def __init__(self, people: Subjects):
        self._people = people
        self._triangles, self._tint, self._eyes = _painted(people.shape)

    def photograph(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """One subject, on grey."""
        people = self._people
        rng = np.random.default_rng(people.seeds[index])
        skin = _SKINS[rng.integers(len(_SKINS))] * rng.uniform(0.9, 1.1)
        colours = np.where(self._eyes[:, None] > 0, self._eyes[:, None], np.clip(skin * self._tint, 0, 1))
        drawn = draw_mesh(placed(people, index), self._triangles, SIDE, SIDE, colours)
        grey = rng.uniform(0.3, 0.8)
        return (255 * (drawn[..., :3] + grey * (1 - drawn[..., 3:]))).astype(np.uint8)


def placed(people: Subjects, index: int) -> Float[np.ndarray, "V 3"]:
    """A subject's vertices in the frame of its photograph, in pixels: the 68 points' middle in the middle."""
    mesh = people.vertices[index].astype(np.float64)
    centre = (people.shape.anchors @ mesh).mean(axis=0)
    return PIXELS_A_MM * (mesh - centre) @ people.rotation[index].T.astype(np.float64) + [SIDE / 2, SIDE / 2, 0]


def _painted(shape: Shape):
    """What is drawn, skin and eyeballs (F, 3); the tint (V, 3) of the skin; the grey (V,) of eyes, 0 elsewhere."""
    tint, flat, places = np.ones((len(shape.vertices), 3)), shape.vertices[:, :2], shape.places
    front = (shape.part == shape.skin) & (shape.vertices[:, 2] > places[:, 2].min())
    outer, inner = places[OUTER_LIPS, :2], places[INNER_LIPS, :2]
    tint[front & _inside(flat, outer) & ~_inside(flat, inner)] = _LIPS
    for brow in (RIGHT_BROW, LEFT_BROW):
        tint[front & (from_line(flat, places[brow, :2]) < _BROW_MM)] = _BROWS
    triangles, eyes = with_eyes(shape)
    return triangles, tint, eyes


def with_eyes(shape: Shape) -> tuple[Int[np.ndarray, "F 3"], Float[np.ndarray, "V"]]:
    """The triangles of a model's skin and eyeballs, and the grey of its eyes, 0 elsewhere."""
    drawn, eyes, face = shape.part == shape.skin, np.zeros(len(shape.vertices)), shape_of(canonical_face())
    onto = similarity(face.places, shape.places)
    for ball in face.other_parts:
        part = matching_part(onto(face.vertices[face.of(ball)[0]]), shape)
        if part is None:
            continue
        inside = shape.of(part)[0]
        eye = shape.vertices[inside]
        radius = np.linalg.norm((eye - eye[eye[:, 2].argmax()])[:, :2], axis=1)
        ahead = eye[:, 2] > eye[:, 2].mean()
        grey = np.where(radius < _PUPIL_MM, _PUPIL, np.where(radius < _IRIS_MM, _IRIS, _WHITE))
        eyes[inside] = np.where(ahead, grey, _WHITE)
        drawn[inside] = True
    return shape.triangles[drawn[shape.triangles[:, 0]]], eyes


def _inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which points (n, 2) lie in a polygon (m, 2): a ray to the right crosses its sides an odd number of times."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, None, 0], points[:, None, 1]
    spans = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    return (spans & (x < a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0]))).sum(axis=1) % 2 == 1


def from_line(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Distances (n,) of points (n, d) from the line through corners (m, d)."""
    start, along = corners[:-1], np.diff(corners, axis=0)
    part = np.einsum("nmc,mc->nm", points[:, None] - start, along) / np.square(along).sum(axis=1)
    nearest = start + np.clip(part, 0, 1)[..., None] * along
    return np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1)
