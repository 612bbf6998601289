"""``solver="optax"``: L-BFGS on the same energies, for comparison and for terms that are no sums of squares."""

import jax
import jax.numpy as jnp
import optax

from jaxface import energies
from jaxface.solvers import implicit

_ITERATIONS = 200
_OPTIMISER = optax.lbfgs()


def _minimise(residual):
    """A function that minimises half the squares of ``residual(params, *args)`` from a start, differentiable by the
    implicit theorem."""

    def energy(params, *args):
        return 0.5 * jnp.sum(residual(params, *args) ** 2)

    def run(start, *args):
        value = lambda params: energy(params, *args)
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

    slope = jax.grad(energy)
    return lambda start, *args: implicit.root(slope, lambda *args: run(start, *args), *args)


_pose, _shape = _minimise(energies.pose_residual), _minimise(energies.shape_residual)


def solve_pose(points, target, scale, rotation, stage):
    """The pose that minimises Eq. 4 at fixed centred points (3, L), from a starting one: ``scale, rotation``."""
    return energies.pose_at(_pose(jnp.zeros(4, points.dtype), scale, rotation, points, target), scale, rotation)


def prepare_shape(problem):
    """Nothing that one round could leave to the next."""


def solve_shape(problem, _):
    """The coefficients that minimise Eq. 4 at a fixed pose."""
    return _shape(jax.lax.stop_gradient(problem.coefficients), problem)
