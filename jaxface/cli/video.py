"""``jaxface video``: a video or a camera in, everyone's 3D face and its motion out."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from jaxface.cli.choices import SMOOTHNESS, VIDEO_FILES
from jaxface.cli.interrupts import interrupts
from jaxface.cli.options import (
    DetectorName,
    LossName,
    Model,
    Output,
    VariantName,
    fit_options,
    formats_of,
    require_joint,
    some_of,
)
from jaxface.cli.terminal import console, face_model, plain_table, print_table, require_writable

_RECORDING = "camera.mp4"


def video(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A video file, or a camera's number: 0 is the first.", show_default=False
        ),
    ],
    output: Output = Path("jaxface-video"),
    formats: Annotated[str, formats_of(VIDEO_FILES)] = ",".join(VIDEO_FILES),
    smoothness: Annotated[
        float,
        typer.Option(min=0, max=1e6, help="How much a face is held to where it was a frame before; 0 not at all."),
    ] = SMOOTHNESS,
    seconds: Annotated[
        float, typer.Option(min=0, max=1e6, help="How long a camera is recorded, if Ctrl-C does not end it before.")
    ] = 3600.0,
    variant: VariantName = "auto",
    loss: LossName = "squared",
    model: Model = None,
    detector: DetectorName = "mediapipe",
) -> None:
    """Fit everyone in a video.

    A person has one face, with an expression and a pose a frame. Writes the video with the faces over it, a row a
    frame and face as Parquet, and for each person a GLB that moves. A camera's recording is kept beside them.

    \b
    Examples:
      jaxface video clip.mp4 --output clip
      jaxface video clip.mp4 --formats glb
      jaxface video 0 --seconds 10 --output me
    """
    from jaxface.cli.session import keep_compilations
    from jaxface.detection.registry import opened
    from jaxface.pipelines.frames import record
    from jaxface.pipelines.video import fit_video

    chosen = some_of(VIDEO_FILES, formats)
    options = fit_options(variant=variant, loss=loss)
    require_joint(variant)
    keep_compilations()
    require_writable(output, "--output")
    fitted = face_model(model, "--model", "ibug68")
    results, errors = console(), console(stderr=True)
    path = Path(source)
    if source.isdecimal() and not path.exists():
        output.mkdir(parents=True, exist_ok=True)
        path = output / _RECORDING
        errors.print("recording; Ctrl-C ends it")
        try:
            record(int(source), path, seconds)
        except ValueError as error:
            errors.failed(error)
            raise typer.Exit(1) from None
    try:
        with opened(detector) as made, interrupts() as stop_if_interrupted, _bar(errors) as bar:
            report = fit_video(path, output, fitted, made, options, smoothness, chosen, _progress(bar), model)
            stop_if_interrupted()
    except ValueError as error:
        raise typer.BadParameter(str(error).removeprefix("detector="), param_hint="--detector") from None
    if report.error:
        errors.failed(report.error)
    if report.people:
        print_table(results, _table(report))
        results.print(_rates(report))
    if report.written:
        results.written(output)
    raise typer.Exit(1 if report.error else 0)


def _bar(errors: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} frames")
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


def _progress(bar: Progress):
    """A function that shows each stage of a video in a bar of its own."""
    tasks: dict[str, TaskID] = {}

    def advance(stage: str, frames: int) -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=None)
        bar.update(tasks[stage], advance=frames)

    return advance


def _table(report) -> Table:
    table = plain_table()
    for heading in ("person\n", "frames\n", "first\n", "last\n", "fitted\n", "yaw from\n°", "to\n°"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, person in enumerate(report.people, start=1):
        yaw = [float(person.result.pose.euler_deg[index, 1]) for index in person.fitted.nonzero()[0]]
        places = len(person.frames), person.frames[0], person.frames[-1], int(person.fitted.sum())
        table.add_row(str(number), *map(str, places), f"{min(yaw):+z.1f}", f"{max(yaw):+z.1f}")
    return table


def _rates(report) -> str:
    rate = lambda seconds: f"{report.frames / seconds:.3g}"
    both = report.detect_s + report.fit_s
    return (
        f"{report.frames} frames: {rate(both)} frames/s found and fitted "
        f"(found {rate(report.detect_s)}, fitted {rate(report.fit_s)}), {report.export_s:.1f} s to write"
    )
