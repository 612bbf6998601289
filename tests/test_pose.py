"""The pose of a mean face: closed form, coarse, refined; and which jaw points a pose hides."""

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from jaxface import Landmarks, camera, solvers, visibility
from jaxface.fitting.coarse import affine_pose, coarse_pose, inverse_moments, sides_of, target_2d
from jaxface.fitting.coordinates import coordinates
from jaxface.fitting.frame import relative
from jaxface.fitting.pose import initial_pose, visible_xy

pytestmark = pytest.mark.usefixtures("run_once")

YAWS = [-90, -60, -30, 0, 20, 45, 75, 90]


@pytest.fixture(scope="module")
def at_landmarks(small):
    return small.at_landmarks("ibug68")


@pytest.fixture(scope="module")
def solve_pose():
    return solvers.solver("structured").solve_pose


def mean_face(at_landmarks, yaw):
    """Exact landmarks of the mean face, one unit a millimetre."""
    rotation = camera.rotation_from_euler(jnp.array([5.0, yaw, -8.0]))
    points = (at_landmarks.mean - at_landmarks.mean.mean(axis=0)) @ rotation.T
    return Landmarks(points[:, :2], points), rotation


@pytest.mark.parametrize("yaw", YAWS)
def test_the_affine_camera_of_exact_points_is_their_pose(at_landmarks, yaw):
    landmarks, rotation = mean_face(at_landmarks, yaw)
    points = at_landmarks.centred
    scale, found = affine_pose(points, target_2d(landmarks.xy.T, jnp.ones(68)), inverse_moments(points, points))
    np.testing.assert_allclose(found, rotation, atol=1e-3)
    np.testing.assert_allclose(scale, 1.0, rtol=1e-3)


def test_the_affine_camera_of_points_that_weigh_differently_is_their_pose(at_landmarks):
    landmarks, rotation = mean_face(at_landmarks, 30)
    weight = jnp.linspace(0.0, 1.0, 68)
    points = at_landmarks.centred - (at_landmarks.centred @ weight / weight.sum())[:, None]
    scale, found = affine_pose(points, target_2d(landmarks.xy.T, weight), inverse_moments(points, points * weight))
    np.testing.assert_allclose(found, rotation, atol=1e-3)
    np.testing.assert_allclose(scale, 1.0, rtol=1e-3)


@pytest.mark.parametrize("yaw", [-60, -40, 40, 60])
def test_coarse_pose_is_not_misled_by_the_far_silhouette(at_landmarks, solve_pose, yaw):
    """Slide the far contour outwards, as a 2D detector does: all points together lose yaw, the near half does not."""
    landmarks, rotation = mean_face(at_landmarks, yaw)
    far = visibility.silhouettes("ibug68")[1 if yaw > 0 else 0]
    slid = jnp.where(far[:, None], landmarks.xy + jnp.array([20.0 * np.sign(yaw), 0.0]), landmarks.xy)
    axes = coordinates(at_landmarks, 1.0, single=True)
    _, coarse = coarse_pose(axes.sides, slid.T, solve_pose)
    error = lambda found: abs(float(camera.euler_deg(found)[1]) - yaw)
    plain = initial_pose(at_landmarks, axes, slid.T, landmarks.xyz.T, None, "2d", solve_pose)[1]
    assert error(coarse) < 1.0
    assert error(plain) > 3.0


def test_the_chin_tells_the_coarse_pose_as_the_inner_points_do(at_landmarks, solve_pose):
    landmarks, _ = mean_face(at_landmarks, 40)
    pose_of = lambda xy: coarse_pose(sides_of(at_landmarks.centred, "ibug68", None), xy.T, solve_pose)
    moved = camera.euler_deg(pose_of(landmarks.xy.at[8, 0].add(20.0))[1])
    assert abs(float(moved[2]) - float(camera.euler_deg(pose_of(landmarks.xy)[1])[2])) > 0.3


@pytest.mark.parametrize("yaw", [-60, 50])
def test_refined_2d_points_are_the_3d_ones_where_the_face_hides_them(at_landmarks, yaw):
    landmarks, rotation = mean_face(at_landmarks, yaw)
    far = visibility.silhouettes("ibug68")[0 if yaw < 0 else 1] & np.asarray(
        visibility.hidden(at_landmarks.normals, rotation)
    )
    assert far.sum() >= 7
    slid = jnp.where(far[:, None], landmarks.xy + 7.0, landmarks.xy)
    elsewhere = landmarks.xyz + jnp.array([100.0, -50.0, 3.0])
    refined = visible_xy(slid.T, elsewhere.T, jnp.ones(68), jnp.asarray(far)).T
    np.testing.assert_allclose(refined[far], landmarks.xy[far], atol=1e-3)
    np.testing.assert_array_equal(refined[~far], slid[~far])


def test_silhouettes_are_the_two_sides_without_the_chin():
    right, left = visibility.silhouettes("ibug68")
    assert list(np.flatnonzero(right)) == list(range(8)) and list(np.flatnonzero(left)) == list(range(9, 17))


@pytest.mark.parametrize("scheme", ["ibug68", "mediapipe478"])
def test_silhouettes_mirror_onto_each_other(model, scheme):
    from jaxface.model.correspondences import IBUG68_MIRROR, MEDIAPIPE478_MIRROR

    right, left = visibility.silhouettes(scheme)
    mirror = IBUG68_MIRROR if scheme == "ibug68" else MEDIAPIPE478_MIRROR
    np.testing.assert_array_equal(right[mirror], left)
    positions = np.asarray(model.landmark_positions(model.mean, scheme))
    assert (positions[right, 0] < 0).all() and (positions[left, 0] > 0).all()


def test_looking_away_is_being_hidden(model):
    """Against ray casting on the mean head, over the whole range of yaw."""
    mesh = trimesh.Trimesh(np.asarray(model.mean), np.asarray(model.triangles), process=False)
    at = model.at_landmarks("ibug68")
    jaw, normals = np.asarray(at.mean)[:17], np.asarray(at.normals)[:17]
    agree = []
    for yaw in range(-90, 91, 15):
        rotation = camera.rotation_from_euler(jnp.array([0.0, yaw, 0.0]))
        toward_viewer = -np.asarray(rotation)[2]
        starts = jaw + 0.5 * normals + 0.5 * toward_viewer
        truth = mesh.ray.intersects_any(starts, np.repeat(toward_viewer[None], 17, axis=0))
        agree.append(np.asarray(visibility.hidden(at.normals, rotation))[:17] == truth)
    assert np.mean(agree) > 0.93


def test_what_is_hidden_looks_away_by_more_than_a_right_angle():
    angles = np.radians([0.0, 85.0, 95.0, 180.0])
    normals = jnp.asarray(np.stack([np.sin(angles), 0 * angles, np.cos(angles)], axis=1), jnp.float32)
    np.testing.assert_array_equal(visibility.hidden(normals, jnp.asarray(camera.FRONTAL)), [False, False, True, True])


def test_weights_are_in_units_of_their_own_mean_by_themselves():
    np.testing.assert_allclose(relative(jnp.array([4.0, 4.0, 2.0, 0.0])), np.array([4, 4, 2, 0]) * 10 / 36, rtol=1e-6)
