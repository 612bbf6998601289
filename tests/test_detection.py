import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_fill_holes
from skimage.measure import find_contours

import jaxface
from jaxface import camera
from jaxface.detection import detect, read_image
from jaxface.detection.finding import FaceFinder
from jaxface.detection.heads import extent, laid, middle
from jaxface.detection.native import quiet
from jaxface.detection.networks import BlazeFace, FaceMesh, Seen
from jaxface.detection.scores import looks
from jaxface.detection.silhouettes import visible_contour
from jaxface.detection.tiling import levels
from jaxface.evaluation.subjects import subjects
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, IBUG68_MIRROR, INNER, JAW, MEDIAPIPE478_MIRROR
from jaxface.rendering.people import PIXELS_A_MM, Painter, placed
from jaxface.rendering.rasterizer import rasterize

SEEN = {
    8: (223.7, 178.0),
    36: (194.0, 100.0),
    39: (211.5, 103.1),
    42: (237.2, 104.0),
    45: (258.4, 103.1),
    48: (203.1, 139.6),
    54: (244.3, 140.9),
}
"""Chin, eye corners and mouth corners of the demo photograph, read off it by eye at eight times its size."""


@pytest.fixture(scope="module")
def found(pixels):
    return detect(pixels)


def test_the_demo_photograph_has_one_face_where_it_is_seen(found):
    (face,) = found
    assert face.xy.shape == (68, 2) and face.xyz.shape == (68, 3) and face.scheme == "ibug68" and face.weight is None
    distance = np.linalg.norm(face.xy[list(SEEN)] - list(SEEN.values()), axis=-1)
    assert distance.max() < 4 and distance.mean() < 2.5
    np.testing.assert_array_equal(face.xy[INNER], face.xyz[INNER, :2])
    assert face.xyz[30, 2] < face.xyz[[0, 16], 2].min() - 30  # the nose's tip is nearer than the ears: z points away


def test_the_dense_points_hold_the_68(pixels, found):
    (dense,) = detect(pixels, "mediapipe478")
    assert dense.xy.shape == (478, 2) and dense.xyz.shape == (478, 3)
    np.testing.assert_array_equal(dense.xyz[IBUG68_FROM_MEDIAPIPE478], found[0].xyz)
    np.testing.assert_array_equal(dense.xy, dense.xyz[:, :2])


def test_points_agree_with_those_marked_by_hand(shared):
    text = (shared / "photos" / "image_0010.pts").read_text()
    marked = np.array([line.split() for line in text[text.index("{") + 1 : text.index("}")].split("\n") if line], float)
    marked -= 0.5  # its first pixel's centre is at 1
    (face,) = detect(shared / "photos" / "image_0010.png")
    error = np.linalg.norm(face.xy - marked, axis=-1) / np.linalg.norm(marked[36] - marked[45])
    print(f"of the distance between the eyes: inner points {error[INNER].mean():.4f}, contour {error[JAW].mean():.4f}")
    assert error[INNER].mean() < 0.05
    assert error[JAW].mean() < 0.10


def test_faces_come_from_left_to_right(pixels, found):
    mirrored = pixels[:, ::-1]
    left, right = detect(np.concatenate([pixels, mirrored], axis=1))
    assert np.linalg.norm(left.xy - found[0].xy, axis=-1).max() < 4
    back = np.stack([1024 - right.xy[IBUG68_MIRROR, 0], right.xy[IBUG68_MIRROR, 1]], axis=-1)
    assert np.linalg.norm(back - found[0].xy, axis=-1).mean() < 3


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 300), (300, 400)])
def test_a_picture_without_a_face_has_none(size):
    assert detect(np.full((*size, 3), 90, np.uint8)) == []


NOBODY = ("brick", "cell", "chelsea", "clock_motion", "coffee", "coins", "color", "gravel", "hubble_deep_field", "ihc")
NOBODY += ("logo", "moon", "motorcycle_left", "page", "phantom", "rocket")
"""Scikit-image's pictures that show no face; a cell, coins and a colour wheel look a little like one."""


