"""Landmarks of faces in files: ``.pts`` as 300-W has them, ``.json``, ``.npz`` and ``.npy``.

Pixels are those of ``Landmarks``, with (0.5, 0.5) the first pixel's centre, but in ``.pts``, where it is (1, 1). Points
of a file that holds one kind of them are 2D and 3D points at once; if they have no depth, every z is 0, which only the
variant ``"2d"`` of a fit takes.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jaxface.detection.faces import box, flat
from jaxface.types import SCHEMES, Landmarks

_TAKEN = "takes (68, 2), (68, 3), (478, 2) or (478, 3), or these with the faces in front"
_PTS_ORIGIN = 0.5
"""What a coordinate of a ``.pts`` file is larger by than one of ``Landmarks``."""


def read_landmarks(path: str | Path) -> list[Landmarks]:
    """The faces of a landmark file, in its order and precision.

    * ``.pts``: one face of 68 2D points between braces, as 300-W writes them.
    * ``.npy``: an array (L, 2) or (L, 3), or (faces, L, 2 or 3), of L = 68 or 478 points.
    * ``.npz``: the same array alone; or ``xy`` ([faces,] L, 2) with, if they are known, ``xyz`` ([faces,] L, 3),
      ``weight`` ([faces,] L) and ``detector`` ([faces]), names.
    * ``.json``: the same array as lists; or ``{"faces": [{"xy": ..., "xyz": ..., "weight": ...}, ...]}``, where
      ``detector`` may be beside them.

    Fields of other names are passed over.

    Raises:
      ValueError: the file is missing or holds something else; the message names it, what it has and what is taken.
    """
    path = Path(path)
    try:
        return _format(path)[0](path.read_bytes())
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
    except Exception as error:  # a decoder that meets broken bytes may raise anything
        problem = str(error) or type(error).__name__
    raise ValueError(f"landmarks {path}: {problem}")


def write_landmarks(path: str | Path, faces: Sequence[Landmarks]) -> None:
    """Write faces to a file that ``read_landmarks`` reads back as they are, in the format that the name ends in.

    ``.json`` is read in double precision. ``.pts`` holds the 2D points of one face and no more; ``.npy`` holds no
    detector's name, and refuses faces that have weights or whose 2D points are not those of 3D.

    Raises:
      ValueError: the format does not hold these faces, or they have numbers that are not read back.
      OSError: the file cannot be written.
    """
    if isinstance(faces, Landmarks):
        raise ValueError(f"landmarks {path}: one Landmarks; takes a list of them")
    content = landmark_file(Path(path), faces)
    Path(path).write_bytes(content)


def landmark_file(
    path: Path,
    faces: Sequence[Landmarks],
    scores: Sequence[float] | None = None,
    source: dict[str, str] | None = None,
) -> bytes:
    """The content of a landmark file; ``.json`` and ``.npz`` tell of each face its box, its detector where it is known
    and its score where given, and of them all what ``landmark_sources.origin`` says of the photograph, where given."""
    try:
        for face in faces:
            weight = None if face.weight is None else np.asarray(face.weight)
            _require(np.asarray(face.xy), np.asarray(face.xyz), weight)
        return _format(path)[1](faces, scores, source or {})
    except ValueError as error:
        raise ValueError(f"landmarks {path}: {error}") from None


def _read_pts(content: bytes) -> list[Landmarks]:
    text = content.decode("utf-8", errors="replace")
    between = re.search(r"\{([^{}]*)\}", text)
    if not between:
        raise ValueError("no points between braces, as 300-W writes them")
    rows = [line.split() for line in between[1].splitlines() if line.strip()]
    if len(rows) != 68 or {len(row) for row in rows} != {2}:
        raise ValueError(f"{len(rows)} lines of points; a .pts takes 68 of 2 numbers each")
    return _faces(np.array(rows, np.float64) - _PTS_ORIGIN)


def _write_pts(faces: Sequence[Landmarks], scores, source) -> bytes:
    if len(faces) != 1 or faces[0].scheme != "ibug68":
        points = " and ".join(str(len(face.xy)) for face in faces) or "no"
        raise ValueError(f"{len(faces)} faces with {points} points; a .pts takes one face of 68 points")
    rows = "\n".join(f"{x:.6f} {y:.6f}" for x, y in np.asarray(faces[0].xy, np.float64) + _PTS_ORIGIN)
    return f"version: 1\nn_points:  68\n{{\n{rows}\n}}\n".encode()


def _read_npy(content: bytes) -> list[Landmarks]:
    if not content.startswith(b"\x93NUMPY"):
        raise ValueError("not a NumPy array")
    return _faces(np.load(BytesIO(content), allow_pickle=False))


def _write_npy(faces: Sequence[Landmarks], scores, source) -> bytes:
    fields = _stacked(faces)
    points = fields.get("xyz", fields["xy"])
    if "weight" in fields or not np.array_equal(points[..., :2], fields["xy"]):
        raise ValueError("weights, or 2D points apart from the 3D ones; a .npy takes one array, .npz and .json all")
    content = BytesIO()
    np.save(content, points[0] if len(points) == 1 else points)
    return content.getvalue()


def _read_npz(content: bytes) -> list[Landmarks]:
    if not zipfile.is_zipfile(BytesIO(content)):
        raise ValueError("not a .npz of NumPy arrays")
    with np.load(BytesIO(content), allow_pickle=False) as stored:
        names = stored.files
        if "xy" not in names:
            if len(names) != 1:
                raise ValueError(f"the fields {', '.join(names) or 'none'}; takes xy, and xyz and weight, or one array")
            return _faces(stored[names[0]])
        others = [stored[name] if name in names else None for name in ("xyz", "weight", "detector")]
        xy = stored["xy"]
    if xy.ndim == 2:
        return [_face(xy, *others)]
    fields = [xy, *others]
    lengths = {len(field) for field in fields if field is not None and field.ndim}
    if len(lengths) != 1:
        raise ValueError("fields for different numbers of faces; takes the faces in front of each")
    missing = [None] * lengths.pop()
    return _each(_face, zip(*(missing if field is None else field for field in fields), strict=True))


def _write_npz(faces: Sequence[Landmarks], scores, source) -> bytes:
    fields: dict[str, Any] = _stacked(faces) | {"box": np.array([box(face) for face in faces])}
    if any(face.detector for face in faces):
        fields["detector"] = np.array([face.detector or "" for face in faces])
    if scores is not None:
        fields["score"] = np.array(scores)
    fields |= {name: np.array(said) for name, said in source.items()}
    content = BytesIO()
    np.savez_compressed(content, **fields)
    return content.getvalue()


def _read_json(content: bytes) -> list[Landmarks]:
    try:
        held = json.loads(content)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(held, dict):
        return _faces(_array(held))
    if not isinstance(held.get("faces"), list) or not all(isinstance(face, dict) for face in held["faces"]):
        raise ValueError(f"the fields {', '.join(held) or 'none'}; takes a list of objects named faces, or an array")
    return _each(_of_fields, ([face] for face in held["faces"]))


def _of_fields(face: dict[str, Any]) -> Landmarks:
    if "xy" not in face:
        raise ValueError(f"{', '.join(face) or 'nothing'}; takes xy, and xyz and weight")
    xyz, weight = (None if face.get(name) is None else _array(face[name]) for name in ("xyz", "weight"))
    return _face(_array(face["xy"]), xyz, weight, face.get("detector"))


def _write_json(faces: Sequence[Landmarks], scores, source) -> bytes:
    told = []
    for index, face in enumerate(faces):
        one: dict[str, Any] = {"scheme": face.scheme} | ({"detector": face.detector} if face.detector else {})
        one |= {"box": box(face)} | ({} if scores is None else {"score": float(scores[index])})
        one |= {name: _digits(value) for name, value in _fields(face).items()}
        told.append(one)
    return (json.dumps(source | {"faces": told}, indent=1) + "\n").encode()


def _fields(face: Landmarks) -> dict[str, np.ndarray]:
    """What is written of a face: no 3D points where they are the 2D ones, no weights where all are alike."""
    known = not np.array_equal(face.xyz, flat(np.asarray(face.xy)).xyz)
    fields = {"xy": face.xy, "xyz": face.xyz if known else None, "weight": face.weight}
    return {name: np.asarray(value) for name, value in fields.items() if value is not None}


def _stacked(faces: Sequence[Landmarks]) -> dict[str, np.ndarray]:
    fields = [_fields(face) for face in faces]
    if len({(face.scheme, *field) for face, field in zip(faces, fields, strict=True)}) != 1:
        raise ValueError("no faces, or faces of different kinds; arrays take faces alike, a .json any")
    return {name: np.stack([field[name] for field in fields]) for name in fields[0]}


def _faces(points: np.ndarray) -> list[Landmarks]:
    """The faces of an array ([faces,] L, 2 or 3)."""
    if points.ndim not in (2, 3):
        raise ValueError(f"an array of shape {points.shape}; {_TAKEN}")
    several = points if points.ndim == 3 else points[None]
    return _each(_face, ((one[:, :2], one if one.shape[1] == 3 else None, None) for one in several))


def _each(read: Callable[..., Landmarks], faces: Iterable[Iterable]) -> list[Landmarks]:
    """The faces that ``read`` makes of its arguments; its errors tell what a face has, and are told of which."""
    made: list[Landmarks] = []
    for arguments in faces:
        try:
            made.append(read(*arguments))
        except ValueError as error:
            raise ValueError(f"face {len(made) + 1} has {error}") from None
    return made


def _face(xy: np.ndarray, xyz: np.ndarray | None, weight: np.ndarray | None, detector=None) -> Landmarks:
    _require(xy, xyz, weight)
    if detector is not None and (np.ndim(detector) or np.asarray(detector).dtype.kind != "U"):
        raise ValueError(f"detector {detector!r}; takes a detector's name")
    named = None if detector is None else str(detector) or None
    floating = lambda values: values.astype(np.result_type(values, np.float32))
    xy, (xyz, weight) = floating(xy), (None if field is None else floating(field) for field in (xyz, weight))
    scheme = SCHEMES[len(xy)]
    return flat(xy, weight, scheme, named) if xyz is None else Landmarks(xy, xyz, weight, scheme, named)


def _require(xy: np.ndarray, xyz: np.ndarray | None, weight: np.ndarray | None) -> None:
    """Raise unless these are the finite numbers of one face, of which some point counts and none below 0."""
    count = len(xy) if xy.ndim == 2 else 0
    points = {"xy": (xy, (count, 2)), "xyz": (xyz, (count, 3)), "weight": (weight, (count,))}
    for name, (value, shape) in points.items():
        if value is None:
            continue
        if value.dtype.kind not in "fiu":
            raise ValueError(f"{name} of {value.dtype}; takes numbers")
        if count not in SCHEMES or value.shape != shape:
            raise ValueError(f"{name} of shape {value.shape}; {_TAKEN}")
        if not np.isfinite(value).all():
            raise ValueError(f"{name} with a number that is not finite")
    if weight is not None and (weight.min() < 0 or not weight.any()):
        what = "a number below 0" if weight.min() < 0 else "0 for every point"
        raise ValueError(f"weight with {what}; takes numbers of 0 and more, and more than 0 for some")


def _array(lists) -> np.ndarray:
    try:
        return np.array(lists)
    except ValueError:  # NumPy's own words are about its inside
        raise ValueError(f"lists of different lengths; {_TAKEN}") from None


def _digits(values: np.ndarray | np.floating) -> list | float:
    """Lists of an array's numbers, with the digits of their precision."""
    return [_digits(value) for value in values] if isinstance(values, np.ndarray) else float(str(values))


_FORMATS: dict[str, tuple[Callable, Callable]] = {
    ".pts": (_read_pts, _write_pts),
    ".json": (_read_json, _write_json),
    ".npz": (_read_npz, _write_npz),
    ".npy": (_read_npy, _write_npy),
}
SUFFIXES = tuple(_FORMATS)
"""How the names of landmark files end."""


def _format(path: Path) -> tuple[Callable, Callable]:
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"a name that ends in {path.suffix or 'nothing'}; takes {', '.join(SUFFIXES)}")
    return _FORMATS[path.suffix.lower()]
