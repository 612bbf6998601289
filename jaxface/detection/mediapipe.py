"""MediaPipe's networks as a detector: 478 points with depth for every face, without a connection."""

from contextlib import contextmanager
from importlib.resources import files

import numpy as np
from jaxtyping import Float

from jaxface.detection.finding import FaceFinder
from jaxface.detection.heads import dense
from jaxface.detection.native import quiet, require_opencv
from jaxface.detection.silhouettes import visible_contour
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, JAW
from jaxface.types import Landmarks, Scheme


class MediaPipe:
    """``FaceFinder`` as a ``jaxface.detection.Detector`` that also follows a face.

    MediaPipe's mesh stays on the anatomy, so it gives the 3D points as it is. The 2D points of ``"ibug68"`` are the
    same but for the contour, which follows the visible silhouette; those of ``"mediapipe478"`` are the same.
    """

    name = "mediapipe"

    def __init__(self, scheme: Scheme):
        require_opencv()
        self._scheme: Scheme = scheme
        self._finder = FaceFinder()

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        faces = sorted(self._finder.search(image), key=lambda points: points[:, 0].mean())
        return [self._landmarks(self._looked_at(image, points)) for points in faces]

    def follow(self, image: np.ndarray, face: Landmarks) -> Landmarks | None:
        """The face that was found as ``face`` in the frame before; None if it is no longer seen there."""
        points = self._finder.follow(image, dense(np.asarray(face.xyz), face.scheme))
        return None if points is None else self._landmarks(self._looked_at(image, points))

    def close(self) -> None:
        pass

    def _looked_at(self, image: np.ndarray, points: np.ndarray) -> np.ndarray:
        """What becomes of a face's points once it is found."""
        return points

    def _landmarks(self, points: np.ndarray) -> Landmarks:
        if self._scheme == "mediapipe478":
            return Landmarks(xy=points[:, :2], xyz=points, scheme=self._scheme, detector=self.name)
        return sparse_landmarks(points, self.name)


def sparse_landmarks(points: Float[np.ndarray, "478 3"], detector: str | None) -> Landmarks:
    """The 68 among MediaPipe's points, as ``detector`` found them, the 2D contour on the visible silhouette."""
    xyz = points[IBUG68_FROM_MEDIAPIPE478]
    xy = xyz[:, :2].copy()
    xy[JAW] = visible_contour(points)
    return Landmarks(xy=xy, xyz=xyz, detector=detector)


class AveragedMediaPipe(MediaPipe):
    """``MediaPipe`` that looks at each face four times more and takes the mean: what the network makes of chance, of
    where a crop ends and of which side is left, partly cancels."""

    name = "mediapipe-averaged"

    def _looked_at(self, image: np.ndarray, points: np.ndarray) -> np.ndarray:
        return self._finder.averaged(image, points)


@contextmanager
def landmarker():
    """MediaPipe's own Face Landmarker over the embedded bundle, which the embedded model's landmarks were placed by and
    which tests compare with; closed at the end (its own finaliser fails at exit)."""
    from mediapipe.tasks.python import BaseOptions, vision

    bundle = files("jaxface.assets").joinpath("face_landmarker.task").read_bytes()
    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_buffer=bundle), num_faces=1)
    with quiet():
        opened = vision.FaceLandmarker.create_from_options(options)
    try:
        yield opened
    finally:
        opened.close()


def dense_points(opened, image: np.ndarray) -> np.ndarray:
    """What a ``landmarker`` finds in an (H, W, 3) uint8 RGB image: (faces, 478, 3) float32.

    Pixels in the camera frame (x right, y down, z away from the viewer); MediaPipe gives z in units of the image's
    width, with its origin near the middle of the head.
    """
    import mediapipe

    height, width = image.shape[:2]
    frame = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
    with quiet():
        found = opened.detect(frame)
    points = [[(p.x, p.y, p.z) for p in face] for face in found.face_landmarks]
    return np.array(points, np.float32).reshape(-1, 478, 3) * np.array([width, height, width], np.float32)
