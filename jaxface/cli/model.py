"""``jaxface model``: what a face model is, its conversion, merging two, and how a detector errs on one."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from jaxface.cli.choices import FEWEST_CALIBRATED
from jaxface.cli.options import DetectorName
from jaxface.cli.terminal import console, face_model, printable, require_writable

app = typer.Typer(
    help="Describe, convert, merge and calibrate face models.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def info(
    source: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", help="A file, folder or registered name; without it, the embedded one."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", "-p", help="Draw the first five components at ±2σ into this PNG.")
    ] = None,
    people: Annotated[
        Path | None, typer.Option("--people", help="Draw six random people, at 1σ and at 3σ, into this PNG.")
    ] = None,
) -> None:
    """Say what a face model is.

    \b
    Examples:
      jaxface model info
      jaxface model info flame2023.pkl --picture components.png
    """
    from jaxface.model.describe import describe
    from jaxface.model.store import is_source

    for file, option in (picture, "--picture"), (people, "--people"):
        if file and file.is_dir():
            raise typer.BadParameter(f"{file} is a folder; takes a PNG to write", param_hint=option)
        if file and is_source(file, source):
            raise typer.BadParameter(f"{file} is the model that is read; takes a PNG to write", param_hint=option)
        if file and file.suffix.lower() != ".png":
            raise typer.BadParameter(f"{file} does not end in .png; takes a PNG to write", param_hint=option)
        if file:
            require_writable(file.parent, option)
    if picture and people and picture.absolute() == people.absolute():
        raise typer.BadParameter(f"{people} is for --picture; takes another file", param_hint="--people")
    model = face_model(source, "SOURCE")
    said = describe(model)
    table = Table(box=None, show_header=False, pad_edge=False)
    for name in ("name", "licence", "vertices", "triangles"):
        table.add_row(name, printable(str(said[name])))
    for kind in ("identity", "expression"):
        spread = said[f"{kind}_spread_mm"]
        first = ", ".join(f"{value:.2f}" for value in spread[:5])
        detail = (
            f"; rms {sum(value**2 for value in spread) ** 0.5:.2f} mm a vertex, the first {first}" if spread else ""
        )
        table.add_row(f"{kind} components", f"{len(spread)}{detail}")
    table.add_row("landmarks", ", ".join(said["landmarks"]) or "none")
    table.add_row("texture atlas", "yes" if said["atlas"] else "no")
    console().print(table)
    if picture or people:
        from jaxface.rendering.components import draw_components, draw_people

        for file, draw in (picture, draw_components), (people, draw_people):
            if file:
                _write(draw(model), file)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A model's file or folder.", show_default=False)],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION", help="A file to write (.npz), or a name to register.", show_default=False
        ),
    ],
) -> None:
    """Write a face model of any format as jaxface's own.

    It goes to a file, or under a name that --model takes.

    \b
    Examples:
      jaxface model convert flame2023.pkl flame.npz
      jaxface model convert model2019_fullHead.h5 basel
      jaxface fit photo.jpg --model basel
    """
    from jaxface.model.store import convert_model

    _require_file(destination, source)
    try:
        written = convert_model(source, destination)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="SOURCE") from None
    except OSError as error:
        raise _unwritable(destination, error) from None
    console().written(written)


@app.command()
def merge(
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION", help="A file to write (.npz), or a name to register.", show_default=False
        ),
    ],
    identity: Annotated[
        str, typer.Option("--identity", help="Whose mesh and people: file, folder or name.", show_default=False)
    ],
    expression: Annotated[
        str, typer.Option("--expression", help="Whose expressions: file, folder or name.", show_default=False)
    ],
) -> None:
    """Carry one face model's expressions onto another's mesh.

    The two are written as one, to a file or under a name that --model takes.

    \b
    Examples:
      jaxface model merge both.npz --identity basel --expression FaceXModel
      jaxface fit photo.jpg --model both.npz
    """
    from jaxface.model.store import keep_model
    from jaxface.model.transfer import merge as merge_models

    _require_file(destination, identity, expression)
    models = face_model(identity, "--identity"), face_model(expression, "--expression")
    try:
        written = keep_model(merge_models(*models), destination)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except OSError as error:
        raise _unwritable(destination, error) from None
    console().written(written)


@app.command()
def calibrate(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A model's file, folder or name.", show_default=False)
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DESTINATION", help="A file to write (.npz).", show_default=False)
    ],
    detector: DetectorName = "mediapipe",
    people: Annotated[
        int, typer.Option(min=2 * FEWEST_CALIBRATED, help="How many people are drawn; half a second each.")
    ] = 1200,
) -> None:
    """Measure how a detector errs on a face model's people.

    People of the model are drawn and their landmarks found, once for a detector and a model. With the file that this
    writes, a fit takes off what is known of the detector's errors, as it does by itself with the embedded model.

    \b
    Examples:
      jaxface model calibrate FaceXModel ict-mediapipe.npz
      jaxface fit photo.jpg --model FaceXModel --calibration ict-mediapipe.npz
    """
    from io import BytesIO

    from jaxface.calibration import save_calibration
    from jaxface.cli.session import progress
    from jaxface.export.files import atomic_write
    from jaxface.model.store import is_source
    from jaxface.pipelines import calibrating

    if destination.suffix != ".npz" or destination.is_dir() or is_source(destination, source):
        raise typer.BadParameter(f"takes a file to write (.npz), got {destination}", param_hint="DESTINATION")
    require_writable(destination.parent, "DESTINATION")
    model = face_model(source, "SOURCE", "ibug68")
    schemes = calibrating.schemes_of(model, detector)
    watched = partial(progress, description="looking", errors=console(stderr=True))
    try:
        tables = calibrating.calibrate(model, detector, people, *schemes, fewest=FEWEST_CALIBRATED, watched=watched)
    except ValueError as error:
        raise typer.BadParameter(str(error).removeprefix("detector="), param_hint="--detector") from None
    save_calibration(content := BytesIO(), **tables)
    destination.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(destination, content.getvalue())
    console().written(destination)


def _require_file(destination: str, *sources: str) -> None:
    """Raise before any work is done if no model can have this name, or one that is read has it."""
    from jaxface.model.store import model_file

    try:
        model_file(destination, *sources)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="DESTINATION") from None


def _unwritable(destination: str, error: OSError) -> typer.BadParameter:
    return typer.BadParameter(f"{destination} cannot be written ({error.strerror})", param_hint="DESTINATION")


def _write(drawn, picture: Path) -> None:
    from jaxface.export.files import atomic_write, png

    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(picture, png(drawn))
    except OSError as error:
        console(stderr=True).failed(f"{picture} cannot be written ({error.strerror or error})")
        raise typer.Exit(1) from None
    console().print(f"drawn in {printable(str(picture))}", soft_wrap=True)
