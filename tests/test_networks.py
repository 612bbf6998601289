"""The networks, and how they are looked through, against MediaPipe's own Face Landmarker."""

import numpy as np
import pytest
from PIL import Image

import jaxface
from jaxface.detection.crops import Crop, square
from jaxface.detection.finding import FaceFinder
from jaxface.detection.heads import crop_around, dense, laid
from jaxface.detection.mediapipe import dense_points, landmarker
from jaxface.detection.networks import LEFT_EYE, RIGHT_EYE, BlazeFace, FaceMesh
from jaxface.model.canonical import canonical_face
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, MEDIAPIPE478_MIRROR


@pytest.fixture(scope="module")
def reference(pixels):
    """MediaPipe's own points of the demo photograph."""
    with landmarker() as opened:
        (points,) = dense_points(opened, pixels)
    return points


def as_mediapipe(crop, side):
    """The crop that MediaPipe looks at where it says that it looks at this one, and how far off (2,) it then places
    what it sees: it cuts by the middles of pixels and places by their corners."""
    off = crop.affine(side)[:, :2].sum(axis=1) / 2 - 0.5
    return crop._replace(x=crop.x - off[0], y=crop.y - off[1]), off


def test_one_look_gives_mediapipes_own_points(pixels, reference):
    crop, off = as_mediapipe(square(np.array([256.0, 256.0]), 512.0), BlazeFace.SIDE)
    (face,) = BlazeFace()(pixels, crop, 0.5)
    eyes = face.points[LEFT_EYE] - face.points[RIGHT_EYE]
    around = square(face.middle + off, 1.5 * face.side, float(np.arctan2(eyes[1], eyes[0])))
    crop, off = as_mediapipe(around, FaceMesh.SIDE)
    points, likelihood = FaceMesh()(pixels, crop)
    points[:, :2] += off
    assert np.abs(points - reference)[:, :2].max() < 0.05 and np.abs(points - reference)[:, 2].max() < 0.2
    assert likelihood > 0.99


def test_a_look_at_a_crops_mirror_image_is_a_look_at_the_photographs(pixels):
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    mesh, crop = FaceMesh(), square(np.array([225.0, 115.0]), 192.0)
    points, likelihood = mesh(pixels, crop, mirrored=True)
    across, likely = mesh(mirrored, crop._replace(x=512 - crop.x))
    np.testing.assert_allclose(across[MEDIAPIPE478_MIRROR] * (-1, 1, 1) + (512, 0, 0), points, atol=1e-3)
    assert likelihood == pytest.approx(likely) and likelihood > 0.99


def test_an_enlarged_photograph_has_its_points_at_the_same_places(pixels):
    large = np.asarray(Image.fromarray(pixels).resize((2048, 2048), Image.Resampling.BILINEAR))
    mesh, crop = FaceMesh(), square(np.array([225.0, 115.0]), 192.0)
    points = mesh(pixels, crop)[0]
    enlarged = mesh(large, Crop(*(4 * value for value in crop)))[0] / 4
    assert np.abs(np.mean(enlarged - points, axis=0)).max() < 0.1  # cut by the middles of pixels it would be 0.375


def test_what_is_detected_is_within_a_pixel_of_mediapipes_own_points(pixels, reference):
    (face,) = jaxface.detect(pixels, "mediapipe478")
    off = np.linalg.norm(face.xy - reference[:, :2], axis=-1)
    assert off.mean() < 0.7 and off.max() < 2  # the network sees the face a quarter of a pixel elsewhere
    away = face.xyz[:, 2] - reference[:, 2]
    assert np.abs(away - away.mean()).max() < 2


def test_a_crop_without_a_face_has_a_low_likelihood(pixels):
    assert FaceMesh()(pixels, square(np.array([420.0, 100.0]), 150.0))[1] < 0.01


