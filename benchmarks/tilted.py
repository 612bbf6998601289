"""Heads that nod or lean: ``python -m benchmarks.tilted ict_face.npz [--detector mediapipe-averaged]``.

People of the ICT Face Model Light (odd seeds, yaw up to 54°) are drawn looking up or down by 25°, or leaning by 35°,
each within some degrees of that, found, and fitted with the embedded model. Calibrations are measured on heads
that do both by 15°, root mean square. ``micc85`` in mm, and mean errors of the pose in degrees.
"""

import argparse
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxface
from jaxface.calibration import CALIBRATED
from jaxface.camera import rotation_from_euler
from jaxface.evaluation.ablation import ShapeError
from jaxface.evaluation.subjects import TILT_DEG, subjects
from jaxface.pipelines.calibrating import detected
from jaxface.types import PAPER

TILTS = {"up 25°": (25.0, 0.0), "down 25°": (-25.0, 0.0), "leaning 35°": (0.0, 35.0)}
YAW_PART = 0.6
"""Of the subjects' yaw, which goes to 90°."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ict", help="ict_face.npz")
    parser.add_argument("--detector", default="mediapipe", choices=CALIBRATED)
    parser.add_argument("--people", type=int, default=150)
    asked = parser.parse_args()
    people, model = subjects(jaxface.load_model(asked.ict), asked.people, odd=True), jaxface.load_model()
    spread = np.random.default_rng(0).normal(0, TILT_DEG, (2, len(people)))
    table = Table("heads", "found", "variant", "micc85 mm", "pitch °", "yaw °", "roll °", title=asked.detector)
    for name, (pitch, roll) in TILTS.items():
        angles = np.stack([pitch + spread[0], YAW_PART * people.yaw, roll + spread[1]], axis=-1).astype(np.float32)
        rotation = np.asarray(rotation_from_euler(jnp.asarray(angles)))
        tilted = replace(people, rotation=rotation, yaw=angles[:, 1])
        landmarks, found = detected(tilted, asked.detector)
        error = ShapeError(model, tilted, np.nonzero(found)[0])
        for variant in (PAPER, "calibrated"):
            options = jaxface.FitOptions(variant, calibration=asked.detector)
            result = jaxface.fit_batch(model, landmarks, options)
            shape = error(np.asarray(jaxface.vertices(model, result))).mean()
            turned = np.abs(np.asarray(result.pose.euler_deg) - angles[found]).mean(axis=0)
            table.add_row(name, str(found.sum()), variant, f"{shape:.2f}", *(f"{angle:.1f}" for angle in turned))
    Console().print(table)


if __name__ == "__main__":
    main()
