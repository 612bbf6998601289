import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxface
from jaxface.detection import read_landmarks, write_landmarks
from jaxface.detection.faces import box, flat, has_depth, with_depth
from jaxface.detection.landmark_files import landmark_file
from jaxface.detection.landmark_sources import file_of, origin
from jaxface.pipelines.faces import Finder
from jaxface.types import POINTS, Landmarks

SCHEMES = tuple(POINTS)


def points(seed, scheme="ibug68", dimensions=2, scale=100.0, dtype=np.float32):
    return np.random.default_rng(seed).normal(300, scale, (POINTS[scheme], dimensions)).astype(dtype)


@st.composite
def faces(draw, count=(1, 3), kinds=("flat", "deep", "both", "weighted"), schemes=SCHEMES):
    """Faces of one scheme and kind: 2D points only, one 3D set for both, two sets, or two sets and weights."""
    kind, scheme = draw(st.sampled_from(kinds)), draw(st.sampled_from(schemes))
    dtype, scale = draw(st.sampled_from([np.float32, np.float64])), 10.0 ** draw(st.integers(-3, 5))
    made = []
    for _ in range(draw(st.integers(*count))):
        seed = draw(st.integers(0, 2**31))
        xy = points(seed, scheme, 2, scale, dtype)
        special = draw(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), max_size=4))
        xy.flat[: len(special)] = special
        xyz = points(seed + 1, scheme, 3, scale, dtype)
        if kind == "flat":
            made.append(flat(xy, scheme=scheme))
        elif kind == "deep":
            made.append(Landmarks(xyz[:, :2], xyz, scheme=scheme))
        else:
            weight = np.random.default_rng(seed).uniform(size=len(xy)).astype(dtype) if kind == "weighted" else None
            made.append(Landmarks(xy, xyz, weight, scheme, draw(st.sampled_from([None, "mediapipe", "mine"]))))
    return made


def same(read, written):
    assert [(face.scheme, face.detector) for face in read] == [(face.scheme, face.detector) for face in written]
    for ours, theirs in zip(read, written, strict=True):
        for name in ("xy", "xyz", "weight"):
            got, wanted = getattr(ours, name), getattr(theirs, name)
            assert (got is None) == (wanted is None)
            if wanted is not None:  # JSON knows no precision: its digits are those of the array's
                assert np.array_equal(got.astype(wanted.dtype), wanted)


@pytest.mark.parametrize("name", ["a.json", "a.npz"])
@given(written=faces())
@settings(max_examples=25)
def test_json_and_npz_hold_every_kind_of_faces(tmp_path_factory, name, written):
    path = tmp_path_factory.getbasetemp() / name
    write_landmarks(path, written)
    read = read_landmarks(path)
    same(read, written)
    write_landmarks(path.with_name(f"again{path.suffix}"), read)
    same(read_landmarks(path.with_name(f"again{path.suffix}")), written)


@given(written=faces(kinds=("flat", "deep")))
@settings(max_examples=25)
def test_npy_holds_one_array(tmp_path_factory, written):
    path = tmp_path_factory.getbasetemp() / "a.npy"
    write_landmarks(path, written)
    same(read_landmarks(path), written)
    array = np.load(path)
    first = written[0].xyz if has_depth(written[0]) else written[0].xy
    assert array.dtype == first.dtype
    assert array.shape == (first.shape if len(written) == 1 else (len(written), *first.shape))


@given(seed=st.integers(0, 2**31), scale=st.floats(1, 1e5))
@settings(max_examples=25)
def test_pts_is_written_as_it_was_read(tmp_path_factory, seed, scale):
    rows = [f"{x:.6f} {y:.6f}" for x, y in points(seed, scale=scale, dtype=np.float64)]
    text = "\n".join(["version: 1", "n_points:  68", "{", *rows, "}", ""])
    path = tmp_path_factory.getbasetemp() / "a.pts"
    path.write_text(text)
    write_landmarks(path.with_name("b.pts"), read_landmarks(path))
    assert path.with_name("b.pts").read_text() == text


def test_pts_counts_pixels_from_one(tmp_path):
    (tmp_path / "a.PTS").write_text("n_points: 68\r\n{\r\n" + "1 1\r\n" * 67 + "3.5 2\r\n}")
    (face,) = read_landmarks(tmp_path / "a.PTS")
    np.testing.assert_array_equal(face.xy[[0, 67]], [[0.5, 0.5], [3.0, 1.5]])
    assert not has_depth(face) and face.xyz.shape == (68, 3) and face.scheme == "ibug68"


