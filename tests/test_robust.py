"""``loss="robust"``: points that no likely face has there are found and count for little."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from slopes import assert_slope

import jaxface
from jaxface import FitOptions, Landmarks
from jaxface.evaluation.subjects import subjects
from jaxface.fitting import robust
from jaxface.fitting.frame import Unit

pytestmark = pytest.mark.usefixtures("run_once")

ROBUST = FitOptions("2d+3d", loss="robust")
SHIFT = np.array([12.0, -9.0], np.float32)
"""In mm."""


@pytest.fixture(scope="module")
def people(small):
    """Twenty-four of the small model, their exact landmarks, the same with the 14 nearest to one of them moved by
    ``SHIFT``, and which these are."""
    people = subjects(small, 24)
    points = people.seen(people.points()).astype(np.float32)
    from_each = np.linalg.norm(people.shape.places[:, None] - people.shape.places, axis=-1)
    moved = np.zeros((24, 68), bool)
    for row in range(24):
        moved[row, np.argsort(from_each[(11 * row) % 68])[:14]] = True
    wrong = points.copy()
    wrong[..., :2] += SHIFT * moved[..., None]
    return people, Landmarks(points[..., :2], points), Landmarks(wrong[..., :2], wrong), moved


@pytest.fixture(scope="module")
def found(small, people):
    _, exact, wrong, _ = people
    squared = jaxface.fit_batch(small, wrong, replace(ROBUST, loss="squared"))
    return {"squared": squared} | {
        name: jaxface.fit_batch(small, landmarks, ROBUST) for name, landmarks in (("robust", wrong), ("exact", exact))
    }


def error(small, people, result):
    """(n,) root mean square over the vertices in mm, at equal pose."""
    return np.sqrt(np.mean(np.sum((np.asarray(jaxface.vertices(small, result)) - people.vertices) ** 2, -1), -1))


def test_weights_are_those_of_geman_and_mcclures_loss(x64):
    """Of the simplest fit there is, a mean, found by another minimiser."""
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(2, 68)) * 2
    xy[:, :14] += 40.0
    off = lambda xy, place: np.sum((xy - place[:, None]) ** 2, axis=0) / robust.DOUBTED_MM**2
    loss = lambda place: np.sum(off(xy, place) / (1 + off(xy, place)))
    best = minimize(loss, np.median(xy, axis=1), tol=1e-12).x

    def mean(unit, _):
        return jnp.sum((unit.xy - (unit.xy @ unit.weight / unit.weight.sum())[:, None]) ** 2, axis=0)

    weight = robust.landmark_weights(mean, Unit(jnp.asarray(xy), jnp.zeros((3, 68)), None))
    np.testing.assert_allclose(weight, (1 + off(xy, best)) ** -2, atol=0.01)
    own = jnp.asarray(rng.uniform(0.5, 1.0, 68))
    assert (robust.landmark_weights(mean, Unit(jnp.asarray(xy), jnp.zeros((3, 68)), own)) <= own).all()


def test_displaced_points_are_found_and_the_face_is_nearer(small, people, found):
    people, _, _, moved = people
    weight = np.asarray(found["robust"].landmark_weight)
    assert weight[moved].mean() < 0.2 < 0.8 < weight[~moved].mean()
    errors = {name: error(small, people, result).mean() for name, result in found.items()}
    assert errors["robust"] - errors["exact"] < 0.1 * (errors["squared"] - errors["exact"])


def test_exact_points_are_believed(people, found):
    assert np.asarray(found["exact"].landmark_weight).mean() > 0.8
    assert found["squared"].landmark_weight is None


def test_a_point_that_was_not_believed_stays_so(small, people):
    _, exact, _, moved = people
    given = replace(exact, weight=np.where(moved, 0.0, 1.0).astype(np.float32))
    weight = np.asarray(jaxface.fit_batch(small, given, ROBUST).landmark_weight)
    assert not weight[moved].any() and weight[~moved].mean() > 0.8


def test_no_lane_changes_another(small, people, found):
    _, _, wrong, _ = people
    broken = Landmarks(wrong.xy.copy(), wrong.xyz.copy())
    broken.xy[::2] = np.nan
    mixed = jaxface.fit_batch(small, broken, ROBUST)
    for ours, theirs in zip(jax.tree.leaves(mixed), jax.tree.leaves(found["robust"]), strict=True):
        np.testing.assert_array_equal(ours[1::2], theirs[1::2])
        assert np.isfinite(ours).all()
    assert (np.asarray(mixed.landmark_weight)[::2] == 1).all()  # of a face that is not fitted


def test_derivatives(x64, small, people):
    """Weights move with the landmarks; in float64, against finite differences."""
    _, _, wrong, _ = people
    rng = np.random.default_rng(0)
    noise = lambda leaf: jnp.asarray(leaf[0].astype(float) + rng.normal(size=leaf[0].shape))
    given, along = Landmarks(noise(wrong.xy), noise(wrong.xyz)), Landmarks(noise(0 * wrong.xy), noise(0 * wrong.xyz))

    def value(given):
        result = jaxface.fit(small, given, ROBUST)
        return jnp.sum(result.identity**2) + jnp.sum(result.landmark_weight**2) + result.pose.scale

    assert_slope(jax.jit(jax.value_and_grad(value)), given, along)


def test_a_sequence_in_which_one_picture_is_wrong(small, people):
    people, exact, _, moved = people
    three = lambda leaf: np.repeat(leaf[:1], 3, axis=0)
    shifted = np.array([0, 1, 0])[:, None, None] * np.where(moved[0][:, None], SHIFT, 0)
    pictures = Landmarks(three(exact.xy) + shifted, three(exact.xyz))
    pictures.xyz[..., :2] += shifted
    pictures = jax.tree.map(lambda leaf: leaf.astype(np.float32), pictures)
    truth, errors = people.vertices[:1], {}
    for loss in ("squared", "robust"):
        result = jaxface.fit_sequence(small, pictures, replace(ROBUST, loss=loss))
        errors[loss] = np.sqrt(np.mean((np.asarray(jaxface.vertices(small, result))[1] - truth) ** 2))
    assert errors["robust"] < 0.6 * errors["squared"]
    weight = np.asarray(result.landmark_weight)
    assert weight.shape == (3, 68) and weight[1, moved[0]].mean() < 0.3 < 0.8 < weight[0].mean()


def test_refused():
    with pytest.raises(ValueError, match="loss='huber': takes one of squared, robust"):
        FitOptions(loss="huber")


@pytest.mark.parametrize("arguments", [["fit", "a.jpg"], ["dataset", "photos"], ["video", "a.mp4"], ["ablation"]])
def test_refused_on_the_command_line(jaxface, arguments):
    ran = jaxface(*arguments, "--loss", "huber")
    assert ran.exit_code == 2 and "--loss" in ran.output and "'huber'" in ran.output
