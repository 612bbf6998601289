"""The benchmark suite: ``python -m benchmarks [--quick] [--device NAME] [--output DIR] [--aflw PATH] [--surrey DIR]``.

Prints a table of figures with what was asked of each, and writes ``results.json`` and PNG plots. Ratios, errors and
counts are held against ``benchmarks/baseline.json``, times too where it is of the same machine; the exit code is 1
where one of them is worse. JAX is given a CPU as a device a core. ``docs/benchmarks.md`` says what each figure
means.
"""

import argparse
import os
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure jaxface and its opponents.")
    parser.add_argument("--quick", action="store_true", help="a part of it, in under a minute")
    parser.add_argument("--device", help="cpu, gpu or tpu; what JAX finds by default")
    parser.add_argument("--output", type=Path, default=Path("benchmark-output"), metavar="DIR")
    parser.add_argument(
        "--aflw", metavar="PATH", help="landmarks of photographs: pts68, reannotated_xy, yaw_deg (.npz)"
    )
    parser.add_argument("--surrey", metavar="DIR", help="eos's share/ with the Surrey model, for eos-py")
    return parser.parse_args()


def main() -> int:
    asked = parse()
    if asked.device:
        os.environ["JAX_PLATFORMS"] = asked.device  # before JAX is imported, and for the processes that are started
    a_core = f"--xla_force_host_platform_device_count={len(os.sched_getaffinity(0))}"
    os.environ["XLA_FLAGS"] = f"{a_core} {os.environ.get('XLA_FLAGS', '')}"
    from benchmarks import suite

    console, start = Console(width=150), perf_counter()
    asked.output.mkdir(parents=True, exist_ok=True)
    report = suite.run(asked.quick, asked.aflw, asked.surrey, asked.output, console)
    table = Table(
        title=f"jaxface on {report.machine['cpu']}, {report.machine['cores']} cores, {report.machine['device']}"
    )
    for name in ("figure", "value", "best", "reach", "baseline", "includes"):
        table.add_column(name, justify="right" if name in ("value", "best", "reach") else "left")
    for metric, verdict in zip(report.metrics, report.verdicts, strict=True):
        table.add_row(metric.name, *suite.cells(metric), verdict, metric.includes)
    console.print(table)
    console.print(f"{perf_counter() - start:.0f} s in all; written to {asked.output}/")
    return int("worse" in report.verdicts)


if __name__ == "__main__":
    raise SystemExit(main())