def test_the_hand_marked_points_are_written_as_they_were_read(shared, tmp_path):
    path = shared / "photos" / "image_0010.pts"
    write_landmarks(tmp_path / "again.pts", read_landmarks(path))
    assert (tmp_path / "again.pts").read_text().split() == path.read_text().split()


@pytest.mark.parametrize("shape", [(68, 2), (68, 3), (478, 2), (478, 3), (2, 68, 2), (3, 478, 3), (0, 68, 2)])
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.json"])
def test_plain_arrays_of_every_shape_are_read(tmp_path, name, shape):
    array = np.random.default_rng(0).integers(0, 400, shape)
    if name == "a.npy":
        np.save(tmp_path / name, array)
    elif name == "a.npz":
        np.savez(tmp_path / name, points=array)
    elif array.size:
        (tmp_path / name).write_text(json.dumps(array.tolist()))
    else:
        (tmp_path / name).write_text('{"faces": []}')
    several = array if array.ndim == 3 else array[None]
    read = read_landmarks(tmp_path / name)
    assert len(read) == len(several)
    for face, one in zip(read, several, strict=True):
        assert face.scheme == {68: "ibug68", 478: "mediapipe478"}[shape[-2]]
        np.testing.assert_array_equal(face.xy, one[:, :2])
        np.testing.assert_array_equal(face.xyz[:, 2], one[:, 2] if shape[-1] == 3 else 0)


def test_scores_and_boxes_are_told_beside_the_points(tmp_path):
    face = Landmarks(points(0), points(1, dimensions=3))
    told = json.loads(landmark_file(tmp_path / "a.json", [face], [0.75]))["faces"][0]
    assert told["score"] == 0.75 and told["box"] == list(box(face)) and told["scheme"] == "ibug68"
    (tmp_path / "a.npz").write_bytes(landmark_file(tmp_path / "a.npz", [face], [0.75]))
    with np.load(tmp_path / "a.npz") as stored:
        assert stored["score"] == [0.75] and stored["box"].shape == (1, 4)


def lists(**fields):
    return json.dumps({"faces": [{name: value.tolist() for name, value in fields.items()}]}).encode()


