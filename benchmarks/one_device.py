"""Fits a second on the one device that JAX finds by default, in a process of its own:
``python -m benchmarks.one_device 4096``, of so many faces of 68 landmarks; ``mediapipe478`` after it for 478.
"""

import json
import sys

import jax

import jaxface
from benchmarks.inputs import random_faces
from benchmarks.metrics import Metric
from benchmarks.processes import in_new_process
from benchmarks.timing import timed


def measured(batch: int) -> Metric:
    """The rate as a metric, from a new process, since a process cannot change how many devices it has."""
    found = in_new_process("benchmarks.one_device", str(batch), XLA_FLAGS="", JAX_PLATFORMS="cpu")
    name = f"fits/s, 68 points, batch {batch}, one CPU device"
    return Metric(name, "1/s", found["median"], "higher", includes="compiled; JAX's default", best=found["best"])


def main() -> None:
    batch, scheme = int(sys.argv[1]), sys.argv[2:]
    model = jaxface.load_model()
    faces = jax.device_put(random_faces(model, batch, *scheme))
    timing = timed(lambda: jaxface.fit_batch(model, faces), repeats=15)
    rates = {"median": batch / timing.median, "best": batch / timing.best}
    print(json.dumps(rates | {"first_call_seconds": timing.first, "device": jax.devices()[0].device_kind}))


if __name__ == "__main__":
    main()
