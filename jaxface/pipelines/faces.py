"""Which faces of a photograph are taken, and where their points come from: a detector, or a landmark file."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from jaxface.detection.faces import has_depth, lies_in, size, with_depth
from jaxface.detection.landmark_files import read_landmarks
from jaxface.detection.registry import Detector, opened
from jaxface.detection.scores import scorer
from jaxface.types import Landmarks

Which = Literal["all", "largest"]

NO_FACE = "no face was found"
"""The sentence for an image that shows none."""
UNLIKELY = "no face that was found is as likely one as is asked for"
"""That for an image whose faces have too low a score."""


@dataclass(frozen=True)
class Finder:
    """An open detector, and which of the faces it finds are taken.

    ``score`` tells how likely a face in an image is one, from 0 to 1, and faces of less than ``least`` are left out.
    """

    detector: Detector
    score: Callable[[np.ndarray, Landmarks], float]
    which: Which
    least: float

    def find(self, image: np.ndarray, file: Path | None = None, depth: bool = True) -> list[Landmarks]:
        """The faces of an image, as ``find_scored`` finds them."""
        return [face for face, _ in self.find_scored(image, file, depth)]

    def find_scored(
        self, image: np.ndarray, file: Path | None = None, depth: bool = True, score: bool = False
    ) -> list[tuple[Landmarks, float | None]]:
        """The faces of an (H, W, 3) uint8 RGB image, and how likely each is one: None where nothing asks for it.

        Args:
          file: a landmark file to take the faces from. Where it holds 2D points only, the detector gives the 3D ones.
          depth: whether 3D points are needed.
          score: whether the likelihoods are asked for though none is the least.

        Raises:
          ValueError: there is no face, the file cannot be read or is of another image, or 3D points are needed and
            nothing gives them.
        """
        if file is None:
            faces = self.detector.detect(image)
        else:
            faces = read_landmarks(file)
            if not faces:
                raise ValueError(f"landmarks {file}: there is no face in it")
            _require_in(image, faces, file)
        scores = [self.score(image, face) if score or self.least > 0 else None for face in faces]
        taken = [index for index, likely in enumerate(scores) if likely is None or likely >= self.least]
        if not taken:
            raise ValueError(UNLIKELY if faces else NO_FACE)
        if self.which == "largest":
            taken = [max(taken, key=lambda index: size(faces[index]))]
        if depth:
            if file is not None:
                self._complete(faces, taken, image)
            require_depth([faces[index] for index in taken])
        return [(faces[index], scores[index]) for index in taken]

    def _complete(self, faces: list[Landmarks], taken: list[int], image: np.ndarray) -> None:
        """Let the detector give those of the faces their 3D points that are taken and have none."""
        flat = [index for index in taken if not has_depth(faces[index])]
        detected = self.detector.detect(image) if flat else []
        for index in flat:
            try:
                faces[index] = with_depth(faces[index], detected)
            except ValueError as error:
                raise ValueError(f"of face {index + 1} {error}") from None


def require_depth(faces: Iterable[Landmarks]) -> None:
    """Raise a ``ValueError`` if there are only 2D points of a face."""
    if not all(map(has_depth, faces)):
        raise ValueError(
            "the detector gives 2D points only; the variant 2d fits these, and dlib+mediapipe adds 3D points"
        )


def _require_in(image: np.ndarray, faces: list[Landmarks], file: Path) -> None:
    for index, face in enumerate(faces):
        if not lies_in(face, image):
            height, width = image.shape[:2]
            raise ValueError(
                f"landmarks {file}: face {index + 1} is not in this photograph of {width} x {height} pixels; "
                "its points are of another one, or of another size of it"
            )


@contextmanager
def finder(detector: str = "mediapipe", which: Which = "all", least: float = 0.0) -> Iterator[Finder]:
    """A ``Finder`` with the detector of this name, closed at the end; raises as ``registry.opened`` does."""
    with opened(detector) as made:
        yield Finder(made, scorer(), which, least)
