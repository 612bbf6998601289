"""The units of a fit: landmarks centred and scaled at entry, with what cannot be fitted told apart there."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxface.camera import HIGHEST
from jaxface.energies import mean_point
from jaxface.fitting.coarse import without_a_side
from jaxface.types import Landmarks, Status

FLATNESS = 1e-4
"""Landmarks are on a line when their variance across it is less than this part of the variance along it."""


_AWAY = 1e6
"""So many times as far as those that weigh something others are left where they are: their squares stay finite."""


class Frame(NamedTuple):
    """A fit's unit frame: pixels are ``centre + radius * unit``. Constants to differentiation: a fit does not depend
    on its frame."""

    centre: Float[Array, "2"]
    radius: Float[Array, ""]


class Unit(NamedTuple):
    """Landmarks of 2D mean 0 and root mean square radius 1, as rows of coordinates."""

    xy: Float[Array, "2 L"]
    xyz: Float[Array, "3 L"]
    weight: Float[Array, "L"] | None


def relative(weight: Float[Array, "*b L"]) -> Float[Array, "*b L"]:
    """Landmarks' weights, none negative, over Σw² / Σw: those that are alike are 1, beside any that are 0. Unlike their
    largest, this unit has a slope everywhere. All 1 where none is positive."""
    weight = jnp.where(weight >= 0, weight, 0.0)
    largest = jax.lax.stop_gradient(jnp.max(weight))
    weight = jnp.where(largest > 0, weight / jnp.where(largest > 0, largest, 1.0), 1.0)  # squares stay finite
    return weight * (jnp.sum(weight) / jnp.sum(weight**2))


def to_unit(landmarks: Landmarks, stand_in: Float[Array, "3 L"]) -> tuple[Unit, Frame, Int[Array, ""]]:
    """Landmarks in their unit frame, the frame that undoes this, and a status so far.

    The 3D points keep their place relative to the 2D ones. Where the status is not ``CONVERGED`` the landmarks are
    ``stand_in`` (unit points in the camera frame), so that nothing that follows meets a number that is not finite.
    """
    both = jnp.concatenate([landmarks.xy.T, landmarks.xyz.T])
    weight, largest = landmarks.weight, jnp.max(jnp.abs(both))
    finite = jnp.isfinite(largest)  # a maximum is not a number where one of its numbers is none
    ignored = False
    if weight is not None:
        finite &= jnp.all(jnp.isfinite(weight))
        ignored = ~jnp.any(without_a_side(weight, landmarks.scheme)[1])
        weight = relative(jnp.where(finite, weight, 1.0))
        largest = jnp.max(jnp.where(weight > 0, jnp.abs(both), 0.0))
        both = jnp.clip(both, -_AWAY * largest, _AWAY * largest)  # what weighs nothing may lie anywhere
    largest = jnp.where(finite & (largest > 0), largest, 1.0)
    small = both[:2] / largest  # so that the squares of huge pixels stay finite
    centre = mean_point(small, weight)
    spread = small - centre[:, None]
    heavy = spread if weight is None else spread * weight
    total = small.shape[1] if weight is None else weight.sum()
    (x, y), (heavy_x, heavy_y) = spread, heavy
    moment = lambda one, other: jnp.vdot(one, other, precision=HIGHEST) / total  # much faster than a 2x2 product
    a, b, c = moment(heavy_x, x), moment(heavy_x, y), moment(heavy_y, y)
    variance = a + c
    radius = jnp.sqrt(variance)
    flat = a * c - b**2 <= FLATNESS * variance**2  # the covariance's determinant
    degenerate = flat | (radius <= 64 * jnp.finfo(small.dtype).eps) | ignored
    status = jnp.where(
        finite, jnp.where(degenerate, Status.DEGENERATE_LANDMARKS, Status.CONVERGED), Status.NON_FINITE_INPUT
    )
    good = status == Status.CONVERGED
    pick = lambda value, otherwise: jnp.where(good, value, otherwise)
    frame = jax.lax.stop_gradient(Frame(pick(largest * centre, 0.0), pick(largest * radius, 1.0)))
    origin = jnp.concatenate([frame.centre, frame.centre, jnp.zeros(1, small.dtype)])
    both = pick((both - origin[:, None]) / frame.radius, jnp.concatenate([stand_in[:2], stand_in]))
    return Unit(both[:2], both[2:], None if weight is None else pick(weight, 1.0)), frame, status
