"""How long a call takes, with nothing hidden: the first call, which compiles, stands apart from the repeats."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import jax


@dataclass(frozen=True)
class Timing:
    """Seconds of the first call and of each repeat."""

    first: float
    repeats: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.repeats)

    @property
    def best(self) -> float:
        return min(self.repeats)


def seconds(call: Callable) -> float:
    """Wall clock of one call, until its arrays are there."""
    start = perf_counter()
    jax.block_until_ready(call())
    return perf_counter() - start


def timed(call: Callable, repeats: int = 5) -> Timing:
    """The first call, then ``repeats`` more."""
    return Timing(seconds(call), tuple(seconds(call) for _ in range(repeats)))


def side_by_side(ours: Callable, theirs: Callable, repeats: int = 3) -> tuple[Timing, Timing]:
    """Two calls timed in turn, so that whatever else the machine does falls on both."""
    first = seconds(ours), seconds(theirs)
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    mine, other = zip(*pairs, strict=True)
    return Timing(first[0], mine), Timing(first[1], other)
