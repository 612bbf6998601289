"""One photograph from file to files: read, detect, fit, export, each timed and each allowed to fail with a sentence."""

import errno
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import jax
import numpy as np

from jaxface.detection.faces import box
from jaxface.detection.landmark_sources import file_of, origin
from jaxface.detection.reading import read_image
from jaxface.export.files import Inputs, atomic_write, png
from jaxface.export.meshes import write_mesh
from jaxface.export.records import write_json, write_npz
from jaxface.fitting import FitOptions, fit
from jaxface.fitting.options import settled
from jaxface.model.morphable import MorphableModel
from jaxface.pipelines.faces import Finder
from jaxface.pipelines.telling import telling
from jaxface.rendering.overlay import overlay
from jaxface.rendering.texture import bake
from jaxface.types import FitResult, Landmarks, Status

FILES = {
    "obj": "face.obj",
    "ply": "face.ply",
    "glb": "face.glb",
    "overlay": "overlay.png",
    "npz": "fit.npz",
    "json": "fit.json",
    "report": "report.html",
}
"""What can be written for a face: each format's name and file. The OBJ brings its material and texture along."""

USUAL = tuple(name for name in FILES if name != "report")
"""What is written unless more is asked for: a report holds the others' pictures and mesh once more."""

MESHES = ("obj", "ply", "glb")

_OWN = (*FILES.values(), "face.mtl", "face_texture.png")
"""Every file that is written for a face."""


