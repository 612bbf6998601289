"""``solver="structured"``, the default: Levenberg-Marquardt on normal equations that never see the landmarks.

Pose: at fixed points x and targets y the cost depends on them through Σxxᵀ and Σxyᵀ alone. Three points with the same
moments (the columns of a Cholesky factor) therefore have the same cost, gradient and Gauss-Newton matrix in the pose.
Shape: the cost is quadratic, with H = s² Σ_ab (RᵀDR)_ab G_ab + Λ put together from the model's Gram matrices G; one
undamped step is exact.
"""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from jaxface import energies
from jaxface.camera import HIGHEST
from jaxface.solvers.levenberg_marquardt import StructuredLevenbergMarquardt
from jaxface.solvers.linear import solve_dense


def three_points(points: Float[Array, "L 3"], target: energies.Target) -> tuple[Array, Array]:
    """Three points and targets with the (weighted) moments Σxxᵀ and Σxyᵀ of L centred ones, both (3, 3)."""
    weighted = points if target.weight is None else points * target.weight[:, None]
    factor = jnp.linalg.cholesky(jnp.matmul(weighted.T, points, precision=HIGHEST))
    cross = jnp.matmul(weighted.T, target.points, precision=HIGHEST)
    return factor.T, solve_triangular(factor, cross, lower=True)


def pose_normal_equations(tangent, scale, rotation, points, target, axes):
    """Cost (up to a constant), gradient and Gauss-Newton matrix of Eq. 4 in the pose, from three points."""
    displacement = lambda step: energies.pose_displacement(step, scale, rotation, points, target)
    d, jacobian = displacement(tangent), jax.jacfwd(displacement)(tangent)
    value = 0.5 * jnp.sum(axes * d**2)
    gradient = jnp.einsum("nap,a,na->p", jacobian, axes, d, precision=HIGHEST)
    return value, gradient, jnp.einsum("nap,a,naq->pq", jacobian, axes, jacobian, precision=HIGHEST)


def shape_normal_equations(coefficients, problem: energies.ShapeProblem):
    """Cost, gradient and matrix of Eq. 4 in the coefficients, the matrix from the Gram matrices alone."""
    target = problem.target
    displacement = energies.shape_displacement(coefficients, problem)
    pull = target.axes * displacement
    value = 0.5 * (jnp.sum(energies.whitened(displacement, target) ** 2) + jnp.sum(problem.prior * coefficients**2))
    if target.weight is not None:
        pull = pull * target.weight[:, None]
    in_model = problem.scale * jnp.matmul(pull, problem.rotation, precision=HIGHEST)
    gradient = jnp.einsum("lcn,lc->n", problem.basis, in_model, precision=HIGHEST) + problem.prior * coefficients
    metric = jnp.matmul(problem.rotation.T * target.axes, problem.rotation, precision=HIGHEST)
    matrix = problem.scale**2 * jnp.einsum("ab,abnm->nm", metric, problem.gram, precision=HIGHEST)
    return value, gradient, matrix + jnp.diag(problem.prior)


_POSE = StructuredLevenbergMarquardt(pose_normal_equations, maxiter=8, tol=1e-5, implicit_diff_solve=solve_dense)
_SHAPE = StructuredLevenbergMarquardt(
    shape_normal_equations, maxiter=1, damping_parameter=0.0, implicit_diff_solve=solve_dense
)


def solve_pose(points, target: energies.Target, scale, rotation):
    """The pose that minimises Eq. 4 at fixed centred points (L, 3), from a starting one: ``scale, rotation``."""
    three, their_targets = three_points(points, target)
    start = jnp.zeros(4, points.dtype)
    step = _POSE.run(start, scale, rotation, three, their_targets, target.axes).params
    return energies.pose_at(step, scale, rotation)


def solve_shape(problem: energies.ShapeProblem, coefficients):
    """The coefficients that minimise Eq. 4 at a fixed pose, from starting ones."""
    return _SHAPE.run(coefficients, problem).params
