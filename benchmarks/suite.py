"""Runs the suite's parts one after another and writes what they found."""

from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from rich.console import Console

import jaxface
from benchmarks import machine, metrics, plots
from benchmarks.findings import Findings, Setup
from benchmarks.metrics import Metric
from benchmarks.roofline import sgemm_rate

QUICK = ("throughput", "latency", "peers", "agreement")
WHOLE = (*QUICK, "compiling", "gradient", "same_cost", "devices", "million", "reference_problems")


class Report(NamedTuple):
    machine: dict
    metrics: list[Metric]
    verdicts: list[str]


def run(quick: bool, aflw: str | None, surrey: str | None, output: Path, console: Console) -> Report:
    """Measure, write ``results.json`` and the plots into a folder, and compare with the baseline."""
    described = machine.describe()
    setup = Setup(jaxface.load_model(), quick, aflw, surrey, sgemm_rate())
    findings = Findings()
    for part in QUICK if quick else WHOLE:
        start = perf_counter()
        findings += import_module(f"benchmarks.{part}").measure(setup)
        console.print(f"[dim]{part}: {perf_counter() - start:.1f} s")
    described |= {"sgemm_gflops": setup.sgemm / 1e9, "quick": quick}
    (output / "results.json").write_text(metrics.as_json(described, findings.metrics, findings.series))
    plots.draw(findings.series, setup.sgemm, output)
    baseline, same_machine = metrics.read_baseline(metrics.BASELINE, described)
    return Report(described, findings.metrics, metrics.verdicts(findings.metrics, baseline, same_machine))


def cells(metric: Metric) -> tuple[str, str, str]:
    """A metric's value, best and reach as a table shows them; green where it was reached, red where not."""
    show = lambda value: "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    colour = {True: "green", False: "red", None: "default"}[metric.reached]
    sign = "≥" if metric.direction == "higher" else "≤"
    reach = "" if metric.reach is None else f"{sign} {show(metric.reach)}"
    unit = "" if metric.unit == "1" else f" {metric.unit}"
    value = "" if metric.value is None else f"[{colour}]{show(metric.value)}{unit}"
    return value, show(metric.best), reach
