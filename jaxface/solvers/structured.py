"""``solver="structured"``, the default: it never sees a Jacobian of the landmarks.

Pose: at fixed points x and targets y, Eq. 4 depends on them through Σxxᵀ and Σyxᵀ alone, so each Levenberg-Marquardt
step is arithmetic on 3x3 matrices, whatever the number of landmarks. They give the exact second derivatives too, so a
step is Newton's where these curve up in all directions, and Gauss and Newton's elsewhere.

Shape: Eq. 4 is quadratic, with H = s²(λ2d + λ3d) (S - ρ Γ_rᵀΓ_r) + Λ, where S = Σ_a G_aa is diagonal in the
coordinates of ``jaxface.fitting.coordinates``, ρ = λ2d / (λ2d + λ3d), and Γ_r is the landmarks' motion along the
viewing direction r. Few steps of conjugate gradients from the last round's answer solve it to single precision's needs,
with an exact inverse for the coordinates that move the landmarks most and a diagonal for the others; where landmarks
have weights, with the products of all of Γ. For more digits, and for derivatives, H is inverted: where few landmarks
weigh alike through a matrix of theirs, else as it is put together from the Gram matrices.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxopt import OptStep
from jaxtyping import Array, Float, Int

from jaxface import energies
from jaxface.camera import HIGHEST
from jaxface.solvers import implicit
from jaxface.solvers.inverse import inverse
from jaxface.solvers.lanes import joined
from jaxface.solvers.levenberg_marquardt import Ending, State, StructuredLevenbergMarquardt

POSE_STEPS = {
    "float32": {"coarse": 8, "refined": 4, "round": 2},
    "float64": {"coarse": 16, "refined": 8, "round": 4},
}
"""Steps of Levenberg-Marquardt, the same for every lane of a batch: what each precision can use at each stage."""
SHAPE_STEPS = 5
"""Steps of conjugate gradients a round."""
WEIGHTED_STEPS = 8
"""The same where landmarks have weights of their own."""
HEAD = 24
"""How many coordinates the preconditioner inverts exactly."""


class Moments(NamedTuple):
    """All that a pose can know of centred points x and their targets y: Σxxᵀ, Σyxᵀ and the diagonal of D."""

    points: Float[Array, "3 3"]
    cross: Float[Array, "3 3"]
    axes: Float[Array, "3"]


def pose_normal_equations(pose, moments: Moments):
    """Cost (up to a constant), gradient, and Gauss and Newton's matrix over Newton's (the exact second derivatives), of
    Eq. 4 in a small turn ω of the camera frame and the logarithm of the scale, at ``pose``: scale and rotation.

    With z = R x, A = Σzzᵀ and B = Σyzᵀ, all are sums like Σ(ω × z)ᵀ D (s z - y).
    """
    scale, rotation = pose
    d = moments.axes
    total = d[0] + d[1] + d[2]
    a = jnp.matmul(jnp.matmul(rotation, moments.points, precision=HIGHEST), rotation.T, precision=HIGHEST)
    b = jnp.matmul(moments.cross, rotation.T, precision=HIGHEST)
    length, pull = d[:, None] * a, d[:, None] * (scale * a - b)
    value = 0.5 * scale * _trace(pull - d[:, None] * b)
    across, outward = _axial(pull), _trace(pull)
    gradient = scale * jnp.append(across, outward)
    # Σ[z]ᵀ D [z], [z] the matrix of a cross product: DA + AD - tr(D) A - tr(A) D + (tr(A) tr(D) - tr(DA)) I
    unit = np.eye(3, dtype=d.dtype)
    spread = _trace(length)
    turn = (d[:, None] + d - total) * a + unit * (_trace(a) * (total - d) - spread)
    gauss = scale**2 * _bordered(turn, _axial(length), spread)
    # The second derivatives of s exp(ω) z are those of ω × (ω × z) = ω (ω·z) - z |ω|², of ω × z and of z.
    bent = 0.5 * (pull + pull.T) - unit * outward
    return value, gradient, jnp.stack([gauss, gauss + scale * _bordered(bent, across, outward)])


def _bordered(matrix: Float[Array, "3 3"], side: Float[Array, "3"], corner: Float[Array, ""]) -> Float[Array, "4 4"]:
    return jnp.block([[matrix, side[:, None]], [side, corner]])


def _trace(matrix: Float[Array, "3 3 *n"]) -> Float[Array, "*n"]:
    return matrix[0, 0] + matrix[1, 1] + matrix[2, 2]


def _axial(matrix: Float[Array, "3 3"]) -> Float[Array, "3"]:
    """Σ z × u from Σ u zᵀ."""
    twice = matrix - matrix.T
    return jnp.stack([twice[2, 1], twice[0, 2], twice[1, 0]])


class _PoseSolver(StructuredLevenbergMarquardt):
    """A fixed number of steps for every lane of a batch, each a 4x4 Cholesky factorisation written out."""

    def column_norms(self, matrix):
        return super().column_norms(matrix[0])

    def moved(self, params, step):
        return energies.pose_at(step, *params)

    def rounding(self, value):
        """The cost lacks its constant, and is a difference of sums that are as large as it is."""
        return 4 * jnp.finfo(value.dtype).eps * jnp.abs(value)

    def init_state(self, init_params, *args):
        """Of a start that is still to be looked at: an update tries a step of 0 and takes it, which spares a second
        copy of the equations what there is to compile."""
        scale = init_params[0]
        value, still = jnp.full_like(scale, jnp.inf), jnp.zeros(4, scale.dtype)
        matrix = jnp.broadcast_to(np.eye(4, dtype=scale.dtype), (2, 4, 4))
        first, ending = self.first_restraint(init_params, value, still), jnp.asarray(Ending.OUT_OF_ITERATIONS)
        return State(jnp.asarray(0), *joined((first, value, still, matrix, still, value, ending), scale))

    def _run(self, init_params, known, steps):
        start = OptStep(init_params, self.init_state(init_params, known))
        return jax.lax.fori_loop(0, steps + 1, lambda _, at: self.update(*at, known), start)

    def solved(self, matrix, right):
        """Newton's step, if his matrix has a factor, which is else not a number."""
        gauss, newton = jax.vmap(_solve_small, (0, None))(matrix, right)
        return jnp.where(jnp.all(jnp.isfinite(newton)), newton, gauss)


