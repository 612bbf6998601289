"""What more rounds of shape and pose are worth: ``python -m benchmarks.rounds ict_face.npz``.

Random people of a face model that the embedded one does not know are drawn, found by MediaPipe, and fitted with the
embedded model in ever more rounds. The error is ``micc85``'s, in mm, by |yaw|; ``settled`` is the part of the fits that
say that they have converged, and the last two columns are how far the mesh is from that of the most rounds (root mean
square, mm), and how much larger its face is.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

import jaxface
from jaxface.evaluation.ablation import ShapeError, by_yaw
from jaxface.evaluation.subjects import subjects
from jaxface.pipelines.calibrating import detected
from jaxface.types import PAPER

ROUNDS = (1, 2, 4, 8, 16, 64)
EDGES = (0, 30, 60, 90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("people", help="the face model of the people")
    parser.add_argument("--subjects", type=int, default=200)
    asked = parser.parse_args()
    model, people = jaxface.load_model(), subjects(jaxface.load_model(asked.people), asked.subjects, odd=True)
    landmarks, found = detected(people, "mediapipe")
    error, yaw = ShapeError(model, people, np.nonzero(found)[0]), people.yaw[found]
    for variant in (PAPER, "calibrated"):
        table = Table("rounds", title=f"micc85 mm, {found.sum()} people of {people.model.name}, {variant}")
        fits = {
            rounds: jaxface.fit_batch(model, landmarks, jaxface.FitOptions(variant, iterations=rounds))
            for rounds in ROUNDS
        }
        last = fits[ROUNDS[-1]]
        end = np.asarray(jaxface.vertices(model, last))
        for rounds, result in fits.items():
            meshes = np.asarray(jaxface.vertices(model, result))
            cells = by_yaw(error(meshes), yaw, EDGES)
            if not table.rows:
                for name in (*cells, "settled", "from the end", "larger"):
                    table.add_column(name, justify="right")
            settled = np.mean(np.asarray(result.status) == jaxface.Status.CONVERGED)
            away = np.sqrt(np.mean(np.sum((meshes - end) ** 2, axis=-1)))
            larger = np.mean(np.asarray(last.pose.scale) / np.asarray(result.pose.scale)) - 1
            figures = f"{settled:.2f}", f"{away:.2f}", f"{100 * larger:+.1f} %"
            table.add_row(str(rounds), *(f"{cell.mean:.2f}" for cell in cells.values()), *figures)
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
