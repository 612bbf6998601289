import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from jaxface import Pose, camera

ANGLES = st.tuples(st.floats(-175, 175), st.floats(-90, 90), st.floats(-175, 175))


def by_scipy(pitch, yaw, roll):
    about = lambda axis, angle: Rotation.from_euler(axis, angle, degrees=True).as_matrix()
    return about("z", roll) @ about("y", -yaw) @ about("x", -pitch) @ np.diag([1.0, -1.0, -1.0])


def test_a_frontal_face_has_r0():
    np.testing.assert_allclose(camera.rotation_from_euler(jnp.zeros(3)), np.diag([1, -1, -1]), atol=1e-7)


@pytest.mark.parametrize(
    "euler, direction, point",
    [
        ((0, 20, 0), "nose to the image's right", lambda nose, top: nose[0] > 0.3),
        ((20, 0, 0), "nose up", lambda nose, top: nose[1] < -0.3),
        ((0, 0, 20), "clockwise: the top of the head to the image's right", lambda nose, top: top[0] > 0.3),
    ],
)
def test_signs_of_the_angles(euler, direction, point):
    rotation = np.asarray(camera.rotation_from_euler(jnp.array(euler, jnp.float32)))
    assert point(rotation @ [0, 0, 1], rotation @ [0, 1, 0]), direction


@given(angles=ANGLES)
@settings(max_examples=50)
def test_rotation_is_scipys_product_of_three_turns(angles):
    ours = camera.rotation_from_euler(jnp.array(angles, jnp.float32))
    np.testing.assert_allclose(ours, by_scipy(*angles), atol=2e-6)


@given(angles=ANGLES)
@settings(max_examples=50)
def test_euler_angles_make_their_rotation_again_everywhere(angles):
    rotation = by_scipy(*angles).astype(np.float32)
    found = camera.euler_deg(jnp.asarray(rotation))
    np.testing.assert_allclose(camera.yaw_deg(jnp.asarray(rotation)), found[1], rtol=1e-6, atol=1e-6)
    again = by_scipy(*np.asarray(found, np.float64))
    np.testing.assert_allclose(again, rotation, atol=2e-5)


@pytest.mark.parametrize("yaw", [89.9, 89.99, 89.999, 89.9999, -89.9997])
def test_near_the_profile_pitch_and_roll_still_make_the_rotation(yaw):
    rng = np.random.default_rng(0)
    rotation = np.stack([by_scipy(pitch, yaw, roll) for pitch, roll in rng.uniform(-180, 180, (200, 2))])
    found = np.asarray(camera.euler_deg(jnp.asarray(rotation, jnp.float32)), np.float64)
    again = np.stack([by_scipy(*angles) for angles in found])
    np.testing.assert_allclose(again, rotation, atol=5e-6)


@pytest.mark.parametrize("yaw", [90.0, -90.0])
@pytest.mark.parametrize("pitch", [-40.0, 0.0, 25.0])
def test_profile_is_not_singular(yaw, pitch):
    rotation = camera.rotation_from_euler(jnp.array([pitch, yaw, 0.0]))
    np.testing.assert_allclose(camera.euler_deg(rotation), [pitch, yaw, 0.0], atol=1e-4)
    assert np.isfinite(jax.jacobian(camera.euler_deg)(rotation)).all()


@given(angles=ANGLES)
@settings(max_examples=50)
def test_where_a_face_looks_is_scipys_product_of_its_three_turns_and_where_its_nose_points(angles):
    rotation = by_scipy(*angles).astype(np.float32)
    azimuth, elevation, bank = np.asarray(camera.looking_deg(jnp.asarray(rotation)), float)
    turns = Rotation.from_euler("YXZ", [-azimuth, -elevation, bank], degrees=True).as_matrix()
    steep = abs(elevation) > 89.9
    np.testing.assert_allclose(turns @ np.diag([1, -1, -1]), rotation, atol=2e-3 if steep else 5e-5)
    assert np.degrees(np.arcsin(np.clip(-rotation[1, 2], -1, 1))) == pytest.approx(elevation, abs=0.1)


@pytest.mark.parametrize("elevation", [90.0, -90.0])
def test_a_nose_that_rounding_makes_longer_than_1_points_up_or_down(elevation):
    rotation = camera.rotation_from_euler(jnp.array([elevation, 0.0, 0.0]))
    looking = camera.looking_deg(rotation.at[1, 2].set(-np.sign(elevation) * 1.0000001))
    assert looking[1] == pytest.approx(elevation) and jnp.isfinite(looking).all()


@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 2)])
def test_batches(shape):
    angles = np.random.default_rng(0).uniform(-80, 80, (*shape, 3))
    rotation = camera.rotation_from_euler(jnp.asarray(angles, jnp.float32))
    assert rotation.shape == (*shape, 3, 3)
    np.testing.assert_allclose(camera.euler_deg(rotation), angles, atol=1e-3)


def test_projection_is_eq_3():
    rng = np.random.default_rng(0)
    points, shift, scale = rng.normal(size=(7, 3)), rng.normal(size=2), 2.5
    rotation = by_scipy(10, 20, 30)
    projected = camera.project(*(jnp.asarray(a, jnp.float32) for a in (points, scale, rotation, shift)))
    plane = scale * np.array([[1, 0, 0], [0, 1, 0]]) @ rotation  # Eq. 2
    np.testing.assert_allclose(projected[:, :2], points @ plane.T + shift, atol=1e-5)
    np.testing.assert_allclose(projected[:, 2], scale * points @ rotation[2], atol=1e-5)


@pytest.mark.parametrize(
    "euler_deg, words",
    [
        ((0.0, 0.0, 0.0), "looking straight into the camera"),
        ((0.3, -0.4, 0.2), "looking straight into the camera"),
        ((0.0, 30.0, 0.0), "turned 30° to the image's right"),
        ((-12.0, -40.0, 0.0), "turned 40° to the image's left, nose 12° down"),
        ((5.0, 0.0, 0.0), "nose 5° up"),
        ((0.0, 0.0, -9.0), "tilted 9° counter-clockwise"),
        ((34.0, 86.0, 27.0), "turned 87° to the image's right, nose 7° up, tilted 2° clockwise"),
        ((0.0, 30.0, 90.0), "nose 30° down, tilted 90° clockwise"),
    ],
)
def test_a_pose_in_words(euler_deg, words):
    rotation = camera.rotation_from_euler(jnp.array(euler_deg))
    assert Pose(jnp.ones(()), rotation, jnp.zeros(2)).sentence == words


def test_a_sentence_is_of_one_face():
    many = Pose(jnp.ones(2), jnp.tile(jnp.eye(3), (2, 1, 1)), jnp.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"pose: got a batch of shape \(2,\)"):
        many.sentence  # noqa: B018
