"""Optimistix's Levenberg-Marquardt with Cholesky on the normal equations, in jaxface's own loop.

``solvers.NAMES`` is the place for it: ``FitOptions(solver="optimistix")`` after ``register()``. The residuals are those
that the stock jaxopt class gets.
"""

import jax.numpy as jnp
import lineax
import optimistix

from jaxface import energies, solvers
from jaxface.solvers.reference import prepare_shape as prepare_shape

_STEPS = 30
_SOLVER = optimistix.LevenbergMarquardt(rtol=1e-6, atol=1e-6, linear_solver=lineax.Normal(lineax.Cholesky()))


def _minimum(residual, start, *args):
    call = lambda params, args: residual(params, *args)
    return optimistix.least_squares(call, _SOLVER, start, args, max_steps=_STEPS, throw=False).value


def solve_pose(points, target, scale, rotation, stage):
    """The pose that minimises Eq. 4 at fixed centred points, from a starting one."""
    step = _minimum(energies.pose_residual, jnp.zeros(4, points.dtype), scale, rotation, points, target)
    return energies.pose_at(step, scale, rotation)


def solve_shape(problem, _):
    """The coefficients that minimise Eq. 4 at a fixed pose."""
    return _minimum(energies.shape_residual, problem.coefficients, problem)


def register() -> str:
    """Make this file one of ``jaxface.solvers`` and return its name there."""
    solvers.NAMES["optimistix"] = __name__
    return "optimistix"
