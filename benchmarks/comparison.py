"""Several systems on the same pictures: ``python -m benchmarks.comparison ict_face.npz --surrey DIR -o FOLDER``.

Random people of the ICT Face Model Light (odd seeds) with expressions are drawn at yaw -90° to 90° and found by
MediaPipe (``--detector mediapipe-averaged``: the mean of several looks, for all systems). Each makes a face of what was
found; the error is ``micc85``'s (``jaxface.evaluation.ablation``).

* the mean faces, of the embedded model and of ICT;
* MediaPipe's own mesh, which has no scale: turned, scaled and shifted onto the embedded mean face's 68 points, so that
  it has the size that the others guess from, and once more onto the true ones, with a size that they do not know;
* eos-py with the Surrey model, on the 68 2D points;
* jaxface with the embedded model, and with ICT, as the variants ``2d+3d+p+w`` and ``calibrated``.

ICT's calibration is measured first, on people of even seed; that of the embedded model comes with jaxface.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.progress import track

import jaxface
from benchmarks.opponents.eos_surrey import Surrey
from jaxface.calibration import CALIBRATED, save_calibration
from jaxface.camera import FRONTAL
from jaxface.cli.ablation import table
from jaxface.evaluation.ablation import MEAN_FACE, ShapeError, by_yaw
from jaxface.evaluation.noise import mean_face
from jaxface.evaluation.subjects import subjects
from jaxface.model.canonical import canonical_face
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478
from jaxface.model.registration import similarity
from jaxface.pipelines.calibrating import calibrate, detected, of_scheme
from jaxface.rendering.people import SIDE
from jaxface.types import PAPER, Landmarks

OURS = PAPER, "calibrated"


def mediapipe_meshes(dense: Landmarks, onto: Float[np.ndarray, "n 68 3"]) -> np.ndarray:
    """MediaPipe's points as meshes of its canonical face, each placed on 68 points."""
    meshes = np.tile(np.asarray(canonical_face().mean), (len(onto), 1, 1))
    for mesh, points, places in zip(meshes, np.asarray(dense.xyz) @ FRONTAL, onto, strict=True):
        mesh[: len(points)] = similarity(points[IBUG68_FROM_MEDIAPIPE478], places)(points)
    return meshes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ict", help="ict_face.npz")
    parser.add_argument("--surrey", required=True, help="eos's share/ with the Surrey model")
    parser.add_argument("--detector", default="mediapipe", choices=CALIBRATED)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--output", "-o", type=Path, default=Path("jaxface-comparison"))
    parser.add_argument("--calibration", help="ICT's, as jaxface model calibrate writes it; else it is measured")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    ict, embedded = jaxface.load_model(asked.ict), jaxface.load_model()
    calibration = asked.calibration
    if calibration is None:
        calibration = str((asked.output / "calibration.npz").resolve())
        save_calibration(calibration, **calibrate(ict, asked.detector, asked.people, "ibug68"))
    people = subjects(ict, asked.people, odd=True)
    dense, found = detected(people, asked.detector, "mediapipe478")
    faces = of_scheme(dense, "ibug68")
    rows, yaw = np.nonzero(found)[0], people.yaw[found]

    surrey, eos = jaxface.load_model(Path(asked.surrey) / "sfm_shape_3448.bin"), Surrey(asked.surrey)
    true = people.points()[rows]
    usual = np.broadcast_to(embedded.landmark_positions(embedded.mean, "ibug68"), true.shape)
    meshes = {
        f"MediaPipe's mesh, {size} size": (canonical_face(), mediapipe_meshes(dense, onto))
        for size, onto in (("mean", usual), ("true", true))
    }
    fitted = [eos.fit(eos.landmarks(xy), side=SIDE)[0].vertices for xy in track(faces.xy, "eos")]
    meshes["eos, Surrey"] = surrey, np.array(fitted)[..., :3]
    for name, model, source in (("embedded", embedded, asked.detector), ("ICT", ict, calibration)):
        results = {f"{MEAN_FACE}, {name}": mean_face(model, faces)}
        for variant in OURS:
            options = jaxface.FitOptions(variant=variant, calibration=source)
            results[f"jaxface {variant}, {name}"] = jaxface.fit_batch(model, faces, options)
        meshes |= {key: (model, np.asarray(jaxface.vertices(model, result))) for key, result in results.items()}
    cells = {}
    for name, (model, found_meshes) in track(meshes.items(), "measuring"):
        cells[name] = by_yaw(ShapeError(model, people, rows)(found_meshes), yaw)
    Console(width=160).print(table("micc85 mm", cells))
    rows = {name: {bin_: asdict(cell) for bin_, cell in row.items()} for name, row in cells.items()}
    (asked.output / "comparison.json").write_text(json.dumps(rows, indent=2))
    _plot(cells, asked.output / "comparison.png")


def _plot(cells, path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    bins = [bin_ for bin_ in next(iter(cells.values())) if bin_ != "all"]
    for index, (name, row) in enumerate(cells.items()):
        beside = np.arange(len(bins)) + 0.08 * (index - (len(cells) - 1) / 2)
        style = "--" if name.startswith(MEAN_FACE) else "-"
        axes.errorbar(
            beside, [row[b].mean for b in bins], [row[b].half for b in bins], fmt=style, label=name, capsize=3
        )
    axes.set_xticks(np.arange(len(bins)), bins)
    axes.set(xlabel="|yaw|, degrees", ylabel="micc85, mm", ylim=(0, None))
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
