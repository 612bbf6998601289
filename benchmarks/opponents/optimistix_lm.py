"""Optimistix's Levenberg-Marquardt with Cholesky on the normal equations, in jaxface's own loop.

``solvers.NAMES`` is the place for it: ``FitOptions(solver="optimistix")`` after ``register()``. The residuals are those
that the stock jaxopt class gets.
"""

import lineax
import optimistix

from jaxface import solvers
from jaxface.solvers.plain import by_residuals

_STEPS = 30
_SOLVER = optimistix.LevenbergMarquardt(rtol=1e-6, atol=1e-6, linear_solver=lineax.Normal(lineax.Cholesky()))


def _minimum(residual, start, *args):
    call = lambda params, args: residual(params, *args)
    return optimistix.least_squares(call, _SOLVER, start, args, max_steps=_STEPS, throw=False).value


solve_pose, prepare_shape, solve_shape = by_residuals(_minimum)


def register() -> str:
    """Make this file one of ``jaxface.solvers`` and return its name there."""
    solvers.NAMES["optimistix"] = __name__
    return "optimistix"
