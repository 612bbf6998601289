"""``jaxface.detect``: the faces of one photograph."""

from pathlib import Path

import numpy as np

from jaxface.detection.mediapipe import find_faces, landmarker
from jaxface.detection.reading import read_image, require_photograph
from jaxface.types import POINTS, Landmarks, Scheme


def detect(image: np.ndarray | str | Path, scheme: Scheme = "ibug68") -> list[Landmarks]:
    """Find every face in a photograph.

    Args:
      image: an (H, W, 3) uint8 RGB array, or the path of an image file (turned upright by its EXIF orientation).
      scheme: ``"ibug68"`` or ``"mediapipe478"``.

    Returns:
      One ``Landmarks`` a face, from left to right; none where no face is found.

    Raises:
      ValueError: the array or the scheme is not of this kind, or the file cannot be read.
    """
    if scheme not in POINTS:
        raise ValueError(f"scheme={scheme!r}: takes one of {', '.join(POINTS)}")
    if isinstance(image, (str, Path)):
        image = read_image(image)
    image = require_photograph(image)
    with landmarker() as opened:
        return find_faces(opened, image, scheme)
