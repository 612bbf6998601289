"""``solver="jaxopt"``: the stock Levenberg-Marquardt on the plain residuals, the reference for every other solver."""

from functools import cache

from jaxopt import LevenbergMarquardt

from jaxface.solvers.plain import by_residuals


@cache
def _stock(residual):
    stock = LevenbergMarquardt(
        residual, maxiter=30, tol=1e-6, solver="cholesky", materialize_jac=True, implicit_diff=False
    )
    # It makes arrays of these in the precision that is in force now, and would carry that into every later fit.
    stock.damping_factor_max = stock.increase_factor_max = 2.0**32
    return stock


def _minimum(residual, start, *args):
    return _stock(residual).run(start, *args).params.astype(start.dtype)


solve_pose, prepare_shape, solve_shape = by_residuals(_minimum)
