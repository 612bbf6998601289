"""People of known shape, the errors of landmarks on them, and the correction of these errors."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxface
from jaxface import camera
from jaxface.calibration import YAWS, Calibration, corrected, load_calibration, save_calibration
from jaxface.evaluation.noise import measured, simulated
from jaxface.evaluation.subjects import subjects
from jaxface.model.correspondences import IBUG68_MIRROR, JAW
from jaxface.types import POINTS

MANY = 160
"""People of every test that fits: of one number, so that the mean face is compiled once."""


@pytest.fixture(scope="module")
def people(small):
    return subjects(small, 48)


@pytest.fixture(scope="module")
def many(small):
    return subjects(small, MANY)


def a_calibration(offset=0.0, deviation=1.5, points=68):
    """One whose values differ by landmark and yaw."""
    rng = np.random.default_rng(1)
    grow = (1 + np.arange(len(YAWS)) / 6)[:, None, None]
    make = lambda axes: (offset * grow * rng.normal(size=(1, points, axes))).astype(np.float32)
    variance = np.full((len(YAWS), points, 2), deviation**2, np.float32)
    return Calibration(make(2), make(3), variance[..., 0], variance)


def turned(offset, rotation, yaw):
    """An offset (68, c) of an upright face that looks to the image's right, on this face: by its definition."""
    if yaw < 0:
        offset = offset[IBUG68_MIRROR] * [-1, 1, 1][: offset.shape[1]]
    up = rotation[:2, 1] / np.linalg.norm(rotation[:2, 1])
    right = np.array([-up[1], up[0]])
    return np.column_stack([offset[:, :1] * right - offset[:, 1:2] * up, offset[:, 2:]])


class TestSubjects:
    def test_seeds_make_them(self, small, people):
        again, others = subjects(small, 5), subjects(small, 5, odd=True)
        np.testing.assert_allclose(again.vertices, people.vertices[:5], atol=1e-4)  # sums of another batch size
        assert set(people.seeds % 2) == {0} and set(others.seeds % 2) == {1}

    def test_every_yaw_has_its_share(self, people):
        counts = np.histogram(people.yaw, bins=6, range=(-90, 90))[0]
        assert counts.min() >= 7

    def test_rotation_has_the_yaw(self, people):
        np.testing.assert_allclose(camera.euler_deg(jnp.asarray(people.rotation))[:, 1], people.yaw, atol=1e-3)

    def test_points_are_the_models(self, small, people):
        expected = small.landmark_positions(jnp.asarray(people.vertices), "ibug68")
        np.testing.assert_allclose(people.points(), expected, atol=1e-3)

    def test_a_face_is_a_scan(self, small, people):
        face = people.face(3)
        assert face.landmarks.shape == (68, 3) and len(face.vertices) < len(small.mean)  # no eyeballs, no teeth
        away = np.linalg.norm(face.landmarks[:, None] - face.vertices, axis=-1).min(axis=1)
        assert away.max() < 10


class TestSimulated:
    @pytest.mark.parametrize(("scheme", "points"), POINTS.items())
    def test_deviations_are_those_asked_for(self, people, scheme, points):
        faces = simulated(people, a_calibration(deviation=2.0, points=points), scheme)
        assert faces.scheme == scheme
        error = faces.xyz - people.seen(people.points(scheme))
        np.testing.assert_allclose(error.std(axis=(0, 1)), 2.0, rtol=0.06)
        np.testing.assert_allclose(error.mean(axis=(0, 1)), 0.0, atol=0.1)

    def test_the_contour_lies_on_the_outline(self, people):
        faces = simulated(people, a_calibration(deviation=0.0))
        seen = people.seen(people.points())
        inner = np.abs(faces.xy - seen[..., :2])[:, JAW.stop :]
        assert inner.max() < 1e-3
        slid = np.linalg.norm(faces.xy - seen[..., :2], axis=-1)[:, JAW]
        far = np.abs(people.yaw) > 40
        side = np.where(people.yaw[:, None] > 0, slid[:, 9:], slid[:, :8])  # the subject's left is hidden to the right
        near = np.where(people.yaw[:, None] > 0, slid[:, :8], slid[:, 9:])
        assert side[far].mean() > 5 and side[far].mean() > 3 * near[far].mean()

    def test_the_478_stay_on_the_head(self, people):
        faces = simulated(people, a_calibration(deviation=0.0, points=478), "mediapipe478")
        np.testing.assert_allclose(faces.xy, people.seen(people.points("mediapipe478"))[..., :2], atol=1e-3)


