"""What a part of the suite gives back, and what all parts are given."""

from dataclasses import dataclass, field

from benchmarks.metrics import Metric
from jaxface import MorphableModel


@dataclass(frozen=True)
class Setup:
    """``quick`` leaves out what does not fit into a minute; ``aflw`` and ``surrey`` are paths of outside data."""

    model: MorphableModel
    quick: bool
    aflw: str | None
    surrey: str | None
    sgemm: float
    """FLOP/s of a matrix product, of this run."""


@dataclass(frozen=True)
class Findings:
    """Figures, and the curves (JSON-able, by the name of their plot) that they were taken from."""

    metrics: list[Metric] = field(default_factory=list)
    series: dict[str, list] = field(default_factory=dict)

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(self.metrics + other.metrics, self.series | other.series)