def _solve_small(matrix: Float[Array, "n n"], right: Float[Array, "n"]) -> Float[Array, "n"]:
    """Cholesky's method, unrolled: for a handful of unknowns in many lanes."""
    n = right.size
    low: list = [[None] * n for _ in range(n)]
    inverse_diagonal: list = []
    x: list = [None] * n
    for j in range(n):
        inverse_diagonal.append(jax.lax.rsqrt(matrix[j, j] - sum(low[j][k] ** 2 for k in range(j))))
        for i in range(j + 1, n):
            low[i][j] = (matrix[i, j] - sum(low[i][k] * low[j][k] for k in range(j))) * inverse_diagonal[j]
    for i in range(n):
        x[i] = (right[i] - sum(low[i][k] * x[k] for k in range(i))) * inverse_diagonal[i]
    for i in reversed(range(n)):
        x[i] = (x[i] - sum(low[k][i] * x[k] for k in range(i + 1, n))) * inverse_diagonal[i]
    return jnp.stack(x)


_POSE = _PoseSolver(pose_normal_equations, damping_parameter=3e-3, implicit_diff=False)


@jax.jit
def _descended(start, known: Moments, steps: Int[Array, ""]):
    """A pose after so many steps: compiled once for every stage of a fit."""
    return _POSE.run(start, known, steps).params


def moments(points: Float[Array, "3 L"], target: energies.Target) -> Moments:
    """The moments of centred points and their targets, each landmark by its weight."""
    heavy = points if target.weight is None else points * target.weight
    square, cross = (jnp.matmul(side, heavy.T, precision=HIGHEST) for side in (points, target.points))
    return Moments(square, cross, target.axes)


def solve_pose(points: Float[Array, "3 L"], target: energies.Target, scale, rotation, stage: str):
    """The pose that minimises Eq. 4 at fixed centred points, from a starting one: ``scale, rotation``."""
    steps = POSE_STEPS[points.dtype.name][stage]
    start = jax.lax.stop_gradient((scale, rotation))
    known = joined(moments(points, target), start[0])  # so that every stage is one and the same program
    run = lambda known: _descended(start, known, steps)
    return implicit.root(_pose_gradient, run, known, moved=_POSE.moved, newton=_pose_newton)


