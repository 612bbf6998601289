"""``solver="structured"``, the default: it never sees a Jacobian of the landmarks.

Pose: at fixed points x and targets y, Eq. 4 depends on them through Σxxᵀ and Σyxᵀ alone, so each Levenberg-Marquardt
step is arithmetic on 3x3 matrices, whatever the number of landmarks.

Shape: Eq. 4 is quadratic, with H = s²(λ2d + λ3d) (S - ρ Γ_rᵀΓ_r) + Λ, where S = Σ_a G_aa is diagonal in the
coordinates of ``jaxface.fitting.coordinates``, ρ = λ2d / (λ2d + λ3d), and Γ_r is the landmarks' motion along the
viewing direction r. Few steps of conjugate gradients from the last round's answer solve it to single precision's needs,
with an exact inverse for the coordinates that move the landmarks most and a diagonal for the others. Where landmarks
have weights, or more digits are asked for, H is put together from the Gram matrices and factored.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxopt import OptStep
from jaxtyping import Array, Float

from jaxface import energies
from jaxface.camera import HIGHEST
from jaxface.solvers import implicit
from jaxface.solvers.inverse import inverse
from jaxface.solvers.levenberg_marquardt import StructuredLevenbergMarquardt

POSE_STEPS = {"float32": 4, "float64": 16}
"""Steps of Levenberg-Marquardt, the same for every lane of a batch: what each precision can use."""
SHAPE_STEPS = 3
"""Steps of conjugate gradients a round."""
HEAD = 32
"""How many coordinates the preconditioner inverts exactly."""


class Moments(NamedTuple):
    """All that a pose can know of centred points x and their targets y: Σxxᵀ, Σyxᵀ and the diagonal of D."""

    points: Float[Array, "3 3"]
    cross: Float[Array, "3 3"]
    axes: Float[Array, "3"]


def pose_normal_equations(pose, moments: Moments):
    """Cost (up to a constant), gradient and Gauss-Newton matrix of Eq. 4 in a small turn ω of the camera frame and the
    logarithm of the scale, at ``pose``: scale and rotation.

    With z = R x, A = Σzzᵀ and B = Σyzᵀ, all are sums like Σ(ω × z)ᵀ D (s z - y).
    """
    scale, rotation = pose
    d = moments.axes
    total = d[0] + d[1] + d[2]
    a = jnp.matmul(jnp.matmul(rotation, moments.points, precision=HIGHEST), rotation.T, precision=HIGHEST)
    b = jnp.matmul(moments.cross, rotation.T, precision=HIGHEST)
    length, pull = d[:, None] * a, d[:, None] * (scale * a - b)
    value = 0.5 * scale * _trace(pull - d[:, None] * b)
    gradient = scale * jnp.append(_axial(pull), _trace(pull))
    # Σ[z]ᵀ D [z], [z] the matrix of a cross product: DA + AD - tr(D) A - tr(A) D + (tr(A) tr(D) - tr(DA)) I
    turn = (d[:, None] + d - total) * a + jnp.diag(_trace(a) * (total - d) - _trace(length))
    shared = _axial(length)[:, None]
    matrix = jnp.block([[turn, shared], [shared.T, _trace(length)]])
    return value, gradient, scale**2 * matrix


def _trace(matrix: Float[Array, "3 3"]) -> Float[Array, ""]:
    return matrix[0, 0] + matrix[1, 1] + matrix[2, 2]


def _axial(matrix: Float[Array, "3 3"]) -> Float[Array, "3"]:
    """Σ z × u from Σ u zᵀ."""
    return jnp.stack([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])


class _PoseSolver(StructuredLevenbergMarquardt):
    """A fixed number of steps for every lane of a batch, each a 4x4 Cholesky factorisation written out."""

    def moved(self, params, step):
        return energies.pose_at(step, *params)

    def rounding(self, value):
        """The cost lacks its constant, and is a difference of sums that are as large as it is."""
        return 4 * jnp.finfo(value.dtype).eps * jnp.abs(value)

    def _run(self, init_params, *args):
        start = OptStep(init_params, self.init_state(init_params, *args))
        return jax.lax.fori_loop(0, self.maxiter, lambda _, at: self.update(*at, *args), start)

    def solved(self, matrix, right):
        return _solve_small(matrix, right)


def _solve_small(matrix: Float[Array, "n n"], right: Float[Array, "n"]) -> Float[Array, "n"]:
    """Cholesky's method, unrolled: for a handful of unknowns in many lanes."""
    n = right.size
    low: list = [[None] * n for _ in range(n)]
    inverse_diagonal, x = [], [None] * n
    for j in range(n):
        inverse_diagonal.append(jax.lax.rsqrt(matrix[j, j] - sum(low[j][k] ** 2 for k in range(j))))
        for i in range(j + 1, n):
            low[i][j] = (matrix[i, j] - sum(low[i][k] * low[j][k] for k in range(j))) * inverse_diagonal[j]
    for i in range(n):
        x[i] = (right[i] - sum(low[i][k] * x[k] for k in range(i))) * inverse_diagonal[i]
    for i in reversed(range(n)):
        x[i] = (x[i] - sum(low[k][i] * x[k] for k in range(i + 1, n))) * inverse_diagonal[i]
    return jnp.stack(x)


_POSE = {
    precision: _PoseSolver(pose_normal_equations, maxiter=steps, damping_parameter=1e-3, implicit_diff=False)
    for precision, steps in POSE_STEPS.items()
}


