"""``jaxface model``: models described, converted, merged, kept under a name, and what a detector errs on one."""

import json
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from commands import names, one_line
from PIL import Image

from jaxface.calibration import load_calibration
from jaxface.cli.choices import FEWEST_CALIBRATED
from jaxface.evaluation.subjects import NODDING_DEG, subjects
from jaxface.fitting import FitOptions
from jaxface.model import load_model, save_model
from jaxface.pipelines.stages import Settings, record
from jaxface.rendering.people import placed
from jaxface.types import Landmarks

pytestmark = pytest.mark.usefixtures("no_user_cache")


def test_model_info_says_what_a_model_is_and_draws_it(jaxface, tmp_path):
    result = jaxface("model", "info", "--picture", tmp_path / "components.png")
    assert result.exit_code == 0, result.output
    assert "4790" in result.output and "100; rms" in result.output and "ibug68, mediapipe478" in result.output
    with Image.open(tmp_path / "components.png") as drawn:
        assert drawn.width > drawn.height > 100


def test_model_convert_writes_a_model_that_can_be_fitted_with(jaxface, tmp_path, small):
    save_model(tmp_path / "a.npz", small)
    assert jaxface("model", "convert", tmp_path / "a.npz", tmp_path / "b.npz").exit_code == 0
    assert load_model(tmp_path / "b.npz").name == "small"
    failed = jaxface("model", "convert", tmp_path / "nothing.npz", tmp_path / "c.npz")
    assert failed.exit_code == 2 and "no such file" in failed.stderr and failed.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "name, said", [(".", "'.' is no name"), ("a/..", "'a/..' is no name"), ("in.npz", "in.npz is a folder")]
)
def test_models_are_not_kept_under_no_name_or_a_folders(jaxface, tmp_path, monkeypatch, small, name, said):
    monkeypatch.setattr("jaxface.model.store.models_folder", lambda: tmp_path / "models")
    save_model(tmp_path / "a.npz", small)
    (tmp_path / "in.npz").mkdir()
    for command in ("convert", "a.npz", name), ("merge", name, "--identity", "a.npz", "--expression", "a.npz"):
        assert f"for DESTINATION: {said}; takes a file to write" in one_line(jaxface("model", *command), 2)
    assert names(tmp_path) == {"a.npz", "in.npz"}


def test_a_merged_model_that_no_file_holds_is_said(jaxface, monkeypatch, small):
    save_model("a.npz", small)
    huge = replace(small, identity=small.identity * 1e6)
    monkeypatch.setattr("jaxface.model.transfer.merge", lambda *models: huge)
    says = one_line(jaxface("model", "merge", "b.npz", "--identity", "a.npz", "--expression", "a.npz"), 2)
    assert "model.identity: moves a vertex by " in says and not Path("b.npz").exists()


def test_a_model_that_is_read_is_not_replaced(jaxface, tmp_path, monkeypatch, small):
    monkeypatch.setattr("jaxface.model.store.models_folder", lambda: tmp_path)
    save_model(tmp_path / "a.npz", small)
    before = (tmp_path / "a.npz").read_bytes()
    for destination in "a.npz", "a":
        for command in (
            ("convert", "a.npz", destination),
            ("convert", "a", destination),
            ("merge", destination, "--identity", "a.npz", "--expression", "b.npz"),
            ("merge", destination, "--identity", "b.npz", "--expression", "a"),
        ):
            assert "for DESTINATION: " in (says := one_line(jaxface("model", *command), 2))
            assert "a.npz is a model that is read; takes another file to write (.npz), or a name" in says
    for option in "--picture", "--people":
        says = one_line(jaxface("model", "info", "a.npz", option, "a.npz"), 2)
        assert f"for {option}: a.npz is the model that is read; takes a PNG to write" in says
    assert names(tmp_path) == {"a.npz"} and (tmp_path / "a.npz").read_bytes() == before


def test_two_pictures_take_two_files(jaxface, tmp_path):
    says = one_line(jaxface("model", "info", "--picture", "a.png", "--people", "./a.png"), 2)
    assert "for --people: a.png is for --picture; takes another file" in says
    assert names(tmp_path) == set()


