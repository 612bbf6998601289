"""Files that appear whole or not at all."""

import os
import re
import uuid
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np


def atomic_write(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, then rename it into place.

    Raises:
      ValueError: the folder does not exist.
      OSError: the file cannot be written; what was there before is still there.
    """
    atomic_write_all({Path(path): content})


def atomic_write_all(files: dict[Path, bytes]) -> None:
    """Write files that belong together, renamed into place in the order given once all of them are written.

    Raises:
      ValueError: a folder does not exist.
      OSError: a file cannot be written; of those that were, none is left.
    """
    for path in files:
        if not path.parent.is_dir():
            raise ValueError(f"path: got {str(path)!r}, takes a file in a folder that exists; {path.parent} does not")
    temporary = {path: path.with_name(f".{uuid.uuid4().hex}.tmp") for path in files}
    placed = []
    try:
        for path, content in files.items():
            temporary[path].write_bytes(content)
        for path in files:
            os.replace(temporary[path], path)
            placed.append(path)
    except BaseException:
        for path in (*temporary.values(), *placed):
            path.unlink(missing_ok=True)
        raise


def left_behind(folder: Path) -> list[Path]:
    """The temporary files in a folder of writing that was killed."""
    named = (path for path in folder.glob(".*.tmp") if re.fullmatch(r"\.[0-9a-f]{32}\.tmp", path.name))
    return [path for path in named if path.is_file() and not path.is_symlink()]


class Inputs:
    """The files that a command was given, whatever they are called: no result may replace one of them."""

    def __init__(self, files: Iterable[Path | None]):
        self._files = {key: file for file in files if file is not None and (key := _key(file)) is not None}

    def require_kept(self, source: Path, results: Iterable[Path]) -> None:
        """Raise a ``ValueError`` if writing one of the results of ``source`` would replace one of these files."""
        for result in results:
            key = _key(result)
            if key in self._files:
                replaced = "it" if key == _key(source) else self._files[key]
                raise ValueError(f"{source}: its results would replace {replaced}; give another folder for them")


def _key(file: Path) -> tuple[int, int] | None:
    """What tells a file from every other; None where there is none."""
    try:
        found = file.stat()
    except (OSError, ValueError):  # a name that no file can have
        return None
    return found.st_dev, found.st_ino


def png(picture: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 as the content of a PNG file."""
    from PIL import Image

    content = BytesIO()
    Image.fromarray(picture).save(content, format="png")
    return content.getvalue()
