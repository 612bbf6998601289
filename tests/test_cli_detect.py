import json
from io import StringIO
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image, ImageOps
from rich.console import Console

from jaxface.cli.detect import _table
from jaxface.cli.terminal import print_table
from jaxface.detection import detect, read_image, read_landmarks, write_landmarks
from jaxface.detection.faces import box
from jaxface.export.records import read_npz
from jaxface.pipelines.landmarks import DetectionReport
from jaxface.types import Landmarks

pytestmark = pytest.mark.usefixtures("no_user_cache")


@pytest.fixture(scope="module")
def found(photograph):
    (face,) = detect(photograph)
    return face


def names(folder):
    return {path.name for path in folder.iterdir()}


def one_line(result, code):
    assert result.exit_code == code and result.stderr.count("\n") == 1 and "Traceback" not in result.output
    return result.stderr.strip()


def test_detect_draws_and_writes_every_face(jaxface, tmp_path, photograph, pair, found):
    (tmp_path / "text.jpg").write_text("no image")
    result = jaxface("detect", photograph, pair, "text.jpg", "-o", "out", "-f", "picture,json,npz")
    assert one_line(result, 1).startswith("text.jpg: not an image")
    assert names(tmp_path / "out") == {f"{a}.{b}" for a in ("astronaut", "pair") for b in ("faces.png", "json", "npz")}
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["file", "face", "score", "left", "top", "right", "bottom", "detect"]
    assert rows[2][:2] == ["astronaut.png", "1"] and rows[3][:2] == ["pair.png", "1"] and rows[4][0] == "2"
    assert rows[5] == ["written", "to", "out"]
    assert [float(side) for side in rows[2][3:7]] == [round(side) for side in box(found)]

    (read,) = read_landmarks(tmp_path / "out" / "astronaut.npz")
    np.testing.assert_array_equal(read.xyz, found.xyz)
    left, right = read_landmarks(tmp_path / "out" / "pair.json")
    assert np.abs(left.xy - found.xy).mean() < 3 and right.xy[:, 0].min() > 514
    told = json.loads((tmp_path / "out" / "pair.json").read_text())["faces"]
    assert all(face["score"] > 0.8 for face in told)
    drawn, given = read_image(tmp_path / "out" / "pair.faces.png"), read_image(pair)
    assert drawn.shape == given.shape
    changed = (drawn != given).any(axis=-1)
    (x, y), (right_edge, bottom) = np.rint(box(found)[:2]).astype(int), np.rint(box(found)[2:]).astype(int)
    assert changed[y, x + 20 : right_edge - 20].all() and changed[bottom, x + 20 : right_edge - 20].all()
    assert not changed[300:400, 60:500].any()


@pytest.mark.parametrize("width", [1, 40, 50, 80])
def test_the_table_breaks_no_number_and_no_usual_name(found, width):
    drawn = StringIO()
    report = DetectionReport(
        Path("DSC_00012345.jpeg"), [Landmarks(found.xy + 12000, found.xyz)], [0.98765], None, 1.2345
    )
    print_table(Console(file=drawn, width=width), _table([report]))
    (_, _, row) = (line.split() for line in drawn.getvalue().splitlines())
    sides = [f"{side:.0f}" for side in box(report.faces[0])]
    assert row == ["DSC_00012345.jpeg", "1", "0.99", *sides, "1234"] and all(len(side) == 5 for side in sides)


def test_long_names_fold_where_the_numbers_leave_room():
    drawn = StringIO()
    points = np.zeros((68, 2))
    report = DetectionReport(Path("n" * 100), [Landmarks(points, np.zeros((68, 3)))], [0.5])
    print_table(Console(file=drawn, width=60), _table([report]))
    lines = drawn.getvalue().splitlines()
    assert all(len(line) <= 60 for line in lines) and drawn.getvalue().count("n") == 100


def test_what_detect_wrote_is_fitted_as_if_it_were_detected(jaxface, tmp_path, photograph, pair):
    assert jaxface("detect", photograph, pair, "-o", "points").exit_code == 0
    assert jaxface("fit", photograph, pair, "--landmarks", "points", "-o", "a", "-f", "npz").exit_code == 0
    assert jaxface("fit", photograph, pair, "-o", "b", "-f", "npz").exit_code == 0
    for name in ("astronaut/fit.npz", "pair/fit.npz", "pair/face-2/fit.npz"):
        ours, theirs = (read_npz(tmp_path / run / name) for run in "ab")
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
        assert ours[0].variant == "calibrated" and ours[1].detector == "mediapipe"


