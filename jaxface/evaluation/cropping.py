"""Which part of a mesh is the face that is measured."""

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxface.model.surfaces import triangle_normals

_VIEWS = [(yaw, pitch) for yaw in (-60.0, 0.0, 60.0) for pitch in (-40.0, 40.0)] + [(0.0, 0.0)]
"""Yaw and pitch in degrees of the directions from which a scanner is thought to look."""
_FAR = 10.0
"""From how many times the distance of the outer eye corners."""
FEWEST = 100
"""A part of a mesh with fewer triangles, or vertices that are measured, is no face."""


def within(points: Float[np.ndarray, "n 3"], centre: Float[np.ndarray, "3"], radius: float) -> Bool[np.ndarray, "n"]:
    """Which points (n, 3) lie no farther than ``radius`` from a centre (3,).

    Raises:
      ValueError: none does.
    """
    distance = np.linalg.norm(points - centre, axis=1)
    inside = distance <= radius
    if not inside.any():
        raise ValueError(
            f"the crop is empty: no vertex lies within {radius:.0f} mm of its centre, the closest is "
            f"{distance.min():.0f} mm away; are the landmarks in the mesh's own frame and unit?"
        )
    return inside


def now_region(landmarks: Float[np.ndarray, "7 3"]) -> tuple[np.ndarray, float]:
    """The centre (3,) and radius of NoW's crop from the scan's seven landmarks (``faces.SEVEN``).

    ``compute_mask`` of soubhiksanyal/now_evaluation: around the nose bottom, raised by 0.3 of the way to the bridge,
    with 1.4 times the mean of the outer eye distance and the nose length.
    """
    bottom, bridge = landmarks[4], (landmarks[1] + landmarks[2]) / 2
    eyes, nose = np.linalg.norm(landmarks[0] - landmarks[3]), np.linalg.norm(bridge - bottom)
    return bottom + 0.3 * (bridge - bottom), float(1.4 * (eyes + nose) / 2)


def skin(
    vertices: Float[np.ndarray, "V 3"], triangles: Int[np.ndarray, "F 3"], nose: Float[np.ndarray, "3"]
) -> Bool[np.ndarray, "V"]:
    """Which vertices (V,) hang together with the one nearest to a point (3,) of the nose, over edges that two triangles
    share: not eyeballs, teeth and tongue, nor films and lashes that touch the lids from behind, which no scan has.
    Vertices that coincide, at a texture's seams, are one. Crumbs near the nose are passed over."""
    from trimesh.graph import connected_component_labels, face_adjacency

    sewn = np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1)
    faces = np.unique(np.sort(sewn[triangles], axis=1), axis=0)  # a triangle that is there twice, once
    part = connected_component_labels(face_adjacency(faces), len(faces))
    large = np.bincount(part) >= FEWEST
    corners = np.nonzero(np.isin(sewn, faces[large[part]] if large.any() else faces))[0]
    nearest = sewn[corners[np.linalg.norm(vertices[corners] - nose, axis=1).argmin()]]
    own = part[(faces == nearest).any(axis=1)][0]
    return np.isin(sewn, faces[part == own])


def seen(
    vertices: Float[np.ndarray, "V 3"], triangles: Int[np.ndarray, "F 3"], seven: Float[np.ndarray, "7 3"]
) -> Bool[np.ndarray, "V"]:
    """Which vertices (V,) a scanner sees from somewhere in front of the face, whose landmarks are ``seven``
    (``faces.SEVEN``): not the insides of mouth, nose and eye sockets."""
    from igl.embree import bone_visible

    axes, far = _upright(seven), _FAR * np.linalg.norm(seven[3] - seven[0])
    vertices, triangles = np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(triangles, np.int64)
    found = np.zeros(len(vertices), bool)
    for yaw, pitch in np.radians(_VIEWS):
        toward = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)]) @ axes
        eye = seven[4] + far * toward
        found |= bone_visible(vertices, triangles, eye, eye + toward)  # a bone of next to no length: a point
    return found


def fronts_outward(
    vertices: Float[np.ndarray, "V 3"], triangles: Int[np.ndarray, "F 3"], seven: Float[np.ndarray, "7 3"]
) -> Int[np.ndarray, "F 3"]:
    """The triangles of a face with their corners anticlockwise as the viewer sees them who looks at it: as they are, or
    all the other way round."""
    toward = triangle_normals(vertices, triangles).sum(axis=0) @ _upright(seven)[2]
    return triangles if toward >= 0 else triangles[:, ::-1]


def _upright(seven: Float[np.ndarray, "7 3"]) -> Float[np.ndarray, "3 3"]:
    """The directions from a face's right to its left, up, and out of it, as rows."""
    across, up = seven[3] - seven[0], seven[:4].mean(axis=0) - seven[5:].mean(axis=0)
    x = across / np.linalg.norm(across)
    z = np.cross(x, up) / np.linalg.norm(np.cross(x, up))
    return np.stack([x, np.cross(z, x), z])


def submesh(triangles: Int[np.ndarray, "F 3"], kept: Bool[np.ndarray, "V"]) -> Int[np.ndarray, "f 3"]:
    """The triangles (f, 3) with all corners among the kept vertices (V,), counted among these."""
    number = np.cumsum(kept) - 1
    return number[triangles[kept[triangles].all(axis=1)]]
