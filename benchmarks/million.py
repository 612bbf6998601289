"""A million fits in chunks, in a process of their own, with its time and memory: ``python -m benchmarks.million``."""

import json
import resource
from pathlib import Path

import numpy as np

import jaxface
from benchmarks.findings import Findings, Setup
from benchmarks.inputs import random_faces
from benchmarks.metrics import Metric
from benchmarks.processes import in_new_process
from benchmarks.timing import seconds

CHUNK, CHUNKS = 10_000, 100
SETTLED = 10
"""Chunks after which memory counts as taken: compilation and the allocator's first rounds lie before."""
QUARTER = CHUNKS // 4


def measure(setup: Setup) -> Findings:
    run = in_new_process("benchmarks.million")
    clock, memory = np.cumsum(run["seconds"]), np.array(run["memory_mb"])
    fits = CHUNK * np.arange(1, CHUNKS + 1)
    line = np.polyval(np.polyfit(fits, clock, 1), fits)
    growth = memory[-QUARTER:].mean() / memory[SETTLED : SETTLED + QUARTER].mean()
    departure = np.abs(clock - line).max() / clock[-1]
    including = f"chunks of {CHUNK}; from NumPy arrays to NumPy arrays, compiled; making the faces left out"
    return Findings(
        [
            Metric("1,000,000 fits", "s", float(clock[-1]), "lower", 0.3, includes=including),
            Metric(
                "1,000,000 fits: memory at the end to that at the beginning",
                "1",
                float(growth),
                "lower",
                0.05,
                1.05,
                portable=True,
                includes=f"means of {QUARTER} chunks' resident set; "
                f"at the end {memory[-1]:.0f} MB, peak {run['peak_mb']:.0f} MB",
            ),
            Metric(
                "1,000,000 fits: departure from a straight line",
                "1",
                float(departure),
                "lower",
                2.0,
                0.05,
                portable=True,
                includes="largest, as a part of the whole time",
            ),
        ],
        {"million": [{"fits": fits.tolist(), "seconds": clock.tolist(), "memory_mb": memory.tolist()}]},
    )


def resident_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    model = jaxface.load_model()
    fit = lambda faces: np.asarray(jaxface.fit_batch(model, faces).cost)
    fit(random_faces(model, CHUNK))
    times, memory = [], []
    for chunk in range(CHUNKS):
        faces = random_faces(model, CHUNK, seed=chunk)
        times.append(seconds(lambda: fit(faces)))  # noqa: B023
        memory.append(resident_mb())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(json.dumps({"seconds": times, "memory_mb": memory, "peak_mb": peak}))


if __name__ == "__main__":
    main()
