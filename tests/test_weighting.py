import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxface.weighting import adaptive_weights


def by_the_paper(yaw):
    """Eqs 7-9 as printed, in radians, ε = 0.5, w = 0.5."""
    turn, w = 2 * abs(yaw) / math.pi, 0.5
    if turn >= 0.5:
        return (1 - turn) * w, turn
    return 1 - turn, turn * w


@given(yaw=st.floats(-90, 90).filter(lambda yaw: abs(abs(yaw) - 45) > 1e-3))
@settings(max_examples=100)
def test_weights_are_eqs_7_to_9(yaw):
    np.testing.assert_allclose(adaptive_weights(jnp.float32(yaw)), by_the_paper(math.radians(yaw)), atol=1e-6)


@pytest.mark.parametrize(
    "yaw, weights", [(0, (1, 0)), (45, (0.25, 0.5)), (-45, (0.25, 0.5)), (90, (0, 1)), (-90, (0, 1))]
)
def test_weights_at_the_corners(yaw, weights):
    np.testing.assert_allclose(adaptive_weights(jnp.float32(yaw)), weights, atol=1e-7)
