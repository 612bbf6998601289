"""People of known shape, and landmarks of them as detectors would give them."""

import jax.numpy as jnp
import numpy as np
import pytest
from calibrations import a_calibration

from jaxface import camera
from jaxface.evaluation.noise import simulated
from jaxface.evaluation.subjects import subjects
from jaxface.model.correspondences import JAW
from jaxface.types import POINTS

pytestmark = pytest.mark.usefixtures("run_once")


@pytest.fixture(scope="module")
def people(small):
    return subjects(small, 48)


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

    def test_2d_points_that_look_away_err_twice_as_much(self, small, people):
        faces = simulated(people, a_calibration(deviation=2.0, points=478), "mediapipe478")
        error = faces.xy - people.seen(people.points("mediapipe478"))[..., :2]
        normals = np.asarray(small.at_landmarks("mediapipe478").normals)
        away = people.seen(np.broadcast_to(normals, (len(people), *normals.shape)))[..., 2] > 0
        assert [error[away].std(), error[~away].std()] == pytest.approx([4.0, 2.0], rel=0.05)

    def test_the_478_stay_on_the_head(self, people):
        faces = simulated(people, a_calibration(deviation=0.0, points=478), "mediapipe478")
        np.testing.assert_allclose(faces.xy, people.seen(people.points("mediapipe478"))[..., :2], atol=1e-3)
