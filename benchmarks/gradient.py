"""What a slope through a fit takes beside the fit itself: ``python -m benchmarks.gradient``."""

import jax
import jax.numpy as jnp

import jaxface
from benchmarks.findings import Findings, Setup
from benchmarks.inputs import random_faces
from benchmarks.metrics import Metric
from benchmarks.timing import side_by_side
from jaxface import Landmarks, MorphableModel

BATCH = 1024


def measured(model: MorphableModel) -> list[Metric]:
    """Of the slope in all landmarks of one number that the whole face and its pose move."""

    def outcome(faces: Landmarks):
        fitted = jaxface.fit_batch(model, faces)
        return jnp.sum(fitted.identity**2) + jnp.sum(fitted.expression**2) + jnp.sum(fitted.pose.rotation[:, :2])

    faces, sloped = jax.device_put(random_faces(model, BATCH)), jax.jit(jax.grad(outcome))
    slope, fit = side_by_side(lambda: sloped(faces), lambda: jaxface.fit_batch(model, faces), repeats=9)
    ratio = slope.median / fit.median
    includes = f"jax.grad through fit_batch of {BATCH} faces, the fit included; compiled"
    first = f"the first call less a later one, with no cache: {BATCH} faces"
    return [
        Metric("time of a slope to that of a fit", "1", ratio, "lower", portable=True, includes=includes),
        Metric("compiling a slope", "s", slope.first - slope.median, "lower", 0.3, includes=first),
    ]


def measure(setup: Setup) -> Findings:
    return Findings(measured(setup.model))


def main() -> None:
    for metric in measured(jaxface.load_model()):
        print(f"{metric.name}: {metric.value:.2f} {'' if metric.unit == '1' else metric.unit}")


if __name__ == "__main__":
    main()
