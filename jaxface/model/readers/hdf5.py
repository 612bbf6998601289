"""Datasets out of an HDF5 file that a stranger may have made: plain numbers that stand in the file itself."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jaxface.model.readers.checks import bad_field, reading, small_enough


def read_hdf5(path: Path, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Those of the wanted datasets (absolute names) that the file has."""
    import h5py

    with reading(path, "HDF5 file"), h5py.File(path, "r") as file:
        present = [name for name in wanted if _plain(path, name, file)]
        wide = lambda data: data.size * max(data.dtype.itemsize, 4)  # they are to become float32
        small_enough(path, " + ".join(present), sum(wide(file[name]) for name in present))
        return {name: np.asarray(file[name][()]) for name in present}


def _plain(path: Path, name: str, file) -> bool:
    """Whether the file has this dataset; links and data that lead out of the file are refused."""
    import h5py

    group = file
    for part in name.strip("/").split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            return False
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise bad_field(path, name, "is a link to somewhere else", "a dataset in the file itself")
        group = group[part]
    if not isinstance(group, h5py.Dataset):
        raise bad_field(path, name, "is a group", "a dataset")
    if group.external or group.is_virtual:
        raise bad_field(path, name, "keeps its data in other files", "a dataset in the file itself")
    if group.size and not group.id.get_storage_size():
        raise bad_field(path, name, f"declares {group.size:,} values and holds none", "as many as declared")
    return True
