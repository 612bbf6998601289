"""``solver="optax"``: L-BFGS on the same energies, for comparison and for terms that are no sums of squares."""

import jax
import jax.numpy as jnp
import optax

from jaxface.solvers.plain import by_residuals

_ITERATIONS = 200
_OPTIMISER = optax.lbfgs()


def _minimum(residual, start, *args):
    value = lambda params: 0.5 * jnp.sum(residual(params, *args) ** 2)
    value_and_grad = optax.value_and_grad_from_state(value)
    tolerance = 8 * jnp.finfo(start.dtype).eps

    def unfinished(carry):
        _, _, moved, count = carry
        return (moved > tolerance) & (count < _ITERATIONS)

    def step(carry):
        params, state, _, count = carry
        cost, slope = value_and_grad(params, state=state)
        updates, state = _OPTIMISER.update(slope, state, params, value=cost, grad=slope, value_fn=value)
        return optax.apply_updates(params, updates), state, jnp.max(jnp.abs(updates)), count + 1

    first = (start, _OPTIMISER.init(start), jnp.asarray(jnp.inf, start.dtype), 0)
    return jax.lax.while_loop(unfinished, step, first)[0]


solve_pose, prepare_shape, solve_shape = by_residuals(_minimum)
