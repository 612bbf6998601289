"""Files that appear whole or not at all."""

import os
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


def require_kept(source: Path, files: Iterable[Path]) -> None:
    """Raise a ``ValueError`` if writing one of these files would replace the one that they are made from."""
    if any(file.exists() and file.samefile(source) for file in files):
        raise ValueError(f"{source}: its results would replace it; give another folder for them")


def png(picture: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 as the content of a PNG file."""
    from PIL import Image

    content = BytesIO()
    Image.fromarray(picture).save(content, format="png")
    return content.getvalue()
