"""Rectangles of an image, turned as heads are, that networks look at; and where what they see lies in the image."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Crop(NamedTuple):
    """The middle of a rectangle, its sides and its turn, clockwise in radians: all in pixels of the image.

    What lies in it is seen as a square, so one that is higher than wide stretches a head sideways.
    """

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def near(self, other: "Crop", part: float) -> bool:
        """Whether another one's place, sides and turn differ by less than this part of its own sides, or in radians."""
        moved = np.hypot(self.x - other.x, self.y - other.y) / self.height
        grown = np.abs(np.log([self.width / other.width, self.height / other.height])).max()
        turned = abs((self.angle - other.angle + np.pi) % (2 * np.pi) - np.pi)
        return bool(max(moved, grown, turned) < part)

    def affine(self, side: int) -> np.ndarray:
        """(2, 3): from pixels of the square of that side to those of the image, of which both count from the corner."""
        turn = turned(self.angle) * (self.width / side, self.height / side)
        return np.column_stack([turn, (self.x, self.y) - turn.sum(axis=1) * side / 2])

    def cut(self, image: np.ndarray, side: int, black: bool = False) -> np.ndarray:
        """The square (side, side, 3) uint8 of an (H, W, 3) uint8 image; beyond it black, or as its edge goes on."""
        import cv2

        affine = self.affine(side)
        affine[:, 2] += affine[:, :2].sum(axis=1) / 2 - 0.5  # OpenCV counts from the middle of the first pixel
        return cv2.warpAffine(
            image,
            affine,
            (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT if black else cv2.BORDER_REPLICATE,
        )

    def place(self, points: np.ndarray, side: int) -> np.ndarray:
        """Points (..., 2 or 3) of the square of that side, their depth in its pixels too, in the image.

        Depth in a stretched square is in pixels between those across and those down: that loses the least of both yaw
        and shape.
        """
        affine = self.affine(side)
        xy = points[..., :2] @ affine[:, :2].T + affine[:, 2]
        return np.concatenate([xy, points[..., 2:] * (np.sqrt(self.width * self.height) / side)], axis=-1)


def turned(angle: float) -> Float[np.ndarray, "2 2"]:
    """The turn of an image, clockwise in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def uprightness(down: Float[np.ndarray, "2"]) -> float:
    """How a head is turned in the image of which ``down`` leads from above to below, clockwise in radians."""
    return float(np.arctan2(-down[0], down[1]))


def square(middle: Float[np.ndarray, "2"], side: float, angle: float = 0.0) -> Crop:
    """A crop that is a square in the image."""
    x, y = middle.tolist()
    return Crop(x, y, side, side, angle)
