"""MediaPipe's canonical face, the template that finds its 478 points on any model.

The mesh of the first 468 points stands in the landmark bundle (Apache-2.0), in
``geometry_pipeline_metadata_landmarks.binarypb``. That is a protocol buffer, the ``GeometryPipelineMetadata`` of
MediaPipe's ``face_geometry/protos``: its field 1 is a ``Mesh3d``, whose field 3 repeats floats (x, y, z, u, v of each
vertex in turn; centimetres, x to the subject's left, y up, z out of the face) and whose field 4 repeats vertex indices
(three a triangle, counter-clockwise seen from outside).

The mesh has a skin over its eyes. The points of the irises (468-477) lie on eyeballs that are put behind it.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, MEDIAPIPE478_MIRROR
from jaxface.model.morphable import MorphableModel
from jaxface.model.readers.assembly import assemble, on_vertices

_BUNDLE, _METADATA = "face_landmarker.task", "geometry_pipeline_metadata_landmarks.binarypb"
_MESH, _VERTICES, _TRIANGLES = 1, 3, 4
_RIGHT_LIDS = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
_EYEBALL_CM, _IRIS_CM = 1.2, 0.585
"""Radii. People's irises hardly differ in size."""


@lru_cache(maxsize=1)
def canonical_face() -> MorphableModel:
    """The canonical face, without components; its landmarks of both schemes lie on vertices, MediaPipe's on the first
    478 in their order."""
    skin, triangles = _mesh()
    ball, ball_triangles = _eyeball()
    poles = [skin[lids].mean(axis=0) for lids in (_RIGHT_LIDS, MEDIAPIPE478_MIRROR[_RIGHT_LIDS])]
    fronts, backs = ([pole + half for pole in poles] for half in (ball[:5], ball[5:]))
    number = len(skin) + np.array([[0, 1, 2, 3, 4, 10, 11, 12, 13, 14], [5, 6, 7, 8, 9, 15, 16, 17, 18, 19]])
    vertices = np.concatenate([skin, *fronts, *backs])
    none = np.zeros((*vertices.shape, 0), np.float32)
    model = assemble(
        Path(_BUNDLE),
        name="MediaPipe's canonical face",
        licence="Apache-2.0 (Google)",
        mean=vertices,
        identity=none,
        expression=none,
        triangles=np.concatenate([triangles, *number[:, ball_triangles]]),
        millimetres=10.0,
        ibug68=IBUG68_FROM_MEDIAPIPE478,
    )
    points = on_vertices(Path(_BUNDLE), np.asarray(model.triangles), np.arange(478))
    return replace(model, landmarks={**model.landmarks, "mediapipe478": points})


def _mesh() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (468, 3) cm and triangles (898, 3) of the bundle's mesh."""
    bundle = zipfile.ZipFile(io.BytesIO(files("jaxface.assets").joinpath(_BUNDLE).read_bytes()))
    mesh = next(value for field, value in _fields(bundle.read(_METADATA)) if field == _MESH)
    content = list(_fields(mesh))
    numbers = np.frombuffer(b"".join(value for field, value in content if field == _VERTICES), "<f4")
    corners = np.array([value for field, value in content if field == _TRIANGLES])
    return numbers.reshape(-1, 5)[:, :3], corners.reshape(-1, 3)


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The numbered fields of a protocol buffer: whole numbers, and the bytes of floats and of messages."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(message):
        field, kind = divmod(varint(), 8)
        if kind == 0:
            yield field, varint()
        else:
            size = {2: varint, 5: lambda: 4}[kind]()
            yield field, message[at : at + size]
            at += size


def _eyeball() -> tuple[np.ndarray, np.ndarray]:
    """An eyeball (10, 3) cm about its foremost point, and its triangles: the five points of the iris (its centre, and
    to the subject's left, above, to the right and below), then those across the eyeball's centre."""
    from scipy.spatial import ConvexHull

    ring = _IRIS_CM * np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])
    front = np.column_stack([ring, np.sqrt(_EYEBALL_CM**2 - np.square(ring).sum(axis=1))])
    ball = np.concatenate([front, -front])
    triangles = ConvexHull(ball).simplices
    a, b, c = np.moveaxis(ball[triangles], 1, 0)
    inward = np.einsum("fc,fc->f", np.cross(b - a, c - a), a + b + c) < 0
    triangles[inward] = triangles[inward][:, [0, 2, 1]]
    return ball - [0, 0, _EYEBALL_CM], triangles
