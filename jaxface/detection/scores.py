"""How sure a face is one, on one scale for every detector: MediaPipe's face detector looks at it once more.

Its landmark network gives no score of its own, and other detectors' scores have other scales.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from zipfile import ZipFile

import numpy as np

from jaxface.detection.native import native_logs_dropped
from jaxface.detection.tiling import cut, square_around
from jaxface.types import Landmarks

_SEEN_IN = 2.5
"""The square that is looked at, in sizes of the face."""

_LOWEST = 0.05
"""The detector does not tell what is less likely than this."""


@contextmanager
def scorer() -> Iterator[Callable[[np.ndarray, Landmarks], float]]:
    """A function of an (H, W, 3) uint8 RGB image and a face in it: the likelihood, 0 to 1, that it is a face."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    with files("jaxface.assets").joinpath("face_landmarker.task").open("rb") as bundle, ZipFile(bundle) as opened:
        network = opened.read("face_detector.tflite")
    options = vision.FaceDetectorOptions(
        base_options=BaseOptions(model_asset_buffer=network), min_detection_confidence=_LOWEST
    )
    with native_logs_dropped():
        detector = vision.FaceDetector.create_from_options(options)

    def score(image: np.ndarray, face: Landmarks) -> float:
        left, top, right, bottom = square_around(np.asarray(face.xy), _SEEN_IN)
        height, width = image.shape[:2]
        if right <= 0 or bottom <= 0 or left >= width or top >= height or right - left > 4 * max(height, width):
            return 0.0  # points of another photograph
        square = np.ascontiguousarray(cut(image, (left, top, right, bottom)))
        with native_logs_dropped():
            found = detector.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=square))
        middle = len(square) / 2  # where the face is; another may stand beside it
        around = [
            each.categories[0].score
            for each in found.detections
            if abs(each.bounding_box.origin_x + each.bounding_box.width / 2 - middle) < each.bounding_box.width / 2
            and abs(each.bounding_box.origin_y + each.bounding_box.height / 2 - middle) < each.bounding_box.height / 2
        ]
        return max(around, default=0.0)

    try:
        yield score
    finally:
        detector.close()
