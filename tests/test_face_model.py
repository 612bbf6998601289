"""The embedded face model: is it a face, a symmetric one, and as varied as people are?"""

from importlib.resources import files

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import camera
from jaxface.model.correspondences import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from jaxface.rendering.rasterizer import rasterize
from jaxface.types import POINTS

MIRRORED = np.array([-1.0, 1.0, 1.0])

# Two iBUG points (1-based), mean and standard deviation in mm: 2,000 random ICT faces.
HUMAN_DISTANCES = [
    (1, 17, 147.2, 7.2),
    (9, 28, 113.3, 6.3),
    (37, 46, 89.2, 5.0),
    (40, 43, 36.8, 3.3),
    (49, 55, 50.7, 3.9),
    (32, 36, 25.0, 2.7),
    (28, 34, 50.2, 3.1),
    (5, 13, 114.4, 7.1),
]
HUMAN_SPREAD = 4.4  # mm, root mean square distance of a landmark from its mean


@pytest.fixture(scope="module")
def arrays(model):
    """The model's arrays in NumPy, float64."""
    fields = ("mean", "identity", "expression", "triangles", "uv", "uv_vertices", "uv_triangles", "symmetry")
    arrays = {name: np.asarray(getattr(model, name)) for name in fields}
    return {name: a.astype(float) if a.dtype.kind == "f" else a for name, a in arrays.items()}


def landmarks(model, scheme, vertices):
    embedding = model.landmarks[scheme]
    corners = np.asarray(model.triangles)[np.asarray(embedding.triangle)]
    return np.einsum("lk,...lkc->...lc", np.asarray(embedding.barycentric, float), vertices[..., corners, :])


def expressed(model, arrays, name, amount=1.0):
    return arrays["mean"] + amount * arrays["expression"][..., model.expression_names.index(name)]


def test_the_file_is_small():
    assert len(files("jaxface.assets").joinpath("face_model.npz").read_bytes()) < 8e6


def test_shapes_and_types(model, arrays):
    count, faces, points = len(arrays["mean"]), len(arrays["triangles"]), len(arrays["uv"])
    assert arrays["mean"].shape == (count, 3)
    assert arrays["identity"].shape == (count, 3, 100)
    assert arrays["expression"].shape == (count, 3, 52)
    assert arrays["triangles"].shape == arrays["uv_triangles"].shape == (faces, 3)
    assert arrays["uv"].shape == (points, 2) and arrays["uv_vertices"].shape == (points,)
    assert len(set(model.expression_names)) == 52
    for field in (model.mean, model.identity, model.expression, model.uv):
        assert field.dtype == np.float32 and np.isfinite(field).all()


def test_every_vertex_is_used_and_every_index_is_known(arrays):
    assert set(arrays["triangles"].ravel()) == set(range(len(arrays["mean"])))
    assert set(arrays["uv_triangles"].ravel()) == set(range(len(arrays["uv"])))


def test_the_atlas_fits_the_mesh_and_the_sheet(arrays):
    assert (arrays["uv_vertices"][arrays["uv_triangles"]] == arrays["triangles"]).all()
    assert arrays["uv"].min() == 0.0 and arrays["uv"].max() == 1.0


