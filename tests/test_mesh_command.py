"""``jaxface mesh``: rows of Parquet files back to meshes, chosen by conditions."""

from dataclasses import replace

import hypothesis
import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trimesh
from hypothesis import strategies as st

import jaxface as package
from jaxface.export.parquet import face_rows, failure_rows, schema, write_rows
from jaxface.model import save_model
from jaxface.pipelines.naming import different_names
from jaxface.pipelines.selection import condition
from jaxface.pipelines.stages import fingerprint
from jaxface.types import FitResult, Pose

YAWS = (-70.0, 10.0, 65.0, 80.0)


@pytest.fixture
def fits(small):
    """Four people whose heads are turned by ``YAWS``, the last of whom could not be fitted."""
    rng = np.random.default_rng(0)
    rotation = package.camera.rotation_from_euler
    return FitResult(
        identity=np.float32(rng.normal(size=(4, 8))),
        expression=np.float32(rng.uniform(size=(4, 6))),
        pose=Pose(
            np.ones(4, np.float32),
            np.stack([rotation(jax.numpy.array([0.0, yaw, 0.0])) for yaw in YAWS]),
            np.zeros((4, 2), np.float32),
        ),
        depth_offset=np.zeros((4, 3), np.float32),
        weight_2d=np.ones(4, np.float32),
        weight_3d=np.ones(4, np.float32),
        cost=np.arange(4, dtype=np.float32),
        iterations=np.full(4, 4, np.int32),
        status=np.array([0, 1, 0, 4], np.int32),
    )


@pytest.fixture
def save(tmp_path, small, fits):
    """``save(sources, faces, frames)``: the rows of ``fits`` in the folder ``out``, in two files, and their model in
    ``small.npz``."""
    save_model(tmp_path / "small.npz", small)
    told = {"source": str(tmp_path / "small.npz"), "name": "small", "licence": "", "sha256": fingerprint(small)}
    columns = schema({"model": told})
    landmarks = package.Landmarks(np.ones((4, 68, 2), np.float32), np.ones((4, 68, 3), np.float32))

    def write(sources, faces, frames=None):
        table = face_rows(columns, sources, faces, fits, landmarks, frame=frames)
        (tmp_path / "out").mkdir()
        write_rows(tmp_path / "out" / "part-0000000.parquet", table.slice(0, 2))
        none = failure_rows(columns, ["/c/none.jpg"], ["no face was found"])
        write_rows(tmp_path / "out" / "part-0000001.parquet", pa.concat_tables([none, table.slice(2)]))

    return write


@pytest.fixture
def written(save):
    save(["/a/x.jpg", "/a/x.jpg", "/b/y.jpg", "/b/z.jpg"], [0, 1, 0, 0])


