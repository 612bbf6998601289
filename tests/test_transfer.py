"""Expressions and landmarks carried from one model's mesh to another's."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from remeshed import remeshed
from scipy import sparse
from typer.testing import CliRunner

import jaxface
from jaxface import camera
from jaxface.cli.main import app
from jaxface.model import load_model, save_model
from jaxface.model.correspondences import MEDIAPIPE478_MIRROR
from jaxface.model.nonrigid import draw_to
from jaxface.model.registration import _find, register, register_landmarks, shape_of, similarity
from jaxface.model.surfaces import Surface, triangle_normals
from jaxface.model.transfer import merge

MOVING_MM = 0.5
TURN = np.asarray(camera.rotation_from_euler(jnp.array([5.0, -8.0, 4.0]))) * [1, -1, -1]
SCALE, SHIFT = 1.5, np.array([5.0, 3.0, -20.0])


def moved(model):
    """The model in another place, without expressions."""
    return replace(
        model,
        mean=jnp.asarray(SCALE * np.asarray(model.mean) @ TURN.T + SHIFT, jnp.float32),
        expression=model.expression[..., :0],
        expression_names=(),
    )


def transfer_error(model, count, person=None):
    """Root mean square error in mm of a model's expressions carried onto its own skin, moved and re-meshed, over the
    vertices that truly move; and how far those move. With a seed, the skin is that of a random person."""
    weights = np.zeros(model.identity.shape[-1])
    if person is not None:
        weights = np.random.default_rng(person).normal(size=len(weights))
    face = model.vertices(jnp.asarray(weights, jnp.float32), jnp.zeros(model.expression.shape[-1]))
    other = remeshed(replace(model, mean=face, identity=model.identity[..., :0]), count)
    merged = merge(moved(other), model)
    got = np.einsum("ji,njk->nik", TURN, np.asarray(merged.expression)) / SCALE
    true = np.asarray(other.expression)
    distance = np.linalg.norm(true, axis=1)
    moving = distance > MOVING_MM
    rms = lambda values: float(np.sqrt(np.square(values[moving]).mean()))
    return rms(np.linalg.norm(got - true, axis=1)), rms(distance)


def flipped(model, *together):
    """For each expression at its full extent, the part of the triangles that turn over; the last number is for those
    named, together."""
    mean, triangles, shapes = (np.asarray(values) for values in (model.mean, model.triangles, model.expression))
    neutral = triangle_normals(mean, triangles)
    turned = lambda shape: (np.einsum("fc,fc->f", triangle_normals(mean + shape, triangles), neutral) < 0).mean()
    both = sum(shapes[..., model.expression_names.index(name)] for name in together)
    return np.array([turned(shape) for shape in (*np.moveaxis(shapes, -1, 0), both)])


def at(model, scheme):
    return np.asarray(model.landmark_positions(model.mean, scheme), float)


@pytest.fixture(scope="module")
def other(small):
    """The small model's skin, re-meshed, with the 68 points alone."""
    return remeshed(small, 2500)


def test_similarity_is_recovered():
    points = np.random.default_rng(0).normal(size=(10, 3))
    placed = similarity(points, SCALE * points @ TURN.T + SHIFT)
    np.testing.assert_allclose(placed.rotation, TURN, atol=1e-6)
    np.testing.assert_allclose((placed.scale, *placed.shift), (SCALE, *SHIFT), rtol=1e-6)


def test_a_similarity_turns_and_does_not_mirror():
    points = np.random.default_rng(0).normal(size=(10, 3))
    assert np.linalg.det(similarity(points, points * [-1, 1, 1]).rotation) == pytest.approx(1)


def test_expressions_are_carried_onto_another_mesh(small):
    error, size = transfer_error(small, 2500)
    assert size > 4 and error < 0.2 * size


def test_a_merged_model_says_what_it_is_made_of(small, other):
    merged = merge(moved(other), small)
    assert merged.expression_names == small.expression_names and merged.expression.shape[-1] == 6
    assert merged.name == "small, re-meshed + expressions of small"
    assert small.licence in merged.licence and "expression" in merged.licence
    assert (merged.identity == other.identity).all() and (merged.triangles == other.triangles).all()


