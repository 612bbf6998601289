"""Cost over time: how close to the minimum of Eq. 4 each solver is after how long.

All work on the variant ``2d+3d``, whose energy is one function of a face from the first round to the last. Its minimum
is found by SciPy in float64 over pose and coefficients together. A curve's points are runs of 1, 2, 4, ... rounds.
"""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np

import jaxface
from benchmarks.energy import cost
from benchmarks.findings import Findings, Setup
from benchmarks.inputs import first, random_faces
from benchmarks.metrics import Metric
from benchmarks.opponents import numpy_single, optimistix_lm, scipy_least_squares
from benchmarks.timing import timed
from jaxface import FitOptions, FitResult

BATCH, FEW, ROUNDS = 1024, 64, (1, 2, 4, 8, 16, 32, 64)
JUDGED = 16
"""Faces whose cost is taken."""

CLOSE = 0.1
"""The part of the minimum by which a cost may be above it."""


class Judge:
    """The mean cost above the minimum, as a part of it, of fits of given faces."""

    def __init__(self, model, faces):
        self.model = numpy_single.Model.of(model.at_landmarks("ibug68"), np.float64)
        self.faces = list(zip(faces.xy.astype(np.float64), faces.xyz.astype(np.float64), strict=True))
        best = [scipy_least_squares.fit_jointly(self.model, *face) for face in self.faces]
        self.first_scales = [fit.first_scale * fit.radius for fit in best]
        self.least = [self._cost(index, *_posed(fit)) for index, fit in enumerate(best)]

    def _cost(self, index: int, *coefficients_and_pose) -> float:
        return cost(self.model, *self.faces[index], *coefficients_and_pose, self.first_scales[index])

    def of_fits(self, fits: list[numpy_single.Fit]) -> float:
        costs = [self._cost(index, *_posed(fit)) / self.least[index] for index, fit in enumerate(fits)]
        return float(np.mean(costs)) - 1

    def of_result(self, result: FitResult) -> float:
        coefficients = np.concatenate([result.identity, result.expression], axis=-1)
        posed = zip(coefficients, np.asarray(result.pose.scale), np.asarray(result.pose.rotation), strict=True)
        costs = [self._cost(index, *one) / self.least[index] for index, one in zip(range(JUDGED), posed, strict=False)]
        return float(np.mean(costs)) - 1


def _posed(fit: numpy_single.Fit):
    """Coefficients, scale in pixels a mm, and rotation."""
    return fit.coefficients, fit.scale * fit.radius, fit.rotation


def measure(setup: Setup) -> Findings:
    model = setup.model
    faces = random_faces(model, BATCH)
    judge = Judge(model, first(faces, JUDGED))
    single = numpy_single.Model.of(model.at_landmarks("ibug68"))
    few = list(zip(faces.xy[:JUDGED], faces.xyz[:JUDGED], strict=True))
    curves = {f"jaxface, batch {BATCH}": _curve(_batched(model, faces, "structured"), judge.of_result, BATCH, ROUNDS)}
    some, fewer = first(faces, FEW), ROUNDS[:5]  # the others take minutes for the whole
    for name, solver in {"jaxopt": "jaxopt", "optax": "optax", "optimistix": optimistix_lm.register()}.items():
        curves[f"{name}, batch {FEW}"] = _curve(_batched(model, some, solver), judge.of_result, FEW, fewer)
    alone = _alternating(numpy_single.fit, single, few)
    curves["NumPy, one at a time"] = _curve(alone, judge.of_fits, JUDGED, ROUNDS)
    doubles = judge.faces[:4]
    alternating = _alternating(scipy_least_squares.fit, judge.model, doubles)
    curves["SciPy, alternating"] = _curve(alternating, judge.of_fits, 4, fewer)
    joint = lambda length: [scipy_least_squares.fit_jointly(judge.model, *face, length) for face in doubles]
    curves["SciPy, jointly"] = _curve(joint, judge.of_fits, 4, (2, 3, 4, 6, 10))
    return Findings([_reached(name, curve) for name, curve in curves.items()], {"cost": curves})


def _batched(model, faces, solver: str) -> Callable:
    on_device = jax.device_put(faces)
    options = lambda length: FitOptions(variant="2d+3d", solver=solver, iterations=length)
    return lambda length: jaxface.fit_batch(model, on_device, options(length))


def _alternating(fit: Callable, arrays: numpy_single.Model, faces: list) -> Callable:
    return lambda length: [fit(arrays, *face, iterations=length, refined=False) for face in faces]


def _curve(run: Callable, judged: Callable, count: int, lengths) -> list[dict]:
    """Time and cost of runs of some lengths: ``run(length)`` fits ``count`` faces, ``judged`` takes what it gives."""
    curve = []
    for length in lengths:
        timing = timed(partial(run, length), repeats=3)
        curve.append({"length": length, "seconds_a_fit": timing.median / count, "above": judged(run(length))})
    return curve


def _reached(name: str, curve: list) -> Metric:
    """The time of the shortest run that is close to the minimum."""
    label = f"time to {CLOSE:.0%} above the minimum: {name}"
    for point in curve:
        if point["above"] <= CLOSE:
            includes = f"{point['length']} rounds or evaluations, {point['above']:.1e} above; compiled; variant 2d+3d"
            return Metric(label, "µs a fit", 1e6 * point["seconds_a_fit"], "lower", 0.3, includes=includes)
    last = curve[-1]
    return Metric(label, "µs a fit", None, "lower", includes=f"not reached: {last['above']:.1e} above at the end")
