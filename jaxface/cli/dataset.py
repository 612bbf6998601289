"""``jaxface dataset``: a folder of photographs in, a folder of Parquet files out."""

from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from jaxface.cli.interrupts import interrupts
from jaxface.cli.options import (
    CalibrationSource,
    ContourName,
    DetectorName,
    LossName,
    MinScore,
    Model,
    Output,
    VariantName,
    WhichFaces,
    fit_options,
    require_calibration,
)
from jaxface.cli.terminal import console, model_to_fit, plain_table, print_table, printable, require_writable

_REASONS = 5
"""How many of the reasons for failures are told."""


def dataset(
    images: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES",
            help="A folder, a pattern in quotes, or a text file with a path a line.",
            show_default=False,
        ),
    ],
    output: Output = Path("jaxface-dataset"),
    variant: VariantName = "auto",
    calibration: CalibrationSource = None,
    contour: ContourName = "replace",
    loss: LossName = "squared",
    model: Model = None,
    detector: DetectorName = "mediapipe",
    faces: WhichFaces = "all",
    min_score: MinScore = 0.0,
    score: Annotated[bool, typer.Option("--score", help="Measure how likely each face is one; takes longer.")] = False,
    part_images: Annotated[int, typer.Option(min=1, help="Images that share a Parquet file.")] = 1024,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes that search images; one a processor by default.")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="On this machine, or on the Ray cluster that RAY_ADDRESS names.")
    ] = "local",
) -> None:
    """Fit the faces of many photographs into rows of Parquet files.

    Ended at any moment and started again with the same options, it goes on where it was. A photograph that cannot be
    read or shows no face is a row that says so. The exit code is 1 when one could not be read, a face could not be
    fitted (the others are written) or there was none in all of them.

    \b
    Examples:
      jaxface dataset photos --output rows
      jaxface dataset "photos/**/*.jpg" --processes 8
      jaxface dataset list.txt --faces largest --min-score 0.5
    """
    from jaxface.cli.session import keep_compilations
    from jaxface.pipelines.dataset import started
    from jaxface.pipelines.stages import Settings, Tally

    options = fit_options(variant=variant, calibration=calibration, contour=contour, loss=loss)
    require_calibration(variant, detector, model, calibration)
    keep_compilations()
    require_writable(output, "--output")
    model_to_fit(model, options)
    settings = Settings(model, detector, faces, min_score, score, part_images, options)
    begun, done, errors = perf_counter(), Tally(), console(stderr=True)
    try:
        with interrupts() as stop_if_interrupted, started(images, output, settings) as run:
            total, left = len(run.sources), sum(len(part.sources) for part in run.parts)
            with _bar(errors) as bar:
                task = bar.add_task("", total=total, completed=total - left, rates="")
                for tally in _engine(engine)(run.parts, run.folder, settings, processes):
                    stop_if_interrupted()
                    done += tally
                    bar.update(task, advance=tally.images, rates=_rates(done, perf_counter() - begun))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        errors.failed(f"{output}: {error.strerror or error}. {_GOES_ON}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        errors.print(f"stopped. {_GOES_ON}")
        raise typer.Exit(130) from None
    raise typer.Exit(_report(output, total, done, perf_counter() - begun))


_GOES_ON = "What was written stays, and the same command goes on from there."


def _engine(name: str):
    if name == "local":
        from jaxface.pipelines.local import run
    else:
        from jaxface.pipelines.ray import run
    return run


def _bar(errors) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rates]}"), TimeRemainingColumn())
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


def _rates(done, seconds: float) -> str:
    return f"{done.images / seconds:.3g} images/s  {done.faces / seconds:.3g} faces/s  {done.failures} failures"


def _report(output: Path, images: int, done, seconds: float) -> int:
    """Print what the output holds, and where this run's time went; the exit code."""
    from jaxface.pipelines.dataset import contents
    from jaxface.pipelines.faces import NO_FACE, UNLIKELY

    results = console()
    try:
        faces, reasons = contents(output)
    except ValueError as error:
        console(stderr=True).failed(error)
        return 1
    results.print(f"{images} images, {faces} faces fitted, {sum(reasons.values())} failures")
    for reason, count in list(reasons.items())[:_REASONS]:
        results.print(f"  {count} {printable(reason)}", soft_wrap=True)
    if done.images:
        print_table(results, _table(done))
        results.print(f"{done.images} images in {seconds:.1f} s: {_rates(done, seconds)}")
    results.written(output)
    return 0 if faces and set(reasons) <= {NO_FACE, UNLIKELY} else 1


def _table(done) -> Table:
    table = plain_table()
    for heading in ("stage\n", "all\ns", "share\n%", "an image\nms"):
        table.add_column(heading, justify="left" if heading.startswith("stage") else "right")
    total = sum(done.seconds.values())
    for stage, spent in done.seconds.items():
        table.add_row(stage, f"{spent:.1f}", f"{100 * spent / total:.1f}", f"{1000 * spent / done.images:.3f}")
    return table
