"""Many images to a folder of Parquet files, by a run that may be ended at any moment and goes on when started again."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jaxface.export.files import atomic_write, left_behind
from jaxface.pipelines.sources import find_images, read_list, write_list
from jaxface.pipelines.stages import Part, Settings, record

RUN, SOURCES = "_run.json", "_sources.txt"
"""What an output folder records beside its parts. Readers of Parquet folders pass over names that begin with ``_``."""


@dataclass(frozen=True)
class Run:
    """A run over ``sources``; ``parts`` are those whose file is not there yet."""

    folder: Path
    settings: Settings
    sources: list[str]
    parts: list[Part]


@contextmanager
def started(images: str, folder: Path, settings: Settings) -> Iterator[Run]:
    """Begin a run, or go on with the one that the folder records; no other process writes to it meanwhile.

    A run keeps the list of images it began with.

    Args:
      images: as ``find_images`` takes it.
      folder: is made if it is not there.

    Raises:
      ValueError: there is no image, the folder holds the run of other options, or another process writes to it.
      OSError: the folder cannot be made or written.
    """
    asked = {"images": os.path.abspath(images), **record(settings)}
    sources = None if (folder / RUN).is_file() else find_images(images)
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder):
        if sources is None:
            sources = _begun(folder, asked)
        else:
            if any(folder.glob("part-*.parquet")):
                raise ValueError(f"{folder}: has parts of a run and no {RUN} that tells which; give another folder")
            write_list(folder / SOURCES, sources)
            atomic_write(folder / RUN, (json.dumps(asked, indent=2) + "\n").encode())
        for left in left_behind(folder):
            left.unlink()
        size = settings.part_images
        parts = [Part(i, sources[i * size : (i + 1) * size]) for i in range(-(-len(sources) // size))]
        try:
            yield Run(folder, settings, sources, [part for part in parts if not (folder / part.file).exists()])
        except ValueError:  # the settings ask for what is not there: others are welcome here
            if not parts_of(folder):
                (folder / RUN).unlink()
                (folder / SOURCES).unlink()
            raise


def _begun(folder: Path, asked: dict) -> list[str]:
    """The images of the run that a folder holds, if it is the one that is asked for."""
    try:
        there, sources = json.loads((folder / RUN).read_text()), read_list(folder / SOURCES)
    except (ValueError, FileNotFoundError):
        there, sources = None, []
    if not isinstance(there, dict) or not sources:
        raise ValueError(
            f"{folder}: its {RUN} or {SOURCES}, which say what run it holds, is damaged; give another folder"
        )
    there, asked = _flat(there), _flat(asked)
    names = [name for name in {**there, **asked} if there.get(name) != asked.get(name)]
    if names:
        differences = ", ".join(f"{name} {there.get(name)} there and {asked.get(name)} here" for name in names)
        raise ValueError(f"{folder}: holds a run with other options: {differences}; give another folder")
    return sources


def _flat(options: dict, prefix: str = "") -> dict:
    flat = {}
    for name, value in options.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


@contextmanager
def _held(folder: Path):
    """A lock on a folder, which ends with the process however that ends."""
    import fcntl

    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another process is writing to it") from None
        yield
    finally:
        os.close(opened)


def contents(folder: Path) -> tuple[int, dict[str, int]]:
    """How many fitted faces the parts of a folder hold, and how often each reason for none, the most frequent first."""
    errors: Counter[str | None] = Counter()
    for path in parts_of(folder):
        errors.update(read_part(path, ["error"])["error"].to_pylist())
    return errors[None], {error: count for error, count in errors.most_common() if error is not None}


def read_part(path: Path, columns: list[str]) -> pa.Table:
    """Some columns of a part; raises a ``ValueError`` for a file that is damaged."""
    with sound(path):
        return pq.read_table(path, columns=columns)


@contextmanager
def sound(path: Path) -> Iterator[None]:
    """Where a part is read: raises a ``ValueError`` that names the file if it turns out to be damaged."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if getattr(error, "errno", None) is not None:  # the file system's, not Parquet's
            raise
        ours = path in parts_of(path.parent)
        hint = "; remove it, and jaxface dataset makes it again" if ours else ", or no Parquet file"
        raise ValueError(f"{path}: is damaged{hint}") from None


def parts_of(folder: Path) -> list[Path]:
    """The files that a folder's rows are in, in the order of its images."""
    return sorted(folder.glob("part-*.parquet"))
