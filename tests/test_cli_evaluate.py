import json
import os
from dataclasses import replace

import jax.numpy as jnp
import meshio
import numpy as np
import pytest
import trimesh
from evaluation_faces import head, moved
from PIL import Image
from scipy.io import savemat
from small_model import small_landmarks, small_result

import jaxface.pipelines.evaluation as pipeline
from jaxface.camera import rotation_from_euler
from jaxface.evaluation import aflw2000
from jaxface.evaluation.datasets import find_pairs
from jaxface.export.records import read_npz, write_npz
from jaxface.rendering.error_map import RANGE_MM, error_colours
from jaxface.rendering.posed import image_landmarks


@pytest.fixture
def run(jaxface):
    """``run(*arguments)``: the command ``jaxface evaluate``."""
    return lambda *arguments: jaxface("evaluate", *arguments)


@pytest.fixture(scope="module")
def face():
    return head(subdivisions=3)


@pytest.fixture(scope="module")
def chubby(face):
    """The same face, its cheeks 3 mm out: what a reconstruction gets wrong."""
    cheek = np.exp(-((np.abs(face.vertices[:, 0]) - 50) ** 2) / 200) * (face.vertices[:, 2] > 0)
    outward = face.vertices / np.linalg.norm(face.vertices, axis=1, keepdims=True)
    return replace(face, vertices=face.vertices + 3 * cheek[:, None] * outward)


@pytest.fixture
def small_pictures(monkeypatch):
    """Pictures take longest, and one pair's are looked at."""
    monkeypatch.setattr(pipeline, "draw_errors", lambda *_: np.zeros((4, 4, 3), np.uint8))


def write(path, face, landmarks=".txt"):
    """A mesh file, and beside it one of its landmarks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mesh = trimesh.Trimesh(face.vertices, face.triangles, process=False)
    content = mesh.export(file_type=path.suffix[1:])
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if landmarks == ".npy":
        np.save(path.with_suffix(".npy"), face.landmarks)
    elif landmarks == ".pp":
        write_picked(path.with_suffix(".pp"), face.seven)
    elif landmarks:
        np.savetxt(path.with_suffix(".txt"), face.landmarks)


def write_picked(path, points):
    """MeshLab's picked points, as NoW's owners give them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'<point x="{x}" y="{y}" z="{z}" active="1" name="{k}"/>' for k, (x, y, z) in enumerate(points)]
    path.write_text("<!DOCTYPE PickedPoints>\n<PickedPoints>\n" + "\n".join(lines) + "\n</PickedPoints>\n")


