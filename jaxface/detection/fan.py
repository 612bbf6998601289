"""FAN, the paper's own detector: one network for 2D points and two for 3D ones, by the package face-alignment.

That package downloads its networks' weights when first used. jaxface opens no connection, so they are asked for.
FAN looks at boxes of faces; MediaPipe finds those.
"""

from pathlib import Path
from urllib.parse import urlparse

import numpy as np

from jaxface.detection.faces import box
from jaxface.detection.mediapipe import MediaPipe
from jaxface.detection.registry import require_68
from jaxface.types import Landmarks, Scheme

_WEIGHTS = "2DFAN-4", "3DFAN-4", "depth"


class Fan:
    """The faces that MediaPipe finds, with the points of the 2D and of the 3D network."""

    def __init__(self, scheme: Scheme):
        require_68("fan", scheme)
        try:
            import face_alignment
            import torch
        except ImportError as error:
            said = f"the detector fan needs the package face-alignment ({error}): pip install 'jaxface[fan]'"
            raise ValueError(said) from None
        _require_weights(face_alignment.api.models_urls, Path(torch.hub.get_dir()) / "checkpoints")
        network = lambda kind: face_alignment.FaceAlignment(
            kind,
            device="cuda" if torch.cuda.is_available() else "cpu",
            face_detector="folder",  # the one that loads no network: it is never asked
            compile=False,
        )
        self._flat = network(face_alignment.LandmarksType.TWO_D)
        self._deep = network(face_alignment.LandmarksType.THREE_D)
        self._mediapipe = MediaPipe(scheme)

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        boxes = [box(face) for face in self._mediapipe.detect(image)]
        if not boxes:
            return []
        placed = (net.get_landmarks_from_image(image, boxes) for net in (self._flat, self._deep))
        faces = (map(_in_our_frame, face) for face in zip(*placed, strict=True))
        return [Landmarks(xy, xyz, detector="fan") for xy, xyz in faces]

    def close(self) -> None:
        self._mediapipe.close()


def _in_our_frame(points: np.ndarray) -> np.ndarray:
    """FAN's z points to the viewer, and its x and y say which pixel a point falls in: they become that one's middle."""
    frame = np.array([[1, 0.5], [1, 0.5], [-1, 0]], np.float32)[: points.shape[-1]]
    return points.astype(np.float32) * frame[:, 0] + frame[:, 1]


def _require_weights(addresses: dict[str, str], folder: Path) -> None:
    missing = [
        addresses[name] for name in _WEIGHTS if not (folder / Path(urlparse(addresses[name]).path).name).is_file()
    ]
    if missing:
        raise ValueError(
            f"the detector fan needs its networks' weights, which jaxface does not download: put "
            f"{' and '.join(missing)} into {folder}"
        )
