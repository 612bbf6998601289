"""Levenberg-Marquardt over given normal equations: ``jaxopt.LevenbergMarquardt`` with three things replaced.

The normal equations come from a function and not from a Jacobian; a trial is taken or left by a select, so that a
non-finite one is left whole (the stock class multiplies by 0 and 1, and 0 times NaN is NaN); and iteration ends when
a step no longer moves the parameters. ``run``, ``init_state``, ``update`` and implicit differentiation are as there.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxopt import LevenbergMarquardt, OptStep
from jaxtyping import Array, Float, Int


class State(NamedTuple):
    """Where a run stands: ``value`` is the cost, ``error`` the largest component of the last step tried."""

    iter_num: Int[Array, ""]
    damping_factor: Float[Array, ""]
    increase_factor: Float[Array, ""]
    value: Float[Array, ""]
    gradient: Float[Array, "N"]
    matrix: Float[Array, "N N"]
    error: Float[Array, ""]


class StructuredLevenbergMarquardt(LevenbergMarquardt):
    """Minimise a sum of squares given by ``normal_equations(params, *args) -> (cost, gradient, JᵀJ)``.

    Takes the stock class's keyword options. ``damping_parameter`` times JᵀJ's largest diagonal entry is the first
    damping; 0 makes the first step Gauss-Newton. ``tol`` is the largest component of a step that ends a run.
    """

    def __init__(self, normal_equations: Callable, **options):
        self.normal_equations = normal_equations
        super().__init__(residual_fun=None, **options)

    def init_state(self, init_params, *args) -> State:
        value, gradient, matrix = self.normal_equations(init_params, *args)
        damping = self.damping_parameter * jnp.max(jnp.diag(matrix))
        return State(
            iter_num=jnp.asarray(0),
            damping_factor=damping,
            increase_factor=jnp.full_like(damping, 2.0),
            value=value,
            gradient=gradient,
            matrix=matrix,
            error=jnp.full_like(damping, jnp.inf),
        )

    def update(self, params, state: State, *args) -> OptStep:
        damped = state.matrix + state.damping_factor * jnp.eye(params.size, dtype=params.dtype)
        step = -cho_solve(cho_factor(damped), state.gradient)
        trial = params + step
        value, gradient, matrix = self.normal_equations(trial, *args)
        predicted = 0.5 * step @ (state.damping_factor * step - state.gradient)
        gain = (state.value - value) / predicted
        taken = (value <= state.value) & jnp.all(jnp.isfinite(trial))  # False for a value that is not a number
        take = lambda new, old: jnp.where(taken, new, old)
        calmed = state.damping_factor * jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3)
        return OptStep(
            take(trial, params),
            State(
                iter_num=state.iter_num + 1,
                damping_factor=take(calmed, state.damping_factor * state.increase_factor),
                increase_factor=take(jnp.full_like(gain, 2.0), 2 * state.increase_factor),
                value=take(value, state.value),
                gradient=take(gradient, state.gradient),
                matrix=take(matrix, state.matrix),
                error=jnp.max(jnp.abs(step)),
            ),
        )

    def _run(self, init_params, *args) -> OptStep:
        """The loop without the stock one's copy of its first round, which doubles what there is to compile."""
        start = OptStep(init_params, self.init_state(init_params, *args))
        if self.maxiter == 1:
            return self.update(*start, *args)
        unfinished = lambda step: (step.state.error > self.tol) & (step.state.iter_num < self.maxiter)
        return jax.lax.while_loop(unfinished, lambda step: self.update(*step, *args), start)

    def optimality_fun(self, params, *args):
        """The gradient, whose root implicit differentiation follows."""
        return self.normal_equations(params, *args)[1]
