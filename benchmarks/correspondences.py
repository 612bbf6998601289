"""How well landmarks are found on face models: ``python -m benchmarks.correspondences ict_face.npz …``.

The embedded model is measured first, then each of the files.

Two questions. Does MediaPipe's detector put its 478 points where the model has them? Random people of the model are
drawn with plain skin and painted irises, nearly from the front and turned by 35°, and each point's mean offset in the
image is taken, in mm; the pictures owe nothing to the landmarks. The points come by registration of MediaPipe's
canonical face at the named points, which is what jaxface does, or in one of the two ways that it was chosen over: from
the embedded model, at the named points or at all 68. The last columns are the points in the places of the iBUG 68.

And how far from the published 68 do the points come to lie when the model has only the points that Basel's files name?
``jaw line`` is the distance to the published jaw's polygon: along it, annotators space the points differently.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import jaxface
from jaxface.camera import rotation_from_euler
from jaxface.detection.mediapipe import dense_points, landmarker
from jaxface.model.canonical import canonical_face
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, INNER, JAW, MEDIAPIPE478_MIRROR, NAMED_POINTS
from jaxface.model.morphable import Embedding
from jaxface.model.readers.assembly import on_vertices
from jaxface.model.registration import (
    _find,
    named_shapes,
    register,
    register_landmarks,
    shape_of,
)
from jaxface.rendering.people import from_line, with_eyes
from jaxface.rendering.shading import draw_mesh

VIEWS = {"front": [(0, 0), (-8, 0), (8, 0), (0, -10), (0, 10)], "35°": [(0, -35), (0, 35)]}
"""Pitch and yaw."""
SIDES = np.sign(np.arange(478) - MEDIAPIPE478_MIRROR)
"""1 on the subject's left, -1 on the right. Turned away, detected points slide to the outline: they do not count."""
SIDE, PIXELS_A_MM = 640, 2.4
SKIN = [0.87, 0.68, 0.58]
# fmt: off
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
LIPS = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375, 78, 191, 80, 81, 82,
        13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324]
_RIGHT_EYE = [33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173]
_RIGHT_BROW = [46, 53, 52, 65, 55, 70, 63, 105, 66, 107]
# fmt: on
GROUPS = {
    "all": range(478),
    "oval": OVAL,
    "brows": [*_RIGHT_BROW, *MEDIAPIPE478_MIRROR[_RIGHT_BROW]],
    "eyes": [*_RIGHT_EYE, *MEDIAPIPE478_MIRROR[_RIGHT_EYE]],
    "irises": range(468, 478),
    "lips": LIPS,
    "jaw 68": IBUG68_FROM_MEDIAPIPE478[JAW],
    "inner 68": IBUG68_FROM_MEDIAPIPE478[INNER],
}


def routes(model) -> dict[str, Embedding]:
    """MediaPipe's 478 points on a model, each way."""
    embedded = jaxface.load_model()
    found = {}
    for name, source, shapes in (
        ("canonical", canonical_face(), named_shapes(canonical_face(), model)),
        ("embedded", embedded, named_shapes(embedded, model)),
        ("embedded, 68", embedded, (shape_of(embedded), shape_of(model))),
    ):
        found[name] = _find("mediapipe478", model, source, *shapes, register(*shapes))
    return found


def seen(model, people: int, views) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """People drawn and detected: vertices (V, 3) mm, rotation (3, 3), the 478 points (478, 2) in the picture."""
    triangles, eyes = with_eyes(shape_of(model))
    colours = np.where(eyes[:, None] > 0, eyes[:, None], SKIN)
    rest = jnp.zeros(model.expression.shape[-1])
    out = []
    with landmarker() as opened:
        for person in track(range(people), "drawing"):
            identity = np.random.default_rng(person).normal(size=model.identity.shape[-1])
            vertices = np.asarray(model.vertices(jnp.asarray(identity, jnp.float32), rest), float)
            for pitch, yaw in views:
                rotation = np.asarray(rotation_from_euler(jnp.array([pitch, yaw, 0.0])), float)
                drawn = draw_mesh(pixels(vertices, rotation), triangles, SIDE, SIDE, colours)
                picture = (255 * (drawn[..., :3] + 0.6 * (1 - drawn[..., 3:]))).astype(np.uint8)
                if len(faces := dense_points(opened, picture)):
                    out.append((vertices, rotation, faces[0, :, :2]))
    return out


def pixels(vertices, rotation) -> np.ndarray:
    return PIXELS_A_MM * vertices @ rotation.T + [SIDE / 2, SIDE / 2, 0]


def offsets(model, points: Embedding, pictures) -> np.ndarray:
    """(478,) mm, how far each point is from where it is detected, on average over the pictures."""
    each = []
    for vertices, rotation, xy in pictures:
        offset = pixels(points.on(model.triangles, vertices), rotation)[:, :2] - xy
        if abs(turned := rotation[0, 2]) > 0.2:
            offset *= [np.sign(turned), 1]  # both sides as one
            offset[SIDES == np.sign(turned)] = np.nan
        each.append(offset)
    return np.linalg.norm(np.nanmean(each, axis=0), axis=1) / PIXELS_A_MM


def named_only(model):
    """The model as a file of Basel's would give it: the named points, each on the vertex nearest to it."""
    shape = shape_of(model)
    skin = shape.of(shape.skin)[0]
    landmarks = {}
    for name, points in NAMED_POINTS.items():
        near = np.linalg.norm(shape.vertices[skin] - shape.places[points].mean(axis=0), axis=1).argmin()
        landmarks[name] = on_vertices(Path(model.name), shape.triangles, skin[[near]])
    return replace(model, landmarks=landmarks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="ict_face.npz, sfm_shape_3448.bin, …")
    parser.add_argument("--people", type=int, default=6)
    asked = parser.parse_args()
    console = Console(width=120)
    found = Table("model", "inner", "jaw", "jaw line", title="from the named points alone, to the published 68, mm")
    for path in [None, *asked.models]:
        model = jaxface.load_model(path)
        table = Table("view", "by way of", *GROUPS, title=f"{model.name}: mm from where they are detected")
        ways = routes(model)
        if path is None:
            ways = {"its own": model.landmarks["mediapipe478"], "canonical": next(iter(ways.values()))}
        for view, angles in VIEWS.items():
            pictures = seen(model, asked.people, angles)
            for name, points in ways.items():
                error = offsets(model, points, pictures)
                table.add_row(view, name, *(f"{error[list(group)].mean():.2f}" for group in GROUPS.values()))
        console.print(table)
        published = np.asarray(model.landmark_positions(model.mean, "ibug68"), float)
        other = register_landmarks(named_only(model), canonical_face())
        points = np.asarray(other.landmark_positions(other.mean, "ibug68"), float)
        error = np.linalg.norm(points - published, axis=1)
        line = from_line(points[JAW], published[JAW])
        found.add_row(model.name, *(f"{value.mean():.2f}" for value in (error[INNER], error[JAW], line)))
    console.print(found)


if __name__ == "__main__":
    main()
