"""Faces as files: a mesh, and its landmarks in a file beside it or, for a mesh that jaxface wrote, from its model."""

import os
import xml.etree.ElementTree as xml
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from jaxface.model.correspondences import NOSE_TIP
from jaxface.model.morphable import MorphableModel

MESHES = (".obj", ".ply", ".stl", ".off", ".glb")
SEVEN = (36, 39, 42, 45, 33, 48, 54)
"""NoW's seven landmarks among the 68: the four eye corners from the subject's right to left, the nose bottom, the right
and the left mouth corner."""
_BESIDE = (".npy", ".txt", ".pp", "_picked_points.pp")
"""How the name of a mesh's landmark file ends; the last is MeshLab's own."""


@dataclass(frozen=True)
class Face:
    """A mesh: ``vertices`` (V, 3), ``triangles`` (F, 3), and its ``landmarks`` (68, 3) or (7, 3) in the same frame and
    unit, None where not known. ``name`` is for messages.

    Raises:
      ValueError: a coordinate is not a number, or the landmarks coincide or lie in a line.
    """

    name: str
    vertices: Float[np.ndarray, "V 3"]
    triangles: Int[np.ndarray, "F 3"]
    landmarks: Float[np.ndarray, "L 3"] | None = None

    def __post_init__(self):
        _require_finite(self.vertices, self.name)
        if self.landmarks is not None:
            _require_finite(self.landmarks, self.name)
            _require_spread(self.landmarks, self.name)

    @property
    def seven(self) -> Float[np.ndarray, "7 3"]:
        """NoW's seven landmarks.

        Raises:
          ValueError: the face has no landmarks.
        """
        if self.landmarks is None:
            raise ValueError(
                f"{self.name}: has no landmarks; takes a file beside it, of the same name but ending in .npy, .txt or "
                ".pp, with the 68 iBUG points or NoW's 7 (eye corners, nose bottom, mouth corners), x y z a line"
            )
        return self.landmarks[list(SEVEN)] if len(self.landmarks) == 68 else self.landmarks

    @property
    def nose_tip(self) -> Float[np.ndarray, "3"] | None:
        """The tip of the nose (3,), known where there are 68 landmarks."""
        return None if self.landmarks is None or len(self.landmarks) == 7 else self.landmarks[NOSE_TIP]


def read_face(path: str | Path, landmarks: str | Path | None = None, model: MorphableModel | None = None) -> Face:
    """Read a mesh and its landmarks.

    Args:
      path: a mesh file (``MESHES``).
      landmarks: the landmark file; without it, one beside the mesh.
      model: whose landmarks a mesh gets that has none, if it has as many vertices as the model or its texture atlas:
        a mesh that ``jaxface fit`` wrote.

    Raises:
      ValueError: a file is missing or cannot be read, or its landmarks align nothing; the message says which.
    """
    path = Path(path)
    vertices, triangles = _read_mesh(path)
    beside = [path.with_name(path.stem + ending) for ending in _BESIDE]
    source = Path(landmarks) if landmarks is not None else next((file for file in beside if file.is_file()), None)
    if source is not None:
        points = read_points(source)
    elif model is not None:
        points = _model_landmarks(vertices, model)
    else:
        points = None
    return Face(str(path), *_sewn(vertices, triangles), points)


def read_points(path: Path) -> Float[np.ndarray, "L 3"]:
    """Landmarks (68, 3) or (7, 3) from ``.npy``, text with x y z a line, or MeshLab's picked points ``.pp``.

    Raises:
      ValueError: the file is missing, unreadable, or holds another number of points, or points in a line.
    """
    points = load_points(path)
    points = points[0] if points.ndim == 3 and len(points) == 1 else points
    if points.shape not in ((68, 3), (7, 3)):
        raise ValueError(f"landmarks {path}: got shape {points.shape}, takes (68, 3) iBUG points or NoW's (7, 3)")
    _require_finite(points, f"landmarks {path}")
    _require_spread(points, f"landmarks {path}")
    return points


def load_points(path: Path) -> Float[np.ndarray, "..."]:
    """The numbers of ``.npy``, of text with a point a line, or of MeshLab's picked points ``.pp``, as they come.

    Raises:
      ValueError: the file is missing or unreadable.
    """
    try:
        with path.open("rb") as stream:
            if path.suffix.lower() == ".npy":
                points = np.load(stream, allow_pickle=False)
            elif path.suffix.lower() == ".pp":
                found = xml.parse(stream).iter("point")
                points = [[point.attrib[axis] for axis in "xyz"] for point in found]
            else:
                points = np.loadtxt(stream, ndmin=2)
            return np.asarray(points, np.float64)
    except Exception as error:  # damaged files raise what their readers stumble over
        raise ValueError(f"landmarks {path}: cannot be read ({error or type(error).__name__})") from None


def _require_finite(points: np.ndarray, whose: str) -> None:
    """Raise a ``ValueError`` for points (n, 3) whose squares no number holds: libigl reads beyond its arrays then."""
    if not (np.abs(points) < np.finfo(np.float32).max).all():
        raise ValueError(f"{whose}: a coordinate is not a number, or is too large for one of single precision")


def _require_spread(points: np.ndarray, whose: str) -> None:
    """Raise a ``ValueError`` for landmarks (L, 3) that, to single precision, have no plane."""
    if np.linalg.matrix_rank(np.float32(points - points.mean(axis=0))) < 2:
        raise ValueError(f"{whose}: all landmarks coincide or lie in a line, which aligns no face")


def _read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import trimesh

    if not os.path.isfile(path):  # nor is there one of a name that no file can have
        raise ValueError(f"mesh {path}: no such file")
    if path.suffix.lower() not in MESHES:
        raise ValueError(f"mesh {path}: takes a name that ends in {', '.join(MESHES)}")
    try:
        content, kind = BytesIO(path.read_bytes()), path.suffix[1:].lower()  # the file's name may be no text
        mesh = trimesh.load_mesh(content, file_type=kind, process=False, maintain_order=True, skip_materials=True)
        vertices, triangles = np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64)
    except Exception as error:  # the readers of many formats raise what they like
        raise ValueError(f"mesh {path}: cannot be read ({error or type(error).__name__})") from None
    if len(triangles) == 0:
        raise ValueError(f"mesh {path}: has no triangles; distances are measured to a surface")
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        named = f"{triangles.min()} to {triangles.max()}"
        raise ValueError(f"mesh {path}: has triangles of the vertices {named}; takes 0 to {len(vertices) - 1}")
    return vertices, triangles


def _sewn(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A surface whose vertices count once each, in their order: those that coincide are one, as where a file splits
    them at its texture's seams or writes each triangle's by itself, and those of no triangle are left out."""
    _, first, same = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    used, index = np.unique(first[same.reshape(-1)][triangles], return_inverse=True)
    return vertices[used], index.reshape(-1, 3)


def _model_landmarks(vertices: np.ndarray, model: MorphableModel) -> np.ndarray | None:
    """The 68 points (68, 3) of a mesh that has a model's vertices, or its texture atlas's."""
    at = model.landmarks.get("ibug68")
    if at is None:
        return None
    if model.uv_vertices is not None and len(vertices) == len(model.uv_vertices):
        unsplit = np.zeros((len(model.mean), 3))
        unsplit[np.asarray(model.uv_vertices)] = vertices
        vertices = unsplit
    if len(vertices) != len(model.mean):
        return None
    return at.on(model.triangles, vertices)
