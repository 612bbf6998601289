"""How far round a head can turn and still be found, and how well its pose is then known: ``python -m benchmarks.yaw``.

Every face in photographs (the demo photograph, if none is given) lends its texture to ten random heads of a model (the
embedded one, unless ``--model`` names another), which are drawn at known yaws to both sides, each on a grey of its own.
``found`` is the part of them that the detector finds and ``false`` counts faces that it finds elsewhere; ``yaw`` and
``pitch`` are mean errors in degrees of the pose that the embedded model is fitted with, positive where the fit turns
farther than the head does; ``inner points`` is the mean distance in mm of the 51 detected points from the true ones in
the image.
"""

from argparse import ArgumentParser
from importlib.resources import files
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxface
from jaxface.camera import project, rotation_from_euler
from jaxface.detection.registry import opened
from jaxface.model.correspondences import INNER
from jaxface.rendering.texture import texture
from jaxface.rendering.textured import draw_textured

YAWS = (0, 15, 30, 45, 60, 70, 80, 90)
SIDE, PIXELS_A_MM = 640, 2.2
ELSEWHERE_MM = 40.0


def main() -> None:
    parser = ArgumentParser(prog="python -m benchmarks.yaw", description="Found and fitted heads at known yaws.")
    parser.add_argument("photographs", nargs="*", type=Path, help="whose faces' textures are taken")
    parser.add_argument("--model", help="a face model with a texture atlas, whose heads are drawn")
    parser.add_argument("--heads", type=int, default=10, help="for each face of the photographs")
    parser.add_argument("--detector", default="mediapipe")
    parser.add_argument("--variant", default="auto")
    asked = parser.parse_args()
    photographs = asked.photographs or [files("jaxface.assets") / "astronaut.png"]
    model, fitted, options = jaxface.load_model(asked.model), jaxface.load_model(), jaxface.FitOptions(asked.variant)
    rest = jnp.zeros(model.expression.shape[-1])
    rows = {yaw: [] for yaw in YAWS}
    rng = np.random.default_rng(0)
    with opened(asked.detector) as detector:
        for image in map(jaxface.read_image, photographs):
            for face in detector.detect(image):
                atlas = texture(image, model, jaxface.fit(model, face))
                for _ in range(asked.heads):
                    identity = jnp.asarray(rng.normal(size=model.identity.shape[-1]), jnp.float32)
                    head = model.vertices(identity, rest)
                    for yaw, side in ((yaw, side) for yaw in YAWS for side in (-1, 1)):
                        rotation = rotation_from_euler(jnp.array([0.0, side * yaw, 0.0]))
                        seen = project(head, jnp.float32(PIXELS_A_MM), rotation, jnp.full(2, SIDE / 2))
                        grey = rng.uniform(40, 220)
                        picture = draw_textured(model, np.asarray(seen), atlas, SIDE, SIDE, background=grey)
                        true = np.asarray(model.landmark_positions(seen, "ibug68"))
                        rows[yaw].append(measured(fitted, options, detector.detect(picture), true, yaw, side))
    table = Table("yaw °", "found", "false", "yaw error °", "pitch error °", "inner points mm")
    for yaw, values in rows.items():
        found, false, *_ = np.sum(values, axis=0)
        errors = np.nanmean([value for value in values if value[0]] or [[np.nan] * 5], axis=0)[2:]
        errors = [f"{errors[0]:+.1f}", f"{errors[1]:+.1f}", f"{errors[2]:.1f}"]
        table.add_row(str(yaw), f"{found / len(values):.2f}", f"{false:.0f}", *errors)
    Console().print(table)


def measured(model, options, faces, true, yaw, side):
    """found, false, yaw error, pitch error, distance of the inner points."""
    distances = [np.linalg.norm((face.xyz - true)[INNER, :2], axis=1).mean() / PIXELS_A_MM for face in faces]
    here = [face for face, distance in zip(faces, distances, strict=True) if distance < ELSEWHERE_MM]
    if not here:
        return 0, len(faces), np.nan, np.nan, np.nan
    pitch, turned, _ = np.asarray(jaxface.fit(model, here[0], options).pose.euler_deg)
    return 1, len(faces) - len(here), side * turned - yaw, pitch, min(distances)


if __name__ == "__main__":
    main()
