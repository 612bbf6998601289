"""What a figure of the suite is, and when it is worse than the committed one."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

BASELINE = Path(__file__).with_name("baseline.json")


@dataclass(frozen=True)
class Metric:
    """One figure.

    ``direction`` says which way is better; ``tolerance`` by which part of the baseline it may be worse. ``reach`` is
    the value asked for. ``portable`` figures (ratios, errors, counts) are held against a baseline from any machine,
    the others against one from the same machine alone. ``includes`` says what was timed. ``best`` is the best of the
    repeats, where ``value`` is their median. A ``value`` of ``None`` was not measured, and ``includes`` says why.
    """

    name: str
    unit: str
    value: float | None
    direction: Literal["higher", "lower"]
    tolerance: float = 0.25
    reach: float | None = None
    portable: bool = False
    includes: str = ""
    best: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the value is what was asked for; ``None`` where nothing was asked or measured."""
        if self.reach is None or self.value is None:
            return None
        return self.value >= self.reach if self.direction == "higher" else self.value <= self.reach

    def compare(self, baseline: float | None) -> Literal["", "worse", "same", "better"]:
        """How the value stands to the baseline's, within the tolerance; empty where either is missing."""
        if self.value is None or baseline is None:
            return ""
        margin = self.tolerance * abs(baseline)
        gain = self.value - baseline if self.direction == "higher" else baseline - self.value
        if abs(gain) <= margin:
            return "same"
        return "better" if gain > 0 else "worse"


def skipped(name: str, unit: str, why: str) -> Metric:
    """The metric that could not be measured here."""
    return Metric(name, unit, None, "higher", includes=f"not measured: {why}")


def read_baseline(path: Path, machine: dict) -> tuple[dict[str, float], bool]:
    """The values of an earlier ``results.json`` by name, and whether they are of this machine."""
    if not path.exists():
        return {}, False
    earlier = json.loads(path.read_text())
    alike = all(earlier["machine"].get(key) == machine[key] for key in ("cpu", "cores", "device", "jax"))
    return {entry["name"]: entry["value"] for entry in earlier["metrics"]}, alike


def verdicts(metrics: list[Metric], baseline: dict[str, float], same_machine: bool) -> list[str]:
    """Each metric's comparison with the baseline; empty for times of another machine."""
    return [metric.compare(baseline.get(metric.name)) if metric.portable or same_machine else "" for metric in metrics]


def as_json(machine: dict, metrics: list[Metric], series: dict) -> str:
    """The text of ``results.json``; its figures can stand as a baseline."""
    return json.dumps({"machine": machine, "metrics": [asdict(m) for m in metrics], "series": series}, indent=1) + "\n"