def test_the_largest_face_and_the_likely_ones(jaxface, tmp_path, pair):
    assert jaxface("fit", pair, "--faces", "largest", "-o", "out", "-f", "npz").exit_code == 0
    assert names(tmp_path / "out") == {"fit.npz"}
    _, landmarks = read_npz(tmp_path / "out" / "fit.npz")
    assert landmarks.xy[:, 0].max() < 512
    assert jaxface("detect", pair, "--min-score", "0.5", "-f", "json", "-o", "out").exit_code == 0
    assert len(read_landmarks(tmp_path / "out" / "pair.json")) == 2
    says = one_line(jaxface("detect", pair, "--min-score", "0.999", "-o", "none"), 1)
    assert (
        says == f"{pair}: no face that was found is as likely one as is asked for" and not (tmp_path / "none").exists()
    )


def test_2d_points_of_a_file_take_their_depth_from_the_detector(jaxface, tmp_path, photograph, found):
    write_landmarks(tmp_path / "astronaut.pts", [found])
    for landmarks in ("astronaut.pts", "."):
        assert jaxface("fit", photograph, "--landmarks", landmarks, "-o", "out", "-f", "npz").exit_code == 0
        _, used = read_npz(tmp_path / "out" / "fit.npz")
        np.testing.assert_allclose(used.xy, found.xy, atol=1e-4)
        np.testing.assert_array_equal(used.xyz, found.xyz)
    write_landmarks(tmp_path / "away.pts", [Landmarks(found.xy + 150, found.xyz)])
    says = one_line(jaxface("fit", photograph, "--landmarks", "away.pts", "-o", "no"), 1)
    assert says.startswith(f"{photograph}: of face 1 there are 2D points only")
    fitted = jaxface("fit", photograph, "--landmarks", "away.pts", "-o", "out", "-f", "npz", "--variant", "2d")
    assert fitted.exit_code == 0
    _, used = read_npz(tmp_path / "out" / "fit.npz")
    assert not used.xyz[:, 2].any()


def test_a_detector_without_depth_asks_for_the_variant_2d(jaxface, tmp_path, photograph, found, monkeypatch):
    class Flat:
        def __init__(self, scheme):
            pass

        def detect(self, image):
            return [Landmarks(found.xy, np.pad(found.xy, ((0, 0), (0, 1))))]

        def close(self):
            pass

    monkeypatch.setattr("jaxface.detection.mediapipe.MediaPipe", Flat)
    says = one_line(jaxface("fit", photograph, "-o", "out", "-f", "npz"), 1)
    assert says.endswith("gives 2D points only; the variant 2d fits these, and dlib+mediapipe adds 3D points")
    assert jaxface("fit", photograph, "-o", "out", "-f", "npz", "--variant", "2d").exit_code == 0
    assert jaxface("detect", photograph, "-o", "out", "-f", "json").exit_code == 0
    (read,) = read_landmarks(tmp_path / "out" / "astronaut.json")
    assert "xyz" not in json.loads((tmp_path / "out" / "astronaut.json").read_text())["faces"][0]
    np.testing.assert_array_equal(read.xy.astype(np.float32), found.xy)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (
            ["fit", "--detector", "mtcnn"],
            "--detector: 'mtcnn': takes one of mediapipe, mediapipe-averaged, dlib, dlib+mediapipe, fan",
        ),
        (["detect", "--detector", "mtcnn"], "--detector: 'mtcnn': takes one of"),
        (["fit", "--faces", "some"], "'some' is not one of 'all', 'largest'"),
        (["fit", "--min-score", "2"], "--min-score"),
        (["fit", "--landmarks", "missing"], "--landmarks: missing: no such file or folder"),
        (["fit", "again.png", "--landmarks", "text.pts"], "--landmarks: text.pts is one file for 2 photographs"),
        (["detect", "--formats", "pts"], "--formats: 'pts' is not one of picture, json, npz"),
        (["detect", "--output", "text.pts"], "--output: text.pts cannot be written"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(jaxface, tmp_path, photograph, arguments, says):
    (tmp_path / "text.pts").write_text("no points")
    assert says in one_line(jaxface(arguments[0], photograph, *arguments[1:]), 2)
    assert names(tmp_path) == {"text.pts"}


def test_a_bad_landmark_file_fails_its_photograph_only(jaxface, tmp_path, photograph, pair, found):
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "pair.pts").write_text("no points")
    write_landmarks(tmp_path / "points" / "astronaut.npz", [found])
    says = one_line(jaxface("fit", photograph, pair, "--landmarks", "points", "-o", "out", "-f", "json"), 1)
    assert says == f"{pair}: landmarks points/pair.pts: no points between braces, as 300-W writes them"
    assert names(tmp_path / "out") == {"astronaut"}
    says = one_line(jaxface("fit", tmp_path / ".." / photograph, "--landmarks", "out", "-o", "no"), 1)
    assert says.endswith("landmarks out/astronaut: no such file that ends in .pts, .json, .npz, .npy")


