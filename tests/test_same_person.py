"""``jaxface fit --same-person``: photographs of one person share an identity, which is nearer to the truth."""

import json
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PIL import Image

from jaxface import fit_sequence
from jaxface.export.records import read_npz
from jaxface.model import save_model

pytestmark = pytest.mark.usefixtures("run_once")


@pytest.fixture
def photographs(tmp_path, small, face):
    """Three photographs of one person, and files of her landmarks with 2 mm of noise: her true identity."""
    rng = np.random.default_rng(0)
    save_model(tmp_path / "small.npz", small)
    for index, yaw in enumerate((-35.0, 5.0, 30.0)):
        landmarks, truth = face(seed=4, euler_deg=(0.0, yaw, 0.0))
        xy, xyz = (leaf[None] + rng.normal(0, 6.0, leaf.shape) for leaf in (landmarks.xy, landmarks.xyz))
        (tmp_path / "points").mkdir(exist_ok=True)
        np.savez(tmp_path / "points" / f"{index}.npz", xy=xy, xyz=xyz)
        Image.new("RGB", (640, 480), (150, 120, 100)).save(tmp_path / f"{index}.png")
    return truth["identity"]


NAMES = [f"{index}.png" for index in range(3)]
CALL = "fit", *NAMES, "--landmarks", "points", "--model", "small.npz"


def identities(folder):
    return np.stack([np.asarray(read_npz(folder / str(index) / "fit.npz")[0].identity) for index in range(3)])


def test_photographs_share_an_identity_that_is_nearer_to_the_truth(jaxface, tmp_path, small, photographs):
    for options in (["-o", "alone", "-f", "npz"], ["-o", "joint", "-f", "npz,json,ply", "--same-person"]):
        result = jaxface(*CALL, *options)
        assert (result.exit_code, result.stderr) == (0, "")
    alone, joint = (identities(tmp_path / name) for name in ("alone", "joint"))
    assert np.unique(joint, axis=0).shape == (1, 8) and np.unique(alone, axis=0).shape == (3, 8)
    off = lambda identity: np.linalg.norm(identity - photographs, axis=-1)
    assert off(joint).max() < off(alone).min()

    assert {path.name for path in (tmp_path / "joint").iterdir()} == {"0", "1", "2", "neutral.ply"}
    rest = np.asarray(small.mean) + np.asarray(small.identity) @ joint[0]
    written = trimesh.load(tmp_path / "joint" / "neutral.ply", process=False)
    np.testing.assert_allclose(written.vertices, rest, atol=1e-3)
    record = json.loads((tmp_path / "joint" / "1" / "fit.json").read_text())
    assert record["options"]["same_person"] == NAMES and abs(record["pose"]["yaw_deg"] - 5) < 5


def test_the_photograph_that_looks_most_straight_gives_the_texture(jaxface, tmp_path, face, photographs, monkeypatch):
    for index, euler_deg in enumerate([(-25.0, 1.0, 0.0), (0.0, 8.0, 0.0), (0.0, -30.0, 0.0)]):
        landmarks, _ = face(seed=4, euler_deg=euler_deg)
        np.savez(tmp_path / "points" / f"{index}.npz", xy=landmarks.xy[None], xyz=landmarks.xyz[None])
    written = []
    monkeypatch.setattr("jaxface.pipelines.person._write_neutral", lambda *given: written.append(given[4]))
    assert jaxface(*CALL, "-o", "out", "-f", "npz", "--same-person").exit_code == 0
    (straight,) = written
    assert abs(straight.pose.euler_deg[1] - 8) < 5


def test_no_face_at_rest_is_written_where_none_was_fitted(jaxface, tmp_path, photographs):
    line = np.arange(1.0, 69)[:, None] * [1, 2, 3]
    for index in range(3):
        np.savez(tmp_path / "points" / f"{index}.npz", xy=line[None, :, :2], xyz=line[None])
    result = jaxface(*CALL, "-o", "out", "-f", "json,ply", "--same-person")
    assert result.exit_code == 1 and result.stderr.count("on a line") == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0", "1", "2"}


def test_a_photograph_that_is_missing_is_named_and_left_out(jaxface, tmp_path, photographs):
    result = jaxface(*CALL, "gone.png", "-o", "out", "-f", "npz", "--same-person")
    assert result.exit_code == 1
    assert result.stderr == "gone.png: no such file; the other photographs are fitted without it\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0", "1", "2"}
    assert np.unique(identities(tmp_path / "out"), axis=0).shape == (1, 8)


def test_the_largest_face_is_taken_and_a_picture_of_none_says_what_to_do(jaxface, tmp_path, small, pair, photograph):
    save_model(tmp_path / "small.npz", small)
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "nobody.png")
    images = pair, photograph, photograph, "nobody.png"
    result = jaxface("fit", *images, "--model", "small.npz", "-o", "out", "-f", "json", "--same-person")
    assert result.exit_code == 1
    assert result.stderr == (
        "nobody.png: no face was found; crop it to the face, or give its landmarks in a file; the other photographs "
        "are fitted without it\n"
    )
    records = [json.loads((tmp_path / "out" / name / "fit.json").read_text()) for name in ("pair", "astronaut")]
    assert records[0]["identity"] == records[1]["identity"]
    assert records[0]["box"] == pytest.approx(records[1]["box"], abs=5)  # the larger of the two is the demo's face


def test_no_face_at_all_is_said_and_leaves_nothing(jaxface, tmp_path):
    result = jaxface("fit", "a.png", "b.png", "-o", "out", "--same-person")
    assert result.exit_code == 1 and result.stderr == "a.png: no such file\nb.png: no such file\n"
    assert list(tmp_path.iterdir()) == []


def test_the_calibrated_variant_is_refused_before_anything_is_done(jaxface, tmp_path):
    for command in (["fit", "a.png", "b.png", "--same-person"], ["video", "a.mp4"]):
        result = jaxface(*command, "--variant", "calibrated")
        assert result.exit_code == 2
        assert "--variant: calibrated fits one photograph alone" in result.stderr and "2d+3d+p+w" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_landmarks_of_one_scheme_go_together_with_and_without_weights(jaxface, tmp_path, photographs, monkeypatch):
    rng, given = np.random.default_rng(0), []

    def spied(model, landmarks, options):
        given.append(landmarks)
        return fit_sequence(model, replace(landmarks, weight=None), options)

    monkeypatch.setattr("jaxface.pipelines.person.fit_sequence", spied)
    with np.load(tmp_path / "points" / "0.npz") as stored:
        np.savez(tmp_path / "points" / "0.npz", **stored, weight=np.full((1, 68), 0.5), detector=["mediapipe"])
    np.savez(tmp_path / "points" / "dense.npz", xy=rng.normal(size=(1, 478, 2)), xyz=rng.normal(size=(1, 478, 3)))
    Image.new("RGB", (640, 480)).save(tmp_path / "dense.png")
    result = jaxface(*CALL, "dense.png", "-o", "out", "-f", "npz", "--same-person")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert result.stderr.startswith("dense.png: its landmarks are mediapipe478, those of the first are ibug68")
    (landmarks,) = given
    np.testing.assert_array_equal(landmarks.weight, np.repeat([[0.5], [1.0], [1.0]], 68, axis=1))
