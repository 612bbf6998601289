"""Make docs/demo.jpg, the README's picture: ``python docs/demo_picture.py``."""

from importlib.resources import files
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image

import jaxface
from jaxface.camera import rotation_from_euler
from jaxface.rendering.overlay import overlay
from jaxface.rendering.rasterizer import rasterize
from jaxface.rendering.texture import texture

YAWS = (-70.0, -35.0, 35.0, 70.0)


def textured(model, vertices, atlas, yaw, side):
    """(side, side, 3) uint8: a mesh with its texture, seen at this yaw, on white."""
    rotation = np.asarray(rotation_from_euler(jnp.array([0.0, yaw, 0.0])))
    placed = 0.92 * side / 270 * (vertices - vertices.mean(axis=0)) @ rotation.T + (side / 2, side / 2, 0)
    split, triangles = np.asarray(model.uv_vertices), np.asarray(model.uv_triangles)
    fragments = rasterize(placed[split], triangles, side, side)
    u, v = fragments.interpolate(np.asarray(model.uv), triangles).T * len(atlas)
    picture = np.full((side, side, 3), 255, np.uint8)
    texels = np.clip([len(atlas) - v, u], 0, len(atlas) - 1).astype(int)
    picture[fragments.covered] = atlas[texels[0], texels[1]]
    return picture


def main():
    image = jaxface.read_image(files("jaxface.assets") / "astronaut.png")
    model = jaxface.load_model()
    landmarks = jaxface.detect(image)[0]
    result = jaxface.fit(model, landmarks)
    above = Image.fromarray(overlay(image, model, result, landmarks)).resize((1200, 605), Image.Resampling.LANCZOS)
    vertices, atlas = np.asarray(jaxface.vertices(model, result)), texture(image, model, result)
    heads = np.hstack([textured(model, vertices, atlas, yaw, 600) for yaw in YAWS])
    below = Image.fromarray(heads).resize((1200, 300), Image.Resampling.LANCZOS)
    Image.fromarray(np.vstack([above, below])).save(Path(__file__).with_name("demo.jpg"), quality=88)


if __name__ == "__main__":
    main()