def meshes(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("written")
def test_rows_become_the_meshes_that_were_fitted(jaxface, tmp_path, small, fits):
    result = jaxface("mesh", "out", "--where", "yaw_deg > 60", "--formats", "obj,ply,glb", "-o", "meshes")
    assert (result.exit_code, result.stdout) == (0, "1 faces written to meshes\n"), result.stderr
    assert {path.name for path in (tmp_path / "meshes").iterdir()} == {"y.obj", "y.ply", "y.glb"}
    expected = np.asarray(small.mean) + small.identity @ fits.identity[2] + small.expression @ fits.expression[2]
    for ending, unit in (("obj", 1), ("ply", 1), ("glb", 1e-3)):
        mesh = trimesh.load(tmp_path / "meshes" / f"y.{ending}", force="mesh", process=False)
        np.testing.assert_allclose(mesh.vertices, unit * expected, atol=1e-3 * unit)


@pytest.mark.usefixtures("written")
def test_all_fitted_faces_are_taken_and_a_limit_takes_the_first_of_them(jaxface, tmp_path):
    assert "3 faces" in jaxface("mesh", "out", "-o", "all").stdout
    assert meshes(tmp_path / "all") == {"x.glb", "x/face-2.glb", "y.glb"}
    assert "2 faces" in jaxface("mesh", "out", "-o", "two", "--limit", 2).stdout
    assert meshes(tmp_path / "two") == {"x.glb", "x/face-2.glb"}
    one_file = jaxface("mesh", "out/part-0000001.parquet", "-o", "one")
    assert "1 faces" in one_file.stdout and (tmp_path / "one" / "y.glb").exists()


@pytest.mark.usefixtures("written")
def test_a_folder_in_a_files_place_is_named_and_the_other_faces_are_written(jaxface, tmp_path):
    (tmp_path / "out-meshes" / "x.ply").mkdir(parents=True)
    result = jaxface("mesh", "out", "-o", "out-meshes", "-f", "ply,glb")
    assert (result.exit_code, result.stdout) == (1, "2 faces written to out-meshes\n")
    assert result.stderr == "out-meshes/x.ply cannot be written (a folder has its name)\n"
    assert meshes(tmp_path / "out-meshes") == {"x.glb", "x/face-2.ply", "x/face-2.glb", "y.ply", "y.glb"}


@pytest.mark.usefixtures("written")
def test_a_page_that_turns_out_to_be_damaged_is_named_and_the_faces_before_it_are_written(jaxface, tmp_path):
    part = tmp_path / "out" / "part-0000001.parquet"
    content, group = bytearray(part.read_bytes()), pq.read_metadata(part).row_group(0)
    numbers = next(group.column(i) for i in range(group.num_columns) if "identity" in group.column(i).path_in_schema)
    start = numbers.data_page_offset
    content[start : start + numbers.total_compressed_size] = bytes(numbers.total_compressed_size)
    part.write_bytes(content)
    result = jaxface("mesh", "out", "-o", "meshes")
    assert (result.exit_code, result.stdout) == (1, "2 faces written to meshes\n")
    assert result.stderr == "out/part-0000001.parquet: is damaged; remove it, and jaxface dataset makes it again\n"
    assert meshes(tmp_path / "meshes") == {"x.glb", "x/face-2.glb"}


@pytest.mark.parametrize(
    "sources, faces, frames, named",
    [
        (["/1/a.jpg", "/1/a.jpg", "/2/A.png", "/3/a.jpg"], [0, 1, 0, 0], None, ["a", "a/face-2", "A-2", None]),
        (["/1/a.jpg", "/2/a.jpg", "/2/a.jpg", "/3/a-2.jpg"], [0, 0, 3, 0], None, ["a", "a-2", "a-2/face-4", None]),
        (["/3/a-2.jpg", "/1/a.jpg", "/2/a.jpg", "/4/a.jpg"], [0, 0, 0, 0], None, ["a-2-1", "a", "a-2", None]),
        (["clip.mp4"] * 4, [0, 1, 0, 0], [7, 7, 8, 9], ["1/frame-000007", "2/frame-000007", "1/frame-000008", None]),
    ],
)
def test_a_face_has_one_file_whatever_is_chosen(jaxface, tmp_path, save, sources, faces, frames, named):
    save(sources, faces, frames)
    expected = [f"clip/person-{name}.glb" if frames else f"{name}.glb" for name in named[:3]]
    for yaw, name in zip(YAWS, expected, strict=False):
        assert jaxface("mesh", "out", "--where", f"abs(yaw_deg - {yaw}) < 1", "-o", f"{yaw}").exit_code == 0
        assert meshes(tmp_path / f"{yaw}") == {name}
    for number, there in enumerate((expected[:2], expected[2:])):
        assert jaxface("mesh", f"out/part-000000{number}.parquet", "-o", f"part-{number}").exit_code == 0
        assert meshes(tmp_path / f"part-{number}") == set(there)


def test_another_mean_or_basis_is_another_model(small):
    names = ("mean", "identity", "expression")
    others = [replace(small, **{name: 2 * getattr(small, name)}) for name in names]
    assert len({fingerprint(model) for model in (small, *others)}) == 4


OWN = ["a", "A", "a-2", "a-2-1", "a-1", "a-02", "ß", "SS", "ss-2", ".a", "..", "a.", "a\n"]


@hypothesis.given(
    st.lists(st.tuples(st.sampled_from("pqrs"), st.sampled_from(OWN)), min_size=1, unique=True), st.data()
)
def test_names_are_different_and_do_not_depend_on_what_is_asked_for(found, data):
    files = [f"/{folder}/{own}.jpg" for folder, own in found]
    arrays = [pa.array(files[:3], pa.string()), pa.array(files[2:], pa.string())]
    names = different_names(files, arrays)
    assert len({name.casefold() for name in names.values()}) == len(files)
    some = data.draw(st.lists(st.sampled_from(files), min_size=1))
    assert different_names(some, arrays) == {file: names[file] for file in some}


@pytest.mark.parametrize(
    "given, said",
    [
        (("nowhere",), "nowhere: takes a folder that jaxface dataset wrote, or one of its Parquet files"),
        (("small.npz",), "small.npz: "),
        (("out", "--where", "yaw > 60"), "yaw is not a column to select by; these are: source, frame, "),
        (("out", "--where", "yaw_deg = 60"), "'yaw_deg = 60' is no condition, such as: yaw_deg > 60 and"),
        (("out", "--where", "yaw_deg > 'a'"), "the condition mixes numbers and text, or is none"),
        (("out", "--where", "yaw_deg"), "the condition mixes numbers and text, or is none"),
        (("out", "--where", "source in ('a', 1)"), "the condition mixes numbers and text, or is none"),
        (("out", "--where", "face in ('a',)"), "the condition mixes numbers and text, or is none"),
        (("out", "--where", "__import__('os')"), "is not taken in a condition"),
        (("out", "--where", "source.upper() == 'A'"), "is not taken in a condition"),
        (("out", "--model", "other.npz"), "the rows were fitted with the model 'small', and this is another one"),
    ],
)
@pytest.mark.usefixtures("written")
def test_wrong_usage_is_told_in_a_line(jaxface, tmp_path, small, given, said):
    from dataclasses import replace

    save_model(tmp_path / "other.npz", replace(small, mean=small.mean + 1))
    result = jaxface("mesh", *given, "-o", "meshes")
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and said in result.stderr
    assert not (tmp_path / "meshes").exists()


@pytest.mark.usefixtures("written")
def test_a_condition_that_no_face_meets_is_said(jaxface):
    result = jaxface("mesh", "out", "--where", "yaw_deg > 85")
    assert (result.exit_code, result.stderr) == (1, "no fitted face meets the condition\n")


PEOPLE = pa.table(
    {"a": [1.0, -2.0, 3.0, None], "n": [1, 2, 3, 4], "s": ["x", "yx", None, "z"], "l": [[1], [2], [3], [4]]}
)


@pytest.mark.parametrize(
    "text, found",
    [
        ("a > 0", [1, 3]),
        ("a >= 3 or n == 4", [3, 4]),
        ("not a < 0", [1, 3]),
        ("abs(a) + 1 > -n * -1", [1, 2, 3]),
        ("1 < n < 4 and a / 2 <= -1", [2]),
        ("a is None", [4]),
        ("s is not None and n != 1", [2, 4]),
        ("s in ('x', 'z')", [1, 4]),
        ("n not in [1, 2]", [3, 4]),
        ("startswith(s, 'y') or contains(s, 'z')", [2, 4]),
        ("n / 2 == 0.5 or n / 0 < 0 or 0 / 0 > 1", [1]),
        ("(n + n) / (n * n) == 0.5", [4]),
        ("n + 9223372036854775807 > n * 99999999999999999999999 / 1e23", [1, 2, 3, 4]),
        ("n < 99999999999999999999999 and n in (-1, 2, 3.0, 99999999999999999999999)", [2, 3]),
    ],
)
def test_conditions_mean_what_they_say(text, found):
    assert PEOPLE.filter(condition(text, PEOPLE.schema))["n"].to_pylist() == found


@pytest.mark.parametrize(
    "text", ["l == 1", "a > ", "a > None", "s is 'x'", "lambda: a", "a if a else a", "n in s", "[a]"]
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(ValueError):
        condition(text, PEOPLE.schema)


@pytest.mark.parametrize(
    "text, said",
    [
        ("s in (x,)", "'x' is no text and no number that 64 bits hold"),
        ("s in (b'x',)", "is no text and no number"),
        (f"n > {'9' * 400}", "9' is no text and no number"),
        (3000 * "not " + "n", "the condition is nested too deeply"),
    ],
)
def test_constants_and_conditions_that_cannot_be_taken_are_named(text, said):
    with pytest.raises(ValueError, match=said):
        condition(text, PEOPLE.schema)
