"""The solvers that are compared: each takes residuals, S starts and a precision, and gives back S times parameters.

All get the same evaluations, the same automatic Jacobian and the tightest tolerances that the precision has, so that
each is stopped by what it can reach and not by what it was asked for.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jaxopt
import numpy as np
import optimistix
from scipy.optimize import least_squares

from jaxface.solvers.levenberg_marquardt import ResidualLevenbergMarquardt, StructuredLevenbergMarquardt

_EVALUATIONS = 2000
_QUICK_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def _compiled(minimise: Callable) -> Callable:
    """``minimise(residual, start, *data)`` compiled once a problem, the cheap way, and run from each start."""

    def solve(residual, starts, *data):
        program = jax.jit(lambda start, *data: minimise(residual, start, *data))
        program = program.lower(starts[0], *data).compile(_QUICK_COMPILE)
        return [program(start, *data) for start in starts]

    return solve


def _tight(start) -> dict:
    eps = float(jnp.finfo(start.dtype).eps)
    return dict(maxiter=_EVALUATIONS, tol=0.0, xtol=eps, ftol=eps)


@_compiled
def _ours(residual, start, *data):
    return ResidualLevenbergMarquardt(residual, **_tight(start)).run(start, *data).params


@_compiled
def _ours_normal(residual, start, *data):
    def equations(params, *data):
        r, jacobian = residual(params, *data), jax.jacfwd(residual)(params, *data)
        return 0.5 * r @ r, r @ jacobian, jacobian.T @ jacobian

    return StructuredLevenbergMarquardt(equations, damping_parameter=1e-3, **_tight(start)).run(start, *data).params


@_compiled
def _stock(residual, start, *data):
    options = dict(maxiter=_EVALUATIONS, tol=0.0, solver="qr", materialize_jac=True)
    return jaxopt.LevenbergMarquardt(residual, **options).run(start, *data).params


@_compiled
def _optimistix(residual, start, *data):
    eps = float(jnp.finfo(start.dtype).eps)
    solver = optimistix.LevenbergMarquardt(rtol=eps, atol=eps)
    function = lambda params, data: residual(params, *data)
    return optimistix.least_squares(function, solver, start, data, max_steps=_EVALUATIONS, throw=False).value


def _scipy(method: str):
    def solve(residual, starts, *data):
        value, slope = (
            jax.jit(function).lower(starts[0], *data).compile(_QUICK_COMPILE)
            for function in (residual, jax.jacfwd(residual))
        )
        dtype, eps = starts.dtype, float(jnp.finfo(starts.dtype).eps)
        as_scipy_takes_it = lambda function: lambda params: np.asarray(function(params.astype(dtype), *data), float)
        found = []
        for start in np.asarray(starts, float):
            try:
                answer = least_squares(
                    *(as_scipy_takes_it(value), start, as_scipy_takes_it(slope)),
                    **dict(method=method, x_scale="jac", ftol=eps, xtol=eps, gtol=eps, max_nfev=_EVALUATIONS),
                )
                found.append(answer.x)
            except (ValueError, np.linalg.LinAlgError):  # it met a number that is not finite
                found.append(np.full_like(start, np.nan))
        return found

    return solve


#  solve(residual, starts (S, N), *data) -> S times parameters (N,), in the precision of the arrays; only SciPy keeps
#  its own arithmetic in float64, around residuals and Jacobians in float32. "JᵀJ" is the class that fits faces, here
#  on normal equations from a Jacobian.
SOLVERS = {
    "jaxface": _ours,
    "jaxface, JᵀJ": _ours_normal,
    "jaxopt": _stock,
    "optimistix": _optimistix,
    "SciPy lm": _scipy("lm"),
    "SciPy trf": _scipy("trf"),
}