class TestOnePair:
    @pytest.mark.parametrize("protocol", ["micc85", "micc95", "now", "nonrigid"])
    def test_a_table_json_a_mesh_and_a_picture(self, run, tmp_path, face, chubby, protocol):
        write(tmp_path / "fit.ply", chubby)
        write(tmp_path / "scan.obj", face, ".npy")
        result = run("fit.ply", "scan.obj", "--protocol", protocol, "--output", "out")
        assert result.exit_code == 0, result.output
        assert protocol in result.output and "written to out" in result.output
        record = json.loads((tmp_path / "out/evaluation.json").read_text())
        (pair,) = record["pairs"]
        assert record["protocol"] == protocol and pair["error"] is None and "numpy" in record["versions"]
        assert 0.2 < pair["mean_mm"] < 2 and f"{pair['mean_mm']:.3f}" in result.output
        mesh = meshio.read(tmp_path / "out/error.ply")
        errors = mesh.point_data["quality"]
        measured = errors >= 0
        assert measured.sum() == pair["vertices"] < len(face.vertices) == len(mesh.points)
        assert errors[measured].mean() == pytest.approx(pair["mean_mm"], rel=1e-4)
        colours = np.stack([mesh.point_data[name] for name in ("red", "green", "blue")], axis=-1)
        np.testing.assert_allclose(colours[measured], 255 * error_colours(errors[measured].astype(float)), atol=1)
        assert len(np.unique(colours[~measured], axis=0)) == 1
        picture = np.asarray(Image.open(tmp_path / "out/error.png"))
        assert picture.shape == (684, 760, 3)
        assert (picture[:640, :640] != 255).any(axis=-1).mean() > 0.3

    def test_the_colours_end_at_ten_millimetres(self):
        ends = error_colours(np.array([0.0, RANGE_MM, 2 * RANGE_MM, np.nan]))
        np.testing.assert_array_equal(ends[1], ends[2])
        assert ends[0, 2] > ends[0, 0] and ends[1, 0] > ends[1, 2]
        assert np.ptp(ends[3]) < 0.1

    def test_the_front_is_shown_wherever_the_scan_looks(self, run, tmp_path, face, chubby):
        turn = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
        for name, truth in ("a", face), ("b", moved(face, lambda points: points @ turn.T + 50)):
            write(tmp_path / name / "fit.ply", chubby)
            write(tmp_path / name / "scan.ply", truth)
            assert run(f"{name}/fit.ply", f"{name}/scan.ply", "-p", "now", "-o", name).exit_code == 0
        first, second = (np.asarray(Image.open(tmp_path / name / "error.png"), float) for name in "ab")
        assert np.abs(first - second).mean() < 1

    def test_what_is_wrong_is_said(self, run, tmp_path, face):
        write(tmp_path / "scan.ply", face, landmarks=None)
        write(tmp_path / "fit.ply", face)
        for arguments, code, sentence in (
            (("fit.ply", "scan.ply"), 1, "scan.ply: has no landmarks; takes a file beside it"),
            (("fit.ply", "none.ply"), 2, "none.ply: no such file or folder"),
            (("fit.ply",), 2, "takes a second path, the ground truth's, or a .csv of pairs"),
            (("fit.ply", "scan.ply", "-p", "best"), 2, "'best' is not one of micc85, micc95, now, nonrigid, aflw2000"),
            (("fit.ply", "scan.ply", "-o", "fit.ply"), 2, "--output"),
            (("fit.ply", tmp_path), 2, "takes two mesh files or two folders"),
        ):
            result = run(*arguments)
            assert result.exit_code == code, result.output
            assert sentence in result.output

    def test_a_failed_pair_keeps_no_picture_of_an_earlier_one(self, run, tmp_path, face, chubby):
        write(tmp_path / "scan.ply", face)
        write(tmp_path / "fit.ply", chubby)
        assert run("fit.ply", "scan.ply", "-o", "out").exit_code == 0
        (tmp_path / "fit.ply").write_text("no mesh")
        assert run("fit.ply", "scan.ply", "-o", "out").exit_code == 1
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["evaluation.json"]

    def test_neither_mesh_is_replaced(self, run, tmp_path, face, chubby):
        write(tmp_path / "error.ply", chubby)
        write(tmp_path / "scan.ply", face)
        before = (tmp_path / "error.ply").read_bytes()
        for predicted, true, replaced in ("error.ply", "scan.ply", "it"), ("scan.ply", "error.ply", "error.ply"):
            result = run(predicted, true, "-o", ".")
            assert result.exit_code == 1
            assert f"{predicted}: its results would replace {replaced}; give another folder for them" in result.output
            assert (tmp_path / "error.ply").read_bytes() == before


