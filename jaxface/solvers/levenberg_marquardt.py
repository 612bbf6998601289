"""Levenberg-Marquardt in jaxopt's clothes: ``run``, ``init_state``, ``update`` and implicit differentiation are stock.

Two classes share the loop. `StructuredLevenbergMarquardt` takes normal equations from whoever knows their structure,
and damps them: few operations a step, for many small problems at once. `ResidualLevenbergMarquardt` takes residuals,
keeps their triangular factor, which does not square the condition number, and holds a step within a radius: for hard
problems. In both the units of a parameter do not matter, as steps are measured by the longest columns seen of the
Jacobian; and a trial is taken or left by a select, so that the cost never rises and a trial that is not finite is left
whole (the stock class multiplies by 0 and 1, and 0 times NaN is NaN).

J. J. Moré, "The Levenberg-Marquardt algorithm: implementation and theory" (1978): scale, radius, stop rules.
K. Madsen, H. B. Nielsen, "Introduction to Optimization and Data Fitting" (2010), Alg. 6.18: damping.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from jaxopt import LevenbergMarquardt, OptStep
from jaxtyping import Array, Float, Int

from jaxface.solvers.inverse import diagonal


class Ending(IntEnum):
    """How a run ended; the first is also the state of one under way."""

    OUT_OF_ITERATIONS = 0
    SMALL_STEP = 1  # the last step tried is within tol or xtol
    SMALL_DECREASE = 2  # the cost's decrease, found and predicted, is within ftol
    NOT_FINITE = 3  # the start; every other point that is not finite is left


class Damping(NamedTuple):
    """The part of the scale's squares that is added to JᵀJ's diagonal, and what a trial left multiplies it by."""

    factor: Float[Array, ""]
    increase: Float[Array, ""]


class State(NamedTuple):
    """Where a run stands: ``value`` is the cost, ``error`` the largest component of the last step tried.

    ``matrix`` is what `step` takes: JᵀJ, or the factor of [J r]; ``scale`` the longest columns of J so far;
    ``restraint`` what keeps steps short: a `Damping`, or a radius.
    """

    iter_num: Int[Array, ""]
    restraint: Any
    value: Float[Array, ""]
    gradient: Float[Array, "N"]
    matrix: Float[Array, "..."]
    scale: Float[Array, "N"]
    error: Float[Array, ""]
    status: Int[Array, ""]


class StructuredLevenbergMarquardt(LevenbergMarquardt):
    """Minimise a sum of squares given by ``normal_equations(params, *args) -> (cost, gradient, JᵀJ)``.

    Takes the stock class's ``maxiter``, ``jit``, ``implicit_diff`` and ``implicit_diff_solve``; ``damping_parameter``
    is the first damping, and 0 makes the first step Gauss-Newton. A run ends with a step of at most ``tol`` in every
    component, or of at most ``xtol`` times the parameters, both in the scale's units; or when the decrease of the cost,
    found and predicted, is at most ``ftol`` times the cost (leave 0 where the cost lacks a constant).
    """

    def __init__(self, normal_equations: Callable, *, ftol: float = 0.0, xtol: float = 0.0, **options):
        self.normal_equations, self.ftol = normal_equations, ftol
        super().__init__(residual_fun=None, xtol=xtol, **options)

    def __post_init__(self):
        super(LevenbergMarquardt, self).__post_init__()  # the stock class's own compiles limits that are its alone

    def column_norms(self, matrix):
        """The lengths of J's columns."""
        return jnp.sqrt(diagonal(matrix))

    def first_restraint(self, params, value, scale):
        return Damping(jnp.full_like(value, self.damping_parameter), jnp.full_like(value, 2.0))

    def step(self, state: State):
        """The step to try and the decrease of the cost that the linear model predicts of it."""
        damping = state.restraint.factor * state.scale**2
        step = -self.solved(state.matrix + np.eye(len(damping), dtype=damping.dtype) * damping, state.gradient)
        return step, 0.5 * step @ (damping * step - state.gradient)

    def solved(self, matrix, right):
        """x of ``matrix @ x = right`` for the damped matrix, which is positive definite."""
        return cho_solve(cho_factor(matrix), right)

    def next_restraint(self, state: State, step, gain, taken):
        """From ``gain``, the decrease found over the one predicted (Madsen and Nielsen's rule)."""
        factor, increase = state.restraint
        raised = jnp.maximum(factor, jnp.finfo(factor.dtype).eps) * increase
        calmed = factor * jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3)
        return Damping(jnp.where(taken, calmed, raised), jnp.where(taken, 2.0, 2 * increase))

    def moved(self, params, step):
        """Where a step leads."""
        return params + step

    def rounding(self, value):
        """By how much a cost may seem to rise that does not."""
        return 0.0

    def init_state(self, init_params, *args) -> State:
        value, gradient, matrix = self.normal_equations(init_params, *args)
        norms = self.column_norms(matrix)
        scale = jnp.where(norms > 0, norms, 1.0)
        finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
        return State(
            iter_num=jnp.asarray(0),
            restraint=self.first_restraint(init_params, value, scale),
            value=value,
            gradient=gradient,
            matrix=matrix,
            scale=scale,
            error=jnp.full_like(value, jnp.inf),
            status=jnp.where(finite, Ending.OUT_OF_ITERATIONS, Ending.NOT_FINITE),
        )

    def update(self, params, state: State, *args) -> OptStep:
        step, predicted = self.step(state)
        trial = self.moved(params, step)
        value, gradient, matrix = self.normal_equations(trial, *args)
        decrease = state.value - value
        finite = jnp.all(jnp.isfinite(step)) & jnp.all(jnp.isfinite(gradient))
        taken = finite & (decrease >= -self.rounding(state.value))  # False for a value that is not a number
        take = lambda new, old: jax.tree.map(lambda new, old: jnp.where(taken, new, old), new, old)
        error = jnp.max(jnp.abs(step))
        still = error <= self.tol
        if self.xtol:
            within = lambda x: jnp.max(jnp.abs(state.scale * x))
            still |= within(step) <= self.xtol * within(params)
        settled = jnp.maximum(predicted, jnp.abs(decrease)) <= self.ftol * jnp.abs(state.value)
        status = jnp.where(settled, Ending.SMALL_DECREASE, state.status)
        return OptStep(
            take(trial, params),
            State(
                iter_num=state.iter_num + 1,
                restraint=self.next_restraint(state, step, decrease / predicted, taken),
                value=take(value, state.value),
                gradient=take(gradient, state.gradient),
                matrix=take(matrix, state.matrix),
                scale=take(jnp.maximum(state.scale, self.column_norms(matrix)), state.scale),
                error=error,
                status=jnp.where(still, Ending.SMALL_STEP, status),
            ),
        )

    def _run(self, init_params, *args) -> OptStep:
        """The loop without the stock one's copy of its first round, which doubles what there is to compile."""
        start = OptStep(init_params, self.init_state(init_params, *args))
        unfinished = lambda at: (at.state.status == Ending.OUT_OF_ITERATIONS) & (at.state.iter_num < self.maxiter)
        return jax.lax.while_loop(unfinished, lambda at: self.update(*at, *args), start)

    def optimality_fun(self, params, *args):
        """The gradient, whose root implicit differentiation follows."""
        return self.normal_equations(params, *args)[1]


