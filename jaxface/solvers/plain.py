"""A solver made of any that minimises a sum of squares: it is given the residuals of Eq. 4 alone."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxface import energies
from jaxface.solvers import implicit


def by_residuals(minimise):
    """``solve_pose``, ``prepare_shape`` and ``solve_shape`` by ``minimise(residual, start, *args)``, the parameters at
    which the squares of ``residual(params, *args)`` are least; differentiable by the implicit theorem."""

    def solved(residual, start, *args):
        slope = jax.grad(lambda params, *args: 0.5 * jnp.sum(residual(params, *args) ** 2))
        return implicit.root(slope, partial(minimise, residual, start), *args)

    def solve_pose(points, target, scale, rotation, stage):
        step = solved(energies.pose_residual, jnp.zeros(4, points.dtype), scale, rotation, points, target)
        return energies.pose_at(step, scale, rotation)

    def prepare_shape(problem):
        """Nothing that one round could leave to the next."""

    def solve_shape(problem, _):
        return solved(energies.shape_residual, jax.lax.stop_gradient(problem.coefficients), problem)

    return solve_pose, prepare_shape, solve_shape