@pytest.mark.parametrize("name", NOBODY)
def test_a_structured_picture_without_a_face_has_none(finder, name):
    from skimage import data

    (path,) = Path(data.__file__).parent.glob(f"{name}.*")
    assert finder.search(read_image(path)) == []


def test_noise_shows_no_face(finder):
    assert finder.search(np.random.default_rng(0).integers(0, 256, (256, 384, 3), dtype=np.uint8)) == []


@pytest.fixture(scope="module")
def finder():
    return FaceFinder()


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("least", [45, 60, 70, 80])
def test_turned_heads_are_found_and_turned_nearly_so_far(finder, drawn_people, side, least):
    """Of five heads the one between the others: from 70° on the network sees one now and then badly, or not at all."""
    people, painter = drawn_people
    away, turned = np.full((2, 5), np.inf)
    for k, index in enumerate(np.argsort(np.where(side * people.yaw >= least, np.abs(people.yaw), np.inf))[:5]):
        found = finder.search(painter.photograph(int(index)))
        assert len(found) <= 1
        for points in found:
            error = points[IBUG68_FROM_MEDIAPIPE478, :2] - (people.shape.anchors @ placed(people, int(index)))[:, :2]
            away[k] = np.linalg.norm(error[INNER], axis=1).mean() / PIXELS_A_MM
            turned[k] = abs(np.degrees(np.arcsin(laid(points)[0][2, 0])) - people.yaw[index])
    assert np.median(away) < (5 if least < 70 else 7)
    assert np.median(turned) < (14 if least < 70 else 20)


@pytest.mark.parametrize("turned", ["first", "second", "none"])
def test_a_head_is_tried_as_a_turned_one_where_any_look_sees_it_so(finder, mean_face, monkeypatch, turned):
    """The first look finds a candidate and three more look at it. The mesh sees a face in stretched crops alone."""
    points = mean_face(70.0)
    place, size = middle(points), extent(points)

    def look(network, image, crop, least):
        name = "first" if crop.width == 600 else "second" if crop.width < 2.5 * size else "others"
        eye, mouth, ear, nose = (-0.1, -0.2), (-0.1, 0.2), (0, 0), (0.6 if name == turned else 0.3, 0)
        offsets = np.array([eye, eye, nose, mouth, ear, ear])
        return [Seen(0.8 if name == "second" else 0.9, place, size, place + size * offsets)]

    in_stretched = lambda network, image, crop: (points, float(crop.height > 1.1 * crop.width))
    monkeypatch.setattr(BlazeFace, "__call__", look)
    monkeypatch.setattr(FaceMesh, "__call__", in_stretched)
    found = finder.search(np.zeros((600, 600, 3), np.uint8))
    assert len(found) == (0 if turned == "none" else 1)


def test_a_mirror_image_gets_the_points_of_its_face(finder, pixels):
    (points,) = finder.search(pixels)
    mirror = lambda points: points[MEDIAPIPE478_MIRROR] * (-1, 1, 1) + (512, 0, 0)
    mirrored = finder.averaged(np.ascontiguousarray(pixels[:, ::-1]), mirror(points))
    np.testing.assert_allclose(mirror(mirrored), finder.averaged(pixels, points), atol=0.01)


def test_a_look_at_a_place_takes_no_face_beside_it(finder, monkeypatch):
    beside, here = (Seen(0.9, np.array([x, 100.0]), 40.0, np.zeros((6, 2))) for x in (160.0, 105.0))
    monkeypatch.setattr(BlazeFace, "__call__", lambda *_: [beside, here])
    seen = looks(finder._find, np.zeros((200, 200, 3), np.uint8), np.array([100.0, 100.0]), 40.0)
    assert [each is here for each in seen] == [True] * 3


@pytest.fixture(scope="module")
def drawn_people(model):
    """People of the embedded model who look at all sides, and who draws them."""
    people = subjects(model, 72)
    return people, Painter(people)


