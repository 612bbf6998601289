"""Where a fitted face is a guess: its standard deviations as colours."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from jaxface.evaluation.faces import SEVEN
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, NOSE_TIP
from jaxface.model.morphable import MorphableModel
from jaxface.rendering.error_map import draw_errors
from jaxface.rendering.posed import model_vertices
from jaxface.types import FitResult

RANGE_MM = 8.0
"""What the last colour stands for."""
_SHOWN_MM = 100.0
"""Farther than this from the nose tip a face is grey: no one asks how sure the back of the head is."""


def draw_uncertainty(
    model: MorphableModel, result: FitResult, vertex_std: Float[np.ndarray, "V"], caption: str | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """A picture of one fitted face from the front, coloured by ``Uncertainty.vertex_std``, with a bar from 0 to 8 mm.

    Args:
      vertex_std: (V,) mm.
      caption: a line under the face; None: the median of what is coloured.

    Raises:
      ValueError: ``result`` is a batch, or the model has no landmarks.
      RuntimeError: no OpenGL can be opened on this machine.
    """
    vertices = model_vertices(model, result)
    points = _ibug68(model, vertices)
    shown = np.linalg.norm(vertices - points[NOSE_TIP], axis=1) < _SHOWN_MM
    coloured = np.where(shown, np.asarray(vertex_std), np.nan)
    if caption is None:
        caption = f"standard deviation, median {np.median(coloured[shown]):.1f} mm"
    return draw_errors(vertices, np.asarray(model.triangles), coloured, points[list(SEVEN)], caption, RANGE_MM)


def _ibug68(model: MorphableModel, vertices: np.ndarray) -> Float[np.ndarray, "68 3"]:
    for scheme, rows in (("ibug68", slice(None)), ("mediapipe478", IBUG68_FROM_MEDIAPIPE478)):
        if scheme in model.landmarks:
            return np.asarray(model.landmark_positions(jnp.asarray(vertices), scheme))[rows]
    raise ValueError(f"the model {model.name!r} has no landmarks, which say where its front is")
