"""The embedded face model: is it a face, a symmetric one, and as varied as people are?"""

from importlib.resources import files

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from jaxface import camera
from jaxface.model.correspondences import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from jaxface.rendering.components import draw_people, extreme
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


@pytest.fixture(scope="module")
def crowd(model, arrays):
    """Random faces (50, V, 3): "people"; the same "extreme", 3σ from the mean in one trait; and with all coefficients
    "tripled", farther out than anyone is, which magnifies what is wrong with the components."""
    rng = np.random.default_rng(1)
    people = rng.normal(size=(50, 100))
    coefficients = {
        "people": people,
        "extreme": np.array([extreme(model, person, rng) for person in people]),
        "tripled": 3 * people,
    }
    face = lambda c: arrays["mean"] + np.moveaxis(arrays["identity"] @ c.T, -1, 0)
    return {name: face(c) for name, c in coefficients.items()}


@pytest.fixture(scope="module")
def parts(arrays):
    """(F,) which "eyeballs", or "teeth" and tongue, each triangle belongs to: the pieces that do not hang together."""
    edges = np.concatenate([arrays["triangles"][:, :2], arrays["triangles"][:, 1:]])
    _, piece = connected_components(coo_array((np.ones(len(edges)), edges.T), shape=[len(arrays["mean"])] * 2))
    middle = np.array([abs(arrays["mean"][piece == number].mean(axis=0)[0]) for number in range(piece.max() + 1)])
    head = np.bincount(piece).argmax()
    eyes = [np.nonzero(piece == number)[0] for number in np.nonzero(middle > 20)[0]]
    teeth = (piece != head) & (middle[piece] < 20)
    assert len(eyes) == 2 and teeth.any()
    return {"eyeballs": eyes, "teeth": teeth[arrays["triangles"][:, 0]]}


def test_a_trait_of_an_extreme_person_is_three_deviations_from_the_mean(model):
    person = np.random.default_rng(5).normal(size=100)
    moved = extreme(model, person, np.random.default_rng(6)) - person
    trait = moved / np.linalg.norm(moved)
    assert abs((person + moved) @ trait) == pytest.approx(3.0)


def folds(arrays, faces):
    """The part of the mesh's triangles that look the other way than on the mean."""
    normal = lambda v: np.cross(
        v[..., arrays["triangles"][:, 1], :] - v[..., arrays["triangles"][:, 0], :],
        v[..., arrays["triangles"][:, 2], :] - v[..., arrays["triangles"][:, 0], :],
    )
    return ((normal(faces) * normal(arrays["mean"])).sum(axis=-1) < 0).mean()


def test_identity_folds_no_skin(arrays, crowd):
    assert folds(arrays, crowd["people"]) == folds(arrays, crowd["extreme"]) == 0.0
    assert folds(arrays, crowd["tripled"]) < 0.005


def test_identity_does_not_open_the_mouth(model, arrays, crowd):
    """A point of the lower lip and the nearest of the upper stay where they are to each other."""
    mean, ibug = arrays["mean"], landmarks(model, "ibug68", arrays["mean"])
    drop = -arrays["expression"][:, 1, model.expression_names.index("jawOpen")]
    lips = np.nonzero(np.linalg.norm(mean - ibug[60:68].mean(axis=0), axis=1) < 30)[0]
    lower, upper = lips[drop[lips] > 0.4 * drop.max()], lips[drop[lips] < 0.1 * drop.max()]
    distance = np.linalg.norm(mean[lower, None] - mean[upper], axis=-1)
    touching = distance.min(axis=1) < 2.0
    lower, upper = lower[touching], upper[distance.argmin(axis=1)[touching]]
    assert len(lower) > 15
    for name, most, farthest in (("people", 0.3, 1.0), ("tripled", 0.8, 3.0)):
        apart = crowd[name][:, upper] - crowd[name][:, lower] - (mean[upper] - mean[lower])
        moved = np.linalg.norm(apart, axis=-1)
        assert np.sqrt((moved**2).mean()) < most and moved.max() < farthest, name


def test_identity_keeps_the_eyes_open(model, crowd):
    ibug = landmarks(model, "ibug68", np.concatenate([crowd["people"], crowd["extreme"]]))
    assert (ibug[:, [37, 38, 43, 44], 1] - ibug[:, [41, 40, 47, 46], 1]).min() > 3.0


def test_eyeballs_stay_behind_their_lids(arrays, crowd, parts):
    """Skin within 4 mm of an eyeball keeps its distance from the nearest point of it, and its side."""
    mean, skin = arrays["mean"], np.setdiff1d(np.arange(len(arrays["mean"])), np.concatenate(parts["eyeballs"]))
    for eyeball in parts["eyeballs"]:
        distance = np.linalg.norm(mean[skin, None] - mean[eyeball], axis=-1)
        lid, nearest = skin[distance.min(axis=1) < 4], eyeball[distance.argmin(axis=1)[distance.min(axis=1) < 4]]
        assert len(lid) > 50
        own = mean[lid] - mean[nearest]
        along = ((crowd["tripled"][:, lid] - crowd["tripled"][:, nearest]) * own).sum(axis=-1) / (own**2).sum(axis=-1)
        assert (along > 0.2).mean() > 0.99 and abs(along.mean() - 1) < 0.05


@pytest.mark.parametrize("yaw", [-45.0, 0.0, 90.0])
def test_teeth_stay_behind_the_lips(arrays, crowd, parts, yaw):
    """But for slivers in the corners of the mouth: a pixel is a square millimetre."""
    rotation = np.asarray(camera.rotation_from_euler(jnp.array([0.0, yaw, 0.0])))
    for face in np.concatenate([crowd["extreme"][:10], crowd["tripled"][:10]]):
        drawn = rasterize(face @ rotation.T + [150.0, 150.0, 0.0], arrays["triangles"], 300, 300)
        assert parts["teeth"][drawn.triangle[drawn.covered]].sum() <= 6


def test_draw_people(model):
    picture = draw_people(model)
    assert picture.shape == (4 * 320, 6 * 260, 3) and picture.dtype == np.uint8
    cells = picture.reshape(4, 320, 6, 260, 3).swapaxes(1, 2).reshape(24, -1)
    drawn = (cells < 255).mean(axis=1)
    assert (drawn > 0.2).all() and (drawn < 0.8).all()
    assert len({cell.tobytes() for cell in cells}) == 24


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
