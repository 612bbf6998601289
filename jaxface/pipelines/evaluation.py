"""Predictions from files to measured errors and files that show them, each pair allowed to fail with a sentence."""

import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from jaxface.detection.reading import readable
from jaxface.evaluation import aflw2000
from jaxface.evaluation.datasets import Pair, aflw2000_truth
from jaxface.evaluation.faces import load_points, read_face
from jaxface.evaluation.protocols import PROTOCOLS, Measured, over_pairs, statistics
from jaxface.export.error_mesh import write_error_mesh
from jaxface.export.files import Inputs, atomic_write, png
from jaxface.export.records import json_file, read_npz, versions
from jaxface.model.morphable import MorphableModel
from jaxface.pipelines.telling import telling
from jaxface.rendering.error_map import draw_errors
from jaxface.rendering.posed import image_landmarks

JSON, MESH, PICTURE = "evaluation.json", "error.ply", "error.png"
_FIRST_PIXEL = 0.5
"""AFLW2000-3D's pixels are MATLAB's, whose first one's centre is 1; jaxface's is 0.5."""


@dataclass
class PairReport:
    """What became of one pair: the ``statistics`` of its ``distances`` (n,) mm, the ``scale`` it was placed with, and
    the ``seconds`` it took to read and measure; or a sentence, ``error``."""

    pair: Pair
    distances: np.ndarray | None = None
    statistics: dict[str, float] = field(default_factory=dict)
    scale: float | None = None
    seconds: float = 0.0
    error: str | None = None


def evaluate_pair(pair: Pair, protocol: str, folder: Path, model: MorphableModel, inputs: Inputs) -> PairReport:
    """Measure one pair by one of ``PROTOCOLS``, and write its coloured mesh and its picture into a folder.

    Args:
      model: whose landmarks the meshes get that have its vertices and no landmark file.
      inputs: what no file may replace.
    """
    report = PairReport(pair)
    with telling(report, pair.name, folder):
        files = folder / MESH, folder / PICTURE
        inputs.require_kept(pair.predicted, files)
        for earlier in files:
            earlier.unlink(missing_ok=True)
        started = time.perf_counter()
        true = _truth(pair.true, pair.true_landmarks, model)
        measured = PROTOCOLS[protocol].measure(read_face(pair.predicted, pair.predicted_landmarks, model), true)
        report.distances, report.scale = measured.distances, float(measured.placed.scale)
        report.statistics = statistics(measured.distances)
        report.seconds = time.perf_counter() - started
        headline = PROTOCOLS[protocol].headline
        _write(folder, measured, f"{protocol}   {headline} {report.statistics[headline]:.3f} mm")
    return report


@lru_cache(maxsize=1)
def _truth(path: Path, landmarks: Path | None, model: MorphableModel):
    """A scan that many predictions are compared with is read once."""
    return read_face(path, landmarks, model)


def _write(folder: Path, measured: Measured, caption: str) -> None:
    errors = np.full(len(measured.vertices), np.nan)
    errors[measured.measured] = measured.distances
    folder.mkdir(parents=True, exist_ok=True)
    write_error_mesh(folder / MESH, measured.vertices, measured.triangles, errors)
    drawn = draw_errors(measured.vertices, measured.triangles, errors, measured.seven, caption)
    atomic_write(folder / PICTURE, png(drawn))


def summary(reports: list[PairReport], protocol: str) -> dict[str, dict[str, float]]:
    """The statistics over each group of pairs that could be measured, and over all of them."""
    whole = (report for report in reports if report.error is None)
    measured = [(report.pair.group, report.distances) for report in whole if report.distances is not None]
    groups = sorted({group for group, _ in measured} - {""})
    found = {name: [distances for group, distances in measured if group == name] for name in groups}
    if len(found) != 1 or len(measured) > len(found[groups[0]]):
        found["all"] = [distances for _, distances in measured]
    return {name: over_pairs(PROTOCOLS[protocol], distances) for name, distances in found.items() if distances}


def write_report(path: Path, protocol: str, reports: list[PairReport]) -> None:
    """Write what was measured as JSON."""
    pairs = [
        {
            "name": readable(report.pair.name),
            "group": readable(report.pair.group) or None,
            "predicted": readable(str(report.pair.predicted)),
            "true": readable(str(report.pair.true)),
            "error": None if report.error is None else readable(report.error),
            "vertices": 0 if report.distances is None else len(report.distances),
            "scale": report.scale,
            "seconds": round(report.seconds, 3),
            **{f"{name}_mm": value for name, value in report.statistics.items()},
        }
        for report in reports
    ]
    means = {
        readable(group): {f"{name}_mm": value for name, value in found.items()}
        for group, found in summary(reports, protocol).items()
    }
    _write_json(path, {"protocol": protocol, "pairs": pairs, "summary": means})


