"""What the pictures of these pages are made with: the demo photograph, its head turned, marks and captions."""

from importlib.resources import files

import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import jaxface
from jaxface.camera import project, rotation_from_euler
from jaxface.rendering.shading import draw_mesh
from jaxface.rendering.texture import texture
from jaxface.rendering.textured import draw_textured

YELLOW, ORANGE, GREEN, CYAN, INK = (255, 214, 10), (255, 122, 0), (40, 210, 90), (0, 224, 255), (20, 24, 32)


def demo_photograph():
    """(512, 512, 3) uint8: Eileen Collins (NASA), the photograph that comes with jaxface."""
    return jaxface.read_image(files("jaxface.assets") / "astronaut.png")


def turned_head(model, yaw_deg, side=512, pixels_a_mm=1.9):
    """The demo photograph's head, with its texture, drawn at a yaw: (side, side, 3) uint8."""
    image = demo_photograph()
    result = jaxface.fit(model, jaxface.detect(image)[0])
    rotation = rotation_from_euler(jnp.array([0.0, yaw_deg, 0.0]))
    seen = project(jaxface.vertices(model, result), jnp.float32(pixels_a_mm), rotation, jnp.full(2, side / 2))
    return draw_textured(model, np.asarray(seen), texture(image, model, result), side, side, background=150.0)


def with_mesh(image, vertices, triangles, opacity=0.65):
    """A photograph with a mesh, (V, 3) in its pixels, over it."""
    mesh = draw_mesh(
        np.asarray(vertices, np.float32), np.asarray(triangles), *image.shape[:2], np.array([0.5, 0.66, 0.9])
    )
    return np.uint8(image * (1 - opacity * mesh[..., 3:]) + 255 * opacity * mesh[..., :3] + 0.5)


def with_dots(image, *groups, radius=3.5):
    """A photograph with points: each group a pair of (n, 2) pixels and a colour."""
    drawn = Image.fromarray(image).resize((2 * image.shape[1], 2 * image.shape[0]))
    draw = ImageDraw.Draw(drawn)
    for points, colour in groups:
        for x, y in 2 * np.asarray(points):
            draw.circle((x, y), 2 * radius, fill=colour, outline=INK, width=2)
    return np.asarray(drawn.reduce(2))


def captioned(image, text, height=58, size=19):
    """A picture under lines of text."""
    drawn = Image.new("RGB", (image.shape[1], image.shape[0] + height), "white")
    drawn.paste(Image.fromarray(image), (0, height))
    place, font = (image.shape[1] / 2, height / 2), ImageFont.load_default(size)
    ImageDraw.Draw(drawn).multiline_text(place, text, INK, font, anchor="mm", align="center")
    return np.asarray(drawn)


def beside(*pictures, gap=8):
    """Pictures of one height in a row."""
    white = np.full((pictures[0].shape[0], gap, 3), 255, np.uint8)
    return np.hstack([part for picture in pictures for part in (picture, white)][:-1])
