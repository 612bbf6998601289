"""``jaxface dataset``: rows of many images, by runs that are killed, interrupted, refused and go on."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stub_detector
from commands import one_line
from PIL import Image

import jaxface as package
from jaxface.export.parquet import face_rows, failure_rows, read_faces, record_of, schema, write_rows
from jaxface.pipelines import stages
from jaxface.pipelines.dataset import RUN, SOURCES, started
from jaxface.pipelines.local import Workers, chunks
from jaxface.pipelines.sources import read_list
from jaxface.pipelines.stages import Part, Settings

pytestmark = pytest.mark.usefixtures("no_user_cache")

PART, BATCH, COUNT = 4, 3, 81
"""Images that share a file here, faces that are fitted at a time in this process, and images of the run ``ran``."""


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "BATCH", BATCH)
        yield


@pytest.fixture(scope="module")
def stub(tmp_path_factory, small):
    return stub_detector.install(tmp_path_factory.mktemp("stub"), small)


@pytest.fixture
def stubbed(stub, monkeypatch):
    """The options of a run with the stub, in this process and its workers."""
    monkeypatch.syspath_prepend(str(stub))
    return ["--detector", "stub", "--model", stub / "small.npz", "--part-images", PART, "--processes", 1]


@pytest.fixture(scope="module")
def program(stub, tmp_path_factory):
    """``program(folder, output)``: the command over a folder's ``in``, in a session of processes of its own, with so
    many ``seconds`` for an image."""
    path = os.pathsep.join([str(stub), str(Path(package.__file__).parents[1])])
    cache = tmp_path_factory.getbasetemp() / "dataset-compilations"
    environment = os.environ | {"PYTHONPATH": path, "JAX_COMPILATION_CACHE_DIR": str(cache)}

    def start(folder, output, seconds=0.0):
        options = ["--detector", "stub", "--model", stub / "small.npz", "--part-images", PART, "--processes", 1]
        command = map(str, [sys.executable, "-m", "jaxface", "dataset", folder / "in", "-o", output, *options])
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        slowed = environment | {"STUB_SECONDS": str(seconds)}
        return subprocess.Popen(list(command), env=slowed, start_new_session=True, **pipes)

    return start


def grey(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for index in range(first, first + count):
        stub_detector.paint(folder / f"{index:04d}.png", (index % 200 + 1, index // 200 + 1, 9))
    return folder


def batch(faces: list) -> package.Landmarks:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *faces)


def rows(output: Path) -> list[dict]:
    return [row for path in sorted(output.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def parts(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.glob("part-*.parquet")}


def test_a_row_is_what_detect_and_fit_give_and_a_broken_image_is_a_row_that_says_why(
    jaxface, tmp_path, photograph, stub, small
):
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    shutil.copy(photograph, folder / "astronaut.png")
    folder.joinpath("broken.jpg").write_bytes(b"no image")
    Image.new("RGB", (64, 64)).save(tmp_path / "in" / "nobody.png")
    folder.joinpath("notes.md").write_text("no image's name")

    result = jaxface("dataset", "in", "--output", "out", "--processes", 1, "--score", "--model", stub / "small.npz")
    assert result.exit_code == 1 and result.stderr == ""  # for the broken one
    assert result.stdout.startswith("3 images, 1 faces fitted, 2 failures\n")
    astronaut, broken, nobody = rows(tmp_path / "out")
    assert broken["error"].startswith("not an image") and nobody["error"] == "no face was found"
    for row, name in ((astronaut, "deep/astronaut.png"), (broken, "deep/broken.jpg"), (nobody, "nobody.png")):
        assert row["source"] == str(tmp_path / "in" / name)
    assert all(value is None for name, value in broken.items() if name not in ("source", "error"))

    landmarks = package.detect(photograph)[0]
    fitted = jax.tree.map(lambda leaf: leaf[0], package.fit_batch(small, batch([landmarks] * BATCH)))
    assert (astronaut["face"], astronaut["frame"], astronaut["error"]) == (0, None, None)
    assert astronaut["status"] == package.Status(int(fitted.status)).name and 0.5 < astronaut["score"] <= 1
    pitch, yaw, roll = fitted.pose.euler_deg
    close = lambda name, value, by: np.testing.assert_allclose(astronaut[name], np.ravel(value), atol=by)
    close("landmarks_xy", landmarks.xy, 0)
    close("landmarks_xyz", landmarks.xyz, 0)
    close("left_px", landmarks.xy[:, 0].min(), 0)
    close("top_px", landmarks.xy[:, 1].min(), 0)
    close("right_px", landmarks.xy[:, 0].max(), 0)
    close("bottom_px", landmarks.xy[:, 1].max(), 0)
    for name, angle in (("pitch_deg", pitch), ("yaw_deg", yaw), ("roll_deg", roll)):
        close(name, angle, 0.01)
    for name in ("identity", "expression", "depth_offset", "weight_2d", "weight_3d", "iterations"):
        close(name + "_px" * (name == "depth_offset"), getattr(fitted, name), 0.01)
    close("rotation", fitted.pose.rotation, 1e-4)
    close("scale_px_per_mm", fitted.pose.scale, 1e-3)
    close("translation_px", fitted.pose.translation, 0.02)
    np.testing.assert_allclose(astronaut["cost"], fitted.cost, rtol=1e-3)


@pytest.fixture(scope="module")
def ran(program, tmp_path_factory):
    """The folder of a run that nothing ended over its ``in``, of grey images; 2 is white, 3 black and 78 red."""
    folder = tmp_path_factory.mktemp("ran")
    grey(folder / "in", COUNT)
    for index, colour in ((2, stub_detector.WHITE), (3, stub_detector.BLACK), (78, stub_detector.RED)):
        stub_detector.paint(folder / "in" / f"{index:04d}.png", colour)
    run = program(folder, folder / "out")
    said, problems = run.communicate()
    assert (run.returncode, problems) == (1, "") and said.startswith("81 images, 80 faces fitted, 2 failures\n")
    return folder


def test_rows_stay_in_the_order_of_the_images(ran):
    names = [(int(Path(row["source"]).stem), row["face"]) for row in rows(ran / "out")]
    assert names[:6] == [(0, 0), (1, 0), (2, 0), (2, 1), (3, None), (4, 0)]
    assert names[6:] == [(index, None if index == 78 else 0) for index in range(5, COUNT)]
    files = sorted((ran / "out").glob("part-*.parquet"))
    assert [len(set(pq.read_table(file)["source"].to_pylist())) for file in files] == [PART] * 20 + [1]


def test_an_image_that_kills_its_reader_is_a_row_and_takes_no_other_with_it(ran):
    errors = {Path(row["source"]).stem: row["error"] for row in rows(ran / "out") if row["error"]}
    died = "the process that read it died: it is broken, or too large for the memory"
    assert errors == {"0003": "no face was found", "0078": died}


def test_who_kills_a_reader_is_told_from_who_was_beside_it(stubbed, stub, tmp_path):
    """Images that are being read when others die with their process."""
    good, bad = (
        str(stub_detector.paint(tmp_path / name, colour))
        for name, colour in (("g.png", (9, 9, 9)), ("r.png", stub_detector.RED))
    )
    sources = [good] * 80
    sources[0] = sources[64] = bad
    with Workers(Settings(model=str(stub / "small.npz"), detector="stub"), 1) as workers:
        found = [one for some in workers.search(chunks(Part(0, sources))) for one in some]
    assert [one.source for one in found] == sources
    assert [one.error is not None for one in found] == [source == bad for source in sources]


def test_the_output_records_what_made_it(ran, stub):
    recorded = json.loads((ran / "out" / RUN).read_text())
    assert recorded["images"] == str(ran / "in")
    assert recorded["model"]["name"] == "small" and recorded["model"]["source"] == str(stub / "small.npz")
    assert recorded["settings"]["detector"] == "stub" and recorded["settings"]["fit"]["iterations"] == 4
    assert read_list(ran / "out" / SOURCES) == [str(ran / "in" / f"{index:04d}.png") for index in range(COUNT)]
    of_rows = record_of(pq.read_schema(ran / "out" / "part-0000000.parquet"))
    assert of_rows["model"] == recorded["model"] and of_rows["versions"]["ai-edge-litert"]
    assert pq.read_table(ran / "out").num_rows == COUNT + 1  # readers of folders pass over the records


def test_another_runs_options_are_refused_with_the_difference(jaxface, stubbed, ran):
    before = parts(ran / "out")
    result = jaxface("dataset", ran / "in", "-o", ran / "out", *stubbed, "--variant", "2d", "--min-score", "0.5")
    assert result.exit_code == 2 and parts(ran / "out") == before
    assert result.stderr.endswith(
        "out: holds a run with other options: settings.min_score 0.0 there and 0.5 here, "
        "settings.fit.variant 2d+3d+p+w there and 2d here; give another folder\n"
    )
    result = jaxface("dataset", "elsewhere", "-o", ran / "out", *stubbed)
    assert f"images {ran}/in there and {os.getcwd()}/elsewhere here" in result.stderr


def test_parts_without_their_record_are_refused(jaxface, stubbed, tmp_path, ran):
    (tmp_path / "out").mkdir()
    shutil.copy(ran / "out" / "part-0000000.parquet", tmp_path / "out")
    result = jaxface("dataset", ran / "in", "-o", "out", *stubbed)
    assert result.exit_code == 2 and "no _run.json that tells which" in result.stderr


@pytest.mark.parametrize("name, content", [(RUN, "null"), (RUN, "{"), (SOURCES, ""), (SOURCES, None)])
def test_a_run_whose_record_is_damaged_is_refused(jaxface, stubbed, tmp_path, ran, name, content):
    shutil.copytree(ran / "out", tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    if content is not None:
        (tmp_path / "out" / name).write_text(content)
    says = one_line(jaxface("dataset", ran / "in", "-o", "out", *stubbed), 2)
    assert f"out: its {RUN} or {SOURCES}, which say what run it holds, is damaged" in says


def test_a_damaged_part_is_named(jaxface, stubbed, tmp_path, ran):
    shutil.copytree(ran / "out", tmp_path / "out")
    part = tmp_path / "out" / "part-0000001.parquet"
    part.write_text("no rows")
    again = jaxface("dataset", ran / "in", "-o", "out", *stubbed)
    assert again.exit_code == 1 and "out/part-0000001.parquet: is damaged; remove it" in again.stderr
    for rows in "out", "out/part-0000000.parquet":  # of which the names depend on the other parts
        assert "part-0000001.parquet: is damaged; remove it" in one_line(jaxface("mesh", rows, "-o", "meshes"), 2)


@pytest.mark.parametrize("name", ["photograph.jpg", "faces.parquet", "_run.json"])
def test_what_is_no_part_is_not_to_be_removed(jaxface, tmp_path, name):
    (tmp_path / name).write_bytes(b"PAR1 damaged PAR1")
    said = one_line(jaxface("mesh", name, "-o", "meshes"), 2)
    assert f"{name}: is damaged, or no Parquet file" in said and "remove" not in said


def test_a_part_with_a_damaged_footer_is_named(jaxface, tmp_path, ran):
    content = bytearray((ran / "out/part-0000001.parquet").read_bytes())
    content[-300] ^= 0xFF
    (tmp_path / "part-0000001.parquet").write_bytes(content)
    assert "is damaged; remove it, and jaxface dataset makes it again" in one_line(jaxface("mesh", ".", "-o", "m"), 2)


def test_one_process_at_a_time_writes_to_a_folder(ran, stub):
    settings = Settings(model=str(stub / "small.npz"), detector="stub", part_images=PART)
    with started(str(ran / "in"), ran / "out", settings) as run:
        assert run.parts == []
        with pytest.raises(ValueError, match="another process is writing to it"):
            with started(str(ran / "in"), ran / "out", settings):
                pass


def test_a_run_with_parts_keeps_its_record_whatever_it_lacks(tmp_path, ran, stub):
    shutil.copytree(ran / "out", tmp_path / "out")
    settings = Settings(model=str(stub / "small.npz"), detector="stub", part_images=PART)
    with pytest.raises(ValueError, match="gone"), started(str(ran / "in"), tmp_path / "out", settings):
        raise ValueError("gone")
    assert {RUN, SOURCES} < set(os.listdir(tmp_path / "out"))


def test_a_run_that_is_interrupted_and_killed_ends_with_the_rows_of_one_that_was_not(ctrl_c, program, ran, tmp_path):
    output, whole = tmp_path / "out", parts(ran / "out")

    def parts_reach(count, process):
        while len(parts(output)) < count:
            assert process.poll() is None, process.communicate()
            sleep(0.02)
        return process

    stopped = "stopped. What was written stays, and the same command goes on from there.\n"
    for stop in (
        lambda process: os.killpg(process, signal.SIGINT),  # as a terminal does: to the command and its workers
        lambda process: os.kill(process, signal.SIGTERM),
    ):
        interrupted = parts_reach(len(parts(output)) + 1, program(ran, output, seconds=0.1))
        stop(interrupted.pid)
        _, said = interrupted.communicate()
        assert (said, interrupted.returncode) == (stopped, 130)

    kept = len(parts(output))
    killed = parts_reach(kept + 1, program(ran, output, seconds=0.1))
    workers = Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()  # which ends when the workers, who hold the pipes too, have closed them
    latest = monotonic() + 60
    while any(_alive(int(worker)) for worker in workers):
        assert monotonic() < latest
        sleep(0.02)
    assert kept < len(parts(output)) < len(whole)
    (output / f".{'0a' * 16}.tmp").touch()

    went_on = program(ran, output)
    said, problems = went_on.communicate()
    assert (went_on.returncode, problems) == (1, "")
    assert said.startswith("81 images, 80 faces fitted, 2 failures\n")
    assert parts(output) == whole and not list(output.glob(".*"))


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_full_disk_ends_the_run_with_a_sentence_and_the_next_goes_on_with_the_same_images(
    jaxface, stubbed, tmp_path, monkeypatch
):
    grey(tmp_path / "in", 10)
    write, written = stages.write_rows, []

    def full_after_one(path, table):
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        write(path, table)

    with monkeypatch.context() as patched:
        patched.setattr(stages, "write_rows", full_after_one)
        result = jaxface("dataset", "in", "-o", "out", *stubbed)
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert result.stderr == (
        "out: No space left on device. What was written stays, and the same command goes on from there.\n"
    )
    assert list(parts(tmp_path / "out")) == ["part-0000000.parquet"]

    grey(tmp_path / "in", 3, first=90)  # come too late for this run
    (tmp_path / "in" / "0009.png").unlink()
    assert jaxface("dataset", "in", "-o", "out", *stubbed).exit_code == 1  # for the one that is gone
    found = rows(tmp_path / "out")
    assert [Path(row["source"]).stem for row in found] == [f"{i:04d}" for i in range(10)]
    assert [row["error"] for row in found] == [None] * 9 + ["no such file"]


def test_hidden_files_and_folders_of_the_user_stay(jaxface, stubbed, tmp_path):
    grey(tmp_path / "in", 1)
    (tmp_path / "out" / f".{'0b' * 16}.tmp").mkdir(parents=True)
    (tmp_path / "out" / ".notes.tmp").write_text("mine")
    before = set((tmp_path / "out").iterdir())
    assert jaxface("dataset", "in", "-o", "out", *stubbed).exit_code == 0
    assert set((tmp_path / "out").glob(".*")) == before


@pytest.mark.parametrize(
    "option", [("--detector", "none"), ("--variant", "3d"), ("--variant", "calibrated"), ("--model", "none.npz")]
)
def test_wrong_options_are_refused_in_a_line(jaxface, stubbed, tmp_path, option):
    grey(tmp_path / "in", 1)
    result = jaxface("dataset", "in", *stubbed, *option)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and option[1] in result.stderr
    assert not list(tmp_path.glob("jaxface-dataset/*"))  # so that the same folder takes the right options


def test_rows_are_read_back_as_they_were_fitted(small, face, tmp_path):
    faces = [face(seed)[0] for seed in range(BATCH - 1)]
    faces.append(package.Landmarks(np.full((68, 2), np.nan, np.float32), np.full((68, 3), np.nan, np.float32)))
    landmarks = replace(batch(faces), detector="mine")
    result = package.fit_batch(small, landmarks, package.FitOptions("2d+3d"))
    columns = schema({"model": "small"}, detector="mine", variant="2d+3d")
    table = face_rows(columns, list("aab"), [0, 1, 0], result, landmarks, frame=[7, 7, 8])
    write_rows(tmp_path / "rows.parquet", pa.concat_tables([table, failure_rows(columns, ["d"], ["none"], [3])]))
    there = pq.read_table(tmp_path / "rows.parquet")
    assert there["frame"].to_pylist() == [7, 7, 8, 3]
    assert there["error"].to_pylist() == [None, None, package.Status.NON_FINITE_INPUT.sentence, "none"]
    tally = stages.fitted(there, 0.0)
    assert (tally.images, tally.faces, tally.failures) == (0, BATCH - 1, 1)
    told = {"model": "small", "scheme": "ibug68", "detector": "mine", "variant": "2d+3d"}
    assert record_of(there.schema) == told
    again = read_faces(there.slice(0, BATCH))
    jax.tree.map(np.testing.assert_array_equal, (result, landmarks), again)
    with pytest.raises(ValueError, match="rows: 1 of 4 hold an error and no face; leave them out"):
        read_faces(there)
    with pytest.raises(ValueError, match="rows: there are none"):
        read_faces(there.slice(0, 0))
    with pytest.raises(ValueError, match="no rows of jaxface"):
        record_of(pa.schema([("a", pa.int8())]))


def test_faces_beyond_the_first_batch_are_fitted_to_their_own_landmarks(small, face):
    faces = [face(seed)[0] for seed in range(BATCH + 2)]
    result = stages._fit_all(small, batch(faces), package.FitOptions("2d+3d"))
    last = package.fit_batch(small, batch(faces[-BATCH:]), package.FitOptions("2d+3d"))
    np.testing.assert_allclose(result.identity[-BATCH:], last.identity, atol=1e-3)


def test_rows_keep_weights_and_files_without_them_are_read(small, face, tmp_path):
    landmarks = batch([face(seed)[0] for seed in range(BATCH)])
    result = package.fit_batch(small, landmarks)
    counted, believed = np.random.default_rng(0).uniform(0.1, 1, size=(2, BATCH, 68)).astype(np.float32)
    columns = schema({"model": "small"})
    rows = lambda result, landmarks: face_rows(columns, list("aab"), [0, 1, 0], result, landmarks)
    plain = rows(result, landmarks)
    weighted = rows(replace(result, landmark_weight=counted), replace(landmarks, weight=believed))
    write_rows(tmp_path / "rows.parquet", pa.concat_tables([plain, weighted]))
    there = pq.read_table(tmp_path / "rows.parquet")
    for table, ones in (there.slice(BATCH), 0), (there, BATCH):
        again, seen = read_faces(table)
        np.testing.assert_array_equal(again.landmark_weight, [*np.ones((ones, 68)), *counted])
        np.testing.assert_array_equal(seen.weight, [*np.ones((ones, 68)), *believed])
    for table in plain, plain.drop_columns(["landmark_weight", "landmarks_weight"]):
        again, seen = read_faces(table)
        assert again.landmark_weight is None and seen.weight is None
