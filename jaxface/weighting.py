"""Adaptive 2D and 3D weights from the head's turn, Eqs 7-9."""

import jax.numpy as jnp
from jaxtyping import Array, Float

LARGE_POSE = 0.5
"""ε of Eq. 7: 2|yaw|/π from which a pose is large, i.e. 45 degrees."""

DAMPING = 0.5
"""w of Eqs 8-9: the factor of the less trusted kind of landmark."""


def adaptive_weights(yaw_deg: Float[Array, "*b"]) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """λ2d and λ3d at this yaw. Small poses trust what is seen (2D), large ones what is known to be there (3D)."""
    turn = jnp.minimum(jnp.abs(yaw_deg) / 90.0, 1.0)  # 2|yaw|/π
    large = turn >= LARGE_POSE  # Eq. 7
    weight_3d = jnp.where(large, turn, turn * DAMPING)  # Eqs 8, 9
    weight_2d = jnp.where(large, (1 - turn) * DAMPING, 1 - turn)
    return weight_2d, weight_3d