class TestCalibration:
    def test_measured_is_what_was_put_in(self, small, many):
        people, put_in = many, a_calibration(offset=2.0)
        true, rng = 2.0 * people.seen(people.points()), np.random.default_rng(0)
        xyz = true + 2.0 * rng.normal(size=true.shape)
        for row, yaw in enumerate(people.yaw):
            place = min(abs(yaw), 89.9) / 15
            below, part = int(place), place % 1
            offset = (1 - part) * put_in.offset_3d[below] + part * put_in.offset_3d[below + 1]
            xyz[row] += 2.0 * turned(offset, people.rotation[row], yaw)
        faces = jaxface.Landmarks(xyz[..., :2].astype(np.float32), xyz.astype(np.float32))
        found = measured(small, faces, true)
        expected = put_in.offset_3d - put_in.offset_3d.mean(axis=1, keepdims=True)
        assert np.sqrt(np.mean((found.offset_3d - expected)[:6] ** 2)) < 0.25 * np.sqrt(np.mean(expected**2))
        np.testing.assert_allclose(found.offset_2d, found.offset_3d[..., :2], atol=1e-6)
        assert 0.7 < np.sqrt(found.variance_3d[:5].mean()) < 1.4

    @pytest.mark.parametrize("angles", [(5.0, 33.0, 0.0), (-4.0, -52.0, 70.0), (0.0, 90.0, -20.0)])
    def test_corrected_undoes_the_offset(self, small, angles):
        table = a_calibration(offset=3.0)
        rotation = np.asarray(camera.rotation_from_euler(jnp.array(angles)))
        true = np.asarray(small.landmark_positions(small.mean, "ibug68")) @ rotation.T
        place = min(abs(angles[1]) / 15, len(YAWS) - 1.001)
        below, part = int(place), place % 1
        at = lambda values: (1 - part) * values[below] + part * values[below + 1]
        xyz = true + turned(at(table.offset_3d), rotation, angles[1])
        xy = true[:, :2] + turned(at(table.offset_2d), rotation, angles[1]) + [30, -20]
        found, weight, depth = corrected(
            table, "ibug68", jnp.float32(1), jnp.asarray(rotation), jnp.asarray(xy.T), jnp.asarray(xyz.T), None
        )
        np.testing.assert_allclose(found.T, true, atol=0.05)
        np.testing.assert_allclose(weight, 1.0, rtol=1e-5)
        assert depth == pytest.approx(1.0)

    def test_files_hold_it(self, tmp_path):
        table = a_calibration(offset=1.0)
        save_calibration(tmp_path / "mine.npz", ibug68=table)
        again = load_calibration(str(tmp_path / "mine.npz"), "ibug68")
        np.testing.assert_allclose(again.offset_3d, table.offset_3d, atol=2e-3)
        with pytest.raises(ValueError, match="mediapipe478"):
            load_calibration(str(tmp_path / "mine.npz"), "mediapipe478")
        with pytest.raises(ValueError, match="'nobody'"):
            load_calibration("nobody", "ibug68")

    def test_a_calibrated_fit_is_nearer(self, small, many, tmp_path):
        table = a_calibration(offset=3.0, deviation=1.0)

        def shifted(people):
            faces = simulated(people, table)
            offset = [turned(table.offset_3d[0], *view) for view in zip(people.rotation, people.yaw, strict=True)]
            offset = np.array(offset, np.float32)
            return jaxface.Landmarks(faces.xy + offset[..., :2], faces.xyz + offset)

        people = subjects(small, MANY, odd=True)
        found = measured(small, shifted(many), many.seen(many.points()))
        save_calibration(tmp_path / "c.npz", ibug68=found)
        error, turned_by = {}, {}
        for variant in ("2d+3d+p+w", "calibrated"):
            options = jaxface.FitOptions(variant=variant, calibration=str(tmp_path / "c.npz"))
            result = jaxface.fit_batch(small, shifted(people), options)
            fitted = np.asarray(small.landmark_positions(jaxface.vertices(small, result), "ibug68")) - people.points()
            error[variant] = np.sqrt(np.mean((fitted - fitted.mean(axis=1, keepdims=True)) ** 2))
            turned_by[variant] = np.abs(np.asarray(result.pose.euler_deg)[:, 1] - people.yaw).mean()
        assert error["calibrated"] < error["2d+3d+p+w"]
        assert turned_by["calibrated"] < 0.5 * turned_by["2d+3d+p+w"]
