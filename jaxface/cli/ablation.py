"""``jaxface ablation``: what each part of the method does to the error, as in the paper's Fig. 3."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from jaxface.cli.options import ContourName, LossName, Output, fit_options
from jaxface.cli.terminal import console, face_model, plain_table, print_table, printable, require_writable


def ablation(
    people: Annotated[
        str | None,
        typer.Argument(
            metavar="PEOPLE",
            help="The face model that people are drawn from, by file or name; without it the embedded one. Or "
            "AFLW2000-3D's landmarks, an .npz with pts68, yaw_deg and reannotated_xy.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The face model that is fitted, in place of the embedded one.")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Find the landmarks on drawn photographs; without it they are simulated.")
    ] = None,
    subjects: Annotated[int, typer.Option(min=2, help="How many people.")] = 200,
    scheme: Annotated[str, typer.Option(help="The landmarks: ibug68 or mediapipe478.")] = "ibug68",
    calibration: Annotated[
        str | None,
        typer.Option(help="What calibrated uses: a detector's name or a file; without it, it is measured first."),
    ] = None,
    contour: ContourName = "replace",
    loss: LossName = "squared",
    output: Output = Path("jaxface-ablation"),
) -> None:
    """Fit people whose true faces are known, with every variant.

    Each cell of the tables is a mean error with its 95 % confidence interval. People have odd seeds; what "calibrated"
    uses is measured on those of even seed. --contour is that of the paper's variants, --loss that of all. Writes
    ablation.json and, of people, ablation.png.

    \b
    Examples:
      jaxface ablation
      jaxface ablation ict_face.npz --model ict_face.npz --detector mediapipe
      jaxface ablation aflw2000.npz
      jaxface ablation --contour march
    """
    from jaxface.cli.session import progress
    from jaxface.pipelines.ablation import ablate_aflw2000, ablate_people
    from jaxface.types import POINTS

    require_writable(output, "--output")
    if scheme not in POINTS:
        raise typer.BadParameter(f"{scheme!r} is not one of {', '.join(POINTS)}", param_hint="--scheme")
    options = fit_options(contour=contour, loss=loss)
    if contour == "march" and scheme != "ibug68":
        raise typer.BadParameter("march takes ibug68 landmarks", param_hint="--contour")
    fitted = face_model(model, "--model")
    try:
        if people is not None and _has_landmarks(Path(people)):
            report = ablate_aflw2000(Path(people), fitted, output, options)
        else:
            whose = fitted if people == model else face_model(people, "PEOPLE")
            watched = partial(progress, description="looking", errors=console(stderr=True))
            asked = output, subjects, detector, scheme, calibration, options, watched
            report = ablate_people(whose, fitted, *asked)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    console().print(printable(report.title))
    for measure, rows in report.tables.items():
        print_table(console(), table(measure, rows))
    console().written(output)


def _has_landmarks(path: Path) -> bool:
    """Whether a file holds AFLW2000-3D's landmarks and no model; a ``ValueError`` if it holds nothing."""
    from jaxface.model.readers.npz import names

    return path.suffix == ".npz" and path.is_file() and "pts68" in names(path)


def table(measure: str, rows) -> Table:
    """Means and confidence intervals, a row a method, a column a bin of yaw."""
    out = plain_table()
    out.add_column(measure)
    first = next(iter(rows.values()))
    for name, cell in first.items():
        out.add_column(f"{name}\nn={cell.count}", justify="right", no_wrap=True)
    for name, cells in rows.items():
        out.add_row(name, *(f"{cell.mean:.2f}" + f" ±{cell.half:.2f}" * (cell.count > 1) for cell in cells.values()))
    return out
