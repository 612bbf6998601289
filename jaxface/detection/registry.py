"""Detectors, one a file, chosen by name.

A package of one's own adds a detector with an entry point::

    [project.entry-points."jaxface.detectors"]
    mine = "my_package.my_module:MyDetector"
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

import numpy as np

from jaxface.types import Landmarks, Scheme

GROUP = "jaxface.detectors"
NAMES = {
    "mediapipe": "jaxface.detection.mediapipe:MediaPipe",
    "mediapipe-averaged": "jaxface.detection.mediapipe:AveragedMediaPipe",
    "dlib": "jaxface.detection.dlib:Dlib",
    "dlib+mediapipe": "jaxface.detection.dlib:DlibOnMediaPipe",
    "fan": "jaxface.detection.fan:Fan",
}
"""The detectors of this package."""


@runtime_checkable
class Detector(Protocol):
    """Finds the faces of photographs, one photograph after another."""

    def __init__(self, scheme: Scheme) -> None:
        """Make ready to give points of this scheme; raise a ``ValueError`` where that cannot be."""

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        """The faces of an (H, W, 3) uint8 RGB image, from left to right, in the frames that ``Landmarks`` states."""
        ...

    def close(self) -> None:
        """Let go of what is held; nothing is detected afterwards."""


@runtime_checkable
class Follower(Protocol):
    """A detector that finds a face of a video's last frame again in less time than a search takes."""

    def follow(self, image: np.ndarray, face: Landmarks) -> Landmarks | None:
        """What has become of ``face`` in the next frame, (H, W, 3) uint8 RGB; None if it is not seen around there."""
        ...


@contextmanager
def opened(name: str, scheme: Scheme = "ibug68") -> Iterator[Detector]:
    """The detector of this name, closed at the end.

    Raises:
      ValueError: there is none of this name, it does not give this scheme, or a package or file that it needs is
        missing; the message says which and where it comes from.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    known |= {ours: EntryPoint(ours, path, GROUP) for ours, path in NAMES.items()}
    if name not in tuple(known):
        raise ValueError(f"detector={name!r}: takes one of {', '.join(known)}")
    made = known[name].load()(scheme)
    try:
        yield made
    finally:
        made.close()


def require_68(name: str, scheme: Scheme) -> None:
    """Raise unless the 68 points are asked for, for detectors that give no others."""
    if scheme != "ibug68":
        raise ValueError(f"scheme={scheme!r}: the detector {name} gives ibug68")