class ResidualLevenbergMarquardt(StructuredLevenbergMarquardt):
    """Minimise half the sum of squares of ``residual(params, *args) -> (M,)``; options as above, bar the damping.

    The first radius is the parameters' own length in the scale's units: a start says how far off it may be.
    """

    def __init__(self, residual: Callable, **options):
        def factored(params, *args):
            r, jacobian = residual(params, *args), jax.jacfwd(residual)(params, *args)
            return 0.5 * r @ r, r @ jacobian, jnp.linalg.qr(jnp.column_stack([jacobian, r]), mode="r")

        super().__init__(factored, **options)

    def column_norms(self, matrix):
        return jnp.linalg.norm(matrix[:, :-1], axis=0)

    def first_restraint(self, params, value, scale):
        length = jnp.linalg.norm(scale * params)
        return jnp.where(length > 0, length, jnp.where(value > 0, jnp.sqrt(2 * value), 1.0))

    def step(self, state: State):
        """The shortest of the damped steps if it is within the radius, else the one that reaches it.

        Each singular value alone bounds the damping from below; from the largest bound, Newton's method on the
        reciprocal of the step's length rises to the root within rounding in a few rounds (Moré and Sorensen 1983).
        """
        u, s, vt = jnp.linalg.svd(state.matrix[:, :-1] / state.scale, full_matrices=False)
        s = jnp.maximum(s, jnp.finfo(s.dtype).eps * s[0])
        pull = s * (state.matrix[:, -1] @ u)
        turned = lambda damping: jnp.where(s > 0, pull / (s**2 + damping), 0.0)
        radius, damping = state.restraint, jnp.maximum(jnp.max(jnp.abs(pull) / state.restraint - s**2), 0.0)
        for _ in range(4):
            z = turned(damping)
            length = jnp.linalg.norm(z)
            slope = jnp.sum(z**2 / (s**2 + damping)) / length**2
            damping = jnp.where(length > radius, damping + (length / radius - 1) / slope, damping)
        z = turned(damping)
        return -(z @ vt) / state.scale, 0.5 * jnp.sum((s * z) ** 2) + damping * jnp.sum(z**2)

    def next_restraint(self, state: State, step, gain, taken):
        length, radius = jnp.linalg.norm(state.scale * step), state.restraint
        length = jnp.where(jnp.isfinite(length), length, radius)
        shrunk, grown = jnp.minimum(length, radius) / 2, jnp.maximum(2 * length, radius)
        return jnp.where(taken & (gain > 0.25), jnp.where(gain >= 0.75, grown, radius), shrunk)
