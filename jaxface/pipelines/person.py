"""Several photographs of one person: one identity for all, an expression and a pose of each, and their files."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxface.detection.faces import stacked
from jaxface.detection.landmark_sources import origin
from jaxface.detection.reading import read_image, readable_name
from jaxface.export.files import Inputs
from jaxface.export.meshes import write_mesh
from jaxface.fitting import FitOptions, fit_sequence
from jaxface.fitting.options import joint
from jaxface.model.morphable import MorphableModel
from jaxface.pipelines.faces import NO_FACE, UNLIKELY, Finder
from jaxface.pipelines.image import (
    MESHES,
    ImageReport,
    remove_further,
    require_fitted,
    search,
    staged,
    write_face,
)
from jaxface.pipelines.telling import telling
from jaxface.rendering.texture import bake
from jaxface.types import FitResult, Landmarks, Status

NEUTRAL = "neutral"
"""The name of the files that hold the person's face at rest."""


def fit_person(
    work: Sequence[tuple[Path, Path, Sequence[Path]]],
    output: Path,
    model: MorphableModel,
    finder: Finder,
    options: FitOptions,
    formats: tuple[str, ...],
    inputs: Inputs,
) -> Iterator[ImageReport]:
    """Fit photographs of one person together, and report on each in its turn.

    A photograph's files are those of ``jaxface.pipelines.image.fit_image``. The meshes among ``formats`` are also
    written of the person's face at rest, ``neutral.glb`` and so on in ``output``, with the texture of the photograph
    that looks most straight into the camera. A photograph that cannot be read or shows no face is left out, which its
    report says.

    Args:
      work: of each photograph its path, the folder for its files, and the landmark files of ``fit_image``.
      finder: an open finder that takes the largest face of a photograph.
      formats: some of ``jaxface.pipelines.image.FILES``.
      inputs: what no file may replace.
    """
    options = joint(options)
    reports, faces = [ImageReport(path) for path, _, _ in work], {}
    for index, (path, folder, files) in enumerate(work):
        with telling(reports[index], path, folder):
            _, (face,) = search(reports[index], finder, options, files)
            _require_scheme_of(faces.values(), face)
            faces[index] = face
    results, failure = {}, None
    started = time.perf_counter()
    try:
        results = dict(zip(faces, _together(model, list(faces.values()), options), strict=True)) if faces else {}
    except (ValueError, RuntimeError, MemoryError) as error:
        failure = error
    fit_s = (time.perf_counter() - started) / max(len(faces), 1)
    fitted = [index for index, result in results.items() if Status(int(result.status)).fitted]
    away = lambda index: float(results[index].pose.rotation[2, 2])  # -1 straight into the camera, 1 from behind
    frontal = min(fitted, key=away, default=None)
    names = [readable_name(work[index][0]) for index in faces]

    for index, (path, folder, _) in enumerate(work):
        report = reports[index]
        if report.error is not None:
            none = report.error.endswith((NO_FACE, UNLIKELY))
            hint = "; crop it to the face, or give its landmarks in a file" if none else ""
            others = "; the other photographs are fitted without it" if results else ""
            report.error = f"{report.error}{hint}{others}"
            yield report
            continue
        with telling(report, path, folder):
            if failure is not None:
                raise failure
            report.results, report.fit_s = [results[index]], fit_s
            started, image = time.perf_counter(), read_image(path)
            of_face = faces[index], results[index], options
            write_face(folder, formats, image, model, *of_face, path, origin(path), 0, inputs, names)
            report.folders.append(folder)
            remove_further(folder, 1, path, inputs)
            if index == frontal:
                _write_neutral(output, formats, image, model, results[index], path, inputs)
            report.export_s = time.perf_counter() - started
            require_fitted(report)
        yield report


def _require_scheme_of(others, face: Landmarks) -> None:
    for other in others:
        if other.scheme != face.scheme:
            raise ValueError(f"its landmarks are {face.scheme}, those of the first are {other.scheme}")


def _together(model: MorphableModel, faces: Sequence[Landmarks], options: FitOptions) -> list[FitResult]:
    fitted = jax.block_until_ready(fit_sequence(model, stacked(faces), options))
    return [jax.tree.map(lambda leaf, index=index: leaf[index], fitted) for index in range(len(faces))]


def _write_neutral(
    folder: Path,
    formats: tuple[str, ...],
    image: np.ndarray,
    model: MorphableModel,
    result: FitResult,
    source: Path,
    inputs: Inputs,
) -> None:
    meshes = [name for name in MESHES if name in formats]
    if not meshes:
        return
    baked = bake(image, model, result)
    rest = replace(result, expression=jnp.zeros_like(result.expression))
    with staged(folder, source, inputs) as staging:
        for name in meshes:
            write_mesh(staging / f"{NEUTRAL}.{name}", model, rest, baked)
