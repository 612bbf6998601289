"""Each solver's two sub-problems against NumPy and SciPy in float64."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from jaxface import camera, energies, solvers
from jaxface.fitting.coordinates import PATTERNS, core
from jaxface.solvers import structured
from jaxface.solvers.inverse import inverse
from jaxface.solvers.lanes import joined

pytestmark = pytest.mark.usefixtures("run_once")

L, N = 20, 7
RNG = np.random.default_rng(1)
MEAN = RNG.normal(size=(L, 3))
MEAN -= MEAN.mean(axis=0)
BASIS = 0.2 * RNG.normal(size=(L, 3, N))
START = np.asarray(camera.rotation_from_euler(jnp.array([5.0, 40.0, 10.0])), np.float64)
SCALE = 1.3
XY = SCALE * (MEAN @ START.T)[:, :2] + 0.05 * RNG.normal(size=(L, 2))
XYZ = SCALE * MEAN @ START.T + 0.1 * RNG.normal(size=(L, 3))
WEIGHTS = [None, RNG.uniform(0.3, 1.5, L)]


@pytest.fixture(params=list(solvers.NAMES))
def solver(request, x64):
    return solvers.solver(request.param)


def target_of(weight, weight_2d, weight_3d):
    weight = None if weight is None else jnp.asarray(weight)
    apart = (energies.centred(jnp.asarray(points.T), weight) for points in (XY, XYZ))
    return energies.merge(*apart, weight, weight_2d, weight_3d)


def in_eigenvectors(basis):
    """The basis (L, 3, N) turned as ``jaxface.fitting.coordinates`` does, and the turn."""
    centred = basis - basis.mean(axis=0)
    turn = np.linalg.eigh(np.einsum("lan,lam->nm", centred, centred))[1][:, ::-1]
    return basis @ turn, turn


def problem_and_answer(weight, weights, n=N, seed=2):
    """A shape problem from a start that is not zero, and NumPy's answer to it."""
    rng = np.random.default_rng(seed)
    basis = in_eigenvectors(0.2 * rng.normal(size=(L, 3, n)) * np.linspace(1, 0.1, n))[0]
    target = target_of(weight, jnp.asarray(weights[0]), jnp.asarray(weights[1]))
    w = np.ones(L) if weight is None else weight
    basis = basis - np.einsum("l,lan->an", w / w.sum(), basis)
    mean, start = MEAN - w @ MEAN / w.sum(), 0.1 * rng.normal(size=n)
    rows = np.moveaxis(basis, 1, 0)
    grams = energies.gram(jnp.asarray(rows), None)
    problem = energies.ShapeProblem(
        *map(jnp.asarray, (start, (mean + basis @ start).T, rows.reshape(-1, n))),
        *((None, None) if weight is not None else (grams, jnp.einsum("abnn->abn", grams))),
        core(jnp.asarray(rows)),
        *map(jnp.asarray, (SCALE, START)),
        target,
        jnp.asarray(0.3),
    )
    root = np.sqrt(np.asarray(target.axes) * w[:, None])
    turned = lambda field: SCALE * np.einsum("ij,lj...->li...", START, field)
    prior = np.sqrt(float(target.axes[0]) * 0.3) * np.eye(n)
    left = np.concatenate([(root[..., None] * turned(basis)).reshape(-1, n), prior])
    right = np.concatenate([(root * (np.asarray(target.points).T - turned(mean))).ravel(), np.zeros(n)])
    return problem, np.linalg.lstsq(left, right, rcond=None)[0]


def test_what_joins_a_batch_is_of_it_and_keeps_its_value_and_slope():
    value, batch = jnp.arange(3.0), jnp.zeros(4)
    both = jax.vmap(joined, (None, 0))
    np.testing.assert_array_equal(both(value, batch), np.tile(value, (4, 1)))
    with pytest.raises(ValueError, match="out_axes"):  # as for any value of the batch
        jax.vmap(joined, (None, 0), out_axes=None)(value, batch)
    weights = jnp.asarray(RNG.normal(size=(4, 3)))
    slope = jax.grad(lambda value: jnp.vdot(weights, both(value, batch)))(value)
    np.testing.assert_allclose(slope, weights.sum(axis=0), rtol=1e-6)
    columns = jnp.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(jax.vmap(joined, (1, None))(columns, jnp.zeros(())), columns.T)


def test_the_core_holds_what_few_patterns_can(x64):
    """Eckart and Young: of all such approximations, none leaves less of the motion."""
    basis = np.random.default_rng(5).normal(size=(3, 2 * PATTERNS, 30)) * np.linspace(1, 0, 2 * PATTERNS)[:, None]
    lost = np.sum(basis**2) - float(jnp.sum(core(jnp.asarray(basis)) ** 2))
    values = np.linalg.svd(np.moveaxis(basis, 1, 0).reshape(2 * PATTERNS, -1), compute_uv=False)
    np.testing.assert_allclose(lost, np.sum(values[PATTERNS:] ** 2), atol=1e-9)


@pytest.mark.parametrize("weight", WEIGHTS, ids=["alike", "weighted"])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.5, 0.5), (0.1, 0.8)])
def test_shape_step_is_ridge_regression(solver, weight, weights):
    problem, expected = problem_and_answer(weight, weights)
    found = solver.solve_shape(problem, solver.prepare_shape(problem))
    np.testing.assert_allclose(found, expected, atol=3e-6)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.5, 0.5), (0.1, 0.8)])