def test_a_crop_is_cut_where_its_points_are_placed():
    """A picture of each pixel's own number, so that a cut shows where in the image it comes from."""
    rows, columns = np.mgrid[:200, :200]
    image = np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8)
    crop = Crop(100.0, 90.0, 40.0, 60.0, 0.3)
    cut = crop.cut(image, 64)
    at = np.array([[5, 9], [60, 30], [32, 32]])
    middles = crop.place(at + 0.5, 64)
    np.testing.assert_allclose(cut[at[:, 1], at[:, 0], :2] + 0.5, middles, atol=0.55)  # whole numbers are cut
    placed = crop.place(np.array([[32, 32, 0], [32, 32, 32], [64, 32, 64]], float), 64)
    np.testing.assert_allclose(placed[:, 2] / np.sqrt(40 * 60), [0, 0.5, 1])
    np.testing.assert_allclose(placed[:2, :2], [(100, 90)] * 2, atol=1e-9)


@pytest.mark.parametrize("change", [{"x": 4.0}, {"y": -4.0}, {"width": 1.1}, {"height": 0.9}, {"angle": 0.12}])
def test_crops_that_differ_in_place_size_or_turn_are_not_near(change):
    crop = Crop(100.0, 90.0, 40.0, 60.0, 0.3)
    grown = {name: by * getattr(crop, name) for name, by in change.items() if name in ("width", "height")}
    moved = {name: by + getattr(crop, name) for name, by in change.items() if name not in grown}
    other = crop._replace(**grown, **moved)
    assert not crop.near(other, 0.06) and crop.near(other, 0.13)
    around = other._replace(angle=other.angle + 2 * np.pi)
    assert not crop.near(around, 0.06) and crop.near(around, 0.13)


@pytest.fixture(scope="module")
def canonical():
    """``canonical(yaw, roll)``: the canonical face's 478 points as the camera sees them, 8 pixels a cm."""
    face = canonical_face()
    points = np.asarray(face.landmark_positions(face.mean, "mediapipe478"), float) * (1, -1, -1)

    def seen(yaw, roll=0.0):
        y, z = np.radians([yaw, roll])
        turn = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
        tilt = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
        return 0.8 * points @ (tilt @ turn).T + (300, 200, 0), tilt @ turn

    return seen


@pytest.mark.parametrize("yaw, roll", [(0, 0), (25, -30), (-60, 10), (90, 0)])
def test_the_canonical_face_lies_on_itself(canonical, yaw, roll):
    points, rotation = canonical(yaw, roll)
    found, off = laid(points)
    np.testing.assert_allclose(found, rotation, atol=1e-6)
    assert off < 1e-3


def test_points_that_are_no_face_are_off_the_canonical_one(canonical):
    points, _ = canonical(0)
    assert laid(points[::-1].copy())[1] > 0.5
    flat = points * (1, 0.5, 1)
    assert laid(flat)[1] > 0.2


def test_the_68_points_tell_where_the_478_are(canonical):
    points, _ = canonical(30, 20)
    stretched = points * (1, 1.2, 0.9)
    np.testing.assert_allclose(dense(stretched[IBUG68_FROM_MEDIAPIPE478], "ibug68"), stretched, atol=1e-2)
    assert dense(stretched, "mediapipe478") is stretched


def test_a_crop_turns_with_the_head_and_stretches_the_more_it_is_turned_away(canonical):
    crops = {yaw: crop_around(canonical(yaw)[0]) for yaw in (0, 25, 60, 90)}
    for yaw, expected in ((0, 1), (25, 1 / np.cos(np.radians(25))), (60, 1.2), (90, 1.2)):
        assert crops[yaw].height / crops[yaw].width == pytest.approx(expected, abs=1e-3)
    rolled = crop_around(canonical(0, 40.0)[0])
    assert rolled.angle == pytest.approx(np.radians(40), abs=1e-2)
    assert rolled.height == pytest.approx(crops[0].height, rel=1e-3)


def test_a_face_is_followed_and_lost(pixels, reference):
    finder = FaceFinder()
    points = finder.follow(pixels, reference + (6, -4, 0))
    assert np.linalg.norm(points - reference, axis=-1).mean() < 2
    assert finder.follow(np.full_like(pixels, 90), reference) is None
