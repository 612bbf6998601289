"""What is kept for each open page, in memory and in a folder of its own, and is gone when the page is closed."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from jaxface.app.state import Face, Photograph

KEPT = 8
"""Of each kind of file that is written over and over, the page may still be loading as many."""


@dataclass(eq=False)
class Session:
    """One open page.

    ``uploads`` are the photographs as they came, each with when it was written. ``expression`` holds the coefficients
    that were changed, by their index. ``atlas`` is the texture of the head that is shown.
    """

    folder: Path
    uploads: dict[Path, int] = field(default_factory=dict)
    photograph: Photograph | None = None
    face: Face | None = None
    atlas: np.ndarray | None = None
    expression: dict[int, float] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _written: dict[str, list[Path]] = field(default_factory=dict)

    def show(self, face: Face | None) -> None:
        """Show another face, or none; what was changed on the one before is forgotten."""
        self.face, self.atlas, self.expression = face, None, {}

    def path(self, kind: str, suffix: str = "") -> Path:
        """A new path for a file or folder of this kind; the oldest one of its kind is removed."""
        path = self.folder / f"{kind}-{next(self._numbers)}{suffix}"
        written = self._written.setdefault(kind, [])
        written.append(path)
        if len(written) > KEPT:
            _remove(written.pop(0))
        return path

    def jpeg(self, kind: str, picture: np.ndarray) -> Path:
        """Write a picture (H, W, 3) uint8."""
        path = self.path(kind, ".jpg")
        Image.fromarray(picture).save(path, quality=90)
        return path


class Sessions:
    """The open pages, by the name that each has; their folders lie in ``folder``."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._open: dict[str | None, Session] = {}
        self._lock = threading.Lock()

    def of(self, name: str | None) -> Session:
        """The session of this name, opened if it is new."""
        with self._lock:
            if name not in self._open:
                self._open[name] = Session(Path(tempfile.mkdtemp(dir=self._folder)))
            return self._open[name]

    def upload(self, session: Session, path: Path) -> None:
        """Note a photograph that came for a session, which goes with it.

        A request names the path, and may name any in the folder that all sessions share.

        Raises:
          ValueError: it is not where uploads are, in a folder of its own that is no session's.
        """
        with self._lock:
            folders = {other.folder for other in self._open.values()}
            if path.parent.parent != self._folder or path.parent in folders or not path.is_file():
                raise ValueError(f"{path.name}: is no photograph that was given to this page")
            session.uploads[path] = path.stat().st_mtime_ns

    def close(self, name: str | None) -> None:
        """Forget a session and remove its files and uploads, but those that another one has uploaded too: those are one
        file, which has been written again where it is not noted yet."""
        with self._lock:
            session = self._open.pop(name, None)
            if session is None:
                return
            shared = set().union(*(other.uploads for other in self._open.values()))
        _remove(session.folder)
        for path, written in session.uploads.items():
            if path not in shared and path.is_file() and path.stat().st_mtime_ns == written:
                path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
