"""Native libraries: whether they are there, and silence for them, which log to the process's stderr past Python's."""

import os
import sys
import warnings
from contextlib import ExitStack, contextmanager
from threading import Lock

_LOCK, _INSIDE, _DROPPED = Lock(), [], ExitStack()


@contextmanager
def quiet():
    """What is written to the process's stderr within goes nowhere, nor do Python's warnings; both are there again
    afterwards: where several threads are within, when the last has left."""
    with _LOCK:
        if not _INSIDE:
            _drop()
        _INSIDE.append(True)
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE.pop()
            if not _INSIDE:
                _DROPPED.close()


def _drop() -> None:
    _DROPPED.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    if sys.stderr is not None:  # as it is where stderr is closed
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    _DROPPED.callback(os.close, kept)
    _DROPPED.callback(os.dup2, kept, 2)


def require_opencv() -> None:
    """Raise a ``ValueError`` that says what to install where OpenCV lacks libraries of the system."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"the detector mediapipe needs OpenCV, which cannot be loaded here ({error}); "
            "on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
        ) from None
