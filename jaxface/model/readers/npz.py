"""Arrays out of a NumPy ``.npz`` that a stranger may have made: no pickles, no more memory than the file declares."""

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jaxface.model.readers.checks import bad_field, reading, small_enough

_KIND = "jaxface .npz or other archive of arrays"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def names(path: Path) -> list[str]:
    """The arrays of an archive."""
    with reading(path, _KIND), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read_npz(path: Path, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Those of the wanted arrays that the archive has.

    The sizes that the archive declares are summed before anything is unpacked, and each array's shape is compared
    with the size of its member: a few kilobytes cannot become many gigabytes.
    """
    with reading(path, _KIND), zipfile.ZipFile(path) as archive:
        inside = set(archive.namelist())
        members = {name: archive.getinfo(f"{name}.npy") for name in wanted if f"{name}.npy" in inside}
        small_enough(path, " + ".join(members), sum(member.file_size for member in members.values()))
        return {name: _array(path, name, archive, member) for name, member in members.items()}


def _array(path: Path, name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with reading(path, f"{_KIND} whose {name!r}"), archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise bad_field(path, name, f"has .npy version {version}", "version 1.0 or 2.0")
        shape, fortran, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            raise bad_field(path, name, "holds pickled Python objects", "numbers or text")
        size = math.prod(shape) * dtype.itemsize
        data = file.read(size + 1)
        if len(data) != size:
            raise bad_field(path, name, f"declares {size:,} bytes and holds {len(data):,}", "as many as declared")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