GOOD = points(0)
ROWS = "1 2\n" * 67
BAD = {
    "missing.json": (None, "no such file"),
    "a.txt": (b"", r"a name that ends in \.txt; takes \.pts, \.json, \.npz, \.npy"),
    "plain": (b"", "a name that ends in nothing"),
    "short.pts": (f"{{\n{ROWS}}}".encode(), "67 lines of points; a .pts takes 68 of 2 numbers each"),
    "wide.pts": (f"{{\n{ROWS}1 2 3\n}}".encode(), "takes 68 of 2 numbers each"),
    "words.pts": (f"{{\n{ROWS}one two\n}}".encode(), "could not convert string to float"),
    "open.pts": (f"version: 1\n{{\n{ROWS}1 2".encode(), "no points between braces"),
    "nan.pts": (f"{{\n{ROWS}nan 1\n}}".encode(), "xy with a number that is not finite"),
    "binary.pts": (bytes(range(256)), "takes 68 of 2 numbers each"),
    "text.json": (b"no json", "not JSON"),
    "deep.json": (b"[" * 100_000, "recursion"),
    "other.json": (b'{"points": []}', "the fields points; takes a list of objects named faces"),
    "number.json": (b"3", r"an array of shape \(\)"),
    "ragged.json": (b"[[1, 2], [3]]", "lists of different lengths"),
    "null.json": (json.dumps([[None, None]] * 68).encode(), "xy of object; takes numbers"),
    "empty.json": (b'{"faces": [{}]}', "face 1 has nothing; takes xy"),
    "few.json": (lists(xy=GOOD[:5]), r"xy of shape \(5, 2\); takes \(68, 2\), \(68, 3\)"),
    "mixed.json": (lists(xy=GOOD, xyz=points(0, "mediapipe478", 3)), r"xyz of shape \(478, 3\)"),
    "weight.json": (lists(xy=GOOD, weight=GOOD), r"weight of shape \(68, 2\)"),
    "minus.json": (lists(xy=GOOD, weight=np.arange(68) - 1), "weight with a number below 0; takes numbers of 0"),
    "none.json": (lists(xy=GOOD, weight=np.zeros(68)), "weight with 0 for every point; takes .* more than 0 for some"),
    "text.npz": (b"no zip", "not a .npz"),
    "text.npy": (b"no array", "not a NumPy array"),
    "cut.npy": (b"\x93NUMPY\x01\x00", "header"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_what_it_has_and_what_is_taken(tmp_path, name):
    content, says = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=says) as raised:
        read_landmarks(tmp_path / name)
    assert str(raised.value).startswith(f"landmarks {tmp_path / name}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "fields, says",
    [
        ({"left": GOOD, "right": GOOD}, "the fields left, right; takes xy, and xyz and weight, or one array"),
        ({"xy": GOOD[None], "xyz": np.zeros((2, 68, 3))}, "different numbers of faces"),
        ({"xy": GOOD[:5]}, r"xy of shape \(5, 2\)"),
        ({"xy": GOOD, "xyz": np.zeros((2, 68, 3))}, r"xyz of shape \(2, 68, 3\)"),
        ({"xy": GOOD[None] > 0}, "xy of bool; takes numbers"),
        ({"xy": GOOD[None] * 1j}, "xy of complex64; takes numbers"),
    ],
)
def test_bad_fields_of_a_npz(tmp_path, fields, says):
    np.savez(tmp_path / "a.npz", **fields)
    with pytest.raises(ValueError, match=says):
        read_landmarks(tmp_path / "a.npz")


def test_of_several_faces_the_one_that_is_damaged_is_named(tmp_path):
    three = points(0)[None].repeat(3, axis=0)
    three[1, 5, 0] = np.nan
    np.save(tmp_path / "a.npy", three)
    np.savez(tmp_path / "a.npz", xy=three)
    faces = [{"xy": GOOD.tolist()}, {"xy": GOOD.tolist(), "weight": [None] * 68}]
    (tmp_path / "a.json").write_text(json.dumps({"faces": faces}))
    said = {"npy": "xy with a number that is not finite", "json": "weight of object; takes numbers"}
    for name in "npy", "npz", "json":
        with pytest.raises(ValueError, match=rf"a\.{name}: face 2 has {said.get(name, said['npy'])}"):
            read_landmarks(tmp_path / f"a.{name}")


def test_the_fields_of_a_npz_may_be_those_of_one_face(tmp_path):
    face = Landmarks(GOOD, points(1, dimensions=3), np.ones(68, np.float32))
    np.savez(tmp_path / "a.npz", xy=face.xy, xyz=face.xyz, weight=face.weight)
    same(read_landmarks(tmp_path / "a.npz"), [face])


def test_the_detector_is_a_name(tmp_path):
    np.savez(tmp_path / "a.npz", xy=points(0), xyz=points(1, dimensions=3), detector="mediapipe")
    assert read_landmarks(tmp_path / "a.npz")[0].detector == "mediapipe"
    for wrong in 3, ["mediapipe"]:
        (tmp_path / "a.json").write_text(json.dumps({"faces": [{"xy": points(0).tolist(), "detector": wrong}]}))
        with pytest.raises(ValueError, match="detector .*; takes a detector's name"):
            read_landmarks(tmp_path / "a.json")


def test_a_damaged_npz_is_refused(tmp_path):
    write_landmarks(tmp_path / "a.npz", [flat(GOOD)])
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[80:120] = bytes(40)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="landmarks .*a.npz: "):
        read_landmarks(tmp_path / "a.npz")


def test_a_format_refuses_what_it_does_not_hold(tmp_path):
    face, apart = flat(GOOD), Landmarks(GOOD, points(1, dimensions=3))
    dense = flat(points(0, "mediapipe478"), scheme="mediapipe478")
    for name, several, says in [
        ("a.pts", [face, face], "2 faces with 68 and 68 points; a .pts takes one face of 68 points"),
        ("a.pts", [], "0 faces with no points"),
        ("a.pts", [dense], "1 faces with 478 points"),
        ("a.npy", [apart], "weights, or 2D points apart from the 3D ones"),
        ("a.npy", [flat(GOOD, GOOD[:, 0])], "weights, or"),
        ("a.npz", [face, dense], "faces of different kinds"),
        ("a.npz", [], "no faces"),
        ("a.json", [flat(GOOD * np.nan)], "a number that is not finite"),
        ("a.txt", [face], "a name that ends in .txt"),
    ]:
        with pytest.raises(ValueError, match=f"landmarks .*{name}: .*{says}"):
            write_landmarks(tmp_path / name, several)
    with pytest.raises(ValueError, match="landmarks .*a.json: one Landmarks; takes a list"):
        write_landmarks.__wrapped__(tmp_path / "a.json", face)  # past the type checker of the tests
    assert list(tmp_path.iterdir()) == []


