"""Slopes against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np

STEP = 1e-3  # pixels


def outcome(result):
    """One number that every part of a fit moves."""
    pose = jnp.sum(result.pose.rotation[:2]) + result.pose.scale + 0.01 * jnp.sum(result.pose.translation)
    return jnp.sum(result.identity**2) + jnp.sum(jnp.sin(result.expression)) + pose + 0.1 * result.cost


def moved(landmarks, along, step):
    return jax.tree.map(lambda leaf, direction: leaf + step * direction, landmarks, along)


def inner(one, other):
    return sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def assert_slope(run, landmarks, along):
    """``run`` is a compiled ``jax.value_and_grad``: one program gives the slope and the values on either side."""
    (ahead, _), (behind, _), (_, slope) = (run(moved(landmarks, along, step)) for step in (STEP, -STEP, 0.0))
    np.testing.assert_allclose(inner(slope, along), (ahead - behind) / (2 * STEP), rtol=1e-3, atol=1e-5)