def test_eyeballs_turn_and_do_not_bend(model):
    looks = model.expression_names.index("eyeLookInLeft")
    looking = replace(model, expression=model.expression[..., looks : looks + 1], expression_names=("eyeLookInLeft",))
    got, true = np.asarray(merge(model, looking).expression), np.asarray(looking.expression)
    shape = shape_of(model)
    assert len(shape.other_parts) >= 2
    for part in shape.other_parts:
        inside = shape.of(part)[0]
        assert np.abs(got[inside] - true[inside]).max() < 0.5 + 0.2 * np.abs(true[inside]).max()


def test_points_are_registered_where_they_are(small, other):
    registered = register_landmarks(other, small)
    distance = np.linalg.norm(at(registered, "mediapipe478") - at(small, "mediapipe478"), axis=1)[:468]
    assert np.median(distance) < 0.7 and np.quantile(distance, 0.95) < 3
    assert registered.landmarks["ibug68"] is other.landmarks["ibug68"]
    assert register_landmarks(registered, small) is registered


def test_a_symmetric_model_gets_symmetric_points(model):
    bare = replace(model, landmarks={"ibug68": model.landmarks["ibug68"]})
    points = at(register_landmarks(bare, model), "mediapipe478")[:468]
    mirrored = points[MEDIAPIPE478_MIRROR[:468]] * [-1, 1, 1]
    assert np.linalg.norm(points - mirrored, axis=1).max() < 0.1


def test_models_that_cannot_be_merged_say_why(small):
    with pytest.raises(ValueError, match="small: has no landmarks 'ibug68'"):
        merge(replace(small, landmarks={}), small)
    with pytest.raises(ValueError, match="small: has no expressions"):
        merge(small, replace(small, expression=small.expression[..., :0]))


def test_merging_from_the_command_line(small, other, tmp_path):
    save_model(tmp_path / "a.npz", moved(other))
    save_model(tmp_path / "b.npz", small)
    save_model(tmp_path / "bare.npz", replace(small, landmarks={}))

    def run(identity, expression, out="out.npz"):
        arguments = ["--identity", tmp_path / identity, "--expression", tmp_path / expression, tmp_path / out]
        return CliRunner().invoke(app, ["model", "merge", *map(str, arguments)])

    assert run("a.npz", "b.npz").exit_code == 0
    assert load_model(tmp_path / "out.npz").expression_names == small.expression_names
    for wrong, said in (
        (run("bare.npz", "b.npz", "no.npz"), "has no landmarks 'ibug68'"),
        (run("a.npz", "a.npz", "no.npz"), "has no expressions"),
        (run("nothing.npz", "b.npz", "no.npz"), "no such file"),
    ):
        assert wrong.exit_code == 2 and said in wrong.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz", "bare.npz", "out.npz"]


@pytest.fixture(scope="module")
def real(shared):
    """``real(name)``: a model of the measuring data."""

    def load(name):
        if not (shared / "data" / name).is_file():
            pytest.skip(f"needs {name}")
        return load_model(shared / "data" / name)

    return load


ICT, SURREY = "ict_face.npz", "sfm/sfm_shape_3448.bin"


@pytest.mark.parametrize("person", [None, 11, 12])
def test_ict_expressions_on_a_remeshed_ict_head(real, person):
    error, size = transfer_error(real(ICT), 5000, person)
    print(f"\nICT's expressions on the re-meshed head of person {person}: {error:.3f} mm rms of {size:.2f} mm")
    assert error < (0.3 if person is None else 0.5)


@pytest.mark.parametrize("name", [None, SURREY])
def test_carried_ict_expressions_do_not_fold(real, name):
    ict = real(ICT)
    merged = merge(load_model() if name is None else real(name), ict)
    corrected = "jawOpen", "mouthClose"
    turned, own = 100 * flipped(merged, *corrected), 100 * flipped(ict, *corrected)
    print(f"\n{merged.name}: triangles that turn over, % (ICT's own)")
    names = (*ict.expression_names, "jawOpen + mouthClose")
    print(f"  mean over the expressions: {turned[:-1].mean():.3f} ({own[:-1].mean():.3f})")
    for k in np.argsort(-turned)[:5]:
        print(f"  {names[k]}: {turned[k]:.3f} ({own[k]:.3f})")
    corrective = names.index("mouthClose")
    allowed = np.maximum(own, 0.1)
    allowed[corrective] = 2.0
    assert (turned <= allowed).all()

    def posed(*names):
        shapes = merged.expression[..., jnp.array([ict.expression_names.index(name) for name in names])]
        return at(replace(merged, mean=merged.mean + shapes.sum(axis=-1)), "ibug68")

    gap = lambda points: np.linalg.norm(points[62] - points[66])
    assert gap(posed("jawOpen")) - gap(at(merged, "ibug68")) > 20
    lids = lambda points: np.linalg.norm(points[[37, 38, 43, 44]] - points[[41, 40, 47, 46]], axis=1).mean()
    assert lids(posed("eyeBlink_L", "eyeBlink_R")) < 0.5 * lids(at(merged, "ibug68"))


