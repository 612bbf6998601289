"""``jaxface mesh``: rows of Parquet files in, meshes out."""

from pathlib import Path
from typing import Annotated

import typer

from jaxface.cli.choices import MESHES
from jaxface.cli.options import Output, formats_of, some_of
from jaxface.cli.terminal import console, face_model, printable, require_writable


def mesh(
    rows: Annotated[
        Path,
        typer.Argument(
            metavar="ROWS", help="What jaxface dataset wrote: the folder, or one of its files.", show_default=False
        ),
    ],
    where: Annotated[
        str | None, typer.Option(help="Which rows: a condition such as 'abs(yaw_deg) > 60 and cost < 200'.")
    ] = None,
    output: Output = Path("jaxface-meshes"),
    formats: Annotated[str, formats_of(MESHES)] = "glb",
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many of them; all by default.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The face model the rows were fitted with; the one they name by default.")
    ] = None,
) -> None:
    """Turn rows of fitted faces into meshes.

    A photograph's first face becomes NAME.glb, its further ones NAME/face-2.glb, ...; a video's faces
    NAME/person-1/frame-000000.glb, ... Photographs of one name get a number.

    A condition takes the columns of numbers and text (docs/scale.md lists them), + - * /, comparisons, and, or, not,
    is None, in (...), abs(...), startswith(column, "...") and contains(column, "...").

    \b
    Examples:
      jaxface mesh rows --where "yaw_deg > 60"
      jaxface mesh rows --where 'contains(source, "anna")' --formats obj
      jaxface mesh rows --limit 10 --output some
    """
    from jaxface.cli.session import progress
    from jaxface.pipelines.meshes import select

    chosen = some_of(MESHES, formats)
    require_writable(output, "--output")
    try:
        selection = select(rows, where, limit)
        names = selection.names()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    fitted_with = face_model(model or selection.model["source"], "--model")
    try:
        selection.require(fitted_with)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--model") from None
    results, errors = console(), console(stderr=True)
    if not names:
        errors.print("no fitted face meets the condition")
        raise typer.Exit(1)
    written = 0
    try:
        for name, result in zip(progress(names, "writing", errors), selection.results(), strict=True):
            files = [output / f"{name}.{ending}" for ending in chosen]
            written += all([_written(file, fitted_with, result, errors) for file in files])
    except ValueError as error:
        errors.failed(str(error))
    results.print(f"{written} faces written to {printable(str(output))}", soft_wrap=True)
    raise typer.Exit(0 if written == len(names) else 1)


def _written(file: Path, model, result, errors) -> bool:
    """Write a face's mesh; false where it cannot be written, which is then said."""
    from jaxface.export.meshes import write_mesh

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_mesh(file, model, result)
    except OSError as error:
        reason = "a folder has its name" if file.is_dir() else error.strerror or error
        errors.failed(f"{file} cannot be written ({reason})")
        return False
    return True