@dataclass
class ImageReport:
    """What became of one photograph. Times are seconds; ``error`` is a sentence where the photograph failed."""

    path: Path
    results: list[FitResult] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    error: str | None = None
    detect_s: float = 0.0
    fit_s: float = 0.0
    export_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every face of the photograph was found, fitted and written."""
        return self.error is None


def fit_image(
    path: Path,
    folder: Path,
    model: MorphableModel,
    finder: Finder,
    options: FitOptions,
    formats: tuple[str, ...],
    inputs: Inputs,
    landmarks: Sequence[Path] = (),
) -> ImageReport:
    """Fit the faces of one photograph and write their files.

    The first face's files go into ``folder``, those of further faces, in the order found, into ``folder/face-2``,
    ``folder/face-3`` and so on. Nothing is raised for a photograph that cannot be read, shows no face or cannot be
    written: the report says so, and of a face either all files are there or none. Of faces that the folder
    held before, those beyond the ones now found are removed.

    Args:
      finder: an open ``jaxface.pipelines.faces.finder``.
      formats: some of ``FILES``.
      inputs: what no file may replace.
      landmarks: landmark files to take the faces from the one that is of the photograph, as ``file_of`` chooses.
    """
    report = ImageReport(path)
    with telling(report, path, folder):
        image, faces = search(report, finder, options, landmarks)
        started = time.perf_counter()
        report.results = [jax.block_until_ready(fit(model, face, options)) for face in faces]
        report.fit_s = time.perf_counter() - started

        started, photograph = time.perf_counter(), origin(path)
        for index, (face, result) in enumerate(zip(faces, report.results, strict=True)):
            into = folder if index == 0 else folder / f"face-{index + 1}"
            write_face(into, formats, image, model, face, result, options, path, photograph, index, inputs)
            report.folders.append(into)
        remove_further(folder, len(faces), path, inputs)
        report.export_s = time.perf_counter() - started
        require_fitted(report)
    return report


def search(
    report: ImageReport, finder: Finder, options: FitOptions, landmarks: Sequence[Path]
) -> tuple[np.ndarray, list[Landmarks]]:
    """The photograph and its faces; raises a ``ValueError`` where it cannot be read or shows none."""
    started = time.perf_counter()
    try:
        image = read_image(report.path)
        file = file_of(report.path, landmarks) if landmarks else None
        return image, finder.find(image, file, depth=options.variant != "2d")
    finally:
        report.detect_s = time.perf_counter() - started


def require_fitted(report: ImageReport) -> None:
    """Raise a ``ValueError`` if a face of the photograph was not fitted."""
    unfitted = [Status(int(result.status)) for result in report.results if not Status(int(result.status)).fitted]
    if unfitted:
        raise ValueError(f"{report.path}: {len(unfitted)} of {len(report.results)} faces {unfitted[0].sentence}")


def existing_folder(folder: Path) -> Path:
    """The nearest of a folder and its parents that exists.

    Raises:
      OSError: it is a file or a broken link, or the name is not one that the file system takes.
    """
    for parent in (folder, *folder.absolute().parents):
        if parent.is_dir():
            return parent
        if os.path.lexists(parent):
            what = "a file" if parent.exists() else "a broken link"
            raise NotADirectoryError(errno.ENOTDIR, f"{parent} is {what}", str(parent))
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))


def write_face(
    into: Path,
    formats: tuple[str, ...],
    image: np.ndarray,
    model: MorphableModel,
    landmarks: Landmarks,
    result: FitResult,
    options: FitOptions,
    source: Path,
    photograph: dict[str, str],
    index: int,
    inputs: Inputs,
    together: Sequence[str] = (),
) -> None:
    """Write one face's files, all or none, and remove those of another photograph that are not replaced; ``photograph``
    is the ``origin`` of its source, and ``together`` are the photographs that its identity was fitted to.

    Raises:
      ValueError: one of the files would replace an input.
    """
    options = settled(options, model, landmarks.scheme, landmarks.detector)
    of_another = _recorded(into, "sha256") not in (None, photograph["sha256"])
    with staged(into, source, inputs) as staging:
        files = {name: staging / file for name, file in FILES.items() if name in formats}
        meshes = [files[name] for name in MESHES if name in files]
        baked = bake(image, model, result) if meshes or "report" in files else None
        for path in meshes:
            write_mesh(path, model, result, baked)
        if "overlay" in files:
            atomic_write(files["overlay"], png(overlay(image, model, result, landmarks, contour=options.contour)))
        if "npz" in files:
            write_npz(files["npz"], result, landmarks)
        if "json" in files:
            asked = asdict(options) | ({"same_person": list(together)} if together else {})
            about = {"face": index, "box": box(landmarks), "detector": landmarks.detector}
            write_json(files["json"], model, result, options=asked, **photograph, **about)
        if "report" in files:
            from jaxface.export.report import write_report

            fitted = model, result, image, landmarks, options
            write_report(
                files["report"], *fitted, texture=baked, source=photograph["source"], face=index, together=together
            )
        earlier = [into / own for own in _OWN if of_another and not (staging / own).exists() and (into / own).is_file()]
        inputs.require_kept(source, earlier)
    for file in earlier:
        file.unlink()


def remove_further(folder: Path, count: int, source: Path, inputs: Inputs) -> None:
    """Remove the further faces of an earlier photograph, which their ``fit.json`` tells, in a folder that now holds
    ``count`` faces of ``source``. Other files stay, and so does the folder of a photograph that is itself named face-2.

    Raises:
      ValueError: one of the files is an input.
    """
    for further in folder.glob("face-*"):
        number = re.fullmatch(r"face-([1-9]\d*)", further.name)
        if number and int(number[1]) > count and _recorded(further, "face") not in (None, 0):
            files = [further / name for name in _OWN if (further / name).is_file()]
            inputs.require_kept(source, files)
            for file in files:
                file.unlink()
            with suppress(OSError):  # something else is in it
                further.rmdir()


def _recorded(folder: Path, field: str):
    """What a folder's ``fit.json`` says of its face; None where there is none, or another file of this name."""
    try:
        return json.loads((folder / FILES["json"]).read_bytes())[field]
    except (OSError, ValueError, LookupError, TypeError):
        return None


@contextmanager
def staged(into: Path, source: Path, inputs: Inputs) -> Iterator[Path]:
    """A temporary folder on the same disk, whose files are moved into their own folder together at the end; raises a
    ``ValueError`` if one of these, which are made from ``source``, would replace an input."""
    with tempfile.TemporaryDirectory(prefix=".jaxface-", dir=existing_folder(into)) as temporary:
        staging = Path(temporary) / "face"
        staging.mkdir()
        yield staging
        inputs.require_kept(source, [into / path.name for path in staging.iterdir()])
        _move(staging, into)


def _move(folder: Path, into: Path) -> None:
    """Move a folder to its place, or its files into the one that is there unless a folder has a file's name."""
    if not into.exists():
        into.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder, into)
        return
    for path in folder.iterdir():
        if (into / path.name).is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{path.name} there is a folder", str(into))
    for path in folder.iterdir():
        os.replace(path, into / path.name)
