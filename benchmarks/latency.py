"""One face: how long ``jaxface.fit`` takes once compiled."""

import jaxface
from benchmarks.findings import Findings, Setup
from benchmarks.inputs import random_faces
from benchmarks.metrics import Metric
from benchmarks.timing import timed


def measure(setup: Setup) -> Findings:
    faces = random_faces(setup.model, 1)
    face = jaxface.Landmarks(faces.xy[0], faces.xyz[0])
    timing = timed(lambda: jaxface.fit(setup.model, face), repeats=200)
    includes = "compiled; jaxface.fit from NumPy arrays: its checks, the copy to the device, the fit"
    metric = Metric("one fit", "ms", 1e3 * timing.median, "lower", reach=1.0, includes=includes, best=1e3 * timing.best)
    return Findings([metric])
