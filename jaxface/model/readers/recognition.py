"""Which reader a file is for, by what is in it; its name and extension say nothing."""

from pathlib import Path

import numpy as np

from jaxface.model.morphable import MorphableModel
from jaxface.model.readers import basel2009, basel2017, flame, ict, own, surrey
from jaxface.model.readers.checks import ModelFileError
from jaxface.model.readers.npz import names

_PICKLED = (b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5", b"(d", b"}")
"""How a pickled dictionary begins: protocols 2 to 5, 0, 1."""


@np.errstate(over="ignore", invalid="ignore")  # what is not finite then, is refused at the end
def read_model(path: Path) -> MorphableModel:
    """A face model in any format that jaxface reads (docs/models.md).

    Raises:
      ModelFileError: a ``ValueError``: the file is of no known format, damaged, or holds what a model cannot have.
    """
    if path.is_dir():
        return ict.read_folder(_ict_folder(path))
    if path.exists() and not path.is_file():
        raise ModelFileError(path, "not a file")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise ModelFileError(path, error.strerror or str(error)) from None
    if head.startswith(b"PK"):
        return _archive(path)
    if head.startswith(b"MATLAB"):
        return basel2009.read(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return basel2017.read(path)
    if head.startswith(_PICKLED):
        return flame.read(path, pickled=True)
    if surrey.looks_like(head):
        return surrey.read(path)
    raise ModelFileError(
        path, f"not a jaxface .npz nor a file of Basel, FLAME, ICT or Surrey: it begins with {head[:8]!r}"
    )


def _archive(path: Path) -> MorphableModel:
    """An ``.npz``: ICT's and FLAME's have fields of their own, and what is left is taken for jaxface's."""
    fields = names(path)
    if "v_template" in fields:
        return flame.read(path, pickled=False)
    if "neutral" in fields:
        return ict.read(path)
    return own.read(path)


def _ict_folder(path: Path) -> Path:
    for folder in (path, path / "FaceXModel"):
        if (folder / ict.NEUTRAL).is_file():
            return folder
    raise ModelFileError(path, f"a folder without {ict.NEUTRAL}; takes a file, or ICT-FaceKit's folder")
