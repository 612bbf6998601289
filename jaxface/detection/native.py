"""Native libraries: whether they are there, and silence for them, which log to the process's stderr past Python's."""

import os
import sys
from contextlib import contextmanager


@contextmanager
def native_logs_dropped():
    """What is written to the process's stderr within goes nowhere; Python's own is there again afterwards."""
    if sys.stderr is not None:  # as it is where stderr is closed
        sys.stderr.flush()
    kept = _copy_of_stderr()
    if kept is None:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _copy_of_stderr() -> int | None:
    """A descriptor of the process's stderr, or None where it is closed."""
    try:
        return os.dup(2)
    except OSError:
        return None


def require_opencv() -> None:
    """Raise a ``ValueError`` that says what to install where OpenCV lacks libraries of the system."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"the detector mediapipe needs OpenCV, which cannot be loaded here ({error}); "
            "on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
        ) from None
