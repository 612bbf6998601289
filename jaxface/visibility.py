"""Which silhouette landmarks there are, and which of them a pose hides behind the face."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxface.camera import HIGHEST
from jaxface.types import POINTS, Scheme

# MediaPipe's face oval from the top of the forehead over the subject's right ear, and over the left one, to the chin.
_OVAL_RIGHT = (109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148)
_OVAL_LEFT = (338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)

_SILHOUETTES = {"ibug68": (range(0, 8), range(9, 17)), "mediapipe478": (_OVAL_RIGHT, _OVAL_LEFT)}


def silhouettes(scheme: Scheme) -> Bool[np.ndarray, "2 L"]:
    """Which landmarks are on the silhouette, on the subject's right and on the left. The chin belongs to neither.

    The paper prints the 17 as 1-9 / 10 / 11-17; point 9 is the chin of the 68, so the split is 1-8 / 9 / 10-17.
    """
    masks = np.zeros((2, POINTS[scheme]), bool)
    for mask, side in zip(masks, _SILHOUETTES[scheme], strict=True):
        mask[list(side)] = True
    return masks


def hidden(normals: Float[Array, "L 3"], rotation: Float[Array, "3 3"]) -> Bool[Array, "L"]:
    """Whether the surface at each landmark looks away from the viewer.

    On a head, whose jaw is convex, looking away is what hides a jaw point; a test compares with ray casting.
    ``normals`` are in the model frame, ``rotation`` takes it into the camera frame, along whose +z the camera looks.
    """
    return jnp.matmul(normals, rotation[2], precision=HIGHEST) > 0