def test_3d_points_in_a_plane_are_written_where_they_are_not_the_2d_ones(tmp_path):
    level = points(1, dimensions=3) * np.float32([1, 1, 0]) + np.float32([0, 0, 7])
    for name in ("a.json", "a.npz"):
        write_landmarks(tmp_path / name, [Landmarks(GOOD, level)])
        same(read_landmarks(tmp_path / name), [Landmarks(GOOD, level)])


def test_arrays_of_jax_are_written(tmp_path):
    import jax

    face = Landmarks(GOOD, points(1, dimensions=3), GOOD[:, 0])
    write_landmarks(tmp_path / "a.json", [jax.tree.map(jax.numpy.asarray, face)])
    same(read_landmarks(tmp_path / "a.json"), [face])


def test_2d_points_take_the_depth_of_the_face_that_is_there():
    deep = [Landmarks(xyz[:, :2], xyz) for xyz in (points(0, dimensions=3), points(1, dimensions=3) + 1000)]
    moved = flat(deep[1].xy + 3, np.linspace(0, 1, 68, dtype=np.float32))
    completed = with_depth(moved, deep)
    np.testing.assert_array_equal(completed.xyz, deep[1].xyz)
    np.testing.assert_array_equal(completed.xy, moved.xy)
    np.testing.assert_array_equal(completed.weight, moved.weight)
    for nobody in [], [Landmarks(deep[1].xy + np.ptp(deep[1].xy, axis=0).max() / 3, deep[1].xyz)]:
        with pytest.raises(ValueError, match="there are 2D points only.*the variant 2d fits without"):
            with_depth(moved, nobody)


def test_depth_is_asked_for_of_the_faces_that_are_taken(monkeypatch):
    large, small = (flat((GOOD - GOOD.mean(axis=0)) * size + middle) for size, middle in ((1, 150), (0.3, 350)))
    seen = Landmarks(large.xy, np.column_stack([large.xy, np.arange(68)]))

    class Sees:
        def detect(self, image):
            return [seen]

        def close(self):
            pass

    monkeypatch.setattr("jaxface.pipelines.faces.read_landmarks", lambda file: [small, large])
    image = np.zeros((400, 400, 3), np.uint8)
    find = lambda which: Finder(Sees(), lambda *_: 1.0, which, 0.0).find(image, Path("a.pts"))
    (taken,) = find("largest")
    np.testing.assert_array_equal(taken.xyz, seen.xyz)
    with pytest.raises(ValueError, match="of face 1 there are 2D points only"):
        find("all")


def test_2d_points_are_fitted_by_the_variant_2d(small, face, tmp_path):
    seen, truth = face()
    write_landmarks(tmp_path / "a.pts", [seen])
    (read,) = read_landmarks(tmp_path / "a.pts")
    result = jaxface.fit(small, read, jaxface.FitOptions(variant="2d"))
    assert jaxface.Status(int(result.status)).fitted
    whole = jaxface.fit(small, seen, jaxface.FitOptions(variant="2d"))
    np.testing.assert_allclose(result.pose.euler_deg, whole.pose.euler_deg, atol=0.05)


def test_the_file_that_is_of_a_photograph_is_taken_wherever_it_stands(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a photograph")
    for name, said in (("its.json", origin(tmp_path / "a.png")["sha256"]), ("another.json", "0")):
        (tmp_path / name).write_text(json.dumps({"sha256": said}))
    its, another = tmp_path / "its.json", tmp_path / "another.json"
    assert file_of(tmp_path / "a.png", [its, another]) == file_of(tmp_path / "a.png", [another, its]) == its
    assert file_of(tmp_path / "a.png", [its]) == its
