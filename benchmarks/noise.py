"""How far a detector's landmarks lie from a model's points: ``python -m benchmarks.noise [ict_face.npz ict.npz]``.

The second file is a calibration that ``jaxface model calibrate`` measured on the model of the first; without both,
MediaPipe's for the embedded one. By the yaw that the mean face shows under the detected points: ``offset`` is the root
mean square over a group's landmarks of their mean errors without a tilt, ``deviation`` that of the errors about these
means, in mm. Three columns stand for the 2D points and for x, y and for z of the 3D ones. The last column is how deep
the mean face is found, as a part of how deep it is.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

import jaxface
from jaxface.calibration import YAWS, load_calibration
from jaxface.camera import rotation_from_euler
from jaxface.model.correspondences import INNER, JAW


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="a face model's file; without it the embedded one")
    parser.add_argument("calibration", nargs="?", default="mediapipe")
    asked = parser.parse_args()
    model = jaxface.load_model(asked.model)
    found = load_calibration(asked.calibration, "ibug68")
    names = "yaw °", "jaw: offset", "jaw: deviation", "inner: offset", "inner: deviation", "depth"
    mean = np.asarray(model.landmark_positions(model.mean, "ibug68"))
    table = Table(*names, title=f"{asked.calibration} on {model.name}: 2D, 3D in the image, depth; mm")
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


if __name__ == "__main__":
    main()
