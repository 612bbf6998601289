"""Each solver's two sub-problems against NumPy and SciPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from jaxface import camera, energies, solvers
from jaxface.model.morphable import gram

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
    return energies.merge(*(None if a is None else jnp.asarray(a) for a in (XY, XYZ, weight)), weight_2d, weight_3d)


@pytest.mark.parametrize("weight", WEIGHTS, ids=["alike", "weighted"])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.5, 0.5), (0.1, 0.8)])
def test_shape_step_is_ridge_regression(solver, weight, weights):
    target = target_of(weight, jnp.asarray(weights[0]), jnp.asarray(weights[1]))
    w = np.ones(L) if weight is None else weight
    basis = BASIS - np.einsum("l,lan->an", w / w.sum(), BASIS)
    mean = MEAN - w @ MEAN / w.sum()
    prior = RNG.uniform(0.05, 0.5, N)
    problem = energies.ShapeProblem(
        *map(jnp.asarray, (mean, basis)),
        gram(jnp.asarray(BASIS), target.weight),
        *map(jnp.asarray, (SCALE, START)),
        target,
        jnp.asarray(prior),
    )
    root = np.sqrt(np.asarray(target.axes) * w[:, None])
    turned = lambda field: SCALE * np.einsum("ij,lj...->li...", START, field)
    rows = np.concatenate([(root[..., None] * turned(basis)).reshape(-1, N), np.diag(np.sqrt(prior))])
    right = np.concatenate([(root * (np.asarray(target.points) - turned(mean))).ravel(), np.zeros(N)])
    expected = np.linalg.lstsq(rows, right, rcond=None)[0]
    np.testing.assert_allclose(solver.solve_shape(problem, jnp.zeros(N)), expected, atol=1e-7)


@pytest.mark.parametrize("weight", WEIGHTS, ids=["alike", "weighted"])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.5, 0.5), (0.1, 0.8)])
def test_pose_step_is_scipys_minimum(solver, weight, weights):
    target = target_of(weight, jnp.asarray(weights[0]), jnp.asarray(weights[1]))
    w = np.ones(L) if weight is None else weight
    points = MEAN - w @ MEAN / w.sum()
    root = np.sqrt(np.asarray(target.axes) * w[:, None])
    residual = lambda step: (
        root * (np.exp(step[3]) * points @ (START @ Rotation.from_rotvec(step[:3]).as_matrix()).T - target.points)
    ).ravel()
    best = least_squares(residual, np.zeros(4), xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    off = START @ Rotation.from_rotvec([0.1, -0.15, 0.05]).as_matrix()
    scale, rotation = solver.solve_pose(jnp.asarray(points), target, jnp.asarray(1.0), jnp.asarray(off))
    np.testing.assert_allclose(scale, np.exp(best[3]), rtol=1e-5)
    np.testing.assert_allclose(rotation, START @ Rotation.from_rotvec(best[:3]).as_matrix(), atol=1e-5)


def test_three_points_stand_for_all(x64):
    """The same cost (up to a constant), slope and Gauss-Newton matrix in the pose as all landmarks have."""
    from jaxface.solvers import structured

    target = target_of(WEIGHTS[1], jnp.asarray(0.3), jnp.asarray(0.6))
    points = energies.centred(jnp.asarray(MEAN), target.weight)
    three, theirs = structured.three_points(points, target)
    arguments = jnp.asarray(SCALE), jnp.asarray(START)
    whole = lambda step: energies.whitened(energies.pose_displacement(step, *arguments, points, target.points), target)
    for step in (jnp.zeros(4), jnp.array([0.1, -0.2, 0.3, 0.1])):
        value, slope, matrix = structured.pose_normal_equations(step, *arguments, three, theirs, target.axes)
        at_rest = structured.pose_normal_equations(jnp.zeros(4), *arguments, three, theirs, target.axes)[0]
        cost = lambda step: 0.5 * jnp.sum(whole(step) ** 2)
        np.testing.assert_allclose(value - at_rest, cost(step) - cost(jnp.zeros(4)), atol=1e-10)
        np.testing.assert_allclose(slope, jax.grad(cost)(step), atol=1e-10)
        jacobian = jax.jacfwd(whole)(step)
        np.testing.assert_allclose(matrix, jacobian.T @ jacobian, atol=1e-10)


def test_the_accepted_cost_never_rises_and_a_trial_that_is_not_finite_is_left():
    from jaxface.solvers.levenberg_marquardt import StructuredLevenbergMarquardt

    def rosenbrock(x):
        residual = lambda x: jnp.array([10 * (x[1] - x[0] ** 2), 1 - x[0] + jnp.where(x[0] > 0.9, jnp.nan, 0.0)])
        r, jacobian = residual(x), jax.jacfwd(residual)(x)
        return 0.5 * r @ r, jacobian.T @ r, jacobian.T @ jacobian

    lm = StructuredLevenbergMarquardt(rosenbrock, maxiter=1, damping_parameter=1e-3)
    params = jnp.array([-1.2, 1.0])
    state = lm.init_state(params)
    values = [float(state.value)]
    for _ in range(40):
        params, state = lm.update(params, state)
        values.append(float(state.value))
    assert np.isfinite(values).all() and np.isfinite(params).all()
    assert (np.diff(values) <= 0).all() and values[-1] < 0.1 * values[0]
