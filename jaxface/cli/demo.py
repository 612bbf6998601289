"""``jaxface demo``: the embedded photograph, fitted."""

from importlib.resources import as_file, files
from pathlib import Path

import typer

from jaxface.cli.choices import USUAL_FACE_FILES
from jaxface.cli.interrupts import loading
from jaxface.cli.options import Output, Report, fit_options


def demo(
    output: Output = Path("jaxface-demo"),
    report: Report = False,
) -> None:
    """Fit the embedded photograph.

    It shows Eileen Collins (NASA). The files are those that jaxface fit writes.

    \b
    Examples:
      jaxface demo
      jaxface demo --report --output demo
    """
    with loading():
        from jaxface.cli.session import run

    formats = USUAL_FACE_FILES + (("report",) if report else ())
    with as_file(files("jaxface.assets").joinpath("astronaut.png")) as photograph:
        raise typer.Exit(run([photograph], output, fit_options(), formats))
