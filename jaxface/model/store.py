"""Face models from files: the embedded default, and jaxface's own .npz format."""

import zipfile
from importlib.resources import as_file, files
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxface.model.morphable import Embedding, MorphableModel
from jaxface.types import POINTS


def load_model(source: str | Path | None = None) -> MorphableModel:
    """A face model: the embedded one by default, or a jaxface ``.npz`` file.

    Raises:
      ValueError: the file is missing, or a field of it is; the message names both.
    """
    if source is not None:
        return _read(Path(source))
    with as_file(files("jaxface.assets").joinpath("face_model.npz")) as path:
        return _read(path)


def save_model(path: str | Path, model: MorphableModel) -> None:
    """Write a model as jaxface's ``.npz``: the fields of ``MorphableModel``, bases as float16, embeddings as
    ``landmarks/<scheme>/triangle`` and ``landmarks/<scheme>/barycentric``."""
    arrays = {
        "mean": np.asarray(model.mean, np.float32),
        "identity": np.asarray(model.identity, np.float16),
        "expression": np.asarray(model.expression, np.float16),
        "triangles": np.asarray(model.triangles, np.int32),
        "name": np.array(model.name),
        "licence": np.array(model.licence),
        "expression_names": np.array(model.expression_names, dtype=np.str_),
    }
    for scheme, embedding in model.landmarks.items():
        arrays[f"landmarks/{scheme}/triangle"] = np.asarray(embedding.triangle, np.int32)
        arrays[f"landmarks/{scheme}/barycentric"] = np.asarray(embedding.barycentric, np.float32)
    for field, dtype in _OPTIONAL.items():
        if (value := getattr(model, field)) is not None:
            arrays[field] = np.asarray(value, dtype)
    np.savez_compressed(path, **arrays)


_OPTIONAL = {"uv": np.float32, "uv_vertices": np.int32, "uv_triangles": np.int32, "symmetry": np.int32}


def _read(path: Path) -> MorphableModel:
    if not path.is_file():
        raise ValueError(f"face model {path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as stored:
            data = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"face model {path}: not a jaxface .npz ({error})") from None
    try:
        return MorphableModel(
            mean=jnp.asarray(data["mean"], jnp.float32),
            identity=jnp.asarray(data["identity"], jnp.float32),
            expression=jnp.asarray(data["expression"], jnp.float32),
            triangles=jnp.asarray(data["triangles"]),
            landmarks={
                scheme: Embedding(
                    jnp.asarray(data[f"landmarks/{scheme}/triangle"]),
                    jnp.asarray(data[f"landmarks/{scheme}/barycentric"]),
                )
                for scheme in POINTS
                if f"landmarks/{scheme}/triangle" in data
            },
            name=str(data["name"]),
            licence=str(data["licence"]),
            expression_names=tuple(str(name) for name in data["expression_names"]),
            **{field: jnp.asarray(data[field]) for field in _OPTIONAL if field in data},
        )
    except KeyError as error:
        raise ValueError(f"face model {path}: the field {error} is missing") from None
