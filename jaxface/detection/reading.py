"""Photographs from files: any common format, upright, as 8-bit RGB."""

import os
import stat
from pathlib import Path

import numpy as np

from jaxface.detection.native import quiet

MAX_PIXELS = 120_000_000
"""Larger images are refused before they are decoded: at 3 bytes a pixel this one is 360 MB."""


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a photograph as (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Grey, palette, CMYK and transparent images (over white) are converted, and of an animation the first frame is
    taken. White is 65535 in images of 16 bits and of whole numbers, and 1 in those of floats; no other scale is taken.

    Args:
      max_pixels: an image of more is refused before it is decoded.

    Raises:
      ValueError: there is no such file, it is a folder, or it is not an image that can be read whole; the message
        is one sentence that names the file.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ValueError("not a file")
        # libtiff logs what is raised here; Pillow warns of a size that is checked here, and of odd metadata
        with quiet(), Image.open(path) as opened:
            if opened.format == "EPS":  # Ghostscript would run it
                raise ValueError("PostScript, a program and not an image; save it as JPEG or PNG")
            width, height = opened.size
            if width * height > max_pixels:
                raise Image.DecompressionBombError
            ImageOps.exif_transpose(opened, in_place=True)
            return _to_rgb(opened)
    except Image.DecompressionBombError:
        problem = f"more than the {max_pixels / 1e6:g} million pixels that are read; scale it down"
    except FileNotFoundError:
        problem = "no such file"
    except IsADirectoryError:
        problem = "a folder; give the image files in it"
    except UnidentifiedImageError:
        empty = Path(path).stat().st_size == 0
        problem = "the file is empty" if empty else "not an image in a format that Pillow reads; save it as JPEG or PNG"
    except Exception as error:  # a decoder that meets broken bytes may raise anything
        problem = f"cannot be read ({getattr(error, 'strerror', None) or str(error) or type(error).__name__})"
    raise ValueError(f"{path}: {problem}")


def readable_name(path: Path) -> str:
    """The name of a file as text."""
    return readable(path.name)


def readable(path: str) -> str:
    """A path as text for people and tables, another for each: bytes that are no text stand in it as \\xff."""
    return os.fsencode(path).decode(errors="backslashreplace")


def require_photograph(image: np.ndarray) -> np.ndarray:
    """The image as a NumPy array; raise a ``ValueError`` unless it is (H, W, 3) uint8."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        raise ValueError(f"image: got {image.dtype} of shape {image.shape}, takes uint8 (H, W, 3) RGB")
    return image


def _to_rgb(image) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith(("I", "F")):  # Pillow would clip these at 255
        grey = np.asarray(image)
        white = 1 if image.mode == "F" else 65535
        if not (grey.min() >= 0 and grey.max() <= white):
            raise ValueError(f"pixels of {grey.min()} to {grey.max()}, and 0 to {white} is taken; save it with 8 bits")
        return np.repeat(np.rint(grey * (255 / white)).astype(np.uint8)[..., None], 3, axis=-1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
