"""``solver="jaxopt"``: the stock Levenberg-Marquardt on the plain residuals, the reference for every other solver."""

import jax.numpy as jnp
from jaxopt import LevenbergMarquardt

from jaxface import energies
from jaxface.solvers.linear import solve_dense


def _pose_residual(tangent, scale, rotation, points, target):
    displacement = energies.pose_displacement(tangent, scale, rotation, points, target.points)
    return energies.whitened(displacement, target)


def _shape_residual(coefficients, problem):
    data = energies.whitened(energies.shape_displacement(coefficients, problem), problem.target)
    return jnp.concatenate([data, jnp.sqrt(problem.prior) * coefficients])


def _stock(residual):
    solver = LevenbergMarquardt(
        residual, maxiter=30, tol=1e-6, solver="cholesky", materialize_jac=True, implicit_diff_solve=solve_dense
    )
    # It makes arrays of these in the precision that is in force now, and would carry that into every later fit.
    solver.damping_factor_max = solver.increase_factor_max = 2.0**32
    return solver


_POSE, _SHAPE = _stock(_pose_residual), _stock(_shape_residual)


def solve_pose(points, target, scale, rotation):
    """The pose that minimises Eq. 4 at fixed centred points, from a starting one: ``scale, rotation``."""
    start = jnp.zeros(4, points.dtype)
    step = _POSE.run(start, scale, rotation, points, target).params
    return energies.pose_at(step, scale, rotation)


def solve_shape(problem, coefficients):
    """The coefficients that minimise Eq. 4 at a fixed pose, from starting ones."""
    return _SHAPE.run(coefficients, problem).params
