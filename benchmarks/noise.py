"""How far a detector's landmarks lie from a model's points: ``python -m benchmarks.noise [ict_face.npz]``.

Random people of the model, who nod and lean by 15°, are drawn (``jaxface.rendering.people``), found, and compared with
their true points; by the yaw that the mean face shows under the detected points. ``offset`` is the root mean square
over a group's landmarks of their mean errors without a tilt, ``deviation`` that of the errors about these means, in
mm. Three columns stand for the 2D points and for x, y and for z of the 3D ones. The last column is how deep the mean
face is found, as a part of how deep it is.
``--store FILE`` writes the calibration, for ``FitOptions.calibration``.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

import jaxface
from jaxface.calibration import YAWS, save_calibration
from jaxface.camera import rotation_from_euler
from jaxface.cli.choices import CALIBRATED
from jaxface.model.correspondences import INNER, JAW
from jaxface.pipelines.ablation import calibrate
from jaxface.types import POINTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="a face model's file; without it the embedded one")
    parser.add_argument("--detector", default="mediapipe")
    parser.add_argument("--people", type=int, default=1200)
    parser.add_argument("--store")
    asked = parser.parse_args()
    model = jaxface.load_model(asked.model)
    dense = asked.detector in CALIBRATED and "mediapipe478" in model.landmarks
    tables = calibrate(model, asked.detector, asked.people, *POINTS if dense else ["ibug68"])
    found = tables["ibug68"]
    names = "yaw °", "jaw: offset", "jaw: deviation", "inner: offset", "inner: deviation", "depth"
    mean = np.asarray(model.landmark_positions(model.mean, "ibug68"))
    table = Table(*names, title=f"{asked.detector} on {model.name}: 2D, 3D in the image, depth; mm")
    root = lambda values: f"{np.sqrt(np.mean(values)):.1f}"
    for row, yaw in enumerate(YAWS):
        cells = []
        for group in (JAW, INNER):
            flat, deep = found.offset_2d[row, group], found.offset_3d[row, group]
            cells.append([root(flat**2), root(deep[:, :2] ** 2), root(deep[:, 2] ** 2)])
            cells.append([root(found.variance_2d[row, group]), *map(root, found.variance_3d[row, group].T)])
        deep = mean @ np.asarray(rotation_from_euler(np.array([0.0, yaw, 0.0])))[2]
        deep -= deep.mean()
        stretched = 1 + deep @ found.offset_3d[row, :, 2] / (deep @ deep)
        table.add_row(f"{yaw:.0f}", *("  ".join(cell) for cell in cells), f"{stretched:.2f}")
    Console(width=120).print(table)
    if asked.store:
        save_calibration(asked.store, **tables)


if __name__ == "__main__":
    main()
