"""Fits a second where the CPU is as many devices as it has cores, each with its part of the batch, in a process of its
own: ``python -m benchmarks.device_a_core 4096``.
"""

import json
import os
import sys

import jax

import jaxface
from benchmarks.inputs import random_faces
from benchmarks.metrics import Metric
from benchmarks.processes import in_new_process
from benchmarks.timing import timed


def measured(batch: int) -> Metric:
    """The rate as a metric, from a new process, since a process cannot change how many devices it has."""
    cores = len(os.sched_getaffinity(0))
    flags = f"--xla_force_host_platform_device_count={cores}"
    found = in_new_process("benchmarks.device_a_core", str(batch), XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    name, includes = f"fits/s, 68 points, batch {batch}, a CPU device a core", f"compiled; XLA_FLAGS={flags}"
    return Metric(name, "1/s", found["median"], "higher", reach=40_000, includes=includes, best=found["best"])


def main() -> None:
    batch, model = int(sys.argv[1]), jaxface.load_model()
    faces = jax.device_put(random_faces(model, batch))
    timing = timed(lambda: jaxface.fit_batch(model, faces), repeats=15)
    print(json.dumps({"median": batch / timing.median, "best": batch / timing.best}))


if __name__ == "__main__":
    main()