@pytest.mark.usefixtures("small_pictures")
class TestManyPairs:
    def test_two_folders(self, run, tmp_path, face, chubby):
        for name in ("anna/smile", "bert"):
            write(tmp_path / "fits" / f"{name}.ply", chubby)
            write(tmp_path / "scans" / f"{name}.obj", face)
        write(tmp_path / "fits/carl.ply", chubby)  # without a scan
        result = run("fits", "scans", "-o", "out")
        assert result.exit_code == 0, result.output
        assert "anna/smile" in result.stdout and "all" in result.stdout and "carl" not in result.stdout
        assert result.stderr == "fits/carl.ply: has no truth, and is not measured\n"
        for name in ("anna/smile", "bert"):
            assert (tmp_path / "out" / name / "error.png").is_file()
        record = json.loads((tmp_path / "out/evaluation.json").read_text())
        each = [pair["rmse_mm"] for pair in record["pairs"]]
        assert record["summary"]["all"]["rmse_mm"] == pytest.approx(np.mean(each))

    def test_names_that_are_no_text_are_written_as_such(self, run, tmp_path, face, small_pictures):
        for folder in "predicted", "true":
            write(tmp_path / folder / os.fsdecode(b"\xff.ply"), face)
            write(tmp_path / folder / "ok.ply", face)
        assert run("predicted", "true", "-o", "out").exit_code == 0
        record = json.loads((tmp_path / "out/evaluation.json").read_text())
        assert [pair["name"] for pair in record["pairs"]] == ["ok", r"\xff"]

    def test_a_truth_without_a_prediction_has_failed(self, run, tmp_path, face, chubby):
        write(tmp_path / "fits/a.ply", chubby)
        for name in ("a", "b/v1.2"):
            write(tmp_path / f"scans/{name}.obj", face)
        result = run("fits", "scans", "-p", "now", "-o", "out")
        assert (result.exit_code, result.stderr) == (1, "b/v1.2: mesh fits/b/v1.2.obj: no such file\n")
        record = json.loads((tmp_path / "out/evaluation.json").read_text())
        assert [(pair["name"], pair["error"] is None) for pair in record["pairs"]] == [("a", True), ("b/v1.2", False)]
        assert record["summary"]["all"]["mean_mm"] == record["pairs"][0]["mean_mm"]

    def test_a_face_in_several_formats_counts_once(self, run, tmp_path, face, chubby):
        for path, mesh in ("fits/a.obj", face), ("fits/a.ply", chubby), ("fits/b.obj", face), ("scans/a.obj", face):
            write(tmp_path / path, mesh)
        result = run("fits", "scans", "-o", "out")
        assert (result.exit_code, result.stderr) == (0, "fits/b.obj: has no truth, and is not measured\n")
        (pair,) = json.loads((tmp_path / "out/evaluation.json").read_text())["pairs"]
        assert pair["mean_mm"] > 0.5

    def test_a_csv_and_its_groups(self, run, tmp_path, face, chubby):
        write(tmp_path / "data/a.ply", chubby)
        write(tmp_path / "data/scan.ply", face, landmarks=None)
        np.save(tmp_path / "data/points.npy", face.landmarks)
        (tmp_path / "data/pairs.csv").write_text(
            "pred,gt,gt_landmarks,group\na.ply,scan.ply,points.npy,left\nmissing.ply,scan.ply,points.npy,right\n"
            "a.ply,scan.ply,points.npy,\n",
            "utf-8-sig",  # as spreadsheets write it
        )
        result = run("data/pairs.csv", "-p", "now", "-o", "out")
        assert result.exit_code == 1
        assert "missing: mesh data/missing.ply: no such file" in result.output and "left" in result.output
        record = json.loads((tmp_path / "out/evaluation.json").read_text())
        assert [pair["error"] is None for pair in record["pairs"]] == [True, False, True]
        assert list(record["summary"]) == ["left", "all"]

    @pytest.mark.parametrize(
        "text, sentence",
        [
            ("prediction,truth\na,b\n", "has columns prediction, truth; lacks gt and pred"),
            ("", "has no rows"),
            ("pred,gt\na.ply,\n", "line 2 lacks its pred or gt"),
            ("pred,gt\n..,a.ply\n", "line 2 lacks its pred or gt"),
        ],
    )
    def test_a_csv_that_is_none(self, run, tmp_path, text, sentence):
        (tmp_path / "pairs.csv").write_text(text)
        result = run("pairs.csv")
        assert result.exit_code == 2 and sentence in result.output

    def test_a_mesh_that_has_collapsed_takes_no_other_with_it(self, run, tmp_path, face, chubby, model):
        nothing = replace(face, vertices=np.zeros(model.mean.shape), triangles=np.asarray(model.triangles))
        for name, predicted, true in ("a", nothing, face), ("b", chubby, nothing), ("c", chubby, face):
            write(tmp_path / f"fits/{name}.ply", predicted, None if predicted is nothing else ".npy")
            write(tmp_path / f"scans/{name}.ply", true, None if true is nothing else ".npy")
        result = run("fits", "scans", "-p", "now", "-o", "out")
        assert result.exit_code == 1 and result.stderr.count("all landmarks coincide or lie in a line") == 2
        record = json.loads((tmp_path / "out/evaluation.json").read_text())
        assert [pair["error"] is None for pair in record["pairs"]] == [False, False, True]

    def test_what_is_written_stays_in_the_output_and_apart(self, run, tmp_path, face, chubby):
        """Also of paths that lead elsewhere, and of one prediction with several truths."""
        write(tmp_path / "data/a.ply", chubby)
        write(tmp_path / "scan.ply", face)
        before = set(tmp_path.glob("*"))
        lines = ["pred,gt", *(f"{path},../scan.ply" for path in ("a.ply", "A.ply", "../data/a.ply"))]
        (tmp_path / "data/pairs.csv").write_text("\n".join([*lines, f"{tmp_path}/data/a.ply,../scan.ply"]))
        (tmp_path / "data/A.ply").write_bytes((tmp_path / "data/a.ply").read_bytes())
        np.save(tmp_path / "data/A.npy", face.landmarks)
        (tmp_path / "out").mkdir()
        result = run("data/pairs.csv", "-p", "now", "-o", "out/deep")
        assert result.exit_code == 0, result.output
        names = ["a", "A-2", "data/a", f"{tmp_path}/data/a".lstrip("/")]
        record = json.loads((tmp_path / "out/deep/evaluation.json").read_text())
        assert [pair["name"] for pair in record["pairs"]] == names
        assert {*tmp_path.rglob("error.ply")} == {tmp_path / "out/deep" / name / "error.ply" for name in names}
        assert {*tmp_path.glob("*")} == before | {tmp_path / "out"}

    def test_folders_without_a_pair(self, run, tmp_path, face):
        write(tmp_path / "fits/a.ply", face)
        write(tmp_path / "scans/b.ply", face)
        result = run("fits", "scans")
        assert result.exit_code == 2 and "have 1 and 1 meshes, none with the same relative path" in result.output