@dataclass
class Aflw2000Report:
    """AFLW2000-3D's measures: ``nme`` percent by yaw bin, ``pose`` errors in degrees by name and yaw bin (empty where
    the predictions are landmarks alone), how many ``faces`` each is over, and what could not be measured."""

    nme: dict[str, float]
    pose: dict[str, dict[str, float]]
    faces: dict[str, int]
    errors: list[str]


def evaluate_aflw2000(predicted: Path, dataset: Path, model: MorphableModel) -> Aflw2000Report:
    """Compare predictions with AFLW2000-3D.

    Args:
      predicted: a folder with, for each ``imageNNNNN``, what ``jaxface fit`` wrote for it, ``imageNNNNN/fit.npz``
        (of several faces the one nearest to the true landmarks counts), or landmarks (68, 2 or 3) in the data set's
        pixels, ``imageNNNNN.npy`` or ``.txt``.
      model: what the fits were made with.

    Raises:
      ValueError: a folder is not what it should be, or no image of it could be measured.
    """
    found, errors, unpredicted = [], [], []
    for path in sorted(dataset.glob("*.mat")):
        try:
            truth = aflw2000_truth(path)
        except ValueError as error:
            errors.append(str(error))
            continue
        try:
            found.append((*truth, *_prediction(predicted, path.stem, truth[0], model)))
        except ValueError as error:
            unpredicted.append(str(error))
    errors += unpredicted
    if not found:
        no_file = "it has no .mat file; takes AFLW2000-3D's folder of imageNNNNN.jpg and .mat"
        why = [*unpredicted, *errors, no_file][0]
        raise ValueError(f"{predicted}: has no prediction for an image of {dataset}; {why}")
    points, pose, landmarks, rotations = zip(*found, strict=True)
    pose = np.stack(pose)
    error = aflw2000.nme(np.stack([points[:, :2] for points in landmarks]), np.stack(points))
    faces = {"nme": len(found)}
    pose_errors = {}
    turned = np.array([rotation is not None for rotation in rotations]) & aflw2000.usual(pose)
    if turned.any():
        faces["pose"] = int(turned.sum())
        rotations = np.stack([rotation for rotation, kept in zip(rotations, turned, strict=True) if kept])
        each = aflw2000.pose_errors(rotations.astype(np.float64), pose[turned])
        pose_errors = {
            name: aflw2000.by_yaw(values, pose[turned, 1]) | {"mean": float(values.mean())}
            for name, values in each.items()
        }
    return Aflw2000Report(aflw2000.by_yaw(error, pose[:, 1]), pose_errors, faces, errors)


def _prediction(folder: Path, name: str, true: np.ndarray, model: MorphableModel):
    """The landmarks (68, 2 or 3) of one image in the data set's pixels, and its rotation (3, 3) or None."""
    for path in (folder / f"{name}.npy", folder / f"{name}.txt"):
        if path.is_file():
            points = load_points(path)
            if points.shape not in ((68, 2), (68, 3)) or not np.isfinite(points).all():
                raise ValueError(f"{path}: got shape {points.shape}, takes 68 finite points, x y or x y z a line")
            return points, None
    fits = [folder / name / "fit.npz", *sorted((folder / name).glob("face-*/fit.npz"))]
    results = [read_npz(path)[0] for path in fits if path.is_file()]
    if not results:
        raise ValueError(f"{folder}: has neither {name}/fit.npz nor {name}.npy nor {name}.txt")
    sizes = model.identity.shape[-1:] + model.expression.shape[-1:]
    if any(result.identity.shape + result.expression.shape != sizes for result in results):
        raise ValueError(f"{fits[0]}: was not fitted with the model {model.name}; name the one it was fitted with")
    points = [image_landmarks(model, result, "ibug68").astype(np.float64) + _FIRST_PIXEL for result in results]
    if not np.isfinite(points).all():
        raise ValueError(f"{fits[0].parent}: a fit of it is not finite")
    away = [np.linalg.norm((one - true)[:, :2].mean(axis=0)) for one in points]
    nearest = int(np.argmin(away))
    return points[nearest], np.asarray(results[nearest].pose.rotation)


def write_aflw2000(path: Path, report: Aflw2000Report) -> None:
    """Write what was measured as JSON."""
    record = {"protocol": "aflw2000", "nme_percent": report.nme, "pose_deg": report.pose, "faces": report.faces}
    _write_json(path, record | {"errors": [readable(error) for error in report.errors]})


def _write_json(path: Path, record: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json_file(record | {"versions": versions()}))
