"""Errors as colours on a face, 0 to 10 mm, and the picture of it, the paper's Fig. 3; standard deviations likewise."""

import numpy as np

from jaxface.rendering.shading import draw_mesh

RANGE_MM = 10.0
"""What the last colour stands for, and all beyond it, where nothing else is said."""
_STOPS = np.array([[49, 54, 149], [69, 149, 194], [137, 206, 172], [253, 224, 110], [240, 120, 60], [165, 0, 38]]) / 255
"""From 0 to ``RANGE_MM`` in equal steps: cold to hot, in ever other lightness."""
_UNMEASURED = np.array([0.72, 0.73, 0.75])
_FACE, _BAR, _CAPTION, _MARGIN = 640, 120, 44, 0.06
"""Pixels of the square that shows the face, of the bar's part beside it and of the caption's below it; the part of the
square left free around the face."""
_SHADING = 0.5
"""How much of the light is shown: all of it would turn colours in the shade into others of the bar."""


def error_colours(errors: np.ndarray, range_mm: float = RANGE_MM) -> np.ndarray:
    """Colours (n, 3) in 0..1 of errors (n,) mm, the last one at ``range_mm``; grey where an error is not a number: not
    measured."""
    place = np.clip(np.nan_to_num(errors) / range_mm, 0, 1) * (len(_STOPS) - 1)
    colours = np.stack([np.interp(place, np.arange(len(_STOPS)), channel) for channel in _STOPS.T], axis=-1)
    return np.where(np.isfinite(errors)[:, None], colours, _UNMEASURED)


def draw_errors(
    vertices: np.ndarray,
    triangles: np.ndarray,
    errors: np.ndarray,
    seven: np.ndarray,
    caption: str,
    range_mm: float = RANGE_MM,
) -> np.ndarray:
    """A picture of a face from the front, coloured by error, with a bar from 0 to ``range_mm``.

    Args:
      vertices: (V, 3) mm, in any frame.
      triangles: (F, 3).
      errors: (V,) mm, nan where not measured; the measured part fills the picture.
      seven: (7, 3) mm NoW's landmarks (``jaxface.evaluation.faces.SEVEN``): they say where the front is.
      caption: a line under the face.
      range_mm: what the last colour stands for.

    Returns:
      (H, W, 3) uint8.

    Raises:
      RuntimeError: no OpenGL can be opened on this machine.
    """
    placed = vertices @ _front(seven).T
    shown = placed[np.isfinite(errors)]
    low, high = shown.min(axis=0), shown.max(axis=0)
    zoom = _FACE * (1 - 2 * _MARGIN) / (high - low)[:2].max()
    middle = np.array([*(low + high)[:2] / 2, 0.0])
    placed = zoom * (placed - middle) + [_FACE / 2, _FACE / 2, 0]
    lit = draw_mesh(placed, triangles, _FACE, _FACE, error_colours(errors, range_mm))
    light = draw_mesh(placed, triangles, _FACE, _FACE, np.ones(3))[..., :3]
    seen = lit[..., 3:]
    face = lit[..., :3] / np.maximum(light, 1e-3) * (_SHADING * light + (1 - _SHADING) * seen)
    picture = np.ones((_FACE + _CAPTION, _FACE + _BAR, 3))
    picture[:_FACE, :_FACE] = np.clip(face, 0, 1) + 1 - seen
    return _labelled((255 * picture + 0.5).astype(np.uint8), caption, range_mm)


def _front(seven: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that shows a face from the front, in the image frame: x right, y down, z away."""
    right = seven[3] - seven[0]
    down = (seven[5] + seven[6] - seven[0] - seven[3]) / 2
    right = right / np.linalg.norm(right)
    down = down - (down @ right) * right
    down = down / np.linalg.norm(down)
    return np.stack([right, down, np.cross(right, down)])


def _labelled(picture: np.ndarray, caption: str, range_mm: float) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    top, bottom, left, right = 60, _FACE - 90, _FACE + 16, _FACE + 42
    scale = error_colours(np.linspace(range_mm, 0, bottom - top), range_mm)
    picture[top:bottom, left:right] = (255 * scale[:, None] + 0.5).astype(np.uint8)
    image = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(20)
    for value in range(0, int(range_mm) + 1, 2):
        y = bottom - (bottom - top) * value / range_mm
        draw.line((right, y, right + 6, y), fill=(60, 60, 60), width=2)
        draw.text((right + 12, y), f"{value}", fill=(40, 40, 40), font=font, anchor="lm")
    draw.text((left, top - 26), "mm", fill=(40, 40, 40), font=font, anchor="lm")
    draw.text((_FACE / 2, _FACE + _CAPTION / 2), caption, fill=(40, 40, 40), font=font, anchor="mm")
    return np.asarray(image)
