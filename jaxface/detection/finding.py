"""From an image to the 478 points of every face in it: BlazeFace finds candidates, and the mesh network judges them."""

from collections.abc import Iterator
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Float

from jaxface.detection.crops import Crop, square, turned, uprightness
from jaxface.detection.heads import crop_around, extent, laid, middle
from jaxface.detection.networks import LEFT_EAR, LEFT_EYE, MOUTH, NOSE, RIGHT_EAR, RIGHT_EYE, BlazeFace, FaceMesh, Seen
from jaxface.detection.scores import likelihood, looks
from jaxface.detection.tiling import levels

_LEAST, _SURE = 0.5, 0.85
"""BlazeFace's score of a candidate. One between them, or of a turned head, is looked at again, ..."""
_AGAIN, _LIKELY = 0.6, 0.76
"""... where BlazeFace has it, and where the mesh is: the scores that it must have there. In photographs faces have 0.81
and more there, drawn profiles 0.78, and what is no face mostly less than 0.75."""
_PRESENT = 0.5
"""The mesh network's likelihood of a face, ..."""
_OFF = 0.2
"""... and how far its points may be off the canonical face's."""
_SETTLED, _PASSES = 0.1, 2
"""A crop that moves by less is looked at no more, nor after so many times."""
_LOOKS = ((0.9, 0.0), (1.0, -0.2))
"""Size, in sides of a face's crop, and turn in radians of the crops that are averaged, each with its mirror image."""
_THREADS = 2
_AROUND = 1.5
"""The mesh network's crop, in sizes of BlazeFace's box."""
_LARGE = 1 / 3
"""Who is smaller than this part of a tile may have company of 3/8 of their size, which smaller tiles show: BlazeFace
sees faces from 1/8 of a tile on."""
_TURNED = 0.45
"""A head whose nose is off the middle between its ears by more than this part of its size is turned by 50° or more."""
_PROFILE = tuple(product((30, 20, 40, 10), ((1.5, 0.2), (1.3, 0.1))))
"""A turned head's crops: degrees off the line through eyes and mouth; height and shift to the nose's side, in sizes."""
_NARROW = 1.4
"""What they are higher than wide."""


class FaceFinder:
    """Both networks, opened once."""

    def __init__(self):
        self._find = BlazeFace()
        self._mesh = FaceMesh()

    @cached_property
    def _quick_mesh(self) -> FaceMesh:
        """For videos, where one frame waits for the other; photographs are shared out among processes."""
        return FaceMesh(threads=_THREADS)

    def search(self, image: np.ndarray) -> list[Float[np.ndarray, "478 3"]]:
        """The faces in an (H, W, 3) uint8 RGB image, each as points in the frame of ``Landmarks.xyz``."""
        found: list[np.ndarray] = []
        for tiles in levels(*image.shape[:2]):
            seen = [face for tile in tiles for face in self._find(image, tile, _LEAST)]
            tried: list[Seen] = []
            for face in sorted(seen, key=lambda face: -face.score):
                if _on_any(face.middle, found) or any(_near(face.middle, *other[1:3]) for other in tried):
                    continue
                tried.append(face)
                points = self._confirmed(image, face)
                if points is not None and not _on_any(middle(points), found):
                    found.append(points)
            if any(extent(points) > _LARGE * tiles[0].width for points in found):
                break
        return found

    def follow(self, image: np.ndarray, points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "478 3"] | None:
        """The points of a face that was at ``points`` in the frame before; None if it is not seen around there."""
        return self._seen_in(image, crop_around(points), self._quick_mesh)

    def averaged(self, image: np.ndarray, points: Float[np.ndarray, "478 3"]) -> Float[np.ndarray, "478 3"]:
        """The mean of four further looks at the face that was found at ``points``; of looks that are mirror images of
        each other, so that a face and its mirror image get points that are."""
        crop, seen = crop_around(points), []
        for size, turn in _LOOKS:
            for mirrored, angle in ((False, crop.angle + turn), (True, crop.angle - turn)):
                look = crop._replace(width=size * crop.width, height=size * crop.height, angle=angle)
                seen.append(self._mesh(image, look, mirrored)[0])
        return np.mean(seen, axis=0)

    def _confirmed(self, image: np.ndarray, face: Seen) -> np.ndarray | None:
        sure = face.score >= _SURE and not _turned(face)
        views = [face]
        if not sure:
            again = looks(self._find, image, face.middle, face.side)
            if likelihood(again) < _AGAIN:
                return None
            likeliest, *others = sorted(filter(None, again), key=lambda look: -look.score)
            views = [likeliest, *filter(_turned, (*others, face))]  # it may not see how far the head is round
        for view in views:
            for crop in _crops(view):
                points = self._settled(image, crop, _SETTLED if sure else 0.0, _turned(view))
                if points is not None:
                    again = () if sure else looks(self._find, image, middle(points), extent(points))
                    return points if sure or likelihood(again) >= _LIKELY else None
        return None

    def _settled(self, image: np.ndarray, crop: Crop, near: float, turned: bool) -> np.ndarray | None:
        """The points in a crop, looked at again where they are until that hardly moves the crop. What is then no face
        any more never was one, unless it is a turned head: of these the network sees some only at a slant."""
        points = self._seen_in(image, crop, self._mesh)
        for _ in range(_PASSES):
            if points is None or (around := crop_around(points)).near(crop, near):
                break
            crop, before = around, points
            points = self._seen_in(image, crop, self._mesh)
            if points is None and turned:
                return before
        return points

    def _seen_in(self, image: np.ndarray, crop: Crop, mesh: FaceMesh) -> np.ndarray | None:
        points, present = mesh(image, crop)
        return points if present >= _PRESENT and laid(points)[1] < _OFF else None


def _near(place: np.ndarray, other: np.ndarray, size: float) -> bool:
    return bool(np.linalg.norm(place - other) < size / 2)


def _on_any(place: np.ndarray, found: list[np.ndarray]) -> bool:
    return any(_near(place, middle(points), extent(points)) for points in found)


def _beyond_ears(face: Seen) -> tuple[float, float]:
    """How far the nose is from the middle between the ears, in sizes of the face, to the right of its upright; and how
    that upright, the line from the mouth through the eyes' middle, is turned, clockwise in radians."""
    down = face.points[MOUTH] - face.points[[RIGHT_EYE, LEFT_EYE]].mean(axis=0)
    angle = uprightness(down)
    off = face.points[NOSE] - face.points[[RIGHT_EAR, LEFT_EAR]].mean(axis=0)
    return float(off @ turned(angle)[:, 0]) / face.side, angle


def _turned(face: Seen) -> bool:
    return abs(_beyond_ears(face)[0]) > _TURNED


def _crops(face: Seen) -> Iterator[Crop]:
    """Where the mesh network may see a face: as MediaPipe gives it, with level eyes; but first, if the head is turned,
    stretched sideways and upright, which the line through eyes and mouth of a profile is not."""
    beyond, upright = _beyond_ears(face)
    for degrees, (size, shift) in _PROFILE if _turned(face) else ():
        to_nose = np.copysign(1.0, beyond)
        angle = upright + to_nose * np.radians(degrees)
        x, y = face.middle + to_nose * shift * face.side * turned(angle)[:, 0]
        yield Crop(x, y, size * face.side / _NARROW, size * face.side, angle)
    eyes = face.points[LEFT_EYE] - face.points[RIGHT_EYE]
    yield square(face.middle, _AROUND * face.side, float(np.arctan2(eyes[1], eyes[0])))
