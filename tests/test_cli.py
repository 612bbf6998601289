import errno
import json
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import trimesh
from commands import PACKAGE, WRITTEN, names, one_line
from PIL import Image
from rich.console import Console

import jaxface.pipelines.image as pipeline
from jaxface.cli.choices import CALIBRATED
from jaxface.cli.session import _folders, _table
from jaxface.cli.terminal import print_table, printable
from jaxface.detection import read_image
from jaxface.export.records import read_npz
from jaxface.model import save_model
from jaxface.pipelines.image import ImageReport

pytestmark = pytest.mark.usefixtures("no_user_cache")


def test_demo_writes_everything_and_says_what_it_found(jaxface, tmp_path):
    result = jaxface("demo", "--output", "demo")
    assert (result.exit_code, result.stderr) == (0, "")
    folder = tmp_path / "demo"
    assert names(folder) == WRITTEN
    assert names(tmp_path) == {"demo"}
    assert all(path.stat().st_size > 0 for path in folder.iterdir())

    names_, units, row, where = (line.split() for line in result.stdout.splitlines())
    assert names_ == ["file", "faces", "yaw", "pitch", "roll", "status", "detect", "fit", "export"]
    assert units == ["°", "°", "°", "ms", "ms", "ms"]
    assert row[:2] == ["astronaut.png", "1"] and row[5:7] == ["max", "iterations"]
    assert len(row) == 10 and all(float(milliseconds) > 0 for milliseconds in row[7:])
    assert where == ["written", "to", "demo"]

    record = json.loads((folder / "fit.json").read_text())
    assert record["source"] == "astronaut.png" and record["face"] == 0 and record["status"]["fitted"]
    assert record["options"]["variant"] == "calibrated"
    assert [f"{record['pose'][name]:+z.1f}" for name in ("yaw_deg", "pitch_deg", "roll_deg")] == row[2:5]
    assert all(abs(record["pose"][name]) < 15 for name in ("yaw_deg", "pitch_deg", "roll_deg"))
    fitted, landmarks = read_npz(folder / "fit.npz")
    assert landmarks.xy.shape == (68, 2) and abs(float(fitted.pose.scale) - record["pose"]["scale_px_per_mm"]) < 1e-5
    for name in ("face.obj", "face.ply", "face.glb"):
        assert len(trimesh.load(folder / name, force="mesh", process=False).vertices) > 1000
    assert read_image(folder / "overlay.png").shape[1] > 800


