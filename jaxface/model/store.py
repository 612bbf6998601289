"""Face models by path or by name: the embedded default, files of every known format, and the user's own collection."""

import uuid
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from jaxface.model.morphable import MorphableModel
from jaxface.model.readers import ModelFileError, read_model


def load_model(source: str | Path | None = None) -> MorphableModel:
    """A face model.

    Args:
      source: None, the embedded one; a file in any format of docs/models.md, told by its content, or ICT-FaceKit's
        folder; or the name of a model in ``models_folder()``, where ``convert_model(path, "name")`` puts them.

    A file that names points of the face but has not the 68 (Basel 2017 and 2019) gets its landmarks by registration
    with MediaPipe's canonical face. That takes some seconds at each load; ``convert_model`` does it once.

    Raises:
      ValueError: there is no such file or name, or a field of the file is missing, damaged or out of range; the message
        names both.
    """
    if source is None:
        with as_file(files("jaxface.assets").joinpath("face_model.npz")) as path:
            return read_model(path)
    path = Path(source)
    if path.exists():
        model = read_model(path)
        return _with_all_landmarks(model) if model.landmarks and "ibug68" not in model.landmarks else model
    if not _is_name(source):
        raise ModelFileError(path, "no such file")
    registered = _registered(str(source))
    if not registered.is_file():
        known = ", ".join(registered_models()) or "none (jaxface model convert FILE NAME registers one)"
        raise ModelFileError(source, f"no such file, and no registered model; registered are: {known}")
    return read_model(registered)


def source_file(source: str | Path | None) -> Path | None:
    """The file or folder that ``load_model`` reads; None for the embedded model."""
    if source is None:
        return None
    path = Path(source)
    return path if path.exists() or not _is_name(source) else _registered(str(source))


def save_model(path: str | Path, model: MorphableModel) -> None:
    """Write a model as jaxface's ``.npz``, which ``jaxface.model.readers.own`` describes.

    Raises:
      ValueError: a component moves a vertex farther than the file's half precision holds, a vertex of the mean is not
        finite, or names are not as many as expressions.
    """
    for field in ("identity", "expression"):
        if not (largest := np.abs(getattr(model, field)).max(initial=0)) <= np.finfo(np.float16).max:  # or not a number
            raise ValueError(f"model.{field}: moves a vertex by {largest:.3g}; takes millimetres, at most 65504")
    if not np.isfinite(model.mean).all():
        raise ValueError("model.mean: has vertices that are not finite; takes millimetres")
    if len(model.expression_names) not in (0, count := model.expression.shape[-1]):
        raise ValueError(f"model.expression_names: has {len(model.expression_names)} names; takes {count} or none")
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


def convert_model(source: str | Path, destination: str | Path) -> Path:
    """Read a model in any format and keep it (``keep_model``), with the landmark schemes that it lacks found by
    registration with MediaPipe's canonical face, where it has points to register by. Returns the file.

    Raises:
      ValueError: as ``load_model`` and ``model_file``.
      OSError: the file cannot be written.
    """
    model_file(destination, source)
    model = load_model(source)
    return keep_model(_with_all_landmarks(model) if model.landmarks else model, destination)


def _with_all_landmarks(model: MorphableModel) -> MorphableModel:
    from jaxface.model.canonical import canonical_face
    from jaxface.model.registration import register_landmarks

    return register_landmarks(model, canonical_face())


def keep_model(model: MorphableModel, destination: str | Path) -> Path:
    """Write a model as jaxface's ``.npz``, whole or not at all: to a path, or under a name into ``models_folder()``,
    where ``load_model(name)`` finds it. Returns the file.

    Raises:
      ValueError: as ``model_file``.
      OSError: the file cannot be written.
    """
    path = model_file(destination)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{uuid.uuid4().hex}.npz")
    try:
        save_model(partial, model)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def model_file(destination: str | Path, *sources: str | Path) -> Path:
    """The file that ``keep_model`` writes: the path, or a name's in ``models_folder()``, ending in ``.npz``.

    Raises:
      ValueError: the name is empty, a folder has it, or the file is one of the models that it is made from.
    """
    if not Path(destination).name.strip(" ."):
        raise ValueError(f"{str(destination)!r} is no name; takes a file to write (.npz), or a name to register")
    path = _registered(str(destination)) if _is_name(destination) else Path(destination)
    path = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; takes a file to write (.npz), or a name to register")
    if any(is_source(path, source) for source in sources):
        raise ValueError(f"{path} is a model that is read; takes another file to write (.npz), or a name to register")
    return path


def is_source(path: Path, source: str | Path | None) -> bool:
    """Whether writing a file would replace the one that ``load_model`` reads."""
    read = source_file(source)
    return read is not None and read.exists() and path.exists() and path.samefile(read)


def models_folder() -> Path:
    """Where registered models lie, on this machine and for this user."""
    from platformdirs import user_data_path

    return user_data_path("jaxface") / "models"


def registered_models() -> list[str]:
    """The names that ``load_model`` knows."""
    return sorted(path.stem for path in models_folder().glob("*.npz"))


def _is_name(source: str | Path) -> bool:
    """Whether this is a name and not a path: a string of one part without an extension."""
    return isinstance(source, str) and Path(source).name == source and "\\" not in source and not Path(source).suffix


def _registered(name: str) -> Path:
    return models_folder() / f"{name}.npz"
