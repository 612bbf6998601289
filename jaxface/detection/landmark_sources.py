"""Which photograph a landmark file is of: one that ``jaxface detect`` wrote says it, by the SHA-256 of its file."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxface.detection.landmark_files import SUFFIXES
from jaxface.detection.reading import readable_name


def origin(photograph: Path) -> dict[str, str]:
    """What is written of a photograph beside what was found in it: ``source``, its name, for people, and ``sha256``,
    which tells it from others."""
    return {"source": readable_name(photograph), "sha256": _sha256(photograph)}


def file_of(photograph: Path, files: Sequence[Path]) -> Path:
    """Which of landmark files is of a photograph: the first; if it is missing or of another one, the next that is.

    A file that says nothing of its photograph is taken where it is the first.

    Raises:
      ValueError: the first is missing or of another photograph, and none is of this one.
    """
    said = _said(files[0])
    if said is not None or not files[0].is_file():
        this = _sha256(photograph)
        for file in files:
            if _said(file) == this:
                return file
    if said is not None:
        raise ValueError(
            f"landmarks {files[0]}: of another photograph, or of this one before it was changed; "
            "without its field sha256 the file is taken as it is"
        )
    if not files[0].is_file():
        raise ValueError(f"landmarks {files[0].with_suffix('')}: no such file that ends in {', '.join(SUFFIXES)}")
    return files[0]


def _sha256(photograph: Path) -> str:
    with photograph.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _said(path: Path) -> str | None:
    """The ``sha256`` in a landmark file, or None where there is none, as in a file that cannot be read."""
    try:
        if path.suffix.lower() == ".json":
            said = json.loads(path.read_bytes()).get("sha256")
            return None if said is None else str(said)
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                return str(stored["sha256"])
    except Exception:  # a decoder that meets broken bytes may raise anything
        pass
    return None
