"""The Levenberg-Marquardt loop alone: known minima, what it promises of every step, its derivatives and its lanes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from benchmarks.reference import mgh, nist
from jaxface.solvers.levenberg_marquardt import Ending, ResidualLevenbergMarquardt, StructuredLevenbergMarquardt

TIGHT = dict(maxiter=1000, tol=0.0, xtol=2.3e-16, ftol=2.3e-16)


def structured(residual, **options):
    """The structured class on plain normal equations."""

    def equations(params, *args):
        r, jacobian = residual(params, *args), jax.jacfwd(residual)(params, *args)
        return 0.5 * r @ r, r @ jacobian, jacobian.T @ jacobian

    return StructuredLevenbergMarquardt(equations, **options)


@pytest.fixture(params=[structured, ResidualLevenbergMarquardt], ids=["structured", "residual"])
def kind(request, x64):
    return request.param


def rosenbrock(x):
    return jnp.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def decay(b, x, y):
    return b[0] * jnp.exp(-b[1] * x) - y


X = np.linspace(0.0, 2.0, 15)
Y = 2.0 * np.exp(-1.3 * X) + 0.05 * np.cos(9 * X)


class TestReferenceProblems:
    @pytest.mark.parametrize("name", nist.MODELS)
    def test_a_model_has_the_certified_sum_of_squares_at_the_certified_parameters(self, name, x64):
        problem = nist.load(name)
        r = problem.residual(jnp.asarray(problem.solution), *problem.data)
        np.testing.assert_allclose(r @ r, problem.minima[0], rtol=1e-8, atol=1e-20)

    @pytest.mark.parametrize(
        "name, norm",
        [  # at the standard start, as MINPACK prints it
            ("Linear, full rank", 5.0),
            ("Rosenbrock", 4.919350),
            ("Helical valley", 50.0),
            ("Powell singular", 14.66288),
            ("Freudenstein-Roth", 20.01250),
            ("Bard", 6.456136),
            ("Kowalik-Osborne", 0.07289151),
            ("Meyer", 41153.47),
            ("Watson 6", 5.477226),
            ("Box 3D", 32.11158),
            ("Jennrich-Sampson", 64.58561),
            ("Brown-Dennis", 2815.438),
            ("Chebyquad 8", 0.1965139),
            ("Brown almost-linear", 16.53022),
            ("Osborne 1", 0.9375640),
            ("Osborne 2", 1.446865),
        ],
    )
    def test_a_problem_starts_where_minpack_does(self, name, norm, x64):
        problem = next(problem for problem in mgh.problems() if problem.name == name)
        np.testing.assert_allclose(jnp.linalg.norm(problem.residual(jnp.asarray(problem.starts[0]))), norm, rtol=1e-6)

    @pytest.mark.parametrize("name", ["BoxBOD", "MGH10", "Lanczos1", "Bennett5"])
    def test_the_hardest_regressions_have_four_digits_from_both_starts(self, name, x64):
        problem = nist.load(name)
        solver = ResidualLevenbergMarquardt(problem.residual, **TIGHT)
        run = jax.jit(lambda start: solver.run(start, *map(jnp.asarray, problem.data)))
        for start in problem.starts:
            params, state = run(jnp.asarray(start))
            assert problem.digits(params, np.sqrt(2 * state.value)) >= 4
            assert state.status in (Ending.SMALL_STEP, Ending.SMALL_DECREASE)


class TestSteps:
    @settings(max_examples=30)
    @given(seed=st.integers(0, 10**6), damping=st.sampled_from([0.0, 1e-6, 1.0]))
    def test_the_accepted_cost_never_rises(self, seed, damping):
        rng = np.random.default_rng(seed)
        a, b, c = (jnp.asarray(rng.normal(size=shape) * 10 ** rng.uniform(-2, 2)) for shape in ((6, 3), (6, 3), (6,)))
        for update, params, state in started(damping, rng.normal(size=3), (a, b, c)):
            values = [float(state.value)]
            for _ in range(8):
                params, state = update(params, state, a, b, c)
                values.append(float(state.value))
            assert np.isfinite(values).all() and (np.diff(values) <= 0).all()

    def test_a_trial_that_is_not_finite_is_left(self, kind):
        walled = lambda x: rosenbrock(x) + jnp.where(x[0] > 0.9, jnp.nan, 0.0)
        solver = kind(walled, damping_parameter=1e-3)
        params = jnp.array([-1.2, 1.0])
        state = solver.init_state(params)
        values = [float(state.value)]
        for _ in range(40):
            params, state = solver.update(params, state)
            values.append(float(state.value))
        assert np.isfinite(values).all() and np.isfinite(params).all() and np.isfinite(state.gradient).all()
        assert (np.diff(values) <= 0).all() and values[-1] < 0.1 * values[0]

    def test_every_trial_left_in_a_row_raises_the_damping_twice_as_much(self, x64):
        """Madsen and Nielsen's Alg. 6.18: by 2, 4, 8, ..."""
        solver = structured(lambda x: jnp.where(x[0] == 1.0, x, jnp.nan), damping_parameter=1e-3)
        params, factors = jnp.array([1.0]), []
        state = solver.init_state(params)
        for _ in range(4):
            params, state = solver.update(params, state)
            factors.append(float(state.restraint.factor))
        np.testing.assert_allclose(factors, 1e-3 * np.array([2, 8, 64, 1024]))

    def test_steps_are_measured_by_the_longest_columns_seen(self, kind):
        """Moré's scale: of Rosenbrock's function, whose first column is 2 a -20 x, it never shrinks."""
        solver = kind(rosenbrock, damping_parameter=1e-3)
        params, longest = jnp.array([0.5, -2.0]), np.zeros(2)
        state = solver.init_state(params)
        for _ in range(8):
            longest = np.maximum(longest, np.hypot([20 * params[0], 10.0], [1.0, 0.0]))
            np.testing.assert_allclose(state.scale, longest, rtol=1e-9)
            params, state = solver.update(params, state)

    def test_no_damping_makes_the_first_step_gauss_newton(self, x64):
        rng = np.random.default_rng(0)
        matrix, right = rng.normal(size=(9, 4)), rng.normal(size=9)
        solver = structured(lambda x: jnp.asarray(matrix) @ x - right, maxiter=1, damping_parameter=0.0)
        expected = np.linalg.lstsq(matrix, right, rcond=None)[0]
        np.testing.assert_allclose(solver.run(jnp.zeros(4)).params, expected, atol=1e-12)

    def test_the_units_of_a_parameter_do_not_matter(self, kind):
        units = jnp.array([1e-3, 1e5])
        plain = kind(rosenbrock, **TIGHT | dict(maxiter=7))
        scaled = kind(lambda x: rosenbrock(x / units), **TIGHT | dict(maxiter=7))
        start = jnp.array([-1.2, 1.0])
        np.testing.assert_allclose(scaled.run(start * units).params / units, plain.run(start).params, rtol=1e-8)

    def test_a_jacobian_of_zeros_ends_where_it_starts(self, x64):
        flat = ResidualLevenbergMarquardt(lambda x: jnp.ones(3) + 0 * x[0], **TIGHT)
        params, state = flat.run(jnp.array([1.0, 2.0]))
        assert np.array_equal(params, [1.0, 2.0]) and state.status == Ending.SMALL_STEP

    def test_a_start_at_a_solution_of_zeros_ends_there(self, x64):
        params, state = ResidualLevenbergMarquardt(lambda x: x, **TIGHT).run(jnp.zeros(2))
        assert np.array_equal(params, [0.0, 0.0]) and state.status == Ending.SMALL_STEP and state.iter_num == 1


