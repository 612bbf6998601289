"""AFLW2000-3D's measures and its angles, against what they are by definition."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from jaxface import camera
from jaxface.evaluation import aflw2000
from jaxface.model.registration import similarity


@given(st.floats(0, 40), st.floats(0, 2 * np.pi))
def test_a_known_displacement(length, direction):
    """The same shift of all points, relative to the geometric mean of the box's sides, 120 x 30."""
    rng = np.random.default_rng(0)
    true = rng.uniform(size=(68, 3)) * [120, 30, 50]
    true[:2] = [[0, 0, 9], [120, 30, 9]]
    predicted = true + [length * np.cos(direction), length * np.sin(direction), 17]
    assert aflw2000.nme(predicted[None], true[None]) == pytest.approx(100 * length / 60, abs=1e-9)


def test_a_yaw_at_an_edge_is_in_the_lower_bin():
    yaw = np.array([0, 30, -30, 30.001, -60, 60.001, 90])
    found = aflw2000.by_yaw(np.array([1.0, 2, 3, 4, 6, 9, 11]), yaw)
    assert found == pytest.approx({"0-30": 2, "30-60": 5, "60-90": 10, "mean": 17 / 3})


def test_a_bin_without_faces_is_left_out():
    assert aflw2000.by_yaw(np.array([1.0, 2]), np.array([1.0, 70])) == {"0-30": 1, "60-90": 2, "mean": 1.5}


@given(st.tuples(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179)))
def test_angles_and_back(angles):
    there = aflw2000.angles(aflw2000.rotation(np.array(angles)))
    np.testing.assert_allclose(there, angles, atol=1e-6)


def test_the_rotation_as_the_data_set_defines_it():
    """RotationMatrix.m of 300W-LP, written out: R = Rx Ry Rz, with y up and z toward the viewer."""
    (a, b, c), angles = np.radians([12.0, -35.0, 20.0]), np.array([12.0, -35.0, 20.0])
    x = [[1, 0, 0], [0, np.cos(a), np.sin(a)], [0, -np.sin(a), np.cos(a)]]
    y = [[np.cos(b), 0, -np.sin(b)], [0, 1, 0], [np.sin(b), 0, np.cos(b)]]
    z = [[np.cos(c), np.sin(c), 0], [-np.sin(c), np.cos(c), 0], [0, 0, 1]]
    known = np.diag([1, -1, -1]) @ np.array(x) @ np.array(y) @ np.array(z)
    np.testing.assert_allclose(aflw2000.rotation(angles), known, atol=1e-12)


@pytest.mark.parametrize("axis, sign", [(0, 1), (1, -1), (2, 1)])
def test_one_angle_by_itself_is_jaxfaces_with_yaw_to_the_other_side(axis, sign):
    angles = np.zeros(3)
    angles[axis] = 25.0
    rotation = np.asarray(camera.rotation_from_euler(jnp.asarray(angles, jnp.float32)), np.float64)
    np.testing.assert_allclose(aflw2000.angles(rotation), sign * angles, atol=1e-4)


def test_pose_errors_are_absolute_and_go_round():
    true = np.array([[10.0, -20, 175], [0, 40, 0]])
    error = aflw2000.pose_errors(aflw2000.rotation(np.array([[13.0, -25, -179], [0, 40, 0]])), true)
    assert error["pitch"] == pytest.approx([3, 0], abs=1e-6)
    assert error["yaw"] == pytest.approx([5, 0], abs=1e-6)
    assert error["roll"] == pytest.approx([6, 0], abs=1e-6)
    assert error["mean"] == pytest.approx([14 / 3, 0], abs=1e-6)


def test_the_angle_between_is_that_of_the_turn_between():
    turn = Rotation.from_rotvec(np.radians([0, 0, 30])).as_matrix()
    true = np.array([[10.0, -80, 20]])
    error = aflw2000.pose_errors(turn @ aflw2000.rotation(true), true)
    assert error["geodesic"] == pytest.approx([30])


def test_faces_beyond_99_degrees_are_left_out_of_pose():
    np.testing.assert_array_equal(aflw2000.usual(np.array([[0.0, 99, 0], [0, -99.5, 0], [120, 0, 0]])), [1, 0, 0])


def test_yaw_is_the_data_sets(shared):
    """Of a rotation that takes a plain head to a face's 68 points, on real faces."""
    with np.load(shared / "data" / "aflw2000_dev.npz") as data:
        points, yaw = data["pts68"][:200].transpose(0, 2, 1), data["yaw_deg"][:200]
    mean = points[np.abs(yaw) < 3].mean(axis=0)
    turned = [similarity(mean * [1, -1, 1], one * [1, 1, -1]).rotation for one in points]
    error = np.abs(aflw2000.angles(np.array(turned))[:, 1] - yaw)[np.abs(yaw) < 90]
    assert np.median(error) < 4