def moments(points: Float[Array, "3 L"], target: energies.Target) -> Moments:
    """The moments of centred points and their targets, each landmark by its weight."""
    heavy = points if target.weight is None else points * target.weight
    square, cross = (jnp.matmul(side, heavy.T, precision=HIGHEST) for side in (points, target.points))
    return Moments(square, cross, target.axes)


def solve_pose(points: Float[Array, "3 L"], target: energies.Target, scale, rotation):
    """The pose that minimises Eq. 4 at fixed centred points, from a starting one: ``scale, rotation``."""
    known = moments(points, target)
    found = _POSE[points.dtype.name].run(*jax.lax.stop_gradient(((scale, rotation), known))).params
    return energies.pose_at(implicit.root(_pose_slope, _no_step, found, known), *found)


def _no_step(pose, _):
    """0, of the batch that the pose has."""
    return 0 * jnp.append(pose[1][0], pose[0])


def _pose_slope(step, start, known):
    return pose_normal_equations(energies.pose_at(step, *start), known)[1]


def shape_gradient(coefficients: Float[Array, "N"], problem: energies.ShapeProblem) -> Float[Array, "N"]:
    """Half the slope of Eq. 4 in the coefficients."""
    return _pulled_back(energies.shape_displacement(coefficients, problem), coefficients, problem)


def _pulled_back(displacement, coefficients, problem):
    axes, weight = problem.target.axes, problem.target.weight
    pull = problem.scale * energies.turned(problem.rotation.T * axes, displacement)
    heavy = pull if weight is None else weight * pull
    return jnp.matmul(heavy.ravel(), problem.basis, precision=HIGHEST) + axes[0] * problem.prior * coefficients


def prepare_shape(problem: energies.ShapeProblem):
    """The inverse of the leading block of H / s²(λ2d + λ3d), good for all rounds of a fit, as their poses are near; or
    nothing, where H is to be factored."""
    if problem.target.weight is not None or problem.points.dtype != jnp.float32:
        return None
    problem = jax.lax.stop_gradient(problem)
    size = min(HEAD, problem.coefficients.size)
    return inverse(_matrix(problem, problem.gram[:, :, :size, :size]))


def _matrix(problem, gram: Float[Array, "3 3 n n"]) -> Float[Array, "n n"]:
    """H / s²(λ2d + λ3d) of the coordinates whose Gram matrices these are."""
    metric, share = _metric(problem)
    ridge = share * jnp.eye(gram.shape[-1], dtype=gram.dtype)
    return jnp.einsum("ab,abnm->nm", metric, gram, precision=HIGHEST) + ridge


def _metric(problem):
    """RᵀDR / (λ2d + λ3d), and what the prior adds to the diagonal of H / s²(λ2d + λ3d)."""
    axes = problem.target.axes
    metric = jnp.matmul(problem.rotation.T * (axes / axes[0]), problem.rotation, precision=HIGHEST)
    return metric, problem.prior / problem.scale**2


def solve_shape(problem: energies.ShapeProblem, head) -> Float[Array, "N"]:
    """The coefficients that minimise Eq. 4 at a fixed pose; ``head`` is what ``prepare_shape`` gave."""
    solve = _by_factors if head is None else partial(_by_gradients, head=head)
    return implicit.root(shape_gradient, solve, problem)


def _downhill(problem):
    """Half the slope at the problem's start, down, less the factor s²(λ2d + λ3d)."""
    turned = problem.scale * energies.turned(problem.rotation, problem.points)
    slope = _pulled_back(turned - problem.target.points, problem.coefficients, problem)
    return -slope / (problem.scale**2 * problem.target.axes[0])


def _by_factors(problem):
    return problem.coefficients + cho_solve(cho_factor(_matrix(problem, problem.gram)), _downhill(problem))


def _by_gradients(problem, head):
    """Preconditioned conjugate gradients on H / s²(λ2d + λ3d)."""
    size, axes, view = len(head), problem.target.axes, problem.rotation[2]
    metric, share = _metric(problem)
    flat = 1 - axes[2] / axes[0]  # ρ
    squares = jnp.einsum("abnn->abn", problem.gram)
    still = jnp.einsum("aan->n", squares) + share
    diagonal = jnp.einsum("ab,abn->n", metric, squares, precision=HIGHEST) + share

    def apply(x):
        moved = jnp.matmul(problem.basis, x, precision=HIGHEST).reshape(3, -1)
        along = view[:, None] * jnp.sum(view[:, None] * moved, axis=0)
        return still * x - flat * jnp.matmul(along.ravel(), problem.basis, precision=HIGHEST)

    def precondition(r):
        first = jnp.matmul(head, r[:size], precision=HIGHEST)
        return jnp.concatenate([first, r[size:] / diagonal[size:]])

    def step(_, carry):
        x, r, p, old = carry
        q = apply(p)
        length = _ratio(old, jnp.dot(p, q))
        x, r = x + length * p, r - length * q
        z = precondition(r)
        new = jnp.dot(r, z)
        return x, r, z + _ratio(new, old) * p, new

    r = _downhill(problem)
    z = precondition(r)
    return jax.lax.fori_loop(0, SHAPE_STEPS, step, (problem.coefficients, r, z, jnp.dot(r, z)))[0]


def _ratio(part, whole):
    """Their ratio, and 0 where nothing is left to do."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1.0), 0.0)
