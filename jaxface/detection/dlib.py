"""dlib's 68 points: a regression of trees on the photograph itself, with the contour on the visible silhouette.

They are 2D. ``dlib`` finds faces by its own means, near frontal ones, and ``dlib+mediapipe`` places dlib's points in
every face that MediaPipe finds, which gives the 3D points. The predictor was learned from the photographs of the 300-W
challenge, whose makers exclude commercial use.
"""

# pyright: reportAttributeAccessIssue=false
# It takes this file for the package dlib.

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from jaxface.detection.faces import flat
from jaxface.detection.mediapipe import MediaPipe
from jaxface.detection.registry import require_68
from jaxface.model.correspondences import INNER
from jaxface.types import Landmarks, Scheme

_PREDICTOR = "shape_predictor_68_face_landmarks.dat"

_ENLARGED_BELOW = 2_000_000
"""Photographs of fewer pixels are searched at twice their size, for faces from 40 pixels on."""

_LEAST_SCORE = 0.25
"""Of dlib's own: the faces of seven photographs had 0.64 and more, a part of a space suit 0.12."""

_BOX = 4 / 3
"""A face's box as dlib's own detector draws it, in extents of the inner points."""


class Dlib:
    """dlib's face detector and points, without depth; for the variant ``"2d"`` of a fit."""

    def __init__(self, scheme: Scheme):
        require_68("dlib", scheme)
        self._predictor = _load_predictor()
        import dlib

        self._finder = dlib.get_frontal_face_detector()

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        image = np.ascontiguousarray(image)
        enlarged = int(image.shape[0] * image.shape[1] < _ENLARGED_BELOW)
        boxes, _, _ = self._finder.run(image, enlarged, _LEAST_SCORE)
        boxes = sorted(boxes, key=lambda box: box.center().x)
        return [flat(_points(self._predictor(image, box)), detector="dlib") for box in boxes]

    def close(self) -> None:
        pass


class DlibOnMediaPipe:
    """The faces that MediaPipe finds, with dlib's 2D points and MediaPipe's 3D points."""

    def __init__(self, scheme: Scheme):
        require_68("dlib+mediapipe", scheme)
        self._predictor = _load_predictor()
        self._mediapipe = MediaPipe(scheme)

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        return [self._with_2d(image, face) for face in self._mediapipe.detect(image)]

    def follow(self, image: np.ndarray, face: Landmarks) -> Landmarks | None:
        found = self._mediapipe.follow(image, face)
        return None if found is None else self._with_2d(image, found)

    def _with_2d(self, image: np.ndarray, face: Landmarks) -> Landmarks:
        xy = _points(self._predictor(np.ascontiguousarray(image), _box(face)))
        return Landmarks(xy, face.xyz, detector="dlib+mediapipe")

    def close(self) -> None:
        self._mediapipe.close()


def _load_predictor():
    try:
        import dlib
    except ImportError:
        raise ValueError("the detector dlib needs the package dlib-bin: pip install 'jaxface[dlib]'") from None
    package = find_spec("face_recognition_models")  # found, not imported: it asks for a setuptools that is gone
    if package is None or package.origin is None:
        raise ValueError("the detector dlib needs the package face-recognition-models: pip install 'jaxface[dlib]'")
    return dlib.shape_predictor(str(Path(package.origin).parent / "models" / _PREDICTOR))


def _box(face: Landmarks):
    import dlib

    inner = face.xyz[INNER, :2]
    low, high = inner.min(axis=0), inner.max(axis=0)
    half = _BOX * (high - low).max() / 2
    corners = np.concatenate([(low + high) / 2 - half, (low + high) / 2 + half])
    return dlib.rectangle(*(int(side) for side in np.rint(corners)))


def _points(shape) -> np.ndarray:
    """(68, 2) float32 pixels; dlib gives the pixels' numbers, whose centres lie half a pixel further."""
    return np.array([(point.x, point.y) for point in shape.parts()], np.float32) + 0.5
