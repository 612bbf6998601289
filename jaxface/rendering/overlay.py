"""The picture by which a person judges a fit: landmarks over the photograph, and the mesh over the photograph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxface.detection.reading import require_photograph
from jaxface.model import correspondences as groups
from jaxface.model.morphable import MorphableModel
from jaxface.rendering.posed import image_vertices, seen_landmarks
from jaxface.rendering.shading import draw_mesh
from jaxface.types import FitResult, Landmarks, Status

MARGIN = 0.8
"""Room left on each side of the landmarks, in face sizes."""
PANEL = (800, 1200)
"""The longer side of each half of the picture in pixels, at least and at most."""
_MESH = np.array([0.50, 0.66, 0.90], np.float32)
_MESH_OPACITY = 0.62
DETECTED_2D, DETECTED_3D, FITTED, EDGE = (255, 214, 10), (255, 122, 0), (0, 224, 255), (10, 14, 22)
DOUBTED, LITTLE = (255, 84, 150), 0.2
"""The colour of detected landmarks that weighed less in the fit than this part of the weightiest."""
_SAMPLES = 3
_LINES = (groups.JAW, groups.RIGHT_BROW, groups.LEFT_BROW, groups.NOSE_BRIDGE, groups.NOSE_BASE)
_LOOPS = (groups.RIGHT_EYE, groups.LEFT_EYE, groups.OUTER_LIPS, groups.INNER_LIPS)


def draw_faces(image: np.ndarray, faces: Sequence[Landmarks], captions: Sequence[str]) -> np.ndarray:
    """Draw what a detector found: of every face the box, the points, and a caption at the box.

    Args:
      image: (H, W, 3) uint8 RGB.

    Returns:
      (h, w, 3) uint8, the photograph scaled so that its longer side has 800 to 2400 pixels.
    """
    height, width = require_photograph(image).shape[:2]
    zoom = np.clip(max(height, width), PANEL[0], 2 * PANEL[1]) / max(height, width)
    drawn = np.maximum(np.rint(np.array([width, height]) * zoom), 1).astype(int)
    window = _Window(np.zeros(2, int), np.array([width, height]), drawn, 0.0)
    layer = _Layer(window.cut(image))
    for face, caption in zip(faces, captions, strict=True):
        xy, xyz_xy = window.place(np.asarray(face.xy)), window.place(np.asarray(face.xyz)[:, :2])
        low, high = xy.min(axis=0), xy.max(axis=0)
        extent = (high - low).max()
        radius = max(extent * (0.0045 if len(xy) > 68 else 0.0095), 1.2)
        apart = np.linalg.norm(xyz_xy - xy, axis=-1) > 0.01 * extent
        corners = np.array([low, (high[0], low[1]), high, (low[0], high[1]), low])
        layer.line(corners, FITTED, max(0.002 * max(drawn), 1.0) / 2)
        for seen, deep in zip(xy[apart], xyz_xy[apart], strict=True):
            layer.line(np.stack([seen, deep]), DETECTED_3D, 0.3 * radius)
        layer.dots(xyz_xy[apart], DETECTED_3D, radius)
        layer.dots(xy, DETECTED_2D, radius)
        layer.tag(low, caption)
    layer.legend([(DETECTED_2D, "2D points"), (DETECTED_3D, "3D points where they are others")])
    return layer.merge()


def overlay(
    image: np.ndarray,
    model: MorphableModel,
    result: FitResult,
    landmarks: Landmarks,
    panel: tuple[int, int] = PANEL,
    contour: str = "replace",
) -> np.ndarray:
    """Draw a fit: on the left the detected landmarks and the model's own, on the right the half-transparent mesh. Of a
    face that was not fitted there are the detected ones alone.

    The picture shows the face with a generous margin, scaled so that each half's longer side has 800 to 1200 pixels:
    a small face in a large photograph fills it, and a photograph of about that size keeps its pixels.

    Args:
      image: (H, W, 3) uint8 RGB.
      landmarks: what the face was fitted to; points that are not finite are left out.
      panel: the longer side of each half in pixels, at least and at most.
      contour: as in the fit's options; with ``"march"`` the model's contour is drawn where its outline is.

    Returns:
      (h, w, 3) uint8, w at most twice the larger number of ``panel``.

    Raises:
      ValueError: ``result`` is a batch, ``image`` is not (H, W, 3) uint8, or the model has no landmarks of this scheme.
    """
    image = require_photograph(image)
    told = Status(int(result.status)).fitted
    fitted = seen_landmarks(model, result, landmarks.scheme, contour)
    fitted = fitted if told else np.full_like(fitted, np.nan)
    xy, xyz = np.asarray(landmarks.xy, np.float32), np.asarray(landmarks.xyz, np.float32)
    window = _Window.around(xy, image.shape[0], image.shape[1], panel)
    photograph = window.cut(image)
    weight = np.ones(len(xy)) if result.landmark_weight is None else np.asarray(result.landmark_weight)
    left = _draw_landmarks(photograph, window, xy, xyz[:, :2], fitted, weight < LITTLE * weight.max())
    right = photograph
    if told:
        right = with_mesh(photograph, window.place(image_vertices(model, result)), np.asarray(model.triangles))
    return np.concatenate([left, _caption(right, result)], axis=1)


@dataclass(frozen=True)
class _Window:
    """The part of the photograph that is shown, all of it where no landmark lies in it: ``low`` and ``high`` in its
    pixels, ``size`` (width, height) as drawn.

    ``face`` is the extent of the landmarks as drawn.
    """

    low: np.ndarray
    high: np.ndarray
    size: np.ndarray
    face: float

    @classmethod
    def around(cls, xy: np.ndarray, height: int, width: int, panel: tuple[int, int]) -> "_Window":
        limit = np.array([width, height])
        finite = xy[np.isfinite(xy).all(axis=-1)]
        if not ((finite >= 0) & (finite <= limit)).all(axis=-1).any():
            finite = np.array([[0, 0], limit], np.float32)
        extent = float(np.clip(np.ptp(finite, axis=0).max(), 1.0, limit.max()))
        low = np.floor(np.clip(finite.min(axis=0) - MARGIN * extent, 0, limit - 1)).astype(int)
        high = np.ceil(np.clip(finite.max(axis=0) + MARGIN * extent, low + 1, limit)).astype(int)
        longest = (high - low).max()
        zoom = np.clip(longest, *panel) / longest
        return cls(low, high, np.maximum(np.rint((high - low) * zoom), 1).astype(int), extent * zoom)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The window of an (H, W, 3) image, resampled to the drawn size."""
        from PIL import Image

        part = np.ascontiguousarray(image[self.low[1] : self.high[1], self.low[0] : self.high[0]])
        return np.asarray(Image.fromarray(part).resize(tuple(self.size), Image.Resampling.LANCZOS))

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 2 or 3) of the photograph, as drawn; depth is scaled too."""
        zoom = self.size / (self.high - self.low)
        if points.shape[-1] == 3:
            return (points - [*self.low, 0]) * [*zoom, zoom.mean()]
        return (points - self.low) * zoom


def with_mesh(photograph: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """An (H, W, 3) uint8 image under a half-transparent mesh, whose vertices (V, 3) are in its pixels."""
    mesh = draw_mesh(vertices, triangles, *photograph.shape[:2], albedo=_MESH)
    mixed = photograph * (1 - _MESH_OPACITY * mesh[..., 3:]) + 255 * _MESH_OPACITY * mesh[..., :3]
    return (mixed + 0.5).astype(np.uint8)


def _draw_landmarks(
    photograph: np.ndarray,
    window: _Window,
    xy: np.ndarray,
    xyz_xy: np.ndarray,
    fitted: np.ndarray,
    doubted: np.ndarray,
) -> np.ndarray:
    """The detections, the model's landmarks, and a line between each pair that belongs together."""
    dense = len(xy) > 68
    radius = max(window.face * (0.0045 if dense else 0.0095), 1.2)
    layer = _Layer(photograph)
    xy, xyz_xy, fitted = window.place(xy), window.place(xyz_xy), window.place(fitted)
    apart = np.linalg.norm(xyz_xy - xy, axis=-1) > 0.01 * window.face
    if not dense:
        loops = [np.concatenate([fitted[loop], fitted[loop][:1]]) for loop in _LOOPS]
        for points in [*(fitted[line] for line in _LINES), *loops]:
            layer.line(points, FITTED, 0.22 * radius, opacity=0.55)
    for seen, model, doubt in zip(xy, fitted, doubted, strict=True):
        layer.line(np.stack([seen, model]), DOUBTED if doubt else DETECTED_2D, 0.3 * radius)
    for seen, deep in zip(xy[apart], xyz_xy[apart], strict=True):
        layer.line(np.stack([seen, deep]), DETECTED_3D, 0.3 * radius)
    layer.dots(xy[~doubted], DETECTED_2D, radius)
    layer.dots(xyz_xy[apart], DETECTED_3D, radius)
    layer.dots(xy[doubted], DOUBTED, radius)
    layer.dots(fitted, FITTED, 0.56 * radius)
    entries = [(DETECTED_2D, "detected")]
    if apart.any():
        entries = [(DETECTED_2D, "detected, 2D"), (DETECTED_3D, "detected, 3D")]
    if np.isfinite(fitted).any():
        entries.append((FITTED, "fitted model"))
    if doubted.any():
        entries.append((DOUBTED, "counts little"))
    layer.legend(entries)
    return layer.merge()