@pytest.mark.parametrize("size, at", [((1500, 1500), (300, 700)), ((4000, 512), (2900, 0)), ((512, 1800), (0, 1200))])
def test_a_small_face_in_a_large_picture_is_found_once(pixels, found, size, at):
    (width, height), (left, top) = size, at
    canvas = np.full((height, width, 3), (90, 120, 150), np.uint8)
    canvas[top : top + 512, left : left + 512] = pixels[: height - top, : width - left]
    (face,) = detect(canvas)
    assert np.linalg.norm(face.xy - (left, top) - found[0].xy, axis=-1).mean() < 3


@pytest.mark.parametrize("times", [2.5, 3, 3.5])
def test_a_small_face_beside_a_large_one_is_found_too(finder, pixels, times):
    side = int(512 * times)
    canvas = np.full((side, side + 512, 3), 128, np.uint8)
    canvas[:, :side] = Image.fromarray(pixels).resize((side, side))
    canvas[:512, side:] = pixels
    large, small = sorted(finder.search(canvas), key=lambda points: points[0, 0])
    assert abs(extent(large) / extent(small) / times - 1) < 0.05 and middle(small)[0] > side


def test_a_face_that_fills_the_picture_is_found(pixels, found):
    low, high = found[0].xy.min(axis=0).astype(int), found[0].xy.max(axis=0).astype(int)
    tight = pixels[low[1] - 20 : high[1] + 2, low[0] - 2 : high[0] + 2]
    (face,) = detect(tight)
    assert np.linalg.norm(face.xy + (low - (2, 20)) - found[0].xy, axis=-1).mean() < 5


@pytest.mark.parametrize("height, width", [(700, 1000), (1000, 300), (90, 120), (1, 1)])
def test_tiles_cover_the_picture_and_overlap_by_half(height, width):
    whole, around, *smaller = levels(height, width)
    assert [crop.width for crop in whole] == [max(height, width)]
    assert [crop.width for crop in around] == [max(height, width) + min(height, width) / 2]
    for tiles in smaller:
        side = tiles[0].width
        assert side >= max(128, min(height, width) / 4)
        shown = np.zeros((height, width), int)
        for x, y, wide, high, angle in tiles:
            assert (wide, high, angle) == (side, side, 0)
            shown[max(round(y - side / 2), 0) :, max(round(x - side / 2), 0) :][: round(side), : round(side)] += 1
        assert shown.min() >= 1
        for axis, length in enumerate((width, height)):
            middles = np.unique([tile[axis] for tile in tiles])
            assert len(middles) == 1 or np.diff(middles).max() <= side / 2
            assert middles[0] - side / 2 <= 0 and middles[-1] + side / 2 >= length


