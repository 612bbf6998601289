"""Make docs/robust.jpg, points about an eye that are elsewhere, fitted with both losses:
``python docs/robust_picture.py``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from pictures import demo_photograph
from PIL import Image

import jaxface
from jaxface.rendering.overlay import overlay

MOVED, SHIFT, LEFT_EYE = 12, (14.0, -8.0), 42
"""So many points nearest to the left eye's inner corner, by so many pixels: 24 mm."""


def main():
    model, image = jaxface.load_model(), demo_photograph()
    face = jaxface.detect(image)[0]
    near = np.argsort(np.linalg.norm(face.xy - face.xy[LEFT_EYE], axis=1))[:MOVED]
    xy, xyz = face.xy.copy(), face.xyz.copy()
    xy[near] += SHIFT
    xyz[near, :2] += SHIFT
    face = replace(face, xy=xy, xyz=xyz)
    fits = [jaxface.fit(model, face, jaxface.FitOptions("2d+3d+p+w", loss=loss)) for loss in ("squared", "robust")]
    picture = Image.fromarray(np.vstack([overlay(image, model, result, face) for result in fits]))
    picture.resize((900, round(900 * picture.height / picture.width)), Image.Resampling.LANCZOS).save(
        Path(__file__).with_name("robust.jpg"), quality=85
    )


if __name__ == "__main__":
    main()
