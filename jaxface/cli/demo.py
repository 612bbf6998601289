"""``jaxface demo``: the embedded photograph, fitted."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from jaxface.cli.session import run


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("jaxface-demo"),
) -> None:
    """Fit the embedded photograph.

    It shows Eileen Collins (NASA). Everything that jaxface writes is written.
    """
    with as_file(files("jaxface.assets").joinpath("astronaut.png")) as photograph:
        raise typer.Exit(run([photograph], output))