def test_left_out_points_are_found_on_ict(real, model):
    """Every second of the 68 as an anchor; the others against ICT's published ones."""
    ict = real(ICT)
    template, target = shape_of(model), shape_of(ict)
    error = np.zeros(68)
    for kept in (np.arange(0, 68, 2), np.arange(1, 68, 2)):
        some = lambda shape, kept=kept: replace(shape, anchors=shape.anchors[kept], lowered=shape.lowered[kept])
        found = _find("ibug68", ict, model, template, target, register(some(template), some(target)))
        distance = np.linalg.norm(at(replace(ict, landmarks={"ibug68": found}), "ibug68") - target.places, axis=1)
        left_out = np.setdiff1d(np.arange(68), kept)
        error[left_out] = distance[left_out]
    print(f"\nleft-out points: inner {error[17:].mean():.2f} mm, jaw {error[:17].mean():.2f} mm")
    assert error[17:].mean() < 3


def test_ict_is_fitted_with_478_points(real, model):
    ict = register_landmarks(real(ICT), model)
    rng = np.random.default_rng(5)
    identity = rng.normal(size=100) * (np.arange(100) < 10)
    mesh = ict.vertices(jnp.asarray(identity, jnp.float32), jnp.zeros(57))
    euler = np.array([5.0, 20.0, -10.0])
    rotation = np.asarray(camera.rotation_from_euler(jnp.asarray(euler)))
    xyz = (3 * np.asarray(ict.landmark_positions(mesh, "mediapipe478")) @ rotation.T + [320, 240, 0]).astype(np.float32)
    result = jaxface.fit(ict, jaxface.Landmarks(xyz[:, :2], xyz, scheme="mediapipe478"))
    np.testing.assert_allclose(result.pose.euler_deg, euler, atol=2)
    fitted = np.asarray(ict.landmark_positions(jaxface.vertices(ict, result), "mediapipe478"))
    wanted = np.asarray(ict.landmark_positions(mesh, "mediapipe478"))
    assert np.linalg.norm(fitted - wanted, axis=1).mean() < 2.0


def test_the_closest_point_is_on_what_faces_as_the_point_does():
    """Between two lips: 1 mm above the one that faces as it does, half a millimetre below the other."""
    flat, corners = np.array([[-9.0, -9, 0], [9, -9, 0], [9, 9, 0], [-9, 9, 0]]), np.array([[0, 1, 2], [0, 2, 3]])
    lips = Surface(np.concatenate([flat, flat + [0, 0, 1.5]]), np.concatenate([corners, corners[:, ::-1] + 4]))
    found = lips.closest(np.array([[3.0, 1, 1]]), np.array([[0.0, 0, 1]]))
    np.testing.assert_allclose(found.position, [[3, 1, 0]], atol=1e-9)
    assert found.cosine == pytest.approx(1)


@pytest.mark.parametrize("size, front", [(1.6, False), (1.0, True)], ids=["out of reach", "beyond its rim"])
def test_what_has_no_counterpart_on_the_target_stays(size, front):
    ball = trimesh.creation.icosphere(subdivisions=3, radius=50.0)
    sphere, triangles = np.array(ball.vertices), np.array(ball.faces)
    kept = triangles[(sphere[triangles, 2] > 0).all(axis=1)] if front else triangles
    anchors = sparse.csr_array(np.eye(len(sphere))[:12])
    drawn, _ = draw_to(Surface(sphere, triangles), Surface(size * sphere, kept), anchors, sphere[:12], 15.0)
    np.testing.assert_allclose(drawn, sphere, atol=0.5)