def _caption(picture: np.ndarray, result: FitResult) -> np.ndarray:
    status = Status(int(result.status))
    text = status.sentence
    if status.fitted:
        pitch, yaw, roll = np.rint(np.asarray(result.pose.euler_deg)).astype(int)
        text = f"pitch {pitch:+}°   yaw {yaw:+}°   roll {roll:+}°"
    layer = _Layer(picture)
    layer.legend([(None, text)])
    return layer.merge()


class _Layer:
    """Marks over a picture, drawn with Pillow at ``_SAMPLES`` times its size and averaged down."""

    def __init__(self, picture: np.ndarray):
        from PIL import Image, ImageDraw

        self.below = Image.fromarray(picture).convert("RGBA")
        self.image = Image.new("RGBA", (self.below.width * _SAMPLES, self.below.height * _SAMPLES), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image)

    def dots(self, points: np.ndarray, colour: tuple[int, int, int], radius: float) -> None:
        for x, y in points[np.isfinite(points).all(axis=-1)] * _SAMPLES:
            for fill, r in ((EDGE, radius * 1.35 * _SAMPLES), (colour, radius * _SAMPLES)):
                self.draw.ellipse((x - r, y - r, x + r, y + r), fill=(*fill, 255))

    def line(self, points: np.ndarray, colour: tuple[int, int, int], width: float, opacity: float = 1.0) -> None:
        if np.isfinite(points).all():
            path = [tuple(point) for point in points * _SAMPLES]
            thickness = max(round(2 * width * _SAMPLES), 1)
            self.draw.line(path, fill=(*colour, round(255 * opacity)), width=thickness, joint="curve")

    def legend(self, entries: Sequence[tuple[tuple[int, int, int] | None, str]]) -> None:
        """One line at the bottom left: a dot of each colour and what it stands for."""
        from PIL import ImageFont

        height = _SAMPLES * float(np.clip(0.022 * max(self.below.size), 13, 22))
        font = ImageFont.load_default(height)
        letters = sum(self.draw.textlength(text, font) for _, text in entries)
        height *= min(1.0, self.image.width / (letters + (2.4 * len(entries) + 2.4) * height))
        font = ImageFont.load_default(height)
        gap, bottom = 0.6 * height, self.image.height - 0.6 * height
        widths = [self.draw.textlength(text, font) + (1.2 * height if colour else 0) for colour, text in entries]
        x, top = 2 * gap, bottom - 1.7 * height
        right = x + sum(widths) + 2 * gap * (len(entries) - 1) + gap
        self.draw.rounded_rectangle((gap, top, right, bottom), 0.4 * height, fill=(*EDGE, 170))
        middle = (top + bottom) / 2
        for (colour, text), width in zip(entries, widths, strict=True):
            r = 0.32 * height
            if colour:
                self.draw.ellipse((x, middle - r, x + 2 * r, middle + r), fill=(*colour, 255))
            start = x + (1.2 * height if colour else 0)
            self.draw.text((start, middle), text, fill=(255, 255, 255, 255), font=font, anchor="lm")
            x += width + 2 * gap

    def tag(self, corner: np.ndarray, text: str) -> None:
        """A text on a dark ground whose lower left corner is at a point."""
        from PIL import ImageFont

        height = _SAMPLES * float(np.clip(0.016 * max(self.below.size), 12, 22))
        font = ImageFont.load_default(height)
        left, bottom = corner * _SAMPLES
        bottom = max(bottom, 1.4 * height)
        right = left + self.draw.textlength(text, font) + 0.8 * height
        self.draw.rectangle((left, bottom - 1.4 * height, right, bottom), fill=(*EDGE, 200))
        self.draw.text((left + 0.4 * height, bottom - 0.7 * height), text, fill="white", font=font, anchor="lm")

    def merge(self) -> np.ndarray:
        from PIL import Image

        return np.array(Image.alpha_composite(self.below, self.image.reduce(_SAMPLES)).convert("RGB"))