@pytest.mark.parametrize("moved", [lambda points: points + 600, lambda points: points * 1e30])
def test_points_of_another_photograph_are_refused(jaxface, tmp_path, photograph, found, moved):
    write_landmarks(tmp_path / "points.json", [found, Landmarks(moved(found.xy), moved(found.xyz))])
    says = one_line(jaxface("fit", photograph, "--landmarks", "points.json", "-o", "out"), 1)
    assert says.startswith(f"{photograph}: landmarks points.json: face 2 is not in this photograph of 512 x 512 pixels")
    assert names(tmp_path) == {"points.json"}


@pytest.fixture
def of_one_name(tmp_path, photograph):
    """Two photographs of one name, the second the first's mirror image."""
    paths = [tmp_path / "in" / name / "x.png" for name in "ab"]
    for path, turned in zip(paths, (lambda image: image, ImageOps.mirror), strict=True):
        path.parent.mkdir(parents=True)
        turned(Image.open(photograph).convert("RGB")).save(path)
    return paths


def used(folder):
    """The landmarks that the fit in a folder was given."""
    return np.asarray(read_npz(folder / "fit.npz")[1].xy)


@pytest.mark.parametrize("kind", ["json", "npz"])
def test_photographs_of_one_name_get_their_own_points_in_any_order_and_wherever_they_lie(
    jaxface, tmp_path, of_one_name, kind
):
    assert jaxface("detect", *of_one_name, "-o", "points", "-f", kind).exit_code == 0
    assert names(tmp_path / "points") == {f"x.{kind}", f"x-2.{kind}"}
    (tmp_path / "in").rename(tmp_path / "moved")
    a, b = (tmp_path / "moved" / name / "x.png" for name in "ab")
    wanted = {path: read_landmarks(tmp_path / "points" / f"{name}.{kind}") for path, name in ((a, "x"), (b, "x-2"))}
    for images in [a], [b], [b, a]:
        assert jaxface("fit", *images, "--landmarks", "points", "-o", "out", "-f", "npz").exit_code == 0
        for path, folder in zip(images, ["."] if len(images) == 1 else ["x", "x-2"], strict=True):
            np.testing.assert_allclose(used(tmp_path / "out" / folder), wanted[path][0].xy, atol=1e-3)


def test_a_landmark_file_that_names_another_photograph_is_refused_and_one_that_names_none_taken(
    jaxface, tmp_path, of_one_name
):
    a, b = of_one_name
    assert jaxface("detect", a, "-o", "points", "-f", "json").exit_code == 0
    file = tmp_path / "points" / "x.json"
    for landmarks in "points", "points/x.json":
        says = one_line(jaxface("fit", b, "--landmarks", landmarks, "-o", "out", "-f", "npz"), 1)
        assert says.startswith(f"{b}: landmarks points/x.json: of another photograph, or of this one before it was")
    assert not (tmp_path / "out").exists()
    told = json.loads(file.read_text())
    assert told.pop("source") == "x.png"
    moved = np.array(told["faces"][0]["xy"]) + 5  # by hand
    told["faces"][0]["xy"] = moved.tolist()
    for path in a, b:
        file.write_text(json.dumps(told))
        assert jaxface("fit", path, "--landmarks", "points", "-o", "out", "-f", "npz").exit_code == 0
        np.testing.assert_allclose(used(tmp_path / "out"), moved, atol=1e-3)
        told.pop("sha256", None)


@pytest.mark.parametrize("command", ["detect", "fit"])
def test_a_photograph_without_permission_fails_alone(jaxface, tmp_path, photograph, monkeypatch, command):
    """Of root nothing is kept, so what it is told is."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (tmp_path / "kept.png").write_bytes(b"")
    assert jaxface(command, "kept.png", photograph, "-o", "out", "-f", "json").exit_code == 1
    assert any("astronaut" in name for name in names(tmp_path / "out"))


def test_a_full_disk_is_one_line(jaxface, tmp_path, photograph, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jaxface.pipelines.landmarks.atomic_write", full)
    result = jaxface("detect", photograph, "-o", "out")
    assert one_line(result, 1) == f"{photograph}: its landmarks cannot be written to out (No space left on device)"
    assert result.stdout == ""
