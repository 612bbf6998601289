"""``solver="jaxopt"``: the stock Levenberg-Marquardt on the plain residuals, the reference for every other solver."""

import jax
import jax.numpy as jnp
from jaxopt import LevenbergMarquardt

from jaxface import energies
from jaxface.solvers import implicit


def _stock(residual):
    """A function that minimises half the squares of ``residual(params, *args)`` from a start."""
    stock = LevenbergMarquardt(
        residual, maxiter=30, tol=1e-6, solver="cholesky", materialize_jac=True, implicit_diff=False
    )
    # It makes arrays of these in the precision that is in force now, and would carry that into every later fit.
    stock.damping_factor_max = stock.increase_factor_max = 2.0**32
    slope = jax.grad(lambda params, *args: 0.5 * jnp.sum(residual(params, *args) ** 2))
    return lambda start, *args: implicit.root(
        slope, lambda *args: stock.run(start, *args).params.astype(start.dtype), *args
    )


_pose, _shape = _stock(energies.pose_residual), _stock(energies.shape_residual)


def solve_pose(points, target, scale, rotation, stage):
    """The pose that minimises Eq. 4 at fixed centred points, from a starting one: ``scale, rotation``."""
    step = _pose(jnp.zeros(4, points.dtype), scale, rotation, points, target)
    return energies.pose_at(step, scale, rotation)


def prepare_shape(problem):
    """Nothing that one round could leave to the next."""


def solve_shape(problem, _):
    """The coefficients that minimise Eq. 4 at a fixed pose."""
    return _shape(jax.lax.stop_gradient(problem.coefficients), problem)
