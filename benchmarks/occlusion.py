"""What the robust loss is worth where a fifth of the points is displaced: ``python -m benchmarks.occlusion ict.npz``.

People of a face model, with simulated landmarks as in ``jaxface ablation``, fitted with the model ``--model``. In each
the 14 of the 68 points that are nearest to one of them, chosen at random, move together by 10 to 20 mm in the image,
the 2D and the 3D ones alike, as behind a hand. Even seeds are for choosing σ and how much stiffer the priors are
(``jaxface.fitting.robust``) from several, ``--doubted 4 6 8 --stiffer 10 40 160``; ``--odd`` takes those to report on.
"""

import argparse
import tempfile
from dataclasses import replace
from itertools import product
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

import jaxface
from jaxface.calibration import load_calibration, save_calibration
from jaxface.cli.ablation import table
from jaxface.evaluation.ablation import MEAN_FACE, ShapeError, by_yaw
from jaxface.evaluation.noise import mean_face, measured, simulated
from jaxface.evaluation.subjects import Subjects, subjects
from jaxface.fitting import FitOptions, fit_batch, robust
from jaxface.types import PAPER, Landmarks

MOVED, LEAST_MM, MOST_MM = 14, 10.0, 20.0
VARIANTS = (PAPER, "calibrated")
EDGES = (0, 30, 60, 90)


def displaced(people: Subjects, landmarks: Landmarks) -> Landmarks:
    """The landmarks (in mm) with some neighbours among them moved together, others in each face."""
    xy, xyz = np.array(landmarks.xy), np.array(landmarks.xyz)
    from_each = np.linalg.norm(people.shape.places[:, None] - people.shape.places, axis=-1)
    for row, seed in enumerate(people.seeds):
        rng = np.random.default_rng([seed, 3])
        near = np.argsort(from_each[rng.integers(len(from_each))])[:MOVED]
        angle, way = rng.uniform(0, 2 * np.pi), rng.uniform(LEAST_MM, MOST_MM)
        shift = way * np.array([np.cos(angle), np.sin(angle)], xy.dtype)
        xy[row, near] += shift
        xyz[row, near, :2] += shift
    return Landmarks(xy, xyz)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("people", help="the face model of the people")
    parser.add_argument("--model", help="the face model that is fitted; the embedded one if not given")
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--odd", action="store_true", help="the subjects to report on, not those to choose by")
    parser.add_argument("--doubted", type=float, nargs="+", default=[robust.DOUBTED_MM], help="σ, mm")
    parser.add_argument("--stiffer", type=float, nargs="+", default=[robust.STIFFER])
    asked = parser.parse_args()
    whose = jaxface.load_model(asked.people)
    model = whose if asked.model == asked.people else jaxface.load_model(asked.model)
    noise, own = load_calibration("mediapipe", "ibug68"), subjects(model, asked.subjects)
    people = subjects(whose, asked.subjects, asked.odd)
    clean = simulated(people, noise)
    seen = {"as they are": clean, "displaced": displaced(people, clean)}
    error = ShapeError(model, people, np.arange(len(people)))
    with tempfile.TemporaryDirectory() as folder:
        calibration = str(Path(folder) / "calibration.npz")
        save_calibration(calibration, ibug68=measured(model, simulated(own, noise), own.seen(own.points())))
        results = {where: {MEAN_FACE: mean_face(model, landmarks)} for where, landmarks in seen.items()}
        for variant in VARIANTS:
            options = FitOptions(variant, calibration=calibration)
            for where, landmarks in seen.items():
                results[where][variant] = fit_batch(model, landmarks, options)
            for robust.DOUBTED_MM, robust.STIFFER in product(asked.doubted, asked.stiffer):
                jax.clear_caches()  # a compiled fit holds these constants
                for where, landmarks in seen.items():
                    name = f"{variant}, robust, {robust.DOUBTED_MM:g} mm, {robust.STIFFER:g}"
                    results[where][name] = fit_batch(model, landmarks, replace(options, loss="robust"))
    console = Console(width=160)
    for where, fits in results.items():
        shape = {name: error(np.asarray(jaxface.vertices(model, fit))) for name, fit in fits.items()}
        turned = {name: np.abs(np.asarray(fit.pose.euler_deg)[:, 1] - people.yaw) for name, fit in fits.items()}
        console.print(f"\n{len(people)} people of {whose.name}, {model.name} fitted, points {where}")
        for measure, values in (("micc85 mm", shape), ("yaw error °", turned)):
            console.print(table(measure, {name: by_yaw(each, people.yaw, EDGES) for name, each in values.items()}))


if __name__ == "__main__":
    main()
