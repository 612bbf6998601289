"""Make docs/demo.jpg, the README's picture: ``python docs/demo_picture.py``."""

from importlib.resources import files
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image

import jaxface
from jaxface.camera import rotation_from_euler
from jaxface.rendering.overlay import overlay
from jaxface.rendering.texture import texture
from jaxface.rendering.textured import draw_textured

YAWS = (-70.0, -35.0, 35.0, 70.0)


def turned(vertices, yaw, side):
    """Vertices (V, 3) in the middle of a picture of this side in pixels, turned by this yaw."""
    rotation = np.asarray(rotation_from_euler(jnp.array([0.0, yaw, 0.0])))
    return 0.92 * side / 270 * (vertices - vertices.mean(axis=0)) @ rotation.T + (side / 2, side / 2, 0)


def main():
    image = jaxface.read_image(files("jaxface.assets") / "astronaut.png")
    model = jaxface.load_model()
    landmarks = jaxface.detect(image)[0]
    result = jaxface.fit(model, landmarks)
    above = Image.fromarray(overlay(image, model, result, landmarks)).resize((1200, 605), Image.Resampling.LANCZOS)
    vertices, atlas = np.asarray(jaxface.vertices(model, result)), texture(image, model, result)
    heads = np.hstack([draw_textured(model, turned(vertices, yaw, 600), atlas, 600, 600) for yaw in YAWS])
    below = Image.fromarray(heads).resize((1200, 300), Image.Resampling.LANCZOS)
    Image.fromarray(np.vstack([above, below])).save(Path(__file__).with_name("demo.jpg"), quality=88)


if __name__ == "__main__":
    main()
