"""What drawing and export begin with: the fitted face as NumPy vertices, and checked arguments."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface import camera
from jaxface.fitting import outline
from jaxface.fitting.marching import require_contour
from jaxface.model.correspondences import JAW
from jaxface.model.morphable import MorphableModel
from jaxface.types import FitResult


def model_vertices(model: MorphableModel, result: FitResult) -> np.ndarray:
    """(V, 3) float32 vertices of one fitted face in the model frame, millimetres.

    Raises:
      ValueError: ``result`` is a batch.
    """
    require_one_face(result)
    return np.asarray(model.vertices(result.identity, result.expression), np.float32)


def image_vertices(model: MorphableModel, result: FitResult) -> np.ndarray:
    """(V, 3) float32 vertices of one fitted face over its photograph: x and y in pixels, z in pixels too, away from
    the viewer.

    Raises:
      ValueError: ``result`` is a batch.
    """
    return _to_image(jnp.asarray(model_vertices(model, result)), result)


def image_landmarks(model: MorphableModel, result: FitResult, scheme: str) -> np.ndarray:
    """(L, 3) float32 landmarks of one fitted face over its photograph, in pixels as ``image_vertices``.

    Raises:
      ValueError: ``result`` is a batch, or the model has no landmarks of this scheme.
    """
    if scheme not in model.landmarks:
        known = ", ".join(sorted(model.landmarks)) or "none"
        raise ValueError(f"landmarks: got scheme {scheme!r}, the model {model.name!r} takes {known}")
    points = model.landmark_positions(jnp.asarray(model_vertices(model, result)), scheme)
    return _to_image(points, result)


def seen_landmarks(model: MorphableModel, result: FitResult, scheme: str, contour: str = "replace") -> np.ndarray:
    """(L, 2) float32 pixels: what a fit with this ``contour`` takes the detected 2D landmarks for. Those of
    ``image_landmarks``; but where the contour marches, the 17 where the face ends.

    Raises:
      ValueError: as ``image_landmarks``; or these points have no contour that marches.
    """
    points = image_landmarks(model, result, scheme)[:, :2]
    if contour == "march":
        require_contour("contour", scheme)
        points = np.concatenate([np.asarray(outline(model, result), np.float32), points[JAW.stop :]])
    return points


def _to_image(points: Float[Array, "n 3"], result: FitResult) -> np.ndarray:
    pose = result.pose
    return np.asarray(camera.project(points, pose.scale, pose.rotation, pose.translation), np.float32)


def require_one_face(result: FitResult) -> None:
    """Raise a ``ValueError`` if ``result`` is a batch."""
    if batch := np.shape(result.pose.scale):
        raise ValueError(
            f"result: got a batch of shape {batch}, takes one face; "
            "index it first: jax.tree.map(lambda leaf: leaf[i], result)"
        )