@pytest.mark.usefixtures("small_pictures")
class TestDataSets:
    def test_now(self, run, tmp_path, face, chubby):
        root, lines = tmp_path / "NoW", []
        for subject in ("FaMoS_1_TA", "FaMoS_2_TA"):
            write(root / "scans" / subject / "natural_head_rotation.000001.obj", face, landmarks=None)
            picked = root / "scans_lmks_onlypp" / subject / "natural_head_rotation.000001_picked_points.pp"
            write_picked(picked, face.seven)
            for challenge, better in ("multiview_neutral", face), ("selfie", chubby):
                lines.append(f"{subject}/{challenge}/IMG_0001.jpg")
                write(tmp_path / "fits" / subject / challenge / "IMG_0001.ply", better, ".npy")
        (root / "imagepathsvalidation.txt").write_text("\n".join(lines) + "\n")
        result = run("fits", root, "-p", "now", "-o", "out")
        assert result.exit_code == 0, result.output
        record = json.loads((tmp_path / "out/evaluation.json").read_text())
        means = {name: found["mean_mm"] for name, found in record["summary"].items()}
        assert set(means) == {"multiview_neutral", "selfie", "all"}
        assert means["multiview_neutral"] < 0.01 < means["all"] < means["selfie"]
        (tmp_path / "fits/FaMoS_2_TA/selfie/IMG_0001.ply").unlink()
        result = run("fits", root, "-p", "now", "-o", "out")
        assert result.exit_code == 1 and "FaMoS_2_TA/selfie/IMG_0001: mesh" in result.output

    def test_micc(self, run, tmp_path, face, chubby):
        root = tmp_path / "Florence"
        write(root / "subject_01/Model/frontal1/obj/110920150452.obj", face, ".pp")
        write(root / "subject_01/Model/sidel/obj/110920150453.obj", face, ".pp")
        (root / "subject_02/Model/frontal1/obj").mkdir(parents=True)
        write(root / "subject_02/Model/frontal2/obj/110920150454.obj", face, ".pp")
        write(tmp_path / "fits/subject_01/left.ply", chubby)
        write(tmp_path / "fits/subject_01/right.ply", chubby)
        write(tmp_path / "fits/subject_02.ply", face)
        pairs = find_pairs(tmp_path / "fits", root)
        assert [(pair.name, pair.group, pair.true.stem) for pair in pairs] == [
            ("subject_01/left", "subject_01", "110920150452"),
            ("subject_01/right", "subject_01", "110920150452"),
            ("subject_02", "subject_02", "110920150454"),
        ]
        result = run("fits", root, "-o", "out")
        assert result.exit_code == 0, result.output
        summary = json.loads((tmp_path / "out/evaluation.json").read_text())["summary"]
        assert summary["subject_02"]["rmse_mm"] < 0.05 < summary["subject_01"]["rmse_mm"]
        assert summary["all"]["rmse_mm"] == pytest.approx(
            (2 * summary["subject_01"]["rmse_mm"] + summary["subject_02"]["rmse_mm"]) / 3
        )

    def test_a_subject_of_micc_without_a_mesh_has_failed(self, run, tmp_path, face):
        root = tmp_path / "Florence"
        for subject in ("subject_01", "subject_02"):
            write(root / subject / "Model/frontal1/obj/1.obj", face, ".pp")
        (root / "subject_03/Model").mkdir(parents=True)  # without a scan
        write(tmp_path / "fits/subject_01.ply", face)
        write(tmp_path / "fits/subject_04.ply", face)
        result = run("fits", root, "-o", "out")
        assert result.exit_code == 1
        assert result.stderr.splitlines() == [
            "fits/subject_04.ply: has no truth, and is not measured",
            "subject_02: mesh fits/subject_02.obj: no such file",
        ]
        write(tmp_path / "more/subject_03.ply", face)
        result = run("more", root, "-o", "out")
        assert result.stderr.endswith(f"subject_03: mesh {root}/subject_03/Model/frontal1/obj/*.obj: no such file\n")

    def test_what_a_data_set_lacks_is_named(self, run, tmp_path, face):
        root = tmp_path / "NoW"
        (root / "scans").mkdir(parents=True)
        (root / "scans_lmks_onlypp").mkdir()
        write(tmp_path / "fits/a.ply", face)
        assert "imagepathsvalidation.txt: no such file" in run("fits", root).output
        (root / "imagepathsvalidation.txt").write_text("A/selfie/1.jpg\n")
        write(tmp_path / "fits/A/selfie/1.ply", face, ".txt")
        assert "scans/A/*.obj: no such file" in run("fits", root).output
        (root / "imagepathsvalidation.txt").write_text("\n")
        assert (
            "imagepathsvalidation.txt: is empty; takes a line SUBJECT/CHALLENGE/IMAGE.jpg" in run("fits", root).output
        )
        (root / "imagepathsvalidation.txt").write_text("1.jpg\n")
        assert "has a line '1.jpg'; takes SUBJECT/CHALLENGE/IMAGE.jpg" in run("fits", root).output
        (tmp_path / "Florence/subject_01/Model").mkdir(parents=True)
        assert "has no mesh for a subject of" in run("fits", "Florence").output


