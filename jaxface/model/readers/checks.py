"""What every reader asks of a field before it believes it, and the one sentence that says what was wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

MAX_BYTES = 2 << 30
"""No field, and no archive's fields together, may take more memory than this (2 GiB): it is checked on what a file
declares, before anything is read. Basel's models, the largest of those that are read here, take about 0.2 GB."""


class ModelFileError(ValueError):
    """A face model's file cannot be read; the message names the file and what is ``said`` of it: the field, what it has
    and what is taken."""

    def __init__(self, path: str | Path, said: str):
        super().__init__(path, said)
        self.path, self.said = path, said

    def __str__(self) -> str:
        return f"face model {self.path}: {self.said}"


def bad_field(path: Path, name: str, has: str, takes: str) -> ModelFileError:
    return ModelFileError(path, f"the field {name!r} {has}; takes {takes}")


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Whatever a parser raises over a damaged file becomes one error that names the file."""
    try:
        yield
    except ModelFileError:
        raise
    except Exception as error:
        said = str(error) or type(error).__name__
        raise ModelFileError(path, f"not a {what} that can be read ({said})") from error


def small_enough(path: Path, name: str, size: int) -> None:
    """Refuse to read ``size`` declared bytes when they are more than ``MAX_BYTES``."""
    if size > MAX_BYTES:
        raise bad_field(path, name, f"declares {size:,} bytes", f"at most {MAX_BYTES:,}")


def numbers(path: Path, name: str, value, shape: tuple[int | str, ...]) -> np.ndarray:
    """A field as finite float32 numbers of this shape, in which a letter stands for any size."""
    array = _array(path, name, value, shape)
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not (finite := np.isfinite(array)).all():
        count = finite.size - np.count_nonzero(finite)
        raise bad_field(path, name, f"has {count:,} values that are NaN or infinite in float32", "finite numbers")
    return array


def indices(path: Path, name: str, value, shape: tuple[int | str, ...], below: int, first: int = 0) -> np.ndarray:
    """A field as int32 indices, counted from ``first`` in the file and from 0 in the result, all under ``below``."""
    array = _array(path, name, value, shape)
    takes = f"whole numbers from {first} to {below + first - 1}"
    if not array.size:
        raise bad_field(path, name, "is empty", takes)
    if not np.isfinite(array).all() or (array != np.floor(array)).any():
        raise bad_field(path, name, "has values that are not whole numbers", takes)
    low, high = int(array.min()), int(array.max())
    if low < first or high >= below + first:
        raise bad_field(path, name, f"has indices from {low} to {high}", takes)
    return array.astype(np.int64).astype(np.int32) - np.int32(first)


def points(path: Path, name: str, value) -> np.ndarray:
    """Coordinates (3V,) x, y, z, x, … or (3V, N), as (V, 3) or (V, 3, N)."""
    if len(value) % 3 or not len(value):
        raise bad_field(path, name, f"has {len(value)} coordinates", "three for each vertex")
    return value.reshape(len(value) // 3, 3, *value.shape[1:])


def deviations(path: Path, name: str, variance) -> np.ndarray:
    """Standard deviations of variances."""
    if (variance < 0).any():
        raise bad_field(path, name, "has negative values", "variances")
    return np.sqrt(variance)


def _array(path: Path, name: str, value, shape: tuple[int | str, ...]) -> np.ndarray:
    wanted = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    if value is None:
        raise bad_field(path, name, "is missing", f"numbers of shape {wanted}")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise bad_field(path, name, f"has values of type {array.dtype}", f"numbers of shape {wanted}")
    fits = array.ndim == len(shape) and all(
        isinstance(size, str) or size == got for size, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise bad_field(path, name, f"has shape {array.shape}", wanted)
    return array
