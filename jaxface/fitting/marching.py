"""Landmark marching (Zhu et al. 2015): the visible contour's points move over the model as the face turns.

A 2D detector's contour points lie where the face ends in the image, the model's 17 on its jaw. Under a pose and a shape
each line of candidates over cheek and jaw (``jaxface.model.contours``) has an outermost point in the image: that one is
what the 2D point shows. The landmark on the jaw is pulled as far as this point lies from where it should be seen, that
is, towards the 2D point less the way from the one to the other: so both data terms still act on the same points, and
all that is known of these holds.
"""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.camera import HIGHEST
from jaxface.model.contours import CANDIDATES, contour_lines, outermost, outward
from jaxface.model.correspondences import JAW
from jaxface.model.morphable import LandmarkModel, MorphableModel
from jaxface.pytree import pytree


@pytree
class Contour:
    """The lines' candidates, seen from their landmark: ``mean`` those of the mean face in mm, ``basis`` how each
    coordinate moves them, all x, all y, all z in one matrix; ``outward`` is where each line leads in a picture of the
    mean face from the front, x right and y down."""

    mean: Float[Array, "3 17 K"]
    basis: Float[Array, "3*17*K N"]
    outward: Float[Array | np.ndarray, "2 17"]


def require_contour(name: str, scheme: str) -> None:
    """Raise a ``ValueError``, by the name of what asks to march, for landmarks without a contour that does."""
    if scheme != "ibug68":
        raise ValueError(f"{name}='march': takes ibug68 landmarks; {scheme}'s lie on the anatomy in 2D too")


def contour_of(model: MorphableModel, there: LandmarkModel, mixing: Float[Any, "N N"]) -> Contour:
    """A model's contour in the coordinates of a fit, in NumPy; ``there`` is the model at its 68 points."""
    lined = replace(model, landmarks={there.scheme: contour_lines(model)}).at_landmarks(there.scheme)

    def from_landmark(candidates, landmarks):
        each = candidates.reshape(-1, CANDIDATES, *candidates.shape[1:])
        return np.moveaxis(each - landmarks[JAW, None], 2, 0)

    basis = from_landmark(lined.basis, there.basis).reshape(-1, there.basis.shape[-1])
    return Contour(from_landmark(lined.mean, there.mean), basis @ mixing, outward(there.mean))


def marched(
    contour: Contour,
    xy: Float[Array, "2 68"],
    coordinates: Float[Array, "N"],
    scale: Float[Array, ""],
    rotation: Float[Array, "3 3"],
) -> Float[Array, "2 68"]:
    """2D landmarks, those of the contour less the way to the outline that the face has in this pose and shape."""
    return jnp.concatenate([xy[:, JAW] - beyond(contour, coordinates, scale, rotation), xy[:, JAW.stop :]], axis=1)


def beyond(contour: Contour, coordinates, scale, rotation) -> Float[Array, "2 17"]:
    """From each contour landmark to its line's outermost candidate, in the image."""
    moved = jnp.matmul(contour.basis, coordinates, precision=HIGHEST).reshape(contour.mean.shape)
    seen = jnp.sum((scale * rotation[:2])[:, :, None, None] * (contour.mean + moved), axis=1)
    return outermost(seen, rotation, contour.outward)
