"""Derivatives through a whole fit against finite differences, in float64."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from slopes import assert_slope, inner, moved, outcome

import jaxface
from jaxface import FitOptions, Landmarks, Status

pytestmark = pytest.mark.usefixtures("run_once")


@cache
def compiled(model, options):
    """A fit's ``outcome`` with its slope in the landmarks."""
    return jax.jit(jax.value_and_grad(lambda given: outcome(jaxface.fit(model, given, options))))


@pytest.fixture
def case(x64, small, face):
    landmarks, _ = face(seed=5, dtype=np.float64)
    rng = np.random.default_rng(0)
    noisy = replace(landmarks, xy=landmarks.xy + rng.normal(size=(68, 2)), xyz=landmarks.xyz + rng.normal(size=(68, 3)))
    along = Landmarks(xy=rng.normal(size=(68, 2)), xyz=rng.normal(size=(68, 3)))
    return small, jax.tree.map(jnp.asarray, noisy), jax.tree.map(jnp.asarray, along)


@pytest.mark.parametrize(
    "solver, variant", [("structured", "2d"), ("structured", "2d+3d+p+w"), ("jaxopt", "2d+3d+p+w")]
)
def test_reverse_mode(case, solver, variant):
    model, landmarks, along = case
    assert_slope(compiled(model, FitOptions(solver=solver, variant=variant)), landmarks, along)


def test_forward_mode_is_reverse_mode(case):
    model, landmarks, along = case
    value = lambda given: outcome(jaxface.fit(model, given))
    forward = jax.jit(lambda given, along: jax.jvp(value, (given,), (along,))[1])(landmarks, along)
    _, slope = compiled(model, FitOptions())(landmarks)
    np.testing.assert_allclose(forward, inner(slope, along), rtol=1e-8)


def test_second_derivatives_take_forward_mode_first(case):
    model, landmarks, along = case
    value = lambda step: outcome(jaxface.fit(model, moved(landmarks, along, step)))
    slope = jax.jit(jax.jacfwd(value))
    ahead, behind = slope(1e-3), slope(-1e-3)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(slope))(0.0), (ahead - behind) / 2e-3, rtol=1e-4)
    with pytest.raises(NotImplementedError, match="forward mode first"):
        jax.hessian(value)(0.0)


def test_vmap_of_grad_and_grad_through_a_batch(case):
    model, landmarks, along = case
    pair = jax.tree.map(lambda *leaves: jnp.stack(leaves), landmarks, moved(landmarks, along, 1.0))
    options = FitOptions()
    _, single = jax.vmap(compiled(model, options))(pair)

    total = lambda given: jnp.sum(jax.vmap(outcome)(jaxface.fit_batch(model, given, options)))
    through_batch = jax.jit(jax.grad(total))(pair)
    for ours, theirs in zip(jax.tree.leaves(single), jax.tree.leaves(through_batch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


def test_a_face_of_which_one_side_s_contour_alone_counts_has_finite_slopes(small, face):
    landmarks, _ = face()
    slope_at = jax.jit(jax.grad(lambda given: jnp.sum(jaxface.fit(small, given).identity ** 2)))
    for heeded in [*range(9)], [*range(9, 17)], [0, 1, 2, 3, 36]:
        slope = slope_at(replace(landmarks, weight=jnp.zeros(68).at[jnp.array(heeded)].set(1.0)))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope)) and np.abs(slope.xy).max() > 0, heeded


def test_a_basis_has_slopes_where_the_rest_of_the_model_is_numpy_s(small, face):
    landmarks, _ = face()
    loss = lambda identity, model: jnp.sum(jaxface.fit(replace(model, identity=identity), landmarks).identity ** 2)
    slope = jax.grad(loss)
    ours = slope(small.identity, jax.tree.map(np.asarray, small))
    np.testing.assert_allclose(ours, slope(small.identity, small), rtol=1e-5, atol=1e-7)


def test_a_lane_that_cannot_be_fitted_has_finite_slopes(small, face):
    landmarks, _ = face()
    nothing = replace(landmarks, xy=landmarks.xy * np.float32(np.nan))
    pair = jax.tree.map(lambda *leaves: jnp.stack(leaves), landmarks, nothing)
    loss = lambda given: jnp.sum(jaxface.fit_batch(small, given).identity ** 2)
    slope = jax.jit(jax.grad(loss))(pair)
    assert np.isfinite(slope.xy).all() and np.abs(slope.xy[0]).max() > 0 and not slope.xy[1].any()


def test_a_face_of_which_no_point_is_believed_is_not_fitted_and_has_finite_slopes(small, face):
    landmarks, _ = face()
    fitted = jax.jit(lambda weight: jaxface.fit(small, replace(landmarks, weight=weight)))
    for weight in (np.zeros(68, np.float32), -np.ones(68, np.float32)):
        assert fitted(weight).status == Status.DEGENERATE_LANDMARKS
    slope = jax.jit(jax.grad(lambda weight: fitted(weight).cost))(jnp.zeros(68))
    assert np.isfinite(slope).all()


def test_grad_of_the_model(small, face):
    """A learned model: slopes reach the bases too."""
    landmarks, _ = face()
    loss = lambda mean: jaxface.fit(replace(small, mean=mean), landmarks).cost
    slope = jax.jit(jax.grad(loss))(small.mean)
    assert np.isfinite(slope).all() and np.abs(slope).max() > 0


def test_slopes_in_weights_that_are_alike_are_those_on_both_sides(case):
    model, landmarks, _ = case
    way = jnp.asarray(np.random.default_rng(1).normal(size=68))
    run = jax.jit(jax.value_and_grad(lambda weight: outcome(jaxface.fit(model, replace(landmarks, weight=weight)))))
    (value, slope), step = run(jnp.ones(68)), 1e-5
    for side in (step, -step):
        np.testing.assert_allclose((run(1 + side * way)[0] - value) / side, slope @ way, rtol=1e-3)


def test_a_basis_has_the_slopes_of_double_precision_with_many_points_too(x64, small, face):
    """Single precision sees 478 points in patterns, which know nothing of a basis that leaves them."""
    rng = np.random.default_rng(2)
    dense, _ = face(seed=6, scheme="mediapipe478")
    dense = replace(dense, xyz=dense.xyz + rng.normal(0, 3, (478, 3)).astype(np.float32))
    way = rng.normal(size=small.identity.shape).astype(np.float32)

    def slope(kind):
        model, landmarks = (
            jax.tree.map(lambda a: a.astype(kind) if a.dtype.kind == "f" else a, o) for o in (small, dense)
        )
        at = lambda step: jaxface.fit(replace(model, identity=model.identity + step * way.astype(kind)), landmarks)
        return jax.jit(jax.jacfwd(lambda step: at(step).identity))(np.zeros((), kind))

    exact = slope(np.float64)
    np.testing.assert_allclose(slope(np.float32), exact, atol=0.05 * float(jnp.abs(exact).max()))


def test_frontal_symmetric_face_at_rest_has_finite_slopes(small, face):
    landmarks, _ = face(euler_deg=(0.0, 0.0, 0.0))
    points = small.landmark_positions(small.mean, "ibug68") * jnp.array([1.0, -1.0, -1.0])
    _, slope = compiled(small, FitOptions())(Landmarks(points[:, :2], points))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
