"""Unknowns of many moments, each tied to the one before: block-tridiagonal systems, solved in one sweep and back."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

from jaxface.camera import HIGHEST

_product = partial(jnp.matmul, precision=HIGHEST)


def solve_chain(
    blocks: Float[Array, "F n n"], tie: Float[Array, "n n"], linked: Float[Array, "F"], right: Float[Array, "F n m"]
) -> Float[Array, "F n m"]:
    """The x that minimises Σ_f ½ x_fᵀ H_f x_f - x_fᵀ b_f + ½ k_f (x_f - x_{f-1})ᵀ T (x_f - x_{f-1}), for m columns of
    b at once, by block elimination.

    Args:
      blocks: H, one positive definite block a moment.
      tie: T, positive semidefinite.
      linked: k, how much each moment is tied to the one before; the first's is not looked at.
      right: b.
    """
    linked = linked.at[0].set(0.0)
    onward = jnp.append(linked[1:], 0.0)

    def product(x):
        step = linked[:, None, None] * (x - jnp.roll(x, 1, axis=0))
        return _product(blocks, x) + _product(tie, step - jnp.roll(step, -1, axis=0))

    def forward(before, moment):
        reach, known = before  # D⁻¹ T and D⁻¹ b of the moment before
        block, b, back, on = moment
        factor = cho_factor(block + (back + on) * tie - back**2 * _product(tie, reach))
        now = cho_solve(factor, tie), cho_solve(factor, b + back * _product(tie, known))
        return now, now

    def backward(after, moment):
        (reach, known), on = moment
        x = known + on * _product(reach, after)
        return x, x

    def solve(_, right):
        nothing = jnp.zeros_like(right[0])
        _, swept = jax.lax.scan(forward, (jnp.zeros_like(blocks[0]), nothing), (blocks, right, linked, onward))
        return jax.lax.scan(backward, nothing, (swept, onward), reverse=True)[1]

    # Its derivatives are those of the solution, and not of the sweep.
    return jax.lax.custom_linear_solve(product, right, solve, symmetric=True)
