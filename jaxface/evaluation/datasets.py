"""Which files belong together: a CSV of pairs, two folders of the same names, and data sets as their owners lay
them out."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxface.evaluation.faces import MESHES


@dataclass(frozen=True)
class Pair:
    """A predicted and a true mesh file, with landmark files where they do not lie beside them. ``group``: what pairs
    are summarised together, besides all of them. ``name`` is a relative path without ``..``, for what is written."""

    name: str
    predicted: Path
    true: Path
    predicted_landmarks: Path | None = None
    true_landmarks: Path | None = None
    group: str = ""


def find_pairs(predicted: Path, true: Path | None) -> list[Pair]:
    """The pairs of two mesh files, of two folders, or of a CSV (then without ``true``).

    A folder of truths is a data set if it looks like one: NoW has ``scans/`` and ``scans_lmks_onlypp/``, MICC has
    ``subject_*/Model/``. In any other, a truth has the relative path of its prediction, but for the suffix. A truth
    without a prediction has a pair whose ``predicted`` does not exist: it must not go unnoticed.

    Raises:
      ValueError: a file or folder is missing, or nothing belongs together; the message says what is taken.
    """
    if true is None:
        return _csv_pairs(predicted)
    if not true.exists():
        raise ValueError(f"{true}: no such file or folder")
    if predicted.is_file() and true.is_file():
        return [Pair(predicted.stem, predicted, true)]
    if not predicted.is_dir() or not true.is_dir():
        raise ValueError(f"{predicted} and {true}: takes two mesh files or two folders")
    if (true / "scans").is_dir() and (true / "scans_lmks_onlypp").is_dir():
        return now_pairs(predicted, true)
    if any(true.glob("subject_*/Model")):
        return micc_pairs(predicted, true)
    truths, found = _by_name(true, _meshes(true)), _by_name(predicted, _meshes(predicted))
    if not truths.keys() & found.keys():
        raise ValueError(
            f"{predicted} and {true}: have {len(found)} and {len(truths)} meshes, none with the same relative path"
        )
    return [
        Pair(name, found.get(name, predicted / path.relative_to(true)), path) for name, path in sorted(truths.items())
    ]


def without_truth(predicted: Path, pairs: list[Pair]) -> list[Path]:
    """The meshes in a folder of predictions that are none of the pairs' predictions."""
    used = {pair.predicted.with_suffix("") for pair in pairs}
    return [path for path in _by_name(predicted, _meshes(predicted)).values() if path.with_suffix("") not in used]


def now_pairs(predicted: Path, dataset: Path) -> list[Pair]:
    """NoW: ``scans/SUBJECT/*.obj``, ``scans_lmks_onlypp/SUBJECT/*.pp``, and ``imagepathsvalidation.txt``, whose lines
    SUBJECT/CHALLENGE/IMAGE.jpg name the predictions SUBJECT/CHALLENGE/IMAGE.obj or .ply, landmarks beside them.

    An image without a prediction has a pair whose ``predicted`` does not exist, one without a scan a ``true``.

    Raises:
      ValueError: the list of images is missing or empty, or has a line of another kind.
    """
    listed = dataset / "imagepathsvalidation.txt"
    if not listed.is_file():
        raise ValueError(f"{listed}: no such file; NoW's folder has it beside scans/ and scans_lmks_onlypp/")
    try:
        lines = listed.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{listed}: cannot be read ({error}); takes UTF-8") from None
    pairs = []
    for line in filter(None, map(str.strip, lines)):
        if line.count("/") < 2:
            raise ValueError(f"{listed}: has a line {line!r}; takes SUBJECT/CHALLENGE/IMAGE.jpg")
        subject, challenge, image = line.split("/")[-3:]
        scan = _one(dataset / "scans" / subject, "*.obj")
        landmarks = _one(dataset / "scans_lmks_onlypp" / subject, "*.pp")
        name = _inside(Path(subject, challenge, Path(image).stem)).as_posix()
        files = [predicted / f"{name}{ending}" for ending in (".obj", ".ply")]
        pairs.append(Pair(name, _existing(files), scan, None, landmarks, challenge))
    if not pairs:
        raise ValueError(f"{listed}: is empty; takes a line SUBJECT/CHALLENGE/IMAGE.jpg an image")
    return pairs


