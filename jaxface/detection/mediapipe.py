"""MediaPipe's Face Landmarker: 478 points with depth for every face it finds, from one network without a connection."""

from contextlib import ExitStack, contextmanager
from importlib.resources import files

import numpy as np

from jaxface.detection.native import native_logs_dropped
from jaxface.detection.silhouettes import visible_contour
from jaxface.detection.tiling import search
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, JAW
from jaxface.types import Landmarks, Scheme


class MediaPipe:
    """The Face Landmarker as a ``jaxface.detection.Detector``."""

    def __init__(self, scheme: Scheme):
        self._scheme: Scheme = scheme
        self._held = ExitStack()
        self._landmarker = self._held.enter_context(landmarker())

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        return find_faces(self._landmarker, image, self._scheme)

    def close(self) -> None:
        self._held.close()


@contextmanager
def landmarker(max_faces: int = 10):
    """A MediaPipe Face Landmarker over the embedded bundle, closed at the end (its own finaliser fails at exit)."""
    from mediapipe.tasks.python import BaseOptions, vision

    bundle = files("jaxface.assets").joinpath("face_landmarker.task").read_bytes()
    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_buffer=bundle), num_faces=max_faces)
    with native_logs_dropped():
        opened = vision.FaceLandmarker.create_from_options(options)
    try:
        yield opened
    finally:
        opened.close()


def dense_points(opened, image: np.ndarray) -> np.ndarray:
    """The 478 points of every face in an (H, W, 3) uint8 RGB image: (faces, 478, 3) float32.

    Pixels in the camera frame (x right, y down, z away from the viewer); MediaPipe gives z in units of the image's
    width, with its origin near the middle of the head.
    """
    import mediapipe

    height, width = image.shape[:2]
    frame = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
    with native_logs_dropped():
        found = opened.detect(frame)
    points = [[(p.x, p.y, p.z) for p in face] for face in found.face_landmarks]
    return np.array(points, np.float32).reshape(-1, 478, 3) * np.array([width, height, width], np.float32)


def find_faces(opened, image: np.ndarray, scheme: Scheme = "ibug68") -> list[Landmarks]:
    """The landmarks of every face in an (H, W, 3) uint8 RGB image, from left to right.

    MediaPipe's mesh stays on the anatomy, so it gives the 3D points as it is. The 2D points of ``"ibug68"`` are the
    same but for the contour, which follows the visible silhouette; those of ``"mediapipe478"`` are the same.
    """
    faces = search(image, lambda part: dense_points(opened, part))
    order = np.argsort(faces[:, :, 0].mean(axis=1))
    return [_landmarks(points, scheme) for points in faces[order]]


def _landmarks(points: np.ndarray, scheme: Scheme) -> Landmarks:
    if scheme == "mediapipe478":
        return Landmarks(xy=points[:, :2], xyz=points, scheme=scheme)
    xyz = points[IBUG68_FROM_MEDIAPIPE478]
    xy = xyz[:, :2].copy()
    xy[JAW] = visible_contour(points)
    return Landmarks(xy=xy, xyz=xyz, scheme=scheme)
