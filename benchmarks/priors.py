"""Choose λα and λβ of Eq. 10: ``python -m benchmarks.priors ict_face.npz``.

Random people of a face model that the embedded one does not know (``jaxface.evaluation.subjects``) are drawn, found by
MediaPipe, and fitted with the embedded model for a grid of priors. The error is ``micc85``'s, in mm, by |yaw|. Even
seeds are for choosing; ``--odd`` takes others, to report on.
"""

import argparse
from itertools import product

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import jaxface
from jaxface.evaluation.ablation import ShapeError, by_yaw
from jaxface.evaluation.noise import mean_face
from jaxface.evaluation.subjects import subjects
from jaxface.pipelines.calibrating import detected
from jaxface.types import PAPER

IDENTITY, EXPRESSION = (1.0, 3.0, 5.0, 10.0, 30.0, 100.0), (1.0, 3.0, 10.0, 30.0, 100.0)
EDGES = (0, 30, 60, 90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("people", help="the face model of the people")
    parser.add_argument("--subjects", type=int, default=60)
    parser.add_argument("--odd", action="store_true", help="the subjects to report on, not those to choose by")
    parser.add_argument("--variant", default=PAPER)
    asked = parser.parse_args()
    model, people = jaxface.load_model(), subjects(jaxface.load_model(asked.people), asked.subjects, asked.odd)
    landmarks, found = detected(people, "mediapipe")
    error, yaw = ShapeError(model, people, np.nonzero(found)[0]), people.yaw[found]
    table = Table("λα", "λβ", title=f"micc85 mm, {found.sum()} people of {people.model.name}, {asked.variant}")

    def add(names, result):
        cells = by_yaw(error(np.asarray(jaxface.vertices(model, result))), yaw, EDGES)
        if not table.rows:
            for name in cells:
                table.add_column(name, justify="right")
        table.add_row(*names, *(f"{cell.mean:.3f}" for cell in cells.values()))

    add(("mean", "face"), mean_face(model, landmarks))
    for prior in track(list(product(IDENTITY, EXPRESSION)), "fitting"):
        options = jaxface.FitOptions(asked.variant, identity_prior=prior[0], expression_prior=prior[1])
        add(map(str, prior), jaxface.fit_batch(model, landmarks, options))
    Console().print(table)


if __name__ == "__main__":
    main()
