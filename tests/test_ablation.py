"""The ablation: its statistics, its error and its command."""

import json
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxface.pipelines.ablation as pipeline
from jaxface import camera
from jaxface.calibration import load_calibration
from jaxface.camera import euler_deg
from jaxface.cli.terminal import face_model
from jaxface.evaluation import PROTOCOLS, Face, aflw2000
from jaxface.evaluation.ablation import ShapeError, by_yaw
from jaxface.evaluation.subjects import NODDING_DEG, subjects
from jaxface.model.store import save_model
from jaxface.pipelines import calibrating
from jaxface.pipelines.ablation import ablate_aflw2000
from jaxface.rendering.people import placed
from jaxface.types import Landmarks

pytestmark = pytest.mark.usefixtures("run_once")

VARIANTS, FITTED = ("2d", "calibrated"), 6
"""Of the command's tests: each variant takes seconds to compile, for each number of faces anew."""


class TestStatistics:
    def test_means_and_intervals(self):
        rng = np.random.default_rng(0)
        values, yaw = rng.normal(2, 0.5, 500), rng.uniform(-90, 90, 500)
        cells = by_yaw(values, yaw)
        inside = values[(np.abs(yaw) >= 30) & (np.abs(yaw) < 45)]
        assert cells["30-45"].count == len(inside)
        assert cells["30-45"].mean == pytest.approx(inside.mean())
        assert cells["30-45"].half == pytest.approx(stats.norm.ppf(0.975) * stats.sem(inside), rel=1e-4)
        assert cells["all"].count == 500

    def test_edges_and_empty_bins(self):
        cells = by_yaw(np.array([1.0, 2.0]), np.array([-90.0, 15.0]))
        assert {name: cell.count for name, cell in cells.items()} == {"15-30": 1, "75-90": 1, "all": 2}


@pytest.fixture(scope="module")
def people(small):
    return subjects(small, 3)


