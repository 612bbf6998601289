"""MediaPipe's two networks for faces, out of the embedded bundle: BlazeFace, which finds them, and the 478 points.

They run by LiteRT on the CPU, on what MediaPipe's own graphs would give them: the points of a face from the front are
those of its Face Landmarker to 0.01 pixels (``tests/test_networks.py``).
"""

from importlib.resources import files
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from jaxface.detection.crops import Crop
from jaxface.detection.native import quiet
from jaxface.model.correspondences import MEDIAPIPE478_MIRROR

_GRIDS = ((16, 2), (8, 6))
"""BlazeFace looks for a face in every cell of two grids, so many times in each."""
_SAME = 0.3
"""Boxes of which the common part is more than this part of both together show one face."""
RIGHT_EYE, LEFT_EYE, NOSE, MOUTH, RIGHT_EAR, LEFT_EAR = range(6)
"""The points that BlazeFace places in a face."""


class Seen(NamedTuple):
    """A face as BlazeFace sees it: its likelihood from 0 to 1, its box's ``middle`` (2,) and ``side``, and six
    ``points`` (6, 2); pixels of the image."""

    score: float
    middle: Float[np.ndarray, "2"]
    side: float
    points: Float[np.ndarray, "6 2"]


class BlazeFace:
    """Finds the faces that are about 1/8 to 1/2 of a square."""

    SIDE = 128

    def __init__(self):
        self._run = _network("face_detector")
        cells = [(np.indices((count, count))[::-1].reshape(2, -1).T + 0.5) / count for count, _ in _GRIDS]
        self._anchors = np.concatenate([np.repeat(cell, n, axis=0) for cell, (_, n) in zip(cells, _GRIDS, strict=True)])

    def __call__(self, image: np.ndarray, crop: Crop, least: float) -> list[Seen]:
        """The faces in a square of an (H, W, 3) uint8 image whose score is ``least`` or more, the likeliest first."""
        boxes, logits = self._run(crop.cut(image, self.SIDE, black=True).astype(np.float32) / 127.5 - 1)
        scores = expit(logits[:, 0].astype(np.float64))
        kept = np.nonzero(scores >= least)[0]
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        scores, values = scores[kept], boxes[kept].reshape(-1, 8, 2) / self.SIDE
        sides = values[:, 1]
        points = np.delete(values, 1, axis=1) + self._anchors[kept, None]
        low, high = points[:, 0] - sides / 2, points[:, 0] + sides / 2
        found, left = [], np.ones(len(kept), bool)
        for first in range(len(kept)):
            if not left[first]:
                continue
            common = np.clip(np.minimum(high, high[first]) - np.maximum(low, low[first]), 0, None).prod(axis=1)
            same = left & (common > _SAME * (sides.prod(axis=1) + sides[first].prod() - common))
            left &= ~same
            share = scores[same] / scores[same].sum()
            placed = crop.place(np.einsum("n,nkc->kc", share, points[same]) * self.SIDE, self.SIDE)
            side = float((share @ sides[same]).max()) * crop.height
            found.append(Seen(float(scores[first]), placed[0], side, placed[1:]))
        return found


class FaceMesh:
    """The 478 points of the face in a crop, by so many threads; the same by any."""

    SIDE = 256

    def __init__(self, threads: int = 1):
        self._run = _network("face_landmarks_detector", threads)

    def __call__(
        self, image: np.ndarray, crop: Crop, mirrored: bool = False
    ) -> tuple[Float[np.ndarray, "478 3"], float]:
        """The points in the frame of ``Landmarks.xyz``, and the likelihood from 0 to 1 that the crop shows a face.

        Args:
          image: (H, W, 3) uint8 RGB.
          mirrored: whether the network sees the crop's mirror image; the points are those of the crop.
        """
        seen = crop.cut(image, self.SIDE)
        points, logit, _ = self._run((seen[:, ::-1] if mirrored else seen).astype(np.float32) / 255)
        points = points.reshape(478, 3)
        if mirrored:
            points = points[MEDIAPIPE478_MIRROR] * (-1, 1, 1) + (self.SIDE, 0, 0)
        return crop.place(points, self.SIDE).astype(np.float32), float(expit(float(logit.item())))


def _network(name: str, threads: int = 1):
    """A function of a square (S, S, 3) float32: the outputs of the bundle's network of that name."""
    from ai_edge_litert.interpreter import Interpreter

    with files("jaxface.assets").joinpath("face_landmarker.task").open("rb") as bundle, ZipFile(bundle) as opened:
        content = opened.read(f"{name}.tflite")
    with quiet():
        interpreter = Interpreter(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
    into = interpreter.get_input_details()[0]["index"]
    out = [detail["index"] for detail in interpreter.get_output_details()]

    def run(values: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(into, values[None])
        interpreter.invoke()
        return [interpreter.get_tensor(index)[0] for index in out]

    return run
