"""The ablation from people, or from AFLW2000-3D's landmarks, to tables, JSON and a picture."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from jaxface.calibration import load_calibration, save_calibration
from jaxface.camera import project
from jaxface.evaluation import aflw2000
from jaxface.evaluation.ablation import Cell, ShapeError, by_yaw, fits
from jaxface.evaluation.noise import measured, simulated
from jaxface.evaluation.subjects import NODDING_DEG, subjects
from jaxface.export.files import atomic_write, png
from jaxface.export.records import json_file, plain, versions
from jaxface.fitting import FitOptions, vertices
from jaxface.fitting.options import table_of
from jaxface.model.morphable import MorphableModel
from jaxface.model.readers.checks import ModelFileError, numbers
from jaxface.model.readers.npz import read_npz
from jaxface.pipelines.calibrating import calibrate, detected
from jaxface.rendering.error_map import draw_errors
from jaxface.types import FitResult, Landmarks, Scheme

JSON, PICTURE, CALIBRATION = "ablation.json", "ablation.png", "calibration.npz"
_SHOWN_YAWS = (0.0, 40.0, 65.0)
"""The picture shows the faces seen nearest to these."""
_SMALLER = 2
"""It is drawn so many times larger than it is."""
_AFLW_EDGES = (0, 30, 60, 90)
_AFLW_FEWEST = 4
"""Faces: two to measure a calibration on, and two to fit."""
_AFLW_NOISE = 1.5
"""Standard deviation of the noise on AFLW2000-3D's 3D points, in percent of the root of the face's box."""


@dataclass
class Report:
    """Tables: of each ``measure`` by name, of each method, the mean by bin of yaw."""

    title: str
    tables: dict[str, dict[str, dict[str, Cell]]] = field(default_factory=dict)


def ablate_people(
    whose: MorphableModel,
    model: MorphableModel,
    folder: Path,
    count: int,
    detector: str | None = None,
    scheme: Scheme = "ibug68",
    calibration: str | None = None,
    options: FitOptions = FitOptions(),
    watched: Callable[[range], Iterable[int]] = iter,
) -> Report:
    """Fit a model to people of a model, of odd seed, and write what is found into a folder.

    Args:
      whose: the model that people are drawn from.
      model: the one that is fitted.
      folder: gets ``ablation.json`` and ``ablation.png``.
      count: how many people.
      detector: what finds the landmarks on drawn photographs; None: they are simulated.
      calibration: what the variant ``calibrated`` uses (``FitOptions``); None: it is measured on as many people of the
        fitted model, of even seed, and written beside.
      options: of all fits but for the variant and the calibration; ``contour`` is that of the paper's variants.
      watched: is given the indices of people, and goes through them as their photographs are looked at.
    """
    table_of(replace(options, calibration=calibration), model, scheme)  # a wrong one is said before any work is done
    folder.mkdir(parents=True, exist_ok=True)
    people = subjects(whose, count, odd=True)
    if detector is None:
        noise = load_calibration("mediapipe", scheme)
        landmarks, found = simulated(people, noise, scheme), np.ones(count, bool)
    else:
        landmarks, found = detected(people, detector, scheme, watched)
    if calibration is None:
        if detector is None:
            own = subjects(model, count, tilt_deg=NODDING_DEG)
            tables = {scheme: measured(model, simulated(own, noise, scheme), own.seen(own.points(scheme)))}
        else:
            tables = calibrate(model, detector, count, scheme, watched=watched)
        calibration = str((folder / CALIBRATION).resolve())
        save_calibration(calibration, **tables)
    results = fits(model, landmarks, replace(options, calibration=calibration))
    error, yaw = ShapeError(model, people, np.nonzero(found)[0]), people.yaw[found]
    turned = {name: np.abs(np.asarray(result.pose.euler_deg)[:, 1] - yaw) for name, result in results.items()}
    shape = {name: error(np.asarray(vertices(model, result))) for name, result in results.items()}
    by = detector or "simulated landmarks"
    report = Report(f"{found.sum()} of {count} people of {whose.name}, {model.name} fitted, {by}, {scheme}")
    report.tables["micc85 mm"] = {name: by_yaw(values, yaw) for name, values in shape.items()}
    report.tables["yaw error °"] = {name: by_yaw(values, yaw) for name, values in turned.items()}
    _write_json(folder / JSON, report)
    atomic_write(folder / PICTURE, png(_picture(model, error, results, yaw)))
    return report


def ablate_aflw2000(path: Path, model: MorphableModel, folder: Path, options: FitOptions = FitOptions()) -> Report:
    """Fit a model to AFLW2000-3D's landmarks: of every second face, the others give the calibration.

    Args:
      path: an ``.npz`` with ``pts68`` (n, 3, 68) pixels, y down and z toward the viewer, ``yaw_deg`` (n,), positive to
        the image's left, and ``reannotated_xy`` (n, 2, 68) by other annotators, which are the 2D landmarks. The 3D ones
        are ``pts68`` with noise.
      options: as for people.

    Raises:
      ValueError: the file is none of these landmarks, or of too few faces; the message names what is wrong.
    """
    true, yaw, xy = _read_aflw2000(path)
    folder.mkdir(parents=True, exist_ok=True)
    size = np.sqrt(np.prod(np.ptp(true[..., :2], axis=1), axis=-1))
    noise = np.random.default_rng(0).normal(size=true.shape) * size[:, None, None] * _AFLW_NOISE / 100
    faces = Landmarks(xy.astype(np.float32), (true + noise).astype(np.float32))
    half = lambda start: jax.tree.map(lambda leaf: leaf[start::2], faces)
    save_calibration(folder / CALIBRATION, ibug68=measured(model, half(0), true[::2]))
    calibration = str((folder / CALIBRATION).resolve())
    results = fits(model, half(1), replace(options, calibration=calibration))
    true, yaw = true[1::2], yaw[1::2]
    report = Report(f"{len(yaw)} faces of AFLW2000-3D, {model.name} fitted", {"NME %": {}, "yaw error °": {}})
    for name, result in results.items():
        points = model.landmark_positions(vertices(model, result), "ibug68")
        placed = np.asarray(project(points, result.pose.scale, result.pose.rotation, result.pose.translation))
        report.tables["NME %"][name] = by_yaw(aflw2000.nme(placed, true), yaw, _AFLW_EDGES)
        turned = np.abs(aflw2000.angles(np.asarray(result.pose.rotation))[:, 1] + yaw)  # the data set's, to the left
        report.tables["yaw error °"][name] = by_yaw(turned, yaw, _AFLW_EDGES)
    _write_json(folder / JSON, report)
    return report


def _read_aflw2000(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (n, 68, 3) with z away from the viewer, yaws (n,) to the image's right, and 2D landmarks (n, 68, 2)."""
    try:
        data = read_npz(path, ["pts68", "yaw_deg", "reannotated_xy"])
        field = lambda name, *shape: numbers(path, name, data.get(name), shape)
        true = field("pts68", "n", 3, 68).swapaxes(1, 2) * [1, 1, -1]
        yaw, xy = -field("yaw_deg", len(true)), field("reannotated_xy", len(true), 2, 68).swapaxes(1, 2)
    except ModelFileError as error:
        raise ValueError(f"{path}: {error.said}") from None
    kept = np.abs(yaw) <= _AFLW_EDGES[-1]
    if kept.sum() < _AFLW_FEWEST:
        raise ValueError(f"{path}: has {kept.sum()} faces turned by up to 90°; takes {_AFLW_FEWEST} or more")
    if not np.ptp(true[..., :2], axis=1).all():
        raise ValueError(f"{path}: the points of a face lie in a line in its image")
    return true[kept], yaw[kept], xy[kept]


def _picture(model: MorphableModel, error: ShapeError, results: dict[str, FitResult], yaw: np.ndarray) -> np.ndarray:
    """Coloured errors: a row for each shown yaw, a column for each method."""
    rows = []
    for wanted in _SHOWN_YAWS:
        row = int(np.abs(np.abs(yaw) - wanted).argmin())
        columns = []
        for name, result in results.items():
            mesh = np.asarray(vertices(model, jax.tree.map(lambda leaf, row=row: leaf[row], result)))
            near, distances, placed = error.distances(row, mesh)
            errors = np.full(len(mesh), np.nan)
            errors[near] = distances
            rms = np.sqrt(np.mean(distances**2))
            caption = f"{name}, yaw {yaw[row]:+z.0f}°: {rms:.2f} mm"
            seven, skin = error.faces[row].seven, error.skin_triangles
            columns.append(draw_errors(placed(mesh.astype(np.float64)), skin, errors, seven, caption))
        rows.append(np.concatenate(columns, axis=1))
    return np.asarray(Image.fromarray(np.concatenate(rows)).reduce(_SMALLER))


def _write_json(path: Path, report: Report) -> None:
    atomic_write(path, json_file(plain(asdict(report) | {"versions": versions()})))
