"""Arrays out of a pickle that a stranger may have made, without running anything that it names.

A pickle is a program: it names functions and the unpickler calls them. Here every name that a saved array needs stands
for one of the small classes below, which only hold data, and any other name is an error. NumPy's own reconstruction is
not called either: shapes and bytes are put together here, so a forged array state cannot reach NumPy's internals.
Admitted: NumPy arrays and scalars (with Python 2's and NumPy 2's module names), SciPy sparse matrices (held, not used),
chumpy arrays (held with the array in their field ``x``), sets, latin-1 encoding, and old-style object construction of
the held kinds.
"""

import pickle
import pickletools
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jaxface.model.readers.checks import ModelFileError, reading, small_enough

_NUMBERS = re.compile(r"[<>|=]?[biufSU]\d{1,4}")


def read_pickle(path: Path, wanted: Iterable[str]) -> dict:
    """Those of the wanted entries that the dictionary in the pickle has, arrays as NumPy arrays."""
    small_enough(path, "(whole file)", path.stat().st_size)
    with reading(path, "pickle"), path.open("rb") as file:
        _require_small_memo(file)
        content = _Unpickler(file, path).load()
        if not isinstance(content, dict):
            raise ModelFileError(path, "the pickle holds no dictionary of arrays")
        return {name: _plain(content[name]) for name in wanted if name in content}


def _require_small_memo(file) -> None:
    """Refuse a pickle that numbers an object higher than it has bytes before it: memory is taken up to that number."""
    for operation, argument, place in pickletools.genops(file):
        if "PUT" in operation.name and (number := int(argument or 0)) > (place or 0):
            raise pickle.UnpicklingError(f"an object has the number {number:,} at byte {place:,}")
    file.seek(0)


def _plain(value):
    """An array or a number; what is put together of others, which may be without end, is an array of no numbers."""
    if isinstance(value, _Held):
        return _plain(value.fields.get("x"))
    value = value.value if isinstance(value, _Array) else value
    return value if isinstance(value, np.ndarray | np.generic | int | float | str | bytes) else np.array(None)


class _Dtype:
    """``numpy.dtype(code, align, copy)``; ``(version, byte order, …)`` follows as its state."""

    def __init__(self, code: str, *flags):
        self.numeric = bool(_NUMBERS.fullmatch(code))
        self.dtype = np.dtype(code if self.numeric else "V1")

    def __setstate__(self, state: tuple):
        if self.numeric and state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])

    def read(self, data, shape: tuple, order):
        """The array of these bytes; anything but numbers and text stays what it is and no reader takes it."""
        if not self.numeric:
            return data
        data = data.encode("latin1") if isinstance(data, str) else data
        return np.frombuffer(data, self.dtype).reshape(shape, order=order)


class _Array:
    """``numpy.core.multiarray._reconstruct(type, shape, code)``; the content follows as its state."""

    def __init__(self, *ignored):
        self.value = None

    def __setstate__(self, state: tuple):
        shape, dtype, fortran, data = state[-4:]
        self.value = dtype.read(data, shape, "F" if fortran else "C")


class _Buffer(_Array):
    """``numpy.core.numeric._frombuffer(bytes, dtype, shape, order)``: an array in protocol 5."""

    def __init__(self, data, dtype: _Dtype, shape: tuple, order: str):
        self.value = dtype.read(data, shape, order)


class _Scalar(_Array):
    """``numpy.core.multiarray.scalar(dtype, bytes)``."""

    def __init__(self, dtype: _Dtype, data):
        self.value = dtype.read(data, (), "C")


class _Held:
    """An object of a package that is not asked for: its fields, and nothing of its behaviour."""

    def __init__(self, *ignored):
        self.fields = {}

    def __setstate__(self, state):
        self.fields = state if isinstance(state, dict) else {}


class _Constructed:
    """``copyreg._reconstructor(type, base, state)``: how protocols 0 and 1 make an object."""

    def __new__(cls, kind, *ignored):
        if not (isinstance(kind, type) and issubclass(kind, _Held)):
            raise pickle.UnpicklingError("an object of a kind that is not taken")
        return kind()

    def __setstate__(self, state): ...


class _Encoded:
    """``_codecs.encode(text, "latin1")``: how Python 3 writes bytes in protocols 0 to 2."""

    def __new__(cls, text: str, encoding: str):
        if encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"text in the encoding {encoding!r}")
        return text.encode("latin1")

    def __setstate__(self, state): ...


_ADMITTED = {
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy.core.numeric", "_frombuffer"): _Buffer,
    ("_codecs", "encode"): _Encoded,
    ("copyreg", "_reconstructor"): _Constructed,
    ("builtins", "object"): "object",  # only ever an argument of _reconstructor
    ("builtins", "set"): set,
}
_OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_HELD = re.compile(r"chumpy(\.\w+)*:\w+|scipy\.sparse(\.\w+)*:[a-z]+_(matrix|array)")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, path: Path):
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str):
        """What a name in the pickle stands for."""
        known = _OLD_NAMES.get(module, module).replace("numpy._core", "numpy.core")
        if (known, name) in _ADMITTED:
            return _ADMITTED[known, name]
        if _HELD.fullmatch(f"{known}:{name}"):
            return _Held
        raise ModelFileError(
            self._path,
            f"the pickle asks for {module}.{name}; takes arrays of NumPy, SciPy and chumpy; nothing was executed",
        )