@pytest.mark.parametrize("option", ["--picture", "--people"])
def test_a_folder_is_no_picture(jaxface, tmp_path, option):
    says = one_line(jaxface("model", "info", option, tmp_path), 2)
    assert f"for {option}: {tmp_path} is a folder; takes a PNG to write" in says


@pytest.fixture(scope="module")
def found(small, tmp_path_factory):
    """A model's file, and the points of its drawn people, whose nose a detector finds too low."""
    path = tmp_path_factory.mktemp("calibrate") / "small.npz"
    save_model(path, small)
    people = subjects(load_model(path), 2 * FEWEST_CALIBRATED, tilt_deg=NODDING_DEG)
    points = np.array([people.shape.anchors @ placed(people, index) for index in range(len(people))], np.float32)
    points[:, 30, 1] += 10
    return path, points


class TestCalibrate:
    @staticmethod
    def detector(monkeypatch, points):
        """One that finds these points in turn, whatever it looks at; and no face where they are None."""
        left = iter(points)
        detect = lambda _: [Landmarks(face[:, :2], face)] if (face := next(left)) is not None else []
        opened = contextmanager(lambda *_: iter([SimpleNamespace(detect=detect)]))
        monkeypatch.setattr("jaxface.pipelines.calibrating.opened", opened)
        monkeypatch.setattr("jaxface.rendering.people.Painter.photograph", lambda *_: None)

    def test_what_is_measured_is_what_a_fit_takes_off(self, jaxface, tmp_path, monkeypatch, photograph, found):
        path, points = found
        self.detector(monkeypatch, points)
        ran = jaxface("model", "calibrate", path, "new/nose.npz", "--detector", "mine", "--people", len(points))
        assert (ran.exit_code, ran.stdout) == (0, "written to new/nose.npz\n"), ran.stderr
        table = load_calibration("new/nose.npz", "ibug68")
        front = table.offset_3d[0, :, 1]
        assert table.model == "small" and front.argmax() == 30 and front[30] > 10 * np.abs(np.delete(front, 30)).max()
        ran = jaxface("fit", photograph, "--model", path, "--calibration", "new/nose.npz", "-o", "out", "-f", "json")
        assert (ran.exit_code, ran.stderr) == (0, "")
        options = json.loads((tmp_path / "out" / "fit.json").read_text())["options"]
        assert (options["variant"], options["calibration"]) == ("calibrated", "new/nose.npz")
        told = record(Settings(str(path), fit=FitOptions("calibrated", calibration="new/nose.npz")))["calibration"]
        assert told == {"source": "nose.npz", "sha256": sha256(Path("new/nose.npz").read_bytes()).hexdigest()}
        for command in ("fit", photograph), ("dataset", tmp_path):
            says = one_line(jaxface(*command, "--calibration", "new/nose.npz", "-o", "none"), 2)
            assert "--calibration: 'new/nose.npz': is of the model 'small', and 'jaxface MakeHuman head' is" in says
        assert not Path("none").exists()

    def test_too_few_people_found_make_none(self, jaxface, monkeypatch, found):
        path, points = found
        few = FEWEST_CALIBRATED - 1
        self.detector(monkeypatch, [*points[:few], *[None] * (len(points) - few)])
        ran = jaxface("model", "calibrate", path, "few.npz", "--people", len(points))
        assert f"finds {few} of {len(points)} people of small; a calibration takes {few + 1} or more" in one_line(
            ran, 2
        )
        assert not Path("few.npz").exists()

    @pytest.mark.parametrize(
        "arguments, says",
        [
            (["a.npy"], "DESTINATION: takes a file to write (.npz), got a.npy"),
            (["folder.npz"], "got folder.npz"),
            (["small.npz"], "got small.npz"),
            (["a.npz", "--people", "199"], "'--people'"),
            (["a.npz", "--detector", "nobody"], "--detector: 'nobody'"),
        ],
    )
    def test_wrong_usage(self, jaxface, tmp_path, small, arguments, says):
        save_model("small.npz", small)
        Path("folder.npz").mkdir()
        assert says in one_line(jaxface("model", "calibrate", "small.npz", *arguments), 2)
        assert names(tmp_path) == {"small.npz", "folder.npz"}