def _pose_gradient(pose, known):
    return pose_normal_equations(pose, known)[1]


def _pose_newton(pose, known):
    return partial(jnp.matmul, inverse(pose_normal_equations(pose, known)[2][1]), precision=HIGHEST)


def shape_gradient(coefficients: Float[Array, "N"], problem: energies.ShapeProblem) -> Float[Array, "N"]:
    """Half the slope of Eq. 4 in the coefficients."""
    return _pulled_back(energies.shape_displacement(coefficients, problem), coefficients, problem)


def _pulled_back(displacement, coefficients, problem):
    axes, weight = problem.target.axes, problem.target.weight
    pull = problem.scale * energies.turned(problem.rotation.T * axes, displacement)
    heavy = pull if weight is None else weight * pull
    return jnp.matmul(heavy.ravel(), problem.basis, precision=HIGHEST) + axes[0] * problem.prior * coefficients


class Prepared(NamedTuple):
    """What all rounds of a fit share in single precision: the inverse of the leading block of H / s²(λ2d + λ3d) in the
    first pose, which the later ones are near, and the diagonals of the Gram matrices."""

    head: Float[Array, "n n"]
    squares: Float[Array, "3 3 N"]


def prepare_shape(problem: energies.ShapeProblem):
    """`Prepared`, or where more digits are asked for the Gram matrices of all coordinates."""
    problem = jax.lax.stop_gradient(problem)
    if problem.points.dtype != jnp.float32:
        return _gram(problem, problem.coefficients.size)
    head = inverse(_matrix(problem, _gram(problem, min(HEAD, problem.coefficients.size))))
    return Prepared(head, _squares(problem))


def _gram(problem, size: int) -> Float[Array, "3 3 n n"]:
    """The Gram matrices of the first coordinates."""
    if problem.gram is not None:
        return problem.gram[:, :, :size, :size]
    return energies.gram(_rows(problem)[:, :, :size], problem.target.weight)


def _squares(problem) -> Float[Array, "3 3 N"]:
    if problem.squares is not None:
        return problem.squares
    rows, weight = _rows(problem), problem.target.weight
    products = rows[:, None] * rows  # of the model alone: a batch of faces takes a matrix product with its weights
    sums, about = (jnp.einsum("l,...ln->...n", weight, of, precision=HIGHEST) for of in (rows, products))
    return about - sums[:, None] * sums / weight.sum()


def _rows(problem) -> Float[Array, "3 L N"]:
    return problem.basis.reshape(3, -1, problem.basis.shape[-1])


def _matrix(problem, gram: Float[Array, "3 3 n n"]) -> Float[Array, "n n"]:
    """H / s²(λ2d + λ3d) of the coordinates whose Gram matrices these are."""
    metric, share = _metric(problem)
    ridge = share * np.eye(gram.shape[-1], dtype=gram.dtype)
    return jnp.einsum("ab,abnm->nm", metric, gram, precision=HIGHEST) + ridge


def _metric(problem):
    """RᵀDR / (λ2d + λ3d), and what the prior adds to the diagonal of H / s²(λ2d + λ3d)."""
    axes = problem.target.axes
    metric = jnp.matmul(problem.rotation.T * (axes / axes[0]), problem.rotation, precision=HIGHEST)
    return metric, problem.prior / problem.scale**2


def solve_shape(problem: energies.ShapeProblem, prepared) -> Float[Array, "N"]:
    """The coefficients that minimise Eq. 4 at a fixed pose; ``prepared`` is what ``prepare_shape`` gave."""
    solve = partial(_by_gradients if isinstance(prepared, Prepared) else _by_inverse, prepared)
    return implicit.root(shape_gradient, solve, problem, newton=_shape_newton if _few(problem) else None)


def _shape_newton(_, problem):
    divided = _by_woodbury(problem)
    return lambda change: divided(change) / (problem.scale**2 * problem.target.axes[0])


def _downhill(problem):
    """Half the slope at the problem's start, down, less the factor s²(λ2d + λ3d)."""
    turned = problem.scale * energies.turned(problem.rotation, problem.points)
    slope = _pulled_back(turned - problem.target.points, problem.coefficients, problem)
    return -slope / (problem.scale**2 * problem.target.axes[0])