def test_fewer_landmarks_than_coordinates_are_ridge_regression_too_and_so_is_its_slope(x64, weights):
    problem, expected = problem_and_answer(None, weights, n=48)
    assert 2 * L <= 48  # so that a matrix of landmarks is inverted
    along = jnp.asarray(np.random.default_rng(3).normal(size=(3, L)))

    def solved(points):
        given = replace(problem, target=replace(problem.target, points=points))
        return structured.solve_shape(given, structured.prepare_shape(given))

    found, slope = jax.jvp(solved, (problem.target.points,), (along,))
    np.testing.assert_allclose(found, expected, atol=3e-6)
    np.testing.assert_allclose(slope, solved(problem.target.points + along) - found, atol=1e-9)  # it is linear


@pytest.mark.parametrize("weight", WEIGHTS, ids=["alike", "weighted"])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.5, 0.5), (0.1, 0.8)])
def test_conjugate_gradients_in_single_precision_come_near_in_a_round_and_nearer_in_the_next(x64, weight, weights):
    problem, expected = problem_and_answer(weight, weights, n=48)
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), problem)
    prepared = structured.prepare_shape(single)
    assert prepared.head.shape == (structured.HEAD,) * 2
    error = lambda found: np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()
    one = structured.solve_shape(single, prepared)
    moved = jnp.matmul(single.basis, one - single.coefficients).reshape(3, -1)
    two = structured.solve_shape(replace(single, coefficients=one, points=single.points + moved), prepared)
    assert error(one) < 0.1 and error(two) < max(1e-5, 0.1 * error(one))


@pytest.mark.parametrize("weight", WEIGHTS, ids=["alike", "weighted"])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.5, 0.5), (0.1, 0.8)])
def test_pose_step_is_scipys_minimum(solver, weight, weights):
    target = target_of(weight, jnp.asarray(weights[0]), jnp.asarray(weights[1]))
    w = np.ones(L) if weight is None else weight
    points = MEAN - w @ MEAN / w.sum()
    root = np.sqrt(np.asarray(target.axes) * w[:, None])
    turned = lambda step: np.exp(step[3]) * points @ (Rotation.from_rotvec(step[:3]).as_matrix() @ START).T
    residual = lambda step: (root * (turned(step) - np.asarray(target.points).T)).ravel()
    best = least_squares(residual, np.zeros(4), xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    off = Rotation.from_rotvec([0.1, -0.15, 0.05]).as_matrix() @ START
    scale, rotation = solver.solve_pose(jnp.asarray(points.T), target, jnp.asarray(1.0), jnp.asarray(off), "coarse")
    np.testing.assert_allclose(scale, np.exp(best[3]), rtol=1e-5)
    np.testing.assert_allclose(rotation, Rotation.from_rotvec(best[:3]).as_matrix() @ START, atol=1e-5)


def test_moments_stand_for_all_landmarks(x64):
    """The same cost (up to a constant), slope, Gauss-Newton matrix and second derivatives in the pose as all landmarks
    have."""
    target = target_of(WEIGHTS[1], jnp.asarray(0.3), jnp.asarray(0.6))
    points = energies.centred(jnp.asarray(MEAN.T), target.weight)
    moments = structured.moments(points, target)

    def check(pose):
        whole = lambda step: energies.pose_residual(step, *pose, points, target)
        cost = lambda step: 0.5 * jnp.sum(whole(step) ** 2)
        at_rest = jnp.zeros(4)
        value, slope, (gauss, newton) = structured.pose_normal_equations(pose, moments)
        np.testing.assert_allclose(slope, jax.grad(cost)(at_rest), atol=1e-10)
        jacobian = jax.jacfwd(whole)(at_rest)
        np.testing.assert_allclose(gauss, jacobian.T @ jacobian, atol=1e-10)
        np.testing.assert_allclose(newton, jax.hessian(cost)(at_rest), atol=1e-10)
        return value - cost(at_rest)

    other = camera.rotation_from_euler(jnp.array([-20.0, 85.0, 30.0]))
    one, two = check((jnp.asarray(SCALE), jnp.asarray(START))), check((jnp.asarray(0.7), other))
    np.testing.assert_allclose(one, two, atol=1e-10)


@pytest.mark.parametrize("size", [1, 5, 16, 32, 40])
@pytest.mark.parametrize("batch", [(), (3,), (130,), (2, 3)])
def test_small_inverses(size, batch):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(*batch, size, size))
    matrices = root @ np.swapaxes(root, -1, -2) + size * np.eye(size)
    invert = inverse
    for _ in batch:
        invert = jax.vmap(invert)
    found = jax.jit(invert)(jnp.asarray(matrices, jnp.float32))
    np.testing.assert_allclose(
        np.asarray(found) @ matrices, np.broadcast_to(np.eye(size), matrices.shape), atol=2e-6 * size
    )


def test_slopes_of_an_inverse_have_slopes(x64):
    rng = np.random.default_rng(0)
    root, along = rng.normal(size=(2, 5, 5))
    entry = lambda step: inverse(jnp.asarray(root @ root.T + 5 * np.eye(5)) + step * jnp.asarray(along + along.T))[0, 1]
    ahead, here, behind = (float(entry(step)) for step in (1e-3, 0.0, -1e-3))
    assert np.isclose(jax.jit(jax.hessian(entry))(0.0), (ahead - 2 * here + behind) / 1e-6, rtol=1e-4)