def test_no_two_triangles_of_the_atlas_overlap(arrays):
    """Whether the first or the last is drawn on top, every texel shows the same triangle."""
    corners = 1000 * arrays["uv"][arrays["uv_triangles"]]
    apart = np.arange(corners.size // 2).reshape(-1, 3)
    shown = []
    for depth in (np.arange(len(corners)), -np.arange(len(corners))):
        stacked = np.dstack([corners, np.tile(depth[:, None], 3)])
        shown.append(rasterize(stacked.reshape(-1, 3), apart, 1000, 1000).triangle)
    assert (shown[0] == shown[1]).all()


def test_the_mean_is_symmetric(arrays):
    symmetry, count = arrays["symmetry"], len(arrays["mean"])
    assert (symmetry[symmetry] == np.arange(count)).all()
    np.testing.assert_allclose(arrays["mean"][symmetry] * MIRRORED, arrays["mean"], atol=1e-4)
    mirrored = {tuple(sorted(face)) for face in symmetry[arrays["triangles"]]}
    assert mirrored == {tuple(sorted(face)) for face in arrays["triangles"]}


def test_identity_components_are_orthogonal_and_sorted(arrays):
    basis = arrays["identity"].reshape(-1, 100)
    length = np.linalg.norm(basis, axis=0)
    cosine = (basis / length).T @ (basis / length)
    assert np.abs(cosine - np.eye(100)).max() < 5e-3  # float16 on disk
    assert (np.diff(length) < 1e-2 * length[0]).all()


def test_identity_components_are_symmetric_or_antisymmetric(arrays):
    basis = arrays["identity"]
    mirrored = basis[arrays["symmetry"]] * MIRRORED[:, None]
    even = np.abs(basis - mirrored).max(axis=(0, 1))
    odd = np.abs(basis + mirrored).max(axis=(0, 1))
    assert np.minimum(even, odd).max() < 0.02


def test_random_faces_are_as_varied_as_people(model, arrays):
    random = np.random.default_rng(7).normal(size=(2000, 100))
    mean = landmarks(model, "ibug68", arrays["mean"])
    basis = np.moveaxis(landmarks(model, "ibug68", np.moveaxis(arrays["identity"], -1, 0)), 0, -1)
    faces = mean + np.einsum("lcn,kn->klc", basis, random)
    for first, second, human_mean, human_deviation in HUMAN_DISTANCES:
        distance = np.linalg.norm(faces[:, first - 1] - faces[:, second - 1], axis=-1)
        assert distance.mean() == pytest.approx(human_mean, rel=0.15), (first, second)
        assert distance.std() == pytest.approx(human_deviation, rel=0.25), (first, second)
    spread = np.sqrt(((faces - mean) ** 2).sum(axis=-1).mean())
    assert spread == pytest.approx(HUMAN_SPREAD, rel=0.25)


@pytest.mark.parametrize(("scheme", "mirror"), [("ibug68", IBUG68_MIRROR), ("mediapipe478", MEDIAPIPE478_MIRROR)])
def test_landmarks_lie_on_the_mesh_and_mirror_onto_each_other(model, arrays, scheme, mirror):
    embedding = model.landmarks[scheme]
    barycentric = np.asarray(embedding.barycentric)
    assert barycentric.shape == (POINTS[scheme], 3) and (barycentric >= 0).all()
    np.testing.assert_allclose(barycentric.sum(axis=1), 1.0, atol=1e-6)
    assert np.asarray(embedding.triangle).max() < len(arrays["triangles"])
    placed = landmarks(model, scheme, arrays["mean"])
    np.testing.assert_allclose(placed[mirror] * MIRRORED, placed, atol=1e-3)


def test_axes_are_those_of_the_model_frame(model, arrays):
    """x to the subject's left, y up, z out of the face; the origin in the head; millimetres."""
    ibug = landmarks(model, "ibug68", arrays["mean"])
    assert ibug[45, 0] > 30 > -30 > ibug[36, 0]  # left and right outer eye corners
    assert ibug[27, 1] > ibug[30, 1] > ibug[51, 1] > ibug[57, 1] > ibug[8, 1]
    assert ibug[30, 2] > ibug[27, 2] > ibug[0, 2]
    assert (arrays["mean"].min(axis=0) < 0).all() and (arrays["mean"].max(axis=0) > 0).all()


def test_jaw_opens_and_eyes_close(model, arrays):
    opening = lambda name, upper, lower: (
        np.subtract(*landmarks(model, "ibug68", expressed(model, arrays, name))[[upper, lower]])[1]
        - np.subtract(*landmarks(model, "ibug68", arrays["mean"])[[upper, lower]])[1]
    )
    assert opening("jawOpen", 62, 66) > 10
    for upper, lower in [(37, 41), (38, 40)]:
        assert opening("eyeBlinkRight", upper, lower) < -5 and opening("eyeBlinkLeft", upper, lower) == 0
    for upper, lower in [(43, 47), (44, 46)]:
        assert opening("eyeBlinkLeft", upper, lower) < -5 and opening("eyeBlinkRight", upper, lower) == 0


@pytest.mark.parametrize("yaw", [-40.0, 0.0, 40.0])
@pytest.mark.parametrize("expression", ["jawOpen", "eyeBlinkLeft", "eyeWideRight", "mouthSmileLeft"])
def test_no_hole_shows_in_the_face(model, arrays, expression, yaw):
    """Every pixel inside the outline of a drawn face shows some of it."""
    rotation = np.asarray(camera.rotation_from_euler(jnp.array([0.0, yaw, 0.0])))
    image = expressed(model, arrays, expression) @ rotation.T + [150.0, 150.0, 0.0]
    assert enclosed_background(rasterize(image, arrays["triangles"], 300, 300).covered) == 0


def enclosed_background(covered):
    """How many background pixels cannot be reached from the border."""
    outside = np.pad(~covered, 1, constant_values=True)
    reached = np.zeros_like(outside)
    reached[0] = True
    while True:
        grown = reached.copy()
        for axis in (0, 1):
            for shift in (-1, 1):
                grown |= np.roll(reached, shift, axis)
        grown &= outside
        if (grown == reached).all():
            return int((outside & ~reached).sum())
        reached = grown
