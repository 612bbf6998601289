"""A run over photographs as a person at a terminal sees it: a progress bar, a table, sentences for what failed."""

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from jaxface.cli.interrupts import interrupts, loading
from jaxface.cli.terminal import console, model_to_fit, plain_table, print_table, printable, require_writable
from jaxface.detection.landmark_files import SUFFIXES
from jaxface.export.files import Inputs
from jaxface.fitting import FitOptions
from jaxface.model.store import source_file
from jaxface.pipelines.faces import Finder, Which, finder
from jaxface.pipelines.image import ImageReport, fit_image
from jaxface.pipelines.person import fit_person
from jaxface.types import Status


def run(
    images: list[Path],
    output: Path,
    options: FitOptions,
    formats: tuple[str, ...],
    model_source: str | None = None,
    detector: str = "mediapipe",
    faces: Which = "all",
    min_score: float = 0.0,
    landmarks: Path | None = None,
    same_person: bool = False,
) -> int:
    """Fit photographs, each by itself or all as one person's; write their files, print the table; the exit code."""
    keep_compilations()
    require_writable(output, "--output")
    with loading():
        model = model_to_fit(model_source, options)
    points = _landmark_files(images, landmarks)
    work = list(zip(images, _folders(images, output), points, strict=True))
    table = None if options.calibration is None else Path(options.calibration)
    inputs = Inputs([*images, *chain.from_iterable(points), source_file(model_source), table])
    reports = []
    results, errors = console(), console(stderr=True)
    with ExitStack() as held:
        with loading():
            found = open_finder(held, detector, "largest" if same_person else faces, min_score)
        stop_if_interrupted = held.enter_context(interrupts())
        if same_person:
            fitted = fit_person(work, output, model, found, options, formats, inputs)
        else:
            given = model, found, options, formats, inputs
            fitted = (fit_image(path, folder, *given, files) for path, folder, files in work)
        for _, report in zip(progress(work, "fitting", errors), fitted, strict=True):
            stop_if_interrupted()
            reports.append(report)
            if report.error:
                errors.failed(report.error)
    if any(report.results for report in reports):
        print_table(results, _table(reports))
    if any(report.folders for report in reports):
        results.written(output)
    return 0 if all(report.ok for report in reports) else 1


def open_finder(held: ExitStack, detector: str, faces: Which, min_score: float) -> Finder:
    """The finder that ``--detector``, ``--faces`` and ``--min-score`` ask for, held until ``held`` is closed."""
    try:
        return held.enter_context(finder(detector, faces, min_score))
    except ValueError as error:
        raise typer.BadParameter(str(error).removeprefix("detector="), param_hint="--detector") from None


def progress(work: Sequence, description: str, errors: Console) -> Iterable:
    """The items of some work, with a bar on a terminal if there is more than one."""
    disable = len(work) == 1 or not errors.is_terminal
    return track(work, description=description, console=errors, transient=True, disable=disable)


def _table(reports: Iterable[ImageReport]) -> Table:
    table = plain_table()
    table.add_column("file\n", overflow="fold", min_width=8)
    for heading in ("faces\n", "yaw\n°", "pitch\n°", "roll\n°"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("status\n", no_wrap=True)
    for heading in ("detect\nms", "fit\nms", "export\nms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        name = printable(report.path.name)
        times = [f"{1000 * seconds:.0f}" for seconds in (report.detect_s, report.fit_s, report.export_s)]
        if not report.results:
            table.add_row(name, "0", "", "", "", "failed", times[0], "", "")
        for index, result in enumerate(report.results):
            status = Status(int(result.status))
            written = index < len(report.folders)
            pitch, yaw, roll = (f"{float(angle):+z.1f}" for angle in result.pose.euler_deg)
            first = index == 0
            table.add_row(
                name if first else "",
                str(len(report.results)) if first else "",
                *((yaw, pitch, roll) if status.fitted else ("", "", "")),
                status.name.lower().replace("_", " ") if written else "not written",
                *(times if first else ("", "", "")),
            )
    return table


def _folders(images: list[Path], output: Path) -> list[Path]:
    """A folder for each photograph: the output itself for one; for several, one each, named as the photograph is."""
    return [output] if len(images) == 1 else [output / name for name in names(images)]


def _landmark_files(images: list[Path], landmarks: Path | None) -> list[list[Path]]:
    """The landmark files of each photograph: the one given; or of a folder first the one that ``names`` gives it, and
    then those that may be its own, since they were numbered beside other photographs."""
    if landmarks is None:
        return [[] for _ in images]
    if landmarks.is_dir():
        there, found = _by_first_name(landmarks), []
        for path, name in zip(images, names(images), strict=True):
            usual = [landmarks / f"{name}{suffix}" for suffix in SUFFIXES]
            (first,) = names([path])
            found.append([next(filter(Path.is_file, usual), usual[0]), *there.get(first.casefold(), [])])
        return found
    if not landmarks.exists():
        raise typer.BadParameter(f"{landmarks}: no such file or folder", param_hint="--landmarks")
    if len(images) > 1:
        said = f"{landmarks} is one file for {len(images)} photographs; give a folder with a file for each, named as it"
        raise typer.BadParameter(said, param_hint="--landmarks")
    return [[landmarks]]


def _by_first_name(folder: Path) -> dict[str, list[Path]]:
    """The landmark files of a folder by the names, without their case, that ``numbered`` may have made theirs from."""
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be read ({error.strerror})", param_hint="--landmarks") from None
    found: dict[str, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in SUFFIXES:
            for name in {file.stem, re.sub(r"-\d+$", "", file.stem)}:
                found.setdefault(name.casefold(), []).append(file)
    return found


def names(images: list[Path]) -> list[str]:
    """A name for each photograph: its own without the ending, numbered as ``numbered`` does; with it where the rest is
    a folder's, . or .."""
    return numbered([path.stem if path.stem.strip(".") else path.name for path in images])


def numbered(wanted: list[str]) -> list[str]:
    """Names of which those that a file system may hold for the same, whatever their case, get a number: face, face-2,
    face-3."""
    taken: dict[str, str] = {}
    for first in wanted:
        name, number = first, 1
        while name.casefold() in taken:
            number += 1
            name = f"{first}-{number}"
        taken[name.casefold()] = name
    return list(taken.values())


def keep_compilations() -> None:
    """Let JAX keep what it compiles in the user's cache folder, so that only the first run compiles."""
    import jax
    from platformdirs import user_cache_path

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = user_cache_path("jaxface", appauthor=False) / "jax"
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")  # costs time, no more
