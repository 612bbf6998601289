"""``jaxface.detect``: the faces of one photograph."""

from pathlib import Path

import numpy as np

from jaxface.detection.reading import read_image, require_photograph
from jaxface.detection.registry import opened
from jaxface.types import POINTS, Landmarks, Scheme


def detect(image: np.ndarray | str | Path, scheme: Scheme = "ibug68", detector: str = "mediapipe") -> list[Landmarks]:
    """Find every face in a photograph.

    Args:
      image: an (H, W, 3) uint8 RGB array, or the path of an image file (turned upright by its EXIF orientation).
      scheme: ``"ibug68"`` or ``"mediapipe478"``.
      detector: a name of ``jaxface.detection.NAMES``, or one that another package registers.

    Returns:
      One ``Landmarks`` a face, from left to right; none where no face is found.

    Raises:
      ValueError: an argument is not of this kind, the file cannot be read, or the detector lacks what it needs.
    """
    if scheme not in tuple(POINTS):
        raise ValueError(f"scheme={scheme!r}: takes one of {', '.join(POINTS)}")
    if isinstance(image, (str, Path)):
        image = read_image(image)
    image = require_photograph(image)
    with opened(detector, scheme) as made:
        return made.detect(image)
