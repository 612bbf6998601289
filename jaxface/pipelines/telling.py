"""What cannot be done for one file becomes a sentence in its report, so that the others' results are not lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Report(Protocol):
    """What became of a file; ``error`` is a sentence where something failed."""

    error: str | None


@contextmanager
def telling(report: Report, name: Path | str, folder: Path, results: str = "results") -> Iterator[None]:
    """Where a file of this name cannot be read or fitted, or its results not be written to the folder, the report says
    so, and nothing is raised."""
    try:
        yield
    except OSError as error:
        report.error = f"{name}: its {results} cannot be written to {folder} ({error.strerror or error})"
    except (ValueError, RuntimeError, MemoryError) as error:  # RuntimeError: a network, no OpenGL, or XLA has no memory
        sentence = str(error) or "there is not enough memory for it"
        report.error = sentence if sentence.startswith(f"{name}:") else f"{name}: {sentence}"
