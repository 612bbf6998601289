"""Which images a run is over: a folder's, a pattern's, or a list's, and that list kept for a run that goes on."""

import glob
import os
import warnings
from codecs import BOM_UTF8
from pathlib import Path

from jaxface.export.files import atomic_write


def find_images(images: str) -> list[str]:
    """The absolute paths of the images that a folder, a pattern or a list names, each once.

    Args:
      images: a folder, whose images are those files, at any depth, whose endings Pillow reads; a pattern with ``*``,
        ``**``, ``?`` or ``[]``; or a text file with a path a line (or ended by NUL, as ``find -print0`` gives),
        relative to the working directory. A folder's and a pattern's are sorted; a list keeps its order.

    Raises:
      ValueError: there are none.
      OSError: a folder cannot be read.
    """
    path = Path(images)
    if path.is_dir():
        found = sorted(_inside(path))
        missing = f"no image in the folder {images}"
    elif path.is_file():
        takes = f"{images}: takes a folder, or a text file with a path in each line"
        if _is_image(path):
            raise ValueError(f"{takes}; this is an image")
        found = read_list(path)
        missing = f"no line in the list {images}"
        if found and not any(map(os.path.isfile, found)):
            raise ValueError(f"{takes}; no line is a file's")
    elif glob.has_magic(images):
        found = sorted(_matching(path))
        missing = f"no file matches {images}"
    else:
        raise ValueError(f"{images}: no such folder or list of images")
    if not found:
        raise ValueError(missing)
    return list(dict.fromkeys(map(os.path.abspath, found)))


def _matching(pattern: Path):
    """The files that a pattern matches, as ``glob.glob`` does, but that ``**`` follows no link: one may lead round in a
    circle."""
    pattern = pattern / "*" if pattern.name == "**" else pattern
    inside = pattern.relative_to(pattern.anchor)
    shown = lambda path: not any(part.startswith(".") and part != ".." for part in path.parts)
    for path in Path(pattern.anchor).glob(str(inside)):
        if path.is_file() and (shown(path) or not shown(inside)):
            yield str(path)


def _is_image(path: Path) -> bool:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of a large one
            with Image.open(path):
                return True
    except Image.DecompressionBombError:
        return True
    except Exception:  # Pillow's readers may raise anything; what is wrong with a list is said where it is read
        return False


def _inside(folder: Path):
    from PIL import Image

    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}

    def refuse(error: OSError):
        raise error

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield from (os.path.join(parent, name) for name in names if os.path.splitext(name)[1].lower() in endings)


def read_list(path: Path) -> list[str]:
    """The paths of a list: those that NUL ends if there is one, otherwise the lines that are not empty; a mark of UTF-8
    before them is none of the first."""
    content = path.read_bytes().removeprefix(BOM_UTF8)
    names = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(name) for name in names if name.strip()]


def write_list(path: Path, sources: list[str]) -> None:
    """Write a list whose every path, whatever its letters, ``read_list`` reads back."""
    atomic_write(path, b"".join(os.fsencode(source) + b"\0" for source in sources))