def _by_inverse(gram, problem):
    if _few(problem):
        divided = _by_woodbury(problem)
    else:
        divided = partial(jnp.matmul, inverse(_matrix(problem, gram)), precision=HIGHEST)
    return problem.coefficients + divided(_downhill(problem))


def _few(problem) -> bool:
    """Whether landmarks weigh alike and are so few that it pays to invert a matrix of theirs, not of coordinates."""
    return problem.target.weight is None and 2 * problem.points.shape[1] <= problem.coefficients.size


def _by_woodbury(problem):
    """A function that divides a vector by H / s²(λ2d + λ3d), D - ρ Γ_rᵀΓ_r with D diagonal (Woodbury's identity)."""
    flat = _flatness(problem)
    diagonal = _trace(problem.squares) + _metric(problem)[1]
    along = jnp.einsum("a,aln->ln", problem.rotation[2], _rows(problem), precision=HIGHEST)
    light = along / diagonal
    between = np.eye(len(along), dtype=along.dtype) - flat * jnp.matmul(light, along.T, precision=HIGHEST)
    between = flat * inverse(between)

    def divided(right):
        seen = jnp.matmul(between, jnp.matmul(light, right, precision=HIGHEST), precision=HIGHEST)
        return right / diagonal + jnp.matmul(seen, light, precision=HIGHEST)

    return divided


def _by_gradients(prepared, problem):
    """Preconditioned conjugate gradients, and a step down the diagonal in the coordinates that they leave out. What
    this leaves out is in the gradient of the next round."""
    metric, share = _metric(problem)
    apply, steps, active = _product(problem, prepared.squares, metric, share)
    size = len(prepared.head)
    diagonal = jnp.einsum("ab,abn->n", metric, prepared.squares, precision=HIGHEST) + share

    def precondition(r):
        first = jnp.sum(prepared.head * r[:size, None], axis=0)  # on a GPU in half the time of a product
        return jnp.concatenate([first, r[size:] / diagonal[size:active]])

    def step(_, carry):
        x, r, p, old = carry
        q = apply(p)
        length = _ratio(old, jnp.dot(p, q))
        x, r = x + length * p, r - length * q
        z = precondition(r)
        new = jnp.dot(r, z)
        return x, r, z + _ratio(new, old) * p, new

    down = _downhill(problem)
    r = down[:active]
    z = precondition(r)
    start = joined(jnp.zeros_like(r), r)
    x = jax.lax.fori_loop(0, steps, step, (start, r, z, jnp.dot(r, z)))[0]
    return problem.coefficients + jnp.concatenate([x, down[active:] / diagonal[active:]])


def _product(problem, squares, metric, share):
    """The product of H / s²(λ2d + λ3d) with the coordinates to take steps in, how many steps and how many of these.

    Where all landmarks weigh alike it is in the coordinates and the patterns of landmarks that hold nearly all motion;
    where each has its own weight, in all.
    """
    weight, core = problem.target.weight, problem.core

    def of_weighted(x):
        moved = jnp.matmul(problem.basis, x, precision=HIGHEST).reshape(3, -1)
        pull = weight * energies.turned(metric, energies.centred(moved, weight))
        return jnp.matmul(pull.ravel(), problem.basis, precision=HIGHEST) + share * x

    if weight is not None:
        return of_weighted, WEIGHTED_STEPS, problem.coefficients.size
    active, view = core.shape[1], problem.rotation[2]
    flat = _flatness(problem)
    still = _trace(squares)[:active] + share

    def of_core(x):
        moved = jnp.matmul(core, x, precision=HIGHEST).reshape(3, -1)
        along = view[:, None] * jnp.sum(view[:, None] * moved, axis=0)
        return still * x - flat * jnp.matmul(along.ravel(), core, precision=HIGHEST)

    return of_core, SHAPE_STEPS, active


def _flatness(problem):
    """ρ of H: 1 where depth is unseen, 0 where it is seen as well as the rest."""
    return 1 - problem.target.axes[2] / problem.target.axes[0]


def _ratio(part, whole):
    """Their ratio, and 0 where nothing is left to do."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1.0), 0.0)
