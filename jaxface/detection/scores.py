"""How sure a face is one, on one scale for every detector: BlazeFace looks at it in three squares around it.

MediaPipe's mesh network is nearly always sure, and other detectors' scores have other scales.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from jaxface.detection.crops import square
from jaxface.detection.faces import lies_in
from jaxface.detection.heads import dense, extent, middle
from jaxface.detection.networks import BlazeFace, Seen
from jaxface.types import Landmarks

_SQUARES = (2.0, 3.0, 4.0)
"""In sizes of the face. What is none seldom looks like one in all of them."""
_FAINT = 0.1
"""Less likely boxes are not looked at."""


def looks(find: BlazeFace, image: np.ndarray, place: Float[np.ndarray, "2"], size: float) -> list[Seen | None]:
    """The face of that size, in pixels, that each look shows around a place in an (H, W, 3) uint8 image."""
    seen = [find(image, square(place, part * size), _FAINT) for part in _SQUARES]
    here = lambda face: np.abs(face.middle - place).max() < size / 2
    return [next(filter(here, faces), None) for faces in seen]


def likelihood(looks: Sequence[Seen | None]) -> float:
    """That looks show a face, from 0 to 1."""
    return float(np.median([face.score if face else 0.0 for face in looks]))


def scorer() -> Callable[[np.ndarray, Landmarks], float]:
    """A function of an (H, W, 3) uint8 RGB image and a face in it: the likelihood, 0 to 1, that it is a face."""
    find = BlazeFace()

    def score(image: np.ndarray, face: Landmarks) -> float:
        if not lies_in(face, image):
            return 0.0
        points = dense(np.column_stack([face.xy, face.xyz[:, 2]]), face.scheme)
        return likelihood(looks(find, image, middle(points), extent(points)))

    return score
