"""ICT Face Model Light: ICT-FaceKit's folder ``FaceXModel`` of OBJ files, or the same as one ``.npz``.

The folder, as ICT-FaceKit's ``Scripts/face_model_io.py`` reads it; all files have the same vertices and faces:

========================= ==================================================================================
generic_neutral_mesh.obj  mean, centimetres; x to the subject's left, y up, z out of the face; faces of three or four
                          corners, counter-clockwise seen from outside, with texture points
identityNNN.obj           mean + one identity component, of unit variance
every other .obj          mean + one expression at its full extent; the file's name is the expression's
========================= ==================================================================================

The ``.npz``: ``neutral`` (V, 3), ``identity`` (Na, V, 3) and ``expression`` (Nb, V, 3) as differences from it,
``expression_names`` (Nb,), ``tri`` and ``tri_uv`` (F, 3) counted from 0, ``uv`` (T, 2), ``landmarks68`` (68,) vertices.

The 68 points are the Multi-PIE ones of ICT-FaceKit's README (MIT).
"""

from pathlib import Path

import numpy as np

from jaxface.model.morphable import MorphableModel
from jaxface.model.readers.assembly import assemble
from jaxface.model.readers.checks import ModelFileError, bad_field, indices, numbers, reading, small_enough
from jaxface.model.readers.npz import read_npz

LICENCE = "MIT (ICT-FaceKit)"
NEUTRAL = "generic_neutral_mesh.obj"
FIELDS = ("neutral", "identity", "expression", "expression_names", "tri", "tri_uv", "uv", "landmarks68")
VERTICES = 26719

# fmt: off
IBUG68 = np.array([
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443,
    268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509,
    978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360,
    1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732,
    5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841,
    5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
])
# fmt: on


def read_folder(path: Path) -> MorphableModel:
    """The model of a folder of OBJ files."""
    targets = sorted(file for file in path.glob("*.obj") if file.name != NEUTRAL)
    small_enough(path, "*.obj", sum(file.stat().st_size for file in targets))
    mean, uv, triangles, uv_corners = _mesh(path / NEUTRAL)
    difference = lambda file: numbers(file, "v", _coordinates(file, "v"), mean.shape) - mean
    stack = lambda files: np.stack([difference(file) for file in files] or [mean], axis=-1)[..., : len(files)]
    identity = [file for file in targets if file.stem.startswith("identity")]
    expression = [file for file in targets if not file.stem.startswith("identity")]
    return _model(
        path,
        mean=mean,
        identity=stack(identity),
        expression=stack(expression),
        expression_names=[file.stem for file in expression],
        triangles=triangles,
        uv=uv,
        uv_corners=uv_corners,
        ibug68=IBUG68 if len(mean) == VERTICES else None,
    )


def read(path: Path) -> MorphableModel:
    """The model of one ``.npz``."""
    data = read_npz(path, FIELDS)
    mean = numbers(path, "neutral", data.get("neutral"), ("V", 3))
    identity = numbers(path, "identity", data.get("identity"), ("N", *mean.shape))
    expression = numbers(path, "expression", data.get("expression"), ("N", *mean.shape))
    names = [str(name) for name in data.get("expression_names", np.array(())).ravel()]
    if len(names) != len(expression):
        raise bad_field(path, "expression_names", f"has {len(names)} names", f"{len(expression)} of them")
    triangles = indices(path, "tri", data.get("tri"), ("F", 3), len(mean))
    uv = numbers(path, "uv", data.get("uv"), ("T", 2))
    return _model(
        path,
        mean=mean,
        identity=np.moveaxis(identity, 0, -1),
        expression=np.moveaxis(expression, 0, -1),
        expression_names=names,
        triangles=triangles,
        uv=uv,
        uv_corners=indices(path, "tri_uv", data.get("tri_uv"), triangles.shape, len(uv)),
        ibug68=indices(path, "landmarks68", data.get("landmarks68"), (68,), len(mean)),
    )


def _model(path: Path, **arrays) -> MorphableModel:
    return assemble(path, name="ICT Face Model Light", licence=LICENCE, millimetres=10.0, **arrays)


def _mesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), texture points (T, 2), and the corners of both in each triangle (F, 3), fans of the faces."""
    mean = numbers(path, "v", _coordinates(path, "v"), ("V", 3))
    uv = numbers(path, "vt", _coordinates(path, "vt"), ("T", 2))
    with reading(path, "Wavefront OBJ file"):
        lines = [line[2:].split() for line in _lines(path) if line.startswith("f ")]
        faces = [[corner.split("/")[:2] for corner in line] for line in lines]
        fans = [(face[0], *face[k : k + 2]) for face in faces for k in range(1, len(face) - 1)]
        corners = np.array(fans, int).reshape(-1, 3, 2)
    triangles = indices(path, "f", corners[..., 0], ("F", 3), len(mean), first=1)
    return mean, uv, triangles, indices(path, "f (texture)", corners[..., 1], ("F", 3), len(uv), first=1)


def _coordinates(path: Path, kind: str) -> np.ndarray:
    """The numbers of an OBJ file's lines of one kind, a row a line."""
    with reading(path, "Wavefront OBJ file"):
        rows = [line.split()[1:] for line in _lines(path) if line.startswith(f"{kind} ")]
        return np.array(rows, float)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise ModelFileError(path, "not a file")
    small_enough(path, "(whole file)", path.stat().st_size)
    return path.read_text("ascii").splitlines()