class TestShapeError:
    def test_the_truth_has_none(self, small, people):
        turn = people.rotation[0]
        meshes = people.vertices @ turn.T + [10.0, 20.0, 30.0]
        assert ShapeError(small, people, np.arange(3))(meshes).max() < 0.01

    def test_is_the_protocols(self, small, people):
        error = ShapeError(small, people, np.array([1]))
        mesh = np.asarray(small.mean, np.float64)
        points = np.asarray(small.landmark_positions(small.mean, "ibug68"), np.float64)
        guess = Face("mean", mesh, np.asarray(small.triangles, np.int64), points)
        known = np.sqrt(np.mean(PROTOCOLS["micc85"].measure(guess, people.face(1)).distances ** 2))
        assert error(mesh[None])[0] == pytest.approx(known, rel=0.003)
        dense = len(error.distances(0, mesh)[0])
        thinned = error.distances(0, mesh, dense // 2)[1]
        assert len(thinned) == (dense + 1) // 2 and np.sqrt(np.mean(thinned**2)) == pytest.approx(known, rel=0.03)


class TestCalibration:
    """Measured on people of even seed, who nod; reported on those of odd seed."""

    def test_a_detector_is_measured_where_the_photographs_have_the_points(self, small, monkeypatch):
        """Of one that finds them exactly, and one face not at all, each photograph's shift is left."""
        people, given, left = subjects(small, 4, tilt_deg=NODDING_DEG), [], iter(range(4))

        def detect(image):
            points = (people.shape.anchors @ placed(people, index := next(left))).astype(np.float32)
            return [Landmarks(points[:, :2], points)] if index != 1 else []

        exact = contextmanager(lambda *_: iter([SimpleNamespace(detect=detect)]))
        table = load_calibration("mediapipe", "ibug68")
        monkeypatch.setattr(calibrating, "opened", exact)
        monkeypatch.setattr(
            calibrating, "measured", lambda _, landmarks, true: given.append(landmarks.xyz - true) or table
        )
        assert calibrating.calibrate(small, "exact", 4, "ibug68") == {"ibug68": table}
        (off,) = given
        assert off.shape == (3, 68, 3) and np.ptp(off, axis=1).max() < 0.01

    def test_those_who_are_fitted_are_others(self, small, monkeypatch, tmp_path):
        asked = []
        monkeypatch.setattr(
            pipeline, "subjects", lambda *given, **named: asked.append(subjects(*given, **named)) or asked[-1]
        )
        monkeypatch.setattr(pipeline, "simulated", lambda *_: None)
        monkeypatch.setattr(pipeline, "measured", lambda *_: load_calibration("mediapipe", "ibug68"))
        monkeypatch.setattr(pipeline, "fits", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pipeline.ablate_people(small, small, tmp_path, 20)
        reported, own = asked
        assert set(reported.seeds % 2) == {1} and set(own.seeds % 2) == {0}
        nod = lambda people: np.std(np.asarray(euler_deg(people.rotation))[:, 0])
        assert nod(own) > 2 * nod(reported)


class TestCommand:
    @pytest.fixture(autouse=True)
    def _small_model(self, monkeypatch, small):
        model = lambda source, argument: small if source is None else face_model(source, argument)
        monkeypatch.setattr("jaxface.cli.ablation.face_model", model)
        monkeypatch.setattr("jaxface.evaluation.ablation.VARIANTS", VARIANTS)
        monkeypatch.setattr("jaxface.pipelines.ablation._SHOWN_YAWS", (40.0,))

    def test_people(self, jaxface, tmp_path):
        ran = jaxface("ablation", "--subjects", FITTED, "--output", "out")
        assert ran.exit_code == 0, ran.output
        tables = json.loads((tmp_path / "out" / "ablation.json").read_text())["tables"]
        assert list(tables["micc85 mm"]) == ["mean face", *VARIANTS]
        cells = [row["all"] for row in tables["micc85 mm"].values()]
        assert all(0.1 < cell["mean"] < 5 and cell["count"] == FITTED for cell in cells)
        assert (tmp_path / "out" / "ablation.png").stat().st_size > 10_000
        assert "calibrated" in ran.output and f"n={FITTED}" in ran.output

    def test_two_people(self, jaxface, tmp_path):
        """Of two a calibration knows no variance, and of one in a bin no interval: the numbers stay such."""
        ran = jaxface("ablation", "--subjects", 2, "--output", "out")
        assert ran.exit_code == 0 and "nan" not in ran.output, ran.output
        written = (tmp_path / "out" / "ablation.json").read_text()
        tables = json.loads(written, parse_constant=lambda name: pytest.fail(name))["tables"]
        assert tables["micc85 mm"]["calibrated"]["all"]["mean"] != tables["micc85 mm"]["mean face"]["all"]["mean"]

    def test_landmarks_of_aflw2000(self, jaxface, tmp_path, small):
        people = subjects(small, 2 * FITTED)
        points = 2 * people.seen(people.points()) * [1, 1, -1] + [300, 300, 0]
        xy = points[..., :2] + np.random.default_rng(0).normal(size=(2 * FITTED, 68, 2))
        columns = lambda rows: rows.swapaxes(1, 2).astype(np.float32)
        np.savez(tmp_path / "a.npz", pts68=columns(points), yaw_deg=-people.yaw, reannotated_xy=columns(xy))
        ran = jaxface("ablation", "a.npz", "--output", "out")
        assert ran.exit_code == 0, ran.output
        tables = json.loads((tmp_path / "out" / "ablation.json").read_text())["tables"]
        for name in VARIANTS:
            assert tables["NME %"][name]["all"]["mean"] < 4
            assert tables["yaw error °"][name]["all"]["mean"] < 10

    @pytest.mark.parametrize("euler_deg", [(0, 20, 0), (25, 60, -10), (-15, -70, 20)])
    def test_a_yaw_of_aflw2000_is_that_of_its_own_angles(self, monkeypatch, tmp_path, small, euler_deg):
        """Of heads that nod and lean, fitted nearly exactly: the data set's Rx Ry Rz and jaxface's Rz Ry Rx differ."""
        rotation = np.asarray(camera.rotation_from_euler(jnp.array(euler_deg, float)))
        points = np.asarray(small.landmark_positions(small.mean, "ibug68")) @ rotation.T
        points = np.tile((2 * points * (1, 1, -1)).T, (8, 1, 1))
        yaw = np.full(8, aflw2000.angles(rotation)[1])
        np.savez(tmp_path / "a.npz", pts68=points, yaw_deg=yaw, reannotated_xy=points[:, :2])
        monkeypatch.setattr("jaxface.pipelines.ablation._AFLW_NOISE", 0.01)  # percent
        report = ablate_aflw2000(tmp_path / "a.npz", small, tmp_path / "out")
        assert report.tables["yaw error °"]["2d"]["all"].mean < 0.1

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"yaw_deg": None}, "the field 'yaw_deg' is missing"),
            ({"yaw_deg": np.zeros(3)}, "the field 'yaw_deg' has shape (3,); takes (8,)"),
            ({"pts68": np.ones((8, 2, 68))}, "the field 'pts68' has shape (8, 2, 68); takes (n, 3, 68)"),
            ({"reannotated_xy": np.full((8, 2, 68), np.nan)}, "'reannotated_xy' has 1,088 values that are NaN"),
            ({"yaw_deg": np.array([0.0, 1, 2] + [91] * 5)}, "has 3 faces turned by up to 90°; takes 4 or more"),
            ({"pts68": np.ones((8, 3, 68))}, "the points of a face lie in a line in its image"),
        ],
    )
    def test_landmarks_of_aflw2000_that_are_none(self, jaxface, tmp_path, change, said):
        draw = np.random.default_rng(0).normal
        arrays = {"pts68": draw(size=(8, 3, 68)), "yaw_deg": np.zeros(8), "reannotated_xy": draw(size=(8, 2, 68))}
        np.savez(tmp_path / "a.npz", **{name: value for name, value in (arrays | change).items() if value is not None})
        ran = jaxface("ablation", "a.npz", "--output", "out")
        assert (ran.exit_code, ran.stderr.count("\n")) == (2, 1) and "a.npz: " in ran.stderr and said in ran.stderr
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
    def test_archives_that_are_none(self, jaxface, tmp_path, content):
        (tmp_path / "a.npz").write_bytes(content)
        for arguments in ("a.npz",), ("--calibration", "a.npz"):
            ran = jaxface("ablation", *arguments)
            assert ran.exit_code == 2 and ran.stderr.count("\n") == 1
            assert "a.npz" in ran.stderr and "that can be read (File is not a zip file)" in ran.stderr

    def test_a_model_without_the_points(self, jaxface, tmp_path, small):
        save_model(tmp_path / "small.npz", replace(small, landmarks={"ibug68": small.landmarks["ibug68"]}))
        ran = jaxface("ablation", "small.npz", "--scheme", "mediapipe478")
        assert ran.exit_code == 2 and "jaxface model convert" in ran.output

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--scheme", "five"], "'five'"),
            (["--detector", "nobody"], "nobody"),
            (["--subjects", "1"], "subjects"),
            (["missing.npz"], "missing.npz: no such file"),
            (["--calibration", "missing.npz"], "'missing.npz'"),
            (["--variant", "2d"], "--variant"),
        ],
    )
    def test_wrong_usage(self, jaxface, arguments, said):
        ran = jaxface("ablation", *arguments)
        assert ran.exit_code == 2 and said in ran.output