@pytest.mark.parametrize(
    "image, got",
    [
        (np.zeros((8, 8), np.uint8), r"uint8 of shape \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), r"uint8 of shape \(8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\)"),
    ],
)
def test_other_arrays_are_refused(image, got):
    with pytest.raises(ValueError, match=f"image: got .*{got}.*takes uint8 \\(H, W, 3\\) RGB"):
        detect(image)


def test_another_scheme_is_refused():
    with pytest.raises(ValueError, match="scheme='dlib': takes one of ibug68, mediapipe478"):
        detect.__wrapped__(np.zeros((8, 8, 3), np.uint8), "dlib")  # past the type checker of the tests
    with pytest.raises(ValueError, match=r"scheme=\['ibug68'\]: takes one of"):
        detect.__wrapped__(np.zeros((8, 8, 3), np.uint8), ["ibug68"])


def test_nothing_is_said_from_start_to_exit_and_stderr_works_afterwards():
    program = (
        "import sys, numpy as np; from jaxface.detection import detect;"
        "detect(np.zeros((64, 64, 3), np.uint8)); print('still here', file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(jaxface.__file__).parents[1])}
    command = [sys.executable, "-P", "-W", "error", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "still here\n")


def test_only_native_output_is_dropped(capfd):
    with quiet():
        os.write(2, b"native\n")
    os.write(2, b"after\n")
    print("from python", file=sys.stderr)
    assert capfd.readouterr().err == "after\nfrom python\n"


def test_threads_that_overlap_leave_stderr_and_warnings_as_they_were(capfd):
    before, together = list(warnings.filters), threading.Barrier(2)

    def first(leave):
        with quiet():
            together.wait()
            leave.wait()  # until the second one, which came later, is out

    def second(leave):
        together.wait()
        with quiet():
            leave.set()
            os.write(2, b"native\n")

    with ThreadPoolExecutor(2) as pool:
        leave = threading.Event()
        for done in [pool.submit(first, leave), pool.submit(second, leave)]:
            done.result()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n" and warnings.filters == before


@pytest.fixture(scope="module")
def mean_face():
    """``mean_face(yaw, pitch)``: the 478 points of the embedded model's mean face as the camera sees them."""
    model = jaxface.load_model()
    points = np.asarray(model.landmark_positions(model.mean, "mediapipe478"))
    points = points - points.mean(axis=0)

    def seen(yaw, pitch=0.0, roll=0.0):
        rotation = camera.rotation_from_euler(jnp.array([pitch, yaw, roll]))
        return np.array(camera.project(jnp.asarray(points), jnp.float32(2.5), rotation, jnp.array([300.0, 300.0])))

    return seen


def outline(points):
    """Where the mesh of the points ends in the image: (n, 2) pixels."""
    from mediapipe.tasks.python.vision import FaceLandmarksConnections

    edges = [(edge.start, edge.end) for edge in FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION]
    triangles = np.array(edges).reshape(-1, 3, 2)[..., 0]
    shape = binary_fill_holes(rasterize(points, triangles, 600, 600).covered)
    return np.concatenate(find_contours(shape.astype(float), 0.5))[:, ::-1] + 0.5


def height(points):
    return np.linalg.norm(points[10, :2] - points[152, :2])


def test_a_frontal_contour_is_the_jaw_line(mean_face):
    points = mean_face(0.0)
    moved = np.linalg.norm(visible_contour(points) - points[IBUG68_FROM_MEDIAPIPE478[JAW], :2], axis=-1)
    assert moved.max() < 0.01 * height(points)


@pytest.mark.parametrize("pitch", [-15, 0, 15])
@pytest.mark.parametrize("yaw", [15, 30, 45, 60])
def test_a_turned_contour_is_the_outline_on_the_far_side_and_the_jaw_line_on_the_near_one(mean_face, yaw, pitch):
    points = mean_face(yaw, pitch)
    jaw = points[IBUG68_FROM_MEDIAPIPE478[JAW], :2]
    contour = visible_contour(points)
    near, far = slice(0, 8), slice(10, 17)
    assert np.linalg.norm(contour[near] - jaw[near], axis=-1).max() < 0.01 * height(points)
    from_outline = np.linalg.norm(contour[:, None] - outline(points), axis=-1).min(axis=1) / height(points)
    assert from_outline.max() < (0.02 if yaw <= 45 else 0.05)  # in profile, nose and lips stand out beyond the cheek
    assert from_outline.mean() < 0.015
    if yaw >= 30:
        assert np.linalg.norm(contour[far] - jaw[far], axis=-1).max() > 0.05 * height(points)


def test_in_profile_the_contour_stays_on_the_cheek_behind_the_lips(mean_face):
    points = mean_face(90.0)
    assert visible_contour(points)[10:, 0].max() < points[17, 0]


def test_the_contour_of_a_mirrored_face_is_mirrored_and_of_a_rolled_one_rolled(mean_face):
    left, right = (visible_contour(mean_face(yaw)) for yaw in (-40.0, 40.0))
    np.testing.assert_allclose((600 - right[:, 0])[::-1], left[:, 0], atol=1.0)
    np.testing.assert_allclose(right[::-1, 1], left[:, 1], atol=1.0)
    angle = np.radians(70.0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rolled = visible_contour(mean_face(40.0, roll=70.0))
    np.testing.assert_allclose(rolled, (right - 300) @ turn.T + 300, atol=0.5)
