"""A face to evaluate with: an ellipsoid with a nose, and 68 points on it, of which those that protocols name lie where
a face has them."""

import numpy as np
import trimesh

from jaxface.evaluation.faces import SEVEN, Face
from jaxface.model.correspondences import NOSE_TIP

NAMED = {
    36: (-45, 35),
    39: (-18, 33),
    42: (18, 33),
    45: (45, 35),
    33: (0, -16),
    48: (-25, -45),
    54: (25, -45),
    30: (0, 0),
}
assert {*SEVEN, NOSE_TIP} == set(NAMED)


def head(name: str = "head", subdivisions: int = 4) -> Face:
    """The face; its points lie on vertices, all in millimetres, x to the left, y up, z out of the face."""
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    vertices = np.array(sphere.vertices) * [75.0, 105.0, 90.0]
    bump = np.exp(-(vertices[:, 0] ** 2 + vertices[:, 1] ** 2) / (2 * 12.0**2)) * (vertices[:, 2] > 0)
    vertices[:, 2] += 25.0 * bump
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    places = np.stack([40 * np.cos(angle), 55 * np.sin(angle)], axis=-1)
    for index, place in NAMED.items():
        places[index] = place
    front = np.flatnonzero(vertices[:, 2] > 0)
    apart = np.linalg.norm(vertices[front, None, :2] - places, axis=-1)
    return Face(name, vertices, np.array(sphere.faces, np.int64), vertices[front[apart.argmin(axis=0)]])


def moved(face: Face, placed) -> Face:
    """The same face elsewhere."""
    return Face(f"{face.name}, moved", placed(face.vertices), face.triangles, placed(face.landmarks))