def test_several_photographs_get_a_folder_each_and_bad_ones_a_line_each(jaxface, tmp_path, photograph):
    good = tmp_path / "in"
    good.mkdir()
    strange = good / "a photo [bold]of[red] :cat: é 王 \x1b[31m\n.png"
    for path in (good / "one.png", good / "One.png", strange):
        shutil.copy(photograph, path)
    Image.open(photograph).convert("RGB").save(good / "one.jpg", quality=95)
    whole = photograph.read_bytes()
    (good / "broken.png").write_bytes(whole[: len(whole) // 2])
    (good / "text.jpg").write_text("no image")
    (good / "empty.jpg").touch()
    Image.new("RGB", (300, 200), "teal").save(good / "nobody.png")
    Image.new("RGB", (1, 1)).save(good / "dot.png")
    Image.new("1", (20_000, 15_000)).save(good / "huge.png")
    bad = {
        "broken.png": "cannot be read (image file is truncated",
        "text.jpg": "not an image in a format that Pillow reads",
        "empty.jpg": "the file is empty",
        "nobody.png": "no face was found",
        "dot.png": "no face was found",
        "huge.png": "more than the 120 million pixels that are read; scale it down",
        "missing.png": "no such file",
        "": "a folder; give the image files in it",
    }
    images = [good / "one.png", *(good / name for name in bad), good / "one.jpg", good / "One.png", strange]
    result = jaxface("fit", *images, good / "one.png", "-o", "out", "-f", "json")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == len(bad)
    for line, (name, sentence) in zip(lines, bad.items(), strict=True):
        assert line.startswith(f"{good / name}: {sentence}")
    assert names(tmp_path) == {"in", "out"}
    assert names(tmp_path / "out") == {"one", "one-2", "One-3", "one-4", strange.stem}
    assert all(names(folder) == {"fit.json"} for folder in (tmp_path / "out").iterdir())
    rows = result.stdout.splitlines()[2:]
    assert len(rows) == len(images) + 2
    assert "a photo [bold]of[red] :cat: é 王 �[31m�.png" in result.stdout
    assert sum(" failed " in row for row in rows) == len(bad)
    assert json.loads((tmp_path / "out" / strange.stem / "fit.json").read_text())["source"] == strange.name


def test_a_search_in_vain_takes_its_time_too(jaxface, tmp_path, photograph):
    Image.new("RGB", (300, 200), "teal").save(tmp_path / "nobody.png")
    result = jaxface("fit", photograph, "nobody.png", "-o", "out", "-f", "json")
    assert result.exit_code == 1
    row = result.stdout.splitlines()[3].split()
    assert row[:3] == ["nobody.png", "0", "failed"] and float(row[3]) > 0


def test_two_faces_of_a_photograph_get_a_set_of_files_each(jaxface, tmp_path, photograph):
    image = read_image(photograph)
    Image.fromarray(np.concatenate([image, image[:, ::-1]], axis=1)).save(tmp_path / "two.png")
    result = jaxface("fit", "two.png", "-o", "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert names(tmp_path / "out") == WRITTEN | {"face-2"} and names(tmp_path / "out" / "face-2") == WRITTEN
    records = [json.loads((tmp_path / "out" / name).read_text()) for name in ("fit.json", "face-2/fit.json")]
    assert [record["face"] for record in records] == [0, 1]
    assert records[0]["box"][2] < 512 < records[1]["box"][0]
    yaw, mirrored = (record["pose"]["yaw_deg"] for record in records)
    assert abs(yaw + mirrored) < 4
    rows = [line.split() for line in result.stdout.splitlines()[2:4]]
    assert rows[0][:2] == ["two.png", "2"]
    assert all(np.isfinite(float(angle)) for angle in rows[1][:3])
    assert " ".join(rows[1][3:]) in ("converged", "max iterations")


def test_no_file_of_another_photographs_face_stays_beside_those_of_this_one(jaxface, tmp_path, photograph):
    Image.fromarray(read_image(photograph)[:, ::-1]).save(tmp_path / photograph.name)
    for name, formats, there in (
        (photograph, "json,ply", {"fit.json", "face.ply"}),
        (photograph, "npz", {"fit.json", "face.ply", "fit.npz"}),
        (photograph.name, "json", {"fit.json"}),
    ):
        assert jaxface("fit", name, "-o", "out", "-f", formats).exit_code == 0
        assert names(tmp_path / "out") == there


def test_a_further_run_leaves_no_face_of_the_one_before(jaxface, tmp_path, photograph, pair):
    left = {"fit.json", "face-2", "face-4", "face-04"}
    for options in [], ["--same-person"]:
        for folder, face in ("face-3", 2), ("face-4", 0), ("face-04", 3):  # face-4 is a photograph of that name
            (tmp_path / "out" / folder).mkdir(exist_ok=True, parents=True)
            (tmp_path / "out" / folder / "fit.json").write_text(json.dumps({"face": face}))
        (tmp_path / "out" / "face-3" / "fit.npz").touch()
        assert jaxface("fit", pair, "-o", "out", "-f", "json").exit_code == 0
        for name in "face.mtl", "mine.txt":
            (tmp_path / "out" / "face-2" / name).touch()
        assert names(tmp_path / "out") == left
        assert jaxface("fit", photograph, "-o", "out", "-f", "json", *options).exit_code == 0
        assert names(tmp_path / "out") == left and names(tmp_path / "out" / "face-2") == {"mine.txt"}


def test_a_photograph_beside_one_named_face_2_leaves_it(jaxface, tmp_path, photograph):
    shutil.copy(photograph, tmp_path / "face-2.png")
    assert jaxface("fit", photograph, "face-2.png", "-o", "out", "-f", "npz").exit_code == 0
    for _ in range(2):  # of which the second finds a face there
        assert jaxface("fit", photograph, "-o", "out", "-f", "npz").exit_code == 0
        assert names(tmp_path / "out" / "face-2") == {"fit.npz"}


def test_formats_and_options_are_taken(jaxface, tmp_path, photograph):
    result = jaxface("fit", photograph, "-o", "a/b/out", "-f", "JSON, ply", "--variant", "2d+3d+w", "--iterations", 2)
    assert (result.exit_code, result.stderr) == (0, "")
    assert names(tmp_path / "a" / "b" / "out") == {"fit.json", "face.ply"}
    options = json.loads((tmp_path / "a" / "b" / "out" / "fit.json").read_text())["options"]
    assert (options["variant"], options["iterations"], options["solver"]) == ("2d+3d+w", 2, "structured")


def test_points_are_fitted_with_their_detectors_own_calibration(jaxface, tmp_path, photograph):
    for detector in CALIBRATED:
        result = jaxface("fit", photograph, "-o", "out", "-f", "json", "--detector", detector)
        assert (result.exit_code, result.stderr) == (0, "")
        options = json.loads((tmp_path / "out" / "fit.json").read_text())["options"]
        assert (options["variant"], options["calibration"]) == ("calibrated", detector)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--formats", "stl"], "--formats: 'stl' is not one of obj, ply, glb, overlay, npz, json"),
        (["--formats", ""], "--formats: is empty, as of a variable that is not set"),
        (["--landmarks="], "--landmarks: is empty"),
        (["--formats", "obj,"], "--formats: '' is not one of obj"),
        (["--variant", "3d"], "--variant: '3d': takes one of auto, 2d, 2d+3d, 2d+3d+w, 2d+3d+p+w"),
        (["--variant", "calibrated", "--detector", "fan"], "--variant: calibrated takes mediapipe or mediapipe-av"),
        (["--variant", "calibrated", "--model", "text.npz"], "not --model text.npz"),
        (["--calibration", "mine"], "--calibration: 'mine': there is none; takes 'mediapipe' or 'mediapipe-averaged'"),
        (["--calibration", "text.npz"], "--calibration: 'text.npz': not a jaxface .npz"),
        (["--calibration", "mediapipe", "--variant", "2d"], "--calibration: calibrated makes use of it, 2d does not"),
        (["--calibration", "mediapipe", "--contour", "march"], "--contour: 'march': takes the paper's variants"),
        (["--calibration", "mediapipe", "--same-person"], "calibrated fits one photograph alone"),
        (["--solver", "adam"], "--solver: 'adam': takes one of structured, jaxopt"),
        (["--iterations", "0"], "--iterations: 0: takes a whole number from 1 to 1000"),
        (["--iterations", "many"], "--iterations'"),
        (["--colour", "red"], "No such option: --colour"),
        (["--model", "missing.npz"], "--model: face model missing.npz: no such file"),
        (["--model", "text.npz"], "--model: face model text.npz: not a jaxface .npz"),
        (["--model", "other.npz"], "--model: face model other.npz: the field 'mean' is missing"),
        (["--model", "array.npy"], "--model: face model array.npy: not a jaxface .npz"),
        (["--model", "broken.npz"], "--model: face model broken.npz: not a jaxface .npz"),
        (["--output", "text.npz"], "--output: text.npz cannot be written (text.npz is a file)"),
        (["--output", "text.npz/under/it"], "--output: text.npz/under/it cannot be written"),
        (["--output", ""], "--output: is empty"),
        ([""], "an argument: is empty"),
        (["--min-score", "nan"], "'--min-score': Input should be less than or equal to 1"),
        (["--output", "link"], "--output: link cannot be written (link is a broken link)"),
        (["--output", "x" * 300], "cannot be written (File name too long)"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(jaxface, tmp_path, photograph, arguments, says):
    (tmp_path / "text.npz").write_text("no model")
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "link").symlink_to("nowhere")
    whole = (tmp_path / "other.npz").read_bytes()
    (tmp_path / "broken.npz").write_bytes(whole[: len(whole) // 2])
    before = names(tmp_path)
    assert says in one_line(jaxface("fit", photograph, *arguments), 2)
    assert names(tmp_path) == before


def test_wrong_commands_are_one_line(jaxface):
    assert "Missing argument" in one_line(jaxface("fit"), 2)
    assert "No such command 'fitt'" in one_line(jaxface("fitt"), 2)
    assert "No such option: --what" in one_line(jaxface("demo", "--what"), 2)
    assert "an argument: is empty" in one_line(jaxface("dataset", ""), 2)
    assert "'--smoothness': Input should be less than" in one_line(
        jaxface("video", "clip.mp4", "--smoothness", "inf"), 2
    )


@pytest.mark.parametrize("name", ["missing.png", "text.png"])
def test_a_run_that_fits_nothing_makes_no_folder(jaxface, tmp_path, name):
    (tmp_path / "text.png").write_text("no image")
    assert one_line(jaxface("fit", name, "-o", "new/out"), 1).startswith(f"{name}: ")
    assert names(tmp_path) == {"text.png"}


@pytest.mark.parametrize("writer", ["write_mesh", "write_json"])
def test_a_full_disk_is_one_line_and_leaves_nothing(jaxface, tmp_path, photograph, monkeypatch, writer):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pipeline, writer, full)
    result = jaxface("fit", photograph, "-o", "new/out", "-f", "npz,ply,json")
    says = one_line(result, 1)
    assert says == f"{photograph}: its results cannot be written to new/out (No space left on device)"
    assert " not written " in result.stdout and "written to" not in result.stdout
    assert names(tmp_path) == set()


def test_a_folder_in_a_files_place_leaves_the_others_as_they_were(jaxface, tmp_path, photograph):
    (tmp_path / "out" / "fit.npz").mkdir(parents=True)
    (tmp_path / "out" / "fit.json").write_text("before")
    says = one_line(jaxface("fit", photograph, "-o", "out", "-f", "npz,json"), 1)
    assert says.endswith("its results cannot be written to out (fit.npz there is a folder)")
    assert names(tmp_path / "out") == {"fit.npz", "fit.json"}
    assert (tmp_path / "out" / "fit.json").read_text() == "before"


@pytest.mark.parametrize(
    "command, name, asked",
    [("fit", "overlay.png", "overlay"), ("fit", "link.png", "overlay"), ("detect", "photo.json", "json")],
)
def test_results_never_replace_their_photograph(jaxface, tmp_path, photograph, command, name, asked):
    for own in "overlay.png", "photo.json":
        shutil.copy(photograph, tmp_path / own)
    (tmp_path / "link.png").symlink_to("overlay.png")
    before = names(tmp_path)
    says = one_line(jaxface(command, name, "-o", ".", "-f", asked), 1)
    assert says == f"{name}: its results would replace it; give another folder for them"
    assert names(tmp_path) == before and (tmp_path / name).read_bytes() == photograph.read_bytes()


def test_results_never_replace_what_else_the_command_was_given(jaxface, tmp_path, photograph, small):
    for name in "x.png", "x.faces.png", "neutral_texture.png":
        shutil.copy(photograph, tmp_path / name)
    save_model(tmp_path / "overlay.png.npz", small)
    (tmp_path / "overlay.png.npz").rename(tmp_path / "overlay.png")  # models are told by their content
    assert jaxface("detect", "x.png", "-o", ".", "-f", "json").exit_code == 0
    (tmp_path / "x.json").rename(tmp_path / "fit.json")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for replaced, arguments in {
        "x.faces.png": ["detect", "x.png", "x.faces.png", "-f", "picture"],
        "fit.json": ["fit", "x.png", "--landmarks", "fit.json", "-f", "json"],
        "overlay.png": ["fit", "x.png", "--model", "overlay.png", "-f", "overlay"],
        "neutral_texture.png": ["fit", "x.png", "neutral_texture.png", "--same-person", "-f", "obj"],
    }.items():
        result = jaxface(*arguments, "-o", ".")
        assert result.exit_code == 1
        assert result.stderr.endswith(f": its results would replace {replaced}; give another folder for them\n")
        assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_no_opengl_is_one_line(jaxface, tmp_path, photograph, monkeypatch):
    def no_context():
        raise RuntimeError("drawing needs OpenGL 3.3 off screen")

    monkeypatch.setattr("jaxface.rendering.rasterizer._context", no_context)
    assert one_line(jaxface("fit", photograph, "-o", "out"), 1) == f"{photograph}: drawing needs OpenGL 3.3 off screen"
    drawn = jaxface("model", "info", "--picture", "drawn.png")
    assert drawn.exit_code == 1 and drawn.stderr == "Error: drawing needs OpenGL 3.3 off screen\n"
    assert names(tmp_path) == set()


def test_a_face_that_is_not_fitted_is_one_line(jaxface, tmp_path, photograph, monkeypatch):
    fit = pipeline.fit
    nowhere = lambda model, face, options: fit(model, type(face)(0 * face.xy, 0 * face.xyz), options)
    monkeypatch.setattr(pipeline, "fit", nowhere)
    says = one_line(jaxface("fit", photograph, "-o", "out", "-f", "json"), 1)
    assert says.startswith(f"{photograph}: 1 of 1 faces not fitted: ")


def test_ctrl_c_ends_quietly_and_keeps_what_is_whole(jaxface, tmp_path, photograph, monkeypatch):
    export, count = pipeline.write_json, iter(range(9))

    def interrupted(*arguments, **options):
        if next(count) == 1:
            raise KeyboardInterrupt
        export(*arguments, **options)

    monkeypatch.setattr(pipeline, "write_json", interrupted)
    result = jaxface("fit", photograph, photograph, "-o", "out", "-f", "npz,json")
    assert (result.exit_code, result.stderr) == (130, "")
    assert names(tmp_path) == {"out"} and names(tmp_path / "out") == {"astronaut"}
    assert names(tmp_path / "out" / "astronaut") == {"fit.npz", "fit.json"}


def test_folders_never_meet():
    images = [Path(name) for name in ("a.png", "a.jpg", "a-2.png", "A.PNG", "b.png")]
    assert [str(folder) for folder in _folders(images, Path("o"))] == ["o/a", "o/a-2", "o/a-2-2", "o/A-3", "o/b"]
    assert _folders(images[:1], Path("o")) == [Path("o")]
    dots = [Path(name) for name in ("...jpg", "..jpg", ".jpg")]
    assert [str(folder) for folder in _folders(dots, Path("o"))] == ["o/...jpg", "o/..jpg", "o/.jpg"]


@pytest.mark.parametrize("width", [1, 40, 50, 80, 200])
def test_the_table_breaks_no_number_and_no_usual_name(width):
    from small_model import small_result

    report = ImageReport(Path("DSC_00012345.jpeg"), [small_result(-83.4)], [Path("o")], None, 0.0567, 4.4567, 3.9567)
    drawn = StringIO()
    print_table(Console(file=drawn, width=width), _table([report]))
    lines = [line.split() for line in drawn.getvalue().splitlines()]
    assert len(lines) == 3
    assert lines[2] == ["DSC_00012345.jpeg", "1", "-83.4", "+0.0", "+0.0", "converged", "57", "4457", "3957"]


def test_names_that_terminals_would_act_upon_are_shown():
    assert printable("é 王 [x] :cat:") == "é 王 [x] :cat:"
    assert printable("a\x1b[31m\n\udcff") == "a�[31m��"


def test_a_run_into_a_pipe_keeps_long_names_whole(jaxface, tmp_path, photograph):
    name = "n" * 200 + ".png"
    shutil.copy(photograph, tmp_path / name)
    result = jaxface("fit", name, "-o", "out", "-f", "json")
    assert result.exit_code == 0 and result.stdout.splitlines()[2].startswith(f"{name}  ")


def test_the_public_names_load_nothing_heavy():
    heavy = "mediapipe trimesh moderngl PIL scipy jaxopt optax rich typer meshio matplotlib".split()
    load = "import sys, jaxface; [getattr(jaxface, name) for name in dir(jaxface)]"
    program = f"{load}; print([name for name in {heavy} if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    done = subprocess.run([sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
