"""jaxface's own ``.npz``, which ``save_model`` writes: the fields of ``MorphableModel``, bases as float16 (mm),
embeddings as ``landmarks/<scheme>/triangle`` and ``landmarks/<scheme>/barycentric``."""

from pathlib import Path

import jax
import numpy as np

from jaxface.model.morphable import Embedding, MorphableModel
from jaxface.model.readers.checks import bad_field, indices, numbers
from jaxface.model.readers.npz import read_npz
from jaxface.types import POINTS, Scheme

_TEXTS = ("name", "licence", "expression_names")
_FIELDS = ("mean", "identity", "expression", "triangles", *_TEXTS, "uv", "uv_vertices", "uv_triangles", "symmetry")
_LANDMARKS = [f"landmarks/{scheme}/{part}" for scheme in POINTS for part in ("triangle", "barycentric")]


def read(path: Path) -> MorphableModel:
    """A model that ``save_model`` wrote."""
    data = read_npz(path, [*_FIELDS, *_LANDMARKS])
    mean = numbers(path, "mean", data.get("mean"), ("V", 3))
    vertices = len(mean)
    triangles = indices(path, "triangles", data.get("triangles"), ("F", 3), vertices)
    identity = numbers(path, "identity", data.get("identity"), (vertices, 3, "N"))
    expression = numbers(path, "expression", data.get("expression"), (vertices, 3, "N"))
    name, licence, names = (_text(path, field, data.get(field)) for field in _TEXTS)
    if names.size not in (0, expression.shape[-1]):
        raise bad_field(path, "expression_names", f"has {names.size} names", f"{expression.shape[-1]} of them, or none")
    return MorphableModel(
        mean=jax.device_put(mean),
        identity=jax.device_put(identity),
        expression=jax.device_put(expression),
        triangles=jax.device_put(triangles),
        landmarks={
            scheme: _embedding(path, scheme, data, len(triangles))
            for scheme in POINTS
            if f"landmarks/{scheme}/triangle" in data
        },
        name=str(name),
        licence=str(licence),
        expression_names=tuple(str(name) for name in names.ravel()),
        **_atlas(path, data, triangles),
        **_symmetry(path, data, vertices),
    )


def _text(path: Path, name: str, value) -> np.ndarray:
    if value is None or not (value.dtype.kind == "U" or value.size == 0):
        raise bad_field(path, name, "is missing" if value is None else f"has values of type {value.dtype}", "text")
    return value


def _embedding(path: Path, scheme: Scheme, data: dict, faces: int) -> Embedding:
    name, points = f"landmarks/{scheme}", POINTS[scheme]
    triangle = indices(path, f"{name}/triangle", data.get(f"{name}/triangle"), (points,), faces)
    barycentric = numbers(path, f"{name}/barycentric", data.get(f"{name}/barycentric"), (points, 3))
    if not np.allclose(barycentric.sum(axis=1), 1, atol=1e-3):
        raise bad_field(path, f"{name}/barycentric", "has rows of another sum than 1", "barycentric coordinates")
    return Embedding(jax.device_put(triangle), jax.device_put(barycentric))


def _atlas(path: Path, data: dict, triangles: np.ndarray) -> dict:
    if "uv" not in data:
        return {}
    uv = numbers(path, "uv", data["uv"], ("T", 2))
    corners = indices(path, "uv_triangles", data.get("uv_triangles"), triangles.shape, len(uv))
    owners = indices(path, "uv_vertices", data.get("uv_vertices"), (len(uv),), int(triangles.max()) + 1)
    if (owners[corners] != triangles).any():
        raise bad_field(path, "uv_vertices", "disagrees with the triangles", "each texture point's vertex")
    return dict(uv=jax.device_put(uv), uv_vertices=jax.device_put(owners), uv_triangles=jax.device_put(corners))


def _symmetry(path: Path, data: dict, vertices: int) -> dict:
    if "symmetry" not in data:
        return {}
    return dict(symmetry=jax.device_put(indices(path, "symmetry", data["symmetry"], (vertices,), vertices)))