class TestAflw2000:
    @pytest.fixture
    def data(self, tmp_path, model):
        """Three images of known pose: fitted exactly but for a shift, as landmarks, and not at all."""
        points = {}
        for name, yaw in ("image00002", 20.0), ("image00004", -50.0), ("image00006", 75.0):
            result = replace(
                small_result(yaw_deg=yaw),
                identity=jnp.zeros(model.identity.shape[-1]),
                expression=jnp.zeros(model.expression.shape[-1]),
            )
            points[name] = image_landmarks(model, result, "ibug68").astype(float) + 0.5  # MATLAB's pixels
            rotation = np.asarray(result.pose.rotation, np.float64)
            pose = np.radians(aflw2000.angles(rotation) + [0, 2, 0])
            folder = tmp_path / "AFLW2000"
            folder.mkdir(exist_ok=True)
            savemat(folder / f"{name}.mat", {"pt3d_68": points[name].T, "Pose_Para": [[*pose, 0, 0, 0, 1]]})
            if name == "image00002":
                (tmp_path / "fits" / name / "face-2").mkdir(parents=True)
                write_npz(tmp_path / "fits" / name / "face-2/fit.npz", result, small_landmarks(model, result))
                other = replace(result, pose=replace(result.pose, translation=jnp.array([900.0, 900.0])))
                write_npz(tmp_path / "fits" / name / "fit.npz", other, small_landmarks(model, other))
        box = np.sqrt(np.prod(np.ptp(points["image00004"][:, :2], axis=0)))
        np.savetxt(tmp_path / "fits/image00004.txt", points["image00004"][:, :2] + [0.03 * box, 0.04 * box])
        return tmp_path

    def test_landmarks_and_pose_by_yaw(self, run, data):
        """The face nearest to the truth counts; landmarks alone have no pose; what is not there is said."""
        result = run("fits", "AFLW2000", "-p", "aflw2000", "-o", "out")
        assert result.exit_code == 1 and "image00006/fit.npz" in result.output
        record = json.loads((data / "out/evaluation.json").read_text())
        assert record["nme_percent"] == pytest.approx({"0-30": 0, "30-60": 5, "mean": 2.5}, abs=1e-3)
        assert record["pose_deg"]["yaw"] == pytest.approx({"0-30": 2, "mean": 2}, abs=1e-3)
        assert record["pose_deg"]["roll"]["mean"] == pytest.approx(0, abs=1e-3)
        assert record["faces"] == {"nme": 2, "pose": 1}
        assert "5.00" in result.output and "geodesic" in result.output

    def test_pose_is_a_mean_of_faces_and_of_none_beyond_99_degrees(self, tmp_path, model):
        (tmp_path / "AFLW2000").mkdir()
        blank = dict(identity=jnp.zeros(model.identity.shape[-1]), expression=jnp.zeros(model.expression.shape[-1]))
        for name, yaw, roll, off in (
            ("a", 10.0, 0.0, 1),
            ("b", 20.0, 0.0, 2),
            ("c", 50.0, 0.0, 6),
            ("d", 5.0, 120.0, 40),
        ):
            still = replace(small_result(), **blank)
            turn = rotation_from_euler(jnp.array([0.0, yaw, roll]))
            result = replace(still, pose=replace(still.pose, rotation=turn))
            pose = np.radians(aflw2000.angles(np.asarray(turn, float)) + [0, off, 0])
            points = image_landmarks(model, result, "ibug68").T + 0.5
            savemat(tmp_path / f"AFLW2000/{name}.mat", {"pt3d_68": points, "Pose_Para": [[*pose, 0, 0, 0, 1]]})
            (tmp_path / "fits" / name).mkdir(parents=True)
            write_npz(tmp_path / "fits" / name / "fit.npz", result, small_landmarks(model, result))
        report = pipeline.evaluate_aflw2000(tmp_path / "fits", tmp_path / "AFLW2000", model)
        assert report.faces == {"nme": 4, "pose": 3} and not report.errors
        assert report.pose["yaw"] == pytest.approx({"0-30": 1.5, "30-60": 6, "mean": 3}, abs=1e-3)

    def test_what_is_wrong_is_said(self, run, data):
        assert "takes AFLW2000-3D's folder" in run("fits", "-p", "aflw2000").output
        assert "it has no .mat file" in run("AFLW2000", "fits", "-p", "aflw2000").output
        assert "has no prediction for an image" in run("AFLW2000", "AFLW2000", "-p", "aflw2000").output
        (data / "fits/image00004.npy").touch()
        assert "image00004.npy: cannot be read" in run("fits", "AFLW2000", "-p", "aflw2000").output

    @pytest.mark.parametrize(
        "content, said",
        [
            ({"pt2d": np.zeros((2, 21))}, "cannot be read as AFLW2000-3D's"),
            ({"pt3d_68": np.zeros((3, 6)), "Pose_Para": np.zeros(7)}, "has pt3d_68 (3, 6) and Pose_Para (3,), takes"),
            ({"pt3d_68": np.full((3, 68), np.nan), "Pose_Para": np.zeros(7)}, "a number of it is not finite"),
            ({"pt3d_68": np.ones((3, 68)), "Pose_Para": np.zeros(7)}, "its points lie on a line"),
        ],
    )
    def test_a_damaged_truth_loses_no_other(self, run, data, content, said):
        savemat(data / "AFLW2000/image00002.mat", content)
        result = run("fits", "AFLW2000", "-p", "aflw2000", "-o", "out")
        assert result.exit_code == 1 and "AFLW2000/image00002.mat: " in result.stderr and said in result.stderr
        record = json.loads((data / "out/evaluation.json").read_text())
        assert record["nme_percent"] == pytest.approx({"30-60": 5, "mean": 5}, abs=1e-3)

    def test_a_fit_that_is_not_finite_loses_no_other(self, run, data, model):
        result, landmarks = read_npz(data / "fits/image00002/fit.npz")
        broken = replace(result, pose=replace(result.pose, scale=jnp.array(jnp.nan)))
        (data / "fits/image00006").mkdir()
        write_npz(data / "fits/image00006/fit.npz", broken, landmarks)
        result = run("fits", "AFLW2000", "-p", "aflw2000", "-o", "out")
        assert result.exit_code == 1 and "image00006: a fit of it is not finite" in result.stderr
        assert json.loads((data / "out/evaluation.json").read_text())["faces"]["nme"] == 2