def micc_pairs(predicted: Path, dataset: Path) -> list[Pair]:
    """MICC Florence: ``subject_NN/Model/frontal1/obj/*.obj``, or ``frontal2`` where that is missing; every mesh below
    SUBJECT/ of the predictions, or SUBJECT.obj, .ply, ..., belongs to it. The owners give no landmarks: they have to
    lie beside the scan.

    A subject without a mesh has a pair whose ``predicted`` does not exist, one without a frontal scan a ``true``.

    Raises:
      ValueError: there is no mesh for any subject.
    """
    pairs = []
    for folder in sorted(path.parent for path in dataset.glob("subject_*/Model")):
        subject, model = folder.name, folder / "Model"
        meshes = [*predicted.glob(f"{subject}.*"), *_meshes(predicted / subject)]
        found = _by_name(predicted, (path for path in meshes if path.suffix.lower() in MESHES))
        scan = _existing([_one(model / frontal / "obj", "*.obj") for frontal in ("frontal1", "frontal2")])
        if not found and scan.is_file():
            found = {subject: predicted / f"{subject}.obj"}
        pairs += [Pair(name, mesh, scan, group=subject) for name, mesh in found.items()]
    if not any(pair.predicted.is_file() for pair in pairs):
        raise ValueError(
            f"{predicted}: has no mesh for a subject of {dataset}; takes subject_01/*.obj or subject_01.obj"
        )
    return pairs


def aflw2000_truth(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of AFLW2000-3D's ``imageNNNNN.mat`` the landmarks ``pt3d_68`` (68, 3) in pixels (x right, y down, z toward the
    viewer), and ``Pose_Para``'s pitch, yaw and roll (3,), in degrees.

    Raises:
      ValueError: the file cannot be read, or holds none of these.
    """
    from scipy.io import loadmat

    try:
        data = loadmat(path)
        points, pose = np.asarray(data["pt3d_68"], float).T, np.asarray(data["Pose_Para"], float).ravel()[:3]
    except Exception as error:  # a damaged file raises what SciPy's reader stumbles over
        raise ValueError(f"{path}: cannot be read as AFLW2000-3D's ({error})") from None
    if points.shape != (68, 3) or pose.shape != (3,):
        raise ValueError(f"{path}: has pt3d_68 {points.T.shape} and Pose_Para {pose.shape}, takes (3, 68) and (7,)")
    if not (np.isfinite(points).all() and np.isfinite(pose).all() and np.ptp(points[:, :2], axis=0).all()):
        raise ValueError(f"{path}: a number of it is not finite, or its points lie on a line")
    return points, np.degrees(pose)


def _csv_pairs(path: Path) -> list[Pair]:
    """Columns ``pred`` and ``gt``, and if wanted ``pred_landmarks``, ``gt_landmarks``, ``group``; paths are relative to
    the CSV's folder. A pair's name is its ``pred`` without the root, ``..`` and the suffix."""
    if path.suffix.lower() != ".csv":
        raise ValueError(f"{path}: takes a second path, the ground truth's, or a .csv of pairs")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            numbered = [(reader.line_num, row) for row in reader if any(row.values())]  # a sheet has empty rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    rows = [row for _, row in numbered]
    if not rows:
        raise ValueError(f"{path}: has no rows; takes columns pred,gt and a row a pair")
    missing = {"pred", "gt"} - set(rows[0])
    if missing:
        columns = ", ".join(map(str, rows[0]))
        raise ValueError(f"{path}: has columns {columns}; lacks {' and '.join(sorted(missing))}")
    for number, row in numbered:
        if Path(row["pred"] or "").name in ("", "..") or not row["gt"]:
            raise ValueError(f"{path}: line {number} lacks its pred or gt")
    file = lambda row, column: path.parent / row[column] if row.get(column) else None
    return [
        Pair(
            _inside(Path(row["pred"])).with_suffix("").as_posix(),
            path.parent / row["pred"],
            path.parent / row["gt"],
            file(row, "pred_landmarks"),
            file(row, "gt_landmarks"),
            row.get("group") or "",
        )
        for row in rows
    ]


def _inside(path: Path) -> Path:
    """A path with what leads out of a folder left out: the root and ``..``."""
    return Path(*(part for part in path.parts if part not in (path.anchor, "..")))


def _meshes(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in MESHES]


def _by_name(folder: Path, meshes: Iterable[Path]) -> dict[str, Path]:
    """Meshes by their path inside the folder without the suffix: a face in several formats counts once, in the last."""
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(meshes)}


def _one(folder: Path, pattern: str) -> Path:
    """The first such file, or where one would be: its pairs fail by themselves."""
    return min(folder.glob(pattern), default=folder / pattern)


def _existing(files: list[Path]) -> Path:
    """The first that is there, or where it would be."""
    return next(filter(Path.is_file, files), files[0])
