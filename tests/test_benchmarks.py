"""The benchmark suite's own arithmetic, and that its opponents minimise what jaxface minimises."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

import jaxface
from benchmarks import metrics
from benchmarks.devices import collectives
from benchmarks.energy import cost
from benchmarks.inputs import first, random_faces
from benchmarks.metrics import Metric
from benchmarks.opponents import numpy_batched, numpy_single, scipy_least_squares
from benchmarks.roofline import least_flops
from jaxface import FitOptions

pytestmark = pytest.mark.usefixtures("run_once")


def of_both(result):
    return np.concatenate([result.identity, result.expression], axis=-1)


def landmark_rms(points, one, two):
    """Root mean square distance in mm over the landmarks of all faces."""
    moved = np.einsum("lcn,bn->blc", np.asarray(points.basis, np.float64), np.asarray(one) - np.asarray(two))
    return np.sqrt(np.mean(np.sum(moved**2, axis=-1)))


@pytest.mark.parametrize("solver", ["structured", "jaxopt"])
def test_numpy_fits_the_same_faces(x64, small, solver):
    faces = random_faces(small, 12, dtype=np.float64)
    points = small.at_landmarks("ibug68")
    arrays = numpy_single.Model.of(points, np.float64)
    ours = jaxface.fit_batch(small, faces, FitOptions(solver=solver))
    single = [numpy_single.fit(arrays, *face) for face in zip(faces.xy, faces.xyz, strict=True)]
    batched = numpy_batched.fit(arrays, faces.xy, faces.xyz)
    assert landmark_rms(points, of_both(ours), [fit.coefficients for fit in single]) < 1e-3
    assert landmark_rms(points, of_both(ours), batched.coefficients) < 1e-3
    np.testing.assert_allclose(ours.pose.scale, batched.scale * batched.radius, rtol=1e-4)
    np.testing.assert_allclose(ours.pose.rotation, batched.rotation, atol=1e-3)


def test_numpy_stays_in_float32(small):
    faces = random_faces(small, 2)
    arrays = numpy_single.Model.of(small.at_landmarks("ibug68"))
    for fit in (numpy_single.fit(arrays, faces.xy[0], faces.xyz[0]), numpy_batched.fit(arrays, faces.xy, faces.xyz)):
        assert all(field.dtype == np.float32 for field in fit)


def test_scipy_reaches_the_minimum_that_the_rounds_go_to(x64, small):
    """Alternating and joint minimisation share their end; the energy there is the one that a result reports."""
    faces = random_faces(small, 2, dtype=np.float64)
    points = small.at_landmarks("ibug68")
    arrays = numpy_single.Model.of(points, np.float64)
    ours = jaxface.fit_batch(small, faces, FitOptions(variant="2d+3d", iterations=300))
    for index, face in enumerate(zip(faces.xy, faces.xyz, strict=True)):
        joint = scipy_least_squares.fit_jointly(arrays, *face)
        first_scale = joint.first_scale * joint.radius
        least = cost(arrays, *face, joint.coefficients, joint.scale * joint.radius, joint.rotation, first_scale)
        result = jax.tree.map(lambda leaf: leaf[index], ours)  # noqa: B023
        pose = result.pose
        by_itself = cost(arrays, *face, of_both(result), np.asarray(pose.scale), pose.rotation, first_scale)
        np.testing.assert_allclose(by_itself, result.cost, rtol=1e-4)
        np.testing.assert_allclose(least, by_itself, rtol=1e-3)
        assert least <= by_itself * (1 + 1e-6)
        alternating = scipy_least_squares.fit(arrays, *face, iterations=2, refined=False)
        numpys = numpy_single.fit(arrays, *face, iterations=2, refined=False)
        np.testing.assert_allclose(alternating.coefficients, numpys.coefficients, atol=1e-3)


HIGHER = Metric("rate", "1/s", 80.0, "higher", tolerance=0.25, reach=100.0)
LOWER = Metric("error", "mm", 0.5, "lower", tolerance=0.1, reach=1.0, portable=True)


@pytest.mark.parametrize(
    "metric, baseline, verdict",
    [
        (HIGHER, 100.0, "same"),
        (HIGHER, 120.0, "worse"),
        (HIGHER, 60.0, "better"),
        (LOWER, 0.52, "same"),
        (LOWER, 0.4, "worse"),
        (LOWER, 0.6, "better"),
        (LOWER, None, ""),
        (replace(LOWER, value=None), 0.5, ""),
        (replace(LOWER, value=0.0, tolerance=0.0), 0.0, "same"),
        (replace(LOWER, value=1.0, tolerance=0.0), 0.0, "worse"),
    ],
)
def test_a_metric_is_compared_in_its_direction(metric, baseline, verdict):
    assert metric.compare(baseline) == verdict


def test_what_was_asked_for_is_reached_or_not():
    assert HIGHER.reached is False and replace(HIGHER, value=100.0).reached is True
    assert LOWER.reached is True and replace(LOWER, value=1.1).reached is False
    assert replace(HIGHER, reach=None).reached is None and replace(HIGHER, value=None).reached is None


def test_times_are_compared_on_one_machine_alone(tmp_path):
    here = {"cpu": "a", "cores": 2, "device": "cpu", "jax": "1"}
    path = tmp_path / "results.json"
    path.write_text(metrics.as_json(here, [replace(HIGHER, value=200.0), replace(LOWER, value=0.1)], {}))
    for machine, expected in ((here, ["worse", "worse"]), (here | {"cpu": "b"}, ["", "worse"])):
        assert metrics.verdicts([HIGHER, LOWER], *metrics.read_baseline(path, machine)) == expected
    assert metrics.read_baseline(tmp_path / "absent.json", here) == ({}, False)


def test_the_committed_baseline_can_be_read():
    recorded = json.loads(metrics.BASELINE.read_text())
    assert {"cpu", "cores", "device", "jax"} <= set(recorded["machine"])
    fields = {name for name in Metric.__dataclass_fields__}
    assert all(set(entry) == fields for entry in recorded["metrics"])


def test_least_flops():
    assert least_flops(68, 152, iterations=1, steps=0) == 2 * 2 * 204 * 152
    assert least_flops(68, 152, iterations=4, steps=3) == 4 * (2 * 2 * 204 * 152 + 3 * 2 * 2 * 120 * 80)
    assert least_flops(478, 152, 1, 1) - least_flops(478, 152, 1, 0) == 2 * 2 * 120 * 80  # the core, for any points


def test_collectives_are_found_in_a_program():
    assert collectives("x = f32[8] all-reduce-start(y)\n z = f32[4] all-gather(x), channel_id=1") == [
        "all-reduce",
        "all-gather",
    ]
    assert collectives("%all-reduce.1 = f32[8] add(x, y) /* fused */") == []


def test_inputs_are_seeded(small):
    one, two, other = random_faces(small, 3), random_faces(small, 3), random_faces(small, 3, seed=1)
    np.testing.assert_array_equal(one.xy, two.xy)
    assert np.abs(one.xy - other.xy).max() > 1
    assert one.xy.shape == (3, 68, 2) and first(one, 2).xyz.shape == (2, 68, 3)
    assert random_faces(small, 2, "mediapipe478").xyz.shape == (2, 478, 3)
