"""The lines on which contour landmarks slide."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.camera import rotation_from_euler
from jaxface.model import load_model
from jaxface.model.contours import CANDIDATES, contour_lines
from jaxface.rendering.rasterizer import rasterize

PIXELS_A_MM, SIDE = 3.0, 900
FACE_MM = 150.0


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
    assert (np.linalg.norm(np.diff(points, axis=1), axis=-1) < 25).all()


@pytest.mark.parametrize("yaw", [35.0, -35.0, 50.0])
def test_outermost_candidates_lie_on_the_outline_of_a_turned_face(lined, yaw):
    """On the side that turns away, at the cheek; ears, neck and the back of the head are cut off."""
    mean, triangles = np.asarray(lined.mean), np.asarray(lined.triangles)
    points = lines(lined)
    front = mean[triangles, 2].min(axis=1) > points[[0, 16], -1, 2].mean()
    rotation = np.asarray(rotation_from_euler(jnp.array([0.0, yaw, 0.0])))
    place = lambda vertices: (PIXELS_A_MM * vertices @ rotation.T + [SIDE / 2, SIDE / 2, 0]).astype(np.float32)
    covered = rasterize(place(mean), triangles[front], SIDE, SIDE).covered
    away = 1.0 if (rotation @ [0.0, 0.0, 1.0])[0] > 0 else -1.0
    cheek = (11, 12, 13) if away > 0 else (3, 4, 5)
    empty = np.argwhere(~covered)[:, ::-1] + 0.5
    for line in cheek:
        candidates = place(points[line])[:, :2]
        outermost = candidates[(away * candidates[:, 0]).argmax()]
        gap = np.linalg.norm(empty - outermost, axis=1).min() / PIXELS_A_MM
        assert gap < 0.02 * FACE_MM
