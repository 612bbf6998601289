"""What a fit found, as files: ``fit.npz`` for programs, ``fit.json`` for people and programs."""

import json
import platform
import zipfile
from collections.abc import Sequence
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxface.export.files import atomic_write
from jaxface.model.morphable import MorphableModel
from jaxface.rendering.posed import require_one_face
from jaxface.types import PAPER, FitResult, Landmarks, Pose, Scheme, Status

PACKAGES = ("jaxface", "jax", "jaxlib", "jaxopt", "jaxlie", "ai-edge-litert", "numpy")
"""Whose versions a record keeps."""
_RESULT = ("identity", "expression", "depth_offset", "weight_2d", "weight_3d", "cost", "iterations", "status")
_POSE = ("scale", "rotation", "translation")


def write_npz(path: str | Path, result: FitResult, landmarks: Landmarks) -> None:
    """Write a fit, or a batch of fits, and the landmarks it started from; ``read_npz`` reads them back exactly.

    ``numpy.load`` opens the file without pickle. Its arrays, each with the batch axes *b in front: ``identity`` (Na,),
    ``expression`` (Nb,), ``scale`` (), ``rotation`` (3, 3), ``translation`` (2,), ``depth_offset`` (3,),
    ``weight_2d`` (), ``weight_3d`` (), ``cost`` (), ``iterations`` (), ``status`` (), ``landmark_weight`` (L,), absent
    if all counted alike, ``landmarks_xy`` (L, 2), ``landmarks_xyz`` (L, 3), ``landmarks_weight`` (L,), absent if all
    are believed alike; and the strings ``variant``, ``landmarks_scheme`` and ``landmarks_detector``, absent if it is
    not known. Units and frames are those of ``FitResult``, ``Pose`` and ``Landmarks``.

    Raises:
      ValueError: the folder does not exist.
      OSError: the file cannot be written.
    """
    arrays = {name: getattr(result, name) for name in _RESULT}
    arrays |= {name: getattr(result.pose, name) for name in _POSE}
    arrays |= {"landmarks_xy": landmarks.xy, "landmarks_xyz": landmarks.xyz, "landmarks_scheme": landmarks.scheme}
    some = {"landmark_weight": result.landmark_weight, "landmarks_weight": landmarks.weight}
    some |= {"variant": result.variant, "landmarks_detector": landmarks.detector}
    arrays |= {name: value for name, value in some.items() if value is not None}
    content, stored = BytesIO(), cast(dict[str, Any], {name: np.asarray(value) for name, value in arrays.items()})
    np.savez_compressed(content, **stored)
    atomic_write(path, content.getvalue())


def read_npz(path: str | Path) -> tuple[FitResult, Landmarks]:
    """Read a fit and its landmarks from a file that ``write_npz`` wrote.

    Raises:
      ValueError: the file is missing, or a field of it is; the message names both.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            data = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise ValueError(f"fit {path}: no such file") from None
    except (OSError, ValueError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"fit {path}: not a fit.npz ({error})") from None
    try:
        pose = Pose(**{name: jnp.asarray(data[name]) for name in _POSE})
        fields = {name: jnp.asarray(data[name]) for name in _RESULT}
        weight, variant = _weight(data, "landmark_weight"), str(data.get("variant", PAPER))
        result = FitResult(pose=pose, **fields, landmark_weight=weight, variant=variant)
        landmarks = Landmarks(
            xy=jnp.asarray(data["landmarks_xy"]),
            xyz=jnp.asarray(data["landmarks_xyz"]),
            weight=_weight(data, "landmarks_weight"),
            scheme=cast(Scheme, str(data["landmarks_scheme"])),
            detector=str(data["landmarks_detector"]) if "landmarks_detector" in data else None,
        )
    except KeyError as error:
        raise ValueError(f"fit {path}: the field {error} is missing") from None
    return result, landmarks


def _weight(data: dict[str, np.ndarray], name: str) -> Array | None:
    return jnp.asarray(data[name]) if name in data else None


def write_json(
    path: str | Path,
    model: MorphableModel,
    result: FitResult,
    *,
    options: dict,
    source: str | None = None,
    sha256: str | None = None,
    face: int = 0,
    box: Sequence[float] | None = None,
    detector: str | None = None,
) -> None:
    """Write one fit as JSON; a number that is not finite becomes ``null``.

    Args:
      options: what the fit was called with, as plain JSON values.
      source: the photograph's file name.
      sha256: of that file.
      face: which face of the photograph this is, from 0.
      box: left, top, right, bottom of the face in pixels.
      detector: who found its landmarks.

    Raises:
      ValueError: ``result`` is a batch, or the folder does not exist.
      OSError: the file cannot be written.
    """
    require_one_face(result)
    status = Status(int(result.status))
    pitch, yaw, roll = np.asarray(result.pose.euler_deg)
    expression = np.asarray(result.expression)
    named = len(model.expression_names) == len(expression)
    record = {
        "source": source,
        "sha256": sha256,
        "face": face,
        "box": box,
        "detector": detector,
        "status": {"name": status.name, "sentence": status.sentence, "fitted": status.fitted},
        "pose": {
            "pitch_deg": pitch,
            "yaw_deg": yaw,
            "roll_deg": roll,
            "scale_px_per_mm": result.pose.scale,
            "translation_px": result.pose.translation,
            "rotation": result.pose.rotation,
        },
        "identity": result.identity,
        "expression": dict(zip(model.expression_names, expression, strict=True)) if named else expression,
        "depth_offset_px": result.depth_offset,
        "weight_2d": result.weight_2d,
        "weight_3d": result.weight_3d,
        "landmark_weight": result.landmark_weight,
        "cost": result.cost,
        "iterations": result.iterations,
        "model": {"name": model.name, "licence": model.licence},
        "options": options,
        "versions": versions(),
    }
    atomic_write(path, json_file(plain(record)))


def versions() -> dict[str, str | None]:
    """The versions of Python and of the packages that decide a fit; ``None`` for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def json_file(record: dict) -> bytes:
    """The content of a JSON file; raises a ``ValueError`` for a number that is not finite, which JSON has not."""
    return (json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def plain(value):
    """JSON's own types: arrays as lists, floats with the digits of their precision, ``None`` if not finite."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    array = np.asarray(value)
    if array.ndim:
        return [plain(item) for item in array]
    if array.dtype.kind == "f":
        return float(str(array[()])) if np.isfinite(array) else None
    return array.item()
