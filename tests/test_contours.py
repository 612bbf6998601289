"""The lines on which contour landmarks slide."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from drawn_ends import NEAR_MM, PIXELS_A_MM, SIDE, distance_mm

from jaxface.camera import rotation_from_euler
from jaxface.model import load_model
from jaxface.model.contours import CANDIDATES, contour_lines
from jaxface.model.correspondences import JAW

YAWS = (15.0, 30.0, 45.0, 60.0, 75.0, -15.0, -30.0, -45.0, -60.0, -75.0)


@pytest.fixture(scope="module", params=[None, "ict_face.npz", "sfm/sfm_shape_3448.bin"])
def lined(request):
    """A model with its contour lines as if they were landmarks."""
    path = request.param and request.getfixturevalue("shared") / "data" / request.param
    if path and not path.is_file():
        pytest.skip(f"needs {path.name}")
    model = load_model(path)
    return replace(model, landmarks={**model.landmarks, "lines": contour_lines(model)})


def lines(model):
    return np.asarray(model.landmark_positions(model.mean, "lines")).reshape(17, CANDIDATES, 3)


def test_lines_run_outward_to_the_contour_landmarks(lined):
    points = lines(lined)
    jaw = np.asarray(lined.landmark_positions(lined.mean, "ibug68"))[:17]
    np.testing.assert_allclose(points[:, -1], jaw, atol=1e-3)
    assert (np.linalg.norm(np.diff(points, axis=1), axis=-1) < 15).all()


def gaps(model, pitch, yaw):
    """mm from the outermost candidate of each line whose landmark the pose hides to the outline. Outermost: along the
    line's direction in the picture. Ears, neck and the back of the head are cut off."""
    mean, triangles, points = np.asarray(model.mean), np.asarray(model.triangles), lines(model)
    front = mean[triangles, 2].min(axis=1) > points[[0, 16], -1, 2].mean()
    rotation = np.asarray(rotation_from_euler(jnp.array([pitch, yaw, 0.0])))
    place = lambda vertices: (PIXELS_A_MM * vertices @ rotation.T + [SIDE / 2, SIDE / 2, 0]).astype(np.float32)
    distance = distance_mm(place(mean), triangles[front])
    normals = np.asarray(model.at_landmarks("ibug68").normals)[JAW]
    (a, b), (c, d) = rotation[:2, :2]
    outward = (points[:, -1] - points[:, 0])[:, :2] @ np.array([[d, -c], [-b, a]]) * np.sign(a * d - b * c)
    away = np.sign(rotation[0, 2])
    out = []
    for line in range(9, 17) if away > 0 else range(8):
        if normals[line] @ rotation[2] > 0:
            candidates = place(points[line])[:, :2]
            x, y = candidates[(candidates @ outward[line]).argmax()].astype(int)
            out.append(distance[y, x])
    return out


def test_outermost_candidates_lie_on_the_outline_of_a_turned_face(lined):
    """What fails: single lines to the cheekbone and the temple, most of them at 60 degrees and more."""
    found = {yaw: [gaps(lined, pitch, yaw) for pitch in (-15.0, 0.0, 15.0)] for yaw in YAWS}
    by_yaw = {yaw: np.concatenate(each) for yaw, each in found.items()}
    every = np.concatenate([*by_yaw.values()])
    print(f"\n{lined.name}: {100 * (every < NEAR_MM).mean():.1f} % of {len(every)} within {NEAR_MM} mm,", end="")
    print(f" mean {every.mean():.2f} mm;", {yaw: round(float(gap.max()), 1) for yaw, gap in by_yaw.items()})
    assert (every < NEAR_MM).mean() > 0.94 and every.mean() < 0.6
    assert max(by_yaw[yaw].max() for yaw in YAWS if abs(yaw) <= 45) < 3
