"""Names for some of many files, which do not depend on which ones are asked for."""

import os
import re
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

_NUMBERED = re.compile("(.+)-([1-9][0-9]*)")
_AROUND = r"(?s)^.*/|\.[^./]*$"
_ODD = r"^\.*$|[^[:ascii:]]"


def different_names(asked: Iterable[str], files: Iterable[pa.Array]) -> dict[str, str]:
    """A name for each file that is asked for: its own without folder and ending. Those that a file system may hold for
    the same, whatever their case, get a number in the order of all files: face, face-2, face-3. A file's own name that
    is another's with its number gets one too, face-2-1, so that no two have the same.

    Args:
      files: all of them, as arrays of text; what is not named as one that is asked for is passed over quickly.
    """
    asked = set(asked)
    count = {name: 0 for file in asked for name in _with_beginnings(_key(file))}
    keys, number = pa.array(count, pa.string()), {}
    for some in files:
        for file in some.filter(_may_be(some, keys)).to_pylist():
            key = _key(file)
            if key in count and file not in number:
                count[key] += 1
                number[file] = count[key]

    def is_anothers(key: str) -> bool:
        match = _NUMBERED.fullmatch(key)
        if match is None:
            return False
        return is_anothers(match[1]) if match[2] == "1" else count[match[1]] >= int(match[2])

    return {
        file: f"{_own(file)}-{number[file]}" if number[file] > 1 or is_anothers(_key(file)) else _own(file)
        for file in asked
    }


def _may_be(files: pa.Array, keys: pa.Array) -> pa.Array:
    """Which files may have one of these keys: all that do, and those that begin with dots or hold more than ASCII."""
    own = pc.replace_substring_regex(files, _AROUND, "")
    return pc.or_(pc.is_in(pc.ascii_lower(own), keys), pc.match_substring_regex(own, _ODD))


def _own(file: str) -> str:
    return os.path.splitext(os.path.basename(file))[0]


def _key(file: str) -> str:
    return _own(file).casefold()


def _with_beginnings(key: str) -> Iterator[str]:
    """A name, and what is left of it without the number at its end, without two, ..."""
    yield key
    while match := _NUMBERED.fullmatch(key):
        key = match[1]
        yield key
