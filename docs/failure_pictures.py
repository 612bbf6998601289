"""Make docs/failures.jpg, photographs that go wrong (as the paper's Fig. 5), and print what a fit says of each:
``python docs/failure_pictures.py``."""

from pathlib import Path

import numpy as np
from pictures import CYAN, YELLOW, beside, captioned, demo_photograph, turned_head, with_dots, with_mesh
from PIL import Image

import jaxface
from jaxface.detection.scores import scorer
from jaxface.rendering.posed import image_landmarks

SIDE = 400
SQUARE = slice(20, 240), slice(115, 335)
"""Rows and columns around the demo photograph's face."""


def resized(image, side, way=Image.Resampling.LANCZOS):
    return np.asarray(Image.fromarray(image).resize((side, side), way))


def with_bar(image, rows, columns):
    image = image.copy()
    image[rows, columns] = 0
    return image


def photographs(model):
    """Each case's name and picture."""
    face = resized(demo_photograph()[SQUARE], SIDE)
    blurred = lambda cells: resized(resized(face, cells, Image.Resampling.BOX), SIDE, Image.Resampling.BICUBIC)
    yield "as it is", face
    yield "a bar over the eyes", with_bar(face, slice(122, 172), slice(90, 310))
    yield "a bar over one side", with_bar(face, slice(90, 310), slice(200, 310))
    yield "20 pixels wide, enlarged", blurred(50)
    yield "10 pixels wide, enlarged", blurred(25)
    yield "turned by 75°", turned_head(model, 75.0, SIDE, 1.5)
    yield "turned by 88°", turned_head(model, 88.0, SIDE, 1.5)
    yield "cut off at an eye", face[:, 160:]


def main():
    model, panels = jaxface.load_model(), []
    print("| photograph | faces | score | status | yaw ° | cost mm² | 2D points from the model's, mm |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    score = scorer()
    for name, image in photographs(model):
        faces = jaxface.detect(image)
        drawn = np.pad(image, ((0, 0), (0, SIDE - image.shape[1]), (0, 0)), constant_values=235)
        below = np.full_like(drawn, 235)
        row = [name, str(len(faces))] + [""] * 5
        if faces:
            face = faces[0]
            result = jaxface.fit(model, face)
            fitted = image_landmarks(model, result, face.scheme)[:, :2]
            apart = np.sqrt(np.mean(np.sum((fitted - face.xy) ** 2, axis=1))) / float(result.pose.scale)
            status, yaw = jaxface.Status(int(result.status)), float(result.pose.euler_deg[1])
            row[2:] = (
                f"{score(image, face):.2f}",
                status.name,
                f"{yaw:+z.0f}",
                f"{float(result.cost):.0f}",
                f"{apart:.1f}",
            )
            below = with_mesh(drawn, jaxface.vertices(model, result, camera=True), model.triangles)
            below = with_dots(below, (fitted, CYAN), radius=2.5)
            drawn = with_dots(drawn, (face.xy, YELLOW), radius=2.5)
        print("|", " | ".join(row), "|")
        panels.append(np.vstack([captioned(drawn, name if faces else f"{name}: no face found", 40), below]))
    picture = Image.fromarray(np.vstack([beside(*panels[:4]), beside(*panels[4:])]))
    picture.resize((1200, round(1200 * picture.height / picture.width)), Image.Resampling.LANCZOS).save(
        Path(__file__).with_name("failures.jpg"), quality=85
    )


if __name__ == "__main__":
    main()
