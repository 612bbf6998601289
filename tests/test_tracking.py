import numpy as np
import pytest

from jaxface.detection.registry import opened
from jaxface.detection.tracking import Tracker
from jaxface.types import Landmarks


class Seer:
    """Sees a face of 40 pixels around every marked pixel, and remembers how wide the images were."""

    def __init__(self):
        self.widths = []

    def detect(self, image):
        self.widths.append(image.shape[1])
        corners = np.array([[-20, -20, 0], [20, 20, 9], [-20, 20, 3], [20, -20, 2]] * 17, np.float32)
        marked = sorted(zip(*np.nonzero(image[..., 0])[::-1], strict=True))
        return [Landmarks((corners + (x, y, 0))[:, :2], corners + (x, y, 0)) for x, y in marked]

    def close(self):
        pass


def frame(*places):
    image = np.zeros((240, 320, 3), np.uint8)
    for x, y in places:
        image[y, x] = 255
    return image


def places(faces):
    return [tuple(face.xy.mean(axis=0).astype(int).tolist()) for face in faces]


def test_a_face_is_followed_in_its_surroundings():
    seer = Seer()
    tracker = Tracker(seer)
    for step in range(10):
        (face,) = tracker.update(frame((100 + 5 * step, 120)))
        assert places([face]) == [(100 + 5 * step, 120)]
        np.testing.assert_array_equal(face.xyz[:, :2], face.xy)
    assert seer.widths == [320] + 9 * [80]


def test_a_frame_is_searched_whole_at_first_and_every_thirty():
    seer, whole = Seer(), []
    tracker = Tracker(seer)
    for step in range(65):
        seer.widths.clear()
        tracker.update(frame((100, 120)))
        whole += [step] * seer.widths.count(320)
    assert whole == [0, 30, 60]


def test_faces_keep_their_places_and_new_ones_come_after_them():
    tracker = Tracker(Seer())
    assert places(tracker.update(frame((200, 120)))) == [(200, 120)]
    both = frame((205, 120), (60, 100))
    seen = [places(tracker.update(both)) for _ in range(31)]
    assert seen[0] == [(205, 120)] and seen[-1] == [(205, 120), (60, 100)]  # found by a later search
    assert places(tracker.update(frame((60, 100)))) == [(60, 100)]
    assert tracker.update(frame()) == [] and places(tracker.update(both)) == [(60, 100), (205, 120)]


def test_a_face_that_jumps_is_searched_for():
    seer = Seer()
    tracker = Tracker(seer)
    tracker.update(frame((60, 120)))
    assert places(tracker.update(frame((250, 60)))) == [(250, 60)]
    assert seer.widths == [320, 80, 320]


def test_one_who_jumps_is_searched_for_though_another_stays():
    tracker = Tracker(Seer())
    tracker.update(frame((60, 120), (250, 120)))
    assert places(tracker.update(frame((60, 120), (160, 60)))) == [(60, 120), (160, 60)]


def test_two_that_meet_are_one():
    tracker = Tracker(Seer())
    for apart in 60, 50, 40, 30, 20, 10, 2:
        faces = tracker.update(frame((100, 120), (100 + apart, 120)))
    assert len(faces) == 1


@pytest.fixture(scope="module")
def detector():
    with opened("mediapipe") as made:
        yield made


def test_mediapipe_follows_the_demo_photograph_as_it_finds_it(detector, pixels):
    tracker = Tracker(detector)
    (first,) = tracker.update(pixels)
    (second,) = tracker.update(np.roll(pixels, (6, 9), axis=(0, 1)))
    assert second.xyz.shape == (68, 3)
    assert np.linalg.norm(second.xy - (9, 6) - first.xy, axis=-1).mean() < 2
