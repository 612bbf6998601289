"""What every command says to a terminal: in one line, with the names of files made printable."""

import os
import tempfile
from pathlib import Path

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_ANY_WIDTH = 10_000
"""Columns of an output that is not a terminal, or a narrow one: nothing wraps."""


def printable(text: str) -> str:
    """A text in one line: what a file's name may hold and a terminal would act upon or cannot encode becomes �."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


class Terminal(Console):
    """A terminal that says what became of files in one line each."""

    def failed(self, said: object) -> None:
        """Say what went wrong."""
        self.print(printable(str(said)), style="red", soft_wrap=True)

    def written(self, path: object) -> None:
        """Say where results are."""
        self.print(f"written to {printable(str(path))}", soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Whoever read the output has left: the rest of it goes nowhere, and the run ends as it would have ended."""
        self.quiet = True
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self.file.fileno())


def console(stderr: bool = False) -> Terminal:
    """A terminal, or a wide page where it is none; names in brackets or colons stay as they are."""
    console = Terminal(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _ANY_WIDTH
    return console


def plain_table() -> Table:
    """A table without lines, to which columns are added."""
    return Table(box=None, pad_edge=False, header_style="bold")


def print_table(output: Console, table: Table) -> None:
    """Print a table; where the terminal is too narrow for it, even with its names folded, as if there were none: the
    terminal breaks the lines, where rich would leave digits and whole names out."""
    folding = [column for column in table.columns if column.overflow == "fold"]
    for column in folding:
        column.max_width = column.min_width
    least = Measurement.get(output, output.options.update(max_width=_ANY_WIDTH), table).maximum
    for column in folding:
        column.max_width = None
    if least > output.width:
        output.width = _ANY_WIDTH
    output.print(table)


def face_model(source: str | None, argument: str, scheme: str | None = None):
    """The model of this file, folder or name, or the embedded one; no such model is wrong usage of ``argument``, and
    one without landmarks of the scheme, where these are to be fitted."""
    from jaxface.model.store import load_model

    try:
        model = load_model(source)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=argument) from None
    if scheme is not None and scheme not in model.landmarks:
        raise typer.BadParameter(f"{source} has no {scheme} landmarks to fit photographs to", param_hint=argument)
    return model


def model_to_fit(source: str | None, options):
    """The model of ``--model`` with its 68 points; a calibration of ``--calibration`` that cannot be had, or is another
    model's, is wrong usage too."""
    from jaxface.fitting.options import table_of

    model = face_model(source, "--model", "ibug68")
    try:
        table_of(options, model, "ibug68")
    except ValueError as error:
        raise typer.BadParameter(str(error).removeprefix("calibration="), param_hint="--calibration") from None
    return model


def require_writable(output: Path, option: str) -> None:
    """Raise before any work is done if the output folder cannot be made or written to."""
    from jaxface.pipelines.image import existing_folder

    try:
        with tempfile.TemporaryFile(dir=existing_folder(output)):
            pass
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written ({error.strerror})", param_hint=option) from None
