"""What every command says to a terminal: in one line, with the names of files made printable."""

import tempfile
from pathlib import Path

import typer
from rich.console import Console

_ANY_WIDTH = 10_000
"""Columns of an output that is not a terminal: nothing wraps."""


def printable(text: str) -> str:
    """A text in one line: what a file's name may hold and a terminal would act upon or cannot encode becomes �."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def console(stderr: bool = False) -> Console:
    """A terminal, or a wide page where it is none; names in brackets or colons stay as they are."""
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _ANY_WIDTH
    return console


def face_model(source: str | None, argument: str):
    """The model of this file, folder or name, or the embedded one; no such model is wrong usage of ``argument``."""
    from jaxface.model.store import load_model

    try:
        return load_model(source)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=argument) from None


def require_writable(output: Path, option: str) -> None:
    """Raise before any work is done if the output folder cannot be made or written to."""
    from jaxface.pipelines.image import existing_folder

    try:
        with tempfile.TemporaryFile(dir=existing_folder(output)):
            pass
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written ({error.strerror})", param_hint=option) from None