def started(damping, start, args):
    """Both classes' compiled updates, at the start of one random problem."""
    for update, solver in zip(_UPDATES, _SOLVERS, strict=True):
        solver.damping_parameter = damping
        start = jnp.asarray(start)
        yield update, start, solver.init_state(start, *args)


def _waves(x, a, b, c):
    return jnp.sin(a @ x) + (b @ x) ** 3 - c


_SOLVERS = structured(_waves), ResidualLevenbergMarquardt(_waves)
_UPDATES = [jax.jit(solver.update) for solver in _SOLVERS]


class TestEndings:
    @pytest.mark.parametrize(
        "options, ending",
        [
            (dict(maxiter=3), Ending.OUT_OF_ITERATIONS),
            (dict(tol=1e-9), Ending.SMALL_STEP),
            (dict(xtol=1e-9), Ending.SMALL_STEP),
            (dict(ftol=1e-9), Ending.SMALL_DECREASE),
        ],
    )
    def test_each_rule(self, options, ending, x64):
        solver = structured(decay, **dict(maxiter=100, tol=0.0) | options)
        params, state = solver.run(jnp.array([1.0, 0.2]), X, Y)
        assert state.status == ending
        if ending:
            expected = least_squares(lambda b: b[0] * np.exp(-b[1] * X) - Y, [1.0, 0.2]).x
            np.testing.assert_allclose(params, expected, rtol=1e-3)

    def test_a_start_that_is_not_finite_is_given_back(self, kind):
        params, state = kind(decay, **TIGHT).run(jnp.array([1.0, jnp.nan]), X, Y)
        assert state.status == Ending.NOT_FINITE and state.iter_num == 0
        np.testing.assert_array_equal(params, [1.0, np.nan])


class TestTransformations:
    def test_the_implicit_derivative_is_the_finite_difference(self, kind):
        dense = lambda matvec, b: jnp.linalg.solve(jax.vmap(matvec, out_axes=-1)(jnp.eye(b.size)), b)
        solver = kind(decay, implicit_diff_solve=dense, **TIGHT)
        fit = lambda y: solver.run(jnp.array([1.0, 0.2]), X, y).params
        along, step = np.sin(np.arange(15.0)), 1e-4
        at = jax.jit(jax.vmap(fit))(jnp.stack([Y + step * along, Y - step * along]))
        jacobian = jax.jit(jax.jacrev(fit))(jnp.asarray(Y))
        np.testing.assert_allclose(jacobian @ along, (at[0] - at[1]) / (2 * step), rtol=1e-5)

    def test_lanes_do_not_touch_each_other(self, kind):
        solver = kind(decay, **TIGHT)
        starts = jnp.array([[1.0, 0.2], [jnp.nan, 1.0], [5.0, 8.0], [2.0, 1.3]])
        run = lambda start: solver.run(start, X, Y)
        together, alone = jax.jit(jax.vmap(run))(starts), jax.jit(run)
        for lane, start in enumerate(starts):
            params, state = alone(start)
            np.testing.assert_allclose(together.params[lane], params, rtol=1e-6)
            assert (together.state.status[lane] == Ending.NOT_FINITE) == (state.status == Ending.NOT_FINITE)
            assert np.isfinite(together.params[lane]).all() == (lane != 1)

    def test_float32_stays_float32(self, kind):
        given = (np.array([1.0, 0.2], np.float32), X.astype(np.float32), Y.astype(np.float32))
        outcome = jax.eval_shape(kind(decay).run, *given)
        assert {leaf.dtype for leaf in jax.tree.leaves(outcome) if leaf.dtype.kind == "f"} == {np.dtype(np.float32)}
