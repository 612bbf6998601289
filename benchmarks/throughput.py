"""Fits a second over batch size, and the time of a fit over components, landmarks and rounds."""

from dataclasses import replace

import jax
import numpy as np

import jaxface
from benchmarks import one_device
from benchmarks.findings import Findings, Setup
from benchmarks.inputs import first, photographed_faces, random_faces
from benchmarks.metrics import Metric, skipped
from benchmarks.roofline import least_flops
from benchmarks.timing import Timing, side_by_side, timed
from jaxface import FitOptions, Landmarks, MorphableModel

BATCH = 4096
BATCHES = (1, 4, 16, 64, 256, 1024, 4096, 16384)
COMPONENTS = (19, 38, 76, 114, 152)
ROUNDS = (1, 2, 4, 8, 16)
INCLUDES = "compiled; inputs and results stay on the device; a CPU as a device a core"


def time_batch(model: MorphableModel, faces: Landmarks, options: FitOptions = FitOptions()) -> Timing:
    """``fit_batch`` of faces that are on the device already."""
    faces = jax.device_put(faces)
    return timed(lambda: jaxface.fit_batch(model, faces, options), repeats=5 if len(faces.xy) >= 1024 else 15)


def point(timing: Timing, batch: int, points: int, components: int, rounds: int = 4) -> dict:
    """One measured configuration, with its least operations for the roofline."""
    return {
        "batch": batch,
        "points": points,
        "components": components,
        "rounds": rounds,
        "seconds_a_fit": timing.median / batch,
        "best_seconds_a_fit": timing.best / batch,
        "first_call_seconds": timing.first,
        "flops_a_fit": least_flops(points, components, rounds),
    }


def with_components(model: MorphableModel, count: int) -> MorphableModel:
    """The model with its first components, identity and expression in the same proportion."""
    identity, expression = model.identity.shape[-1], model.expression.shape[-1]
    of_identity = round(count * identity / (identity + expression))
    return replace(
        model,
        identity=model.identity[..., :of_identity],
        expression=model.expression[..., : count - of_identity],
        expression_names=model.expression_names[: count - of_identity],
    )


def measure(setup: Setup) -> Findings:
    model = setup.model
    size = model.identity.shape[-1] + model.expression.shape[-1]
    faces, dense = (jax.device_put(random_faces(model, BATCH, scheme)) for scheme in ("ibug68", "mediapipe478"))
    usual, many = side_by_side(
        lambda: jaxface.fit_batch(model, faces), lambda: jaxface.fit_batch(model, dense), repeats=9
    )
    rate = BATCH / usual.median
    bound = setup.sgemm / least_flops(68, size)
    ratio = many.median / usual.median
    metrics = [
        Metric(
            "fits/s, 68 points, batch 4096",
            "1/s",
            rate,
            "higher",
            reach=40_000,
            includes=INCLUDES,
            best=BATCH / usual.best,
        ),
        Metric(
            "least FLOPs at sgemm rate: fraction reached",
            "1",
            rate / bound,
            "higher",
            portable=True,
            includes=f"68 points; sgemm {setup.sgemm / 1e9:.0f} GFLOP/s in this run: {bound:,.0f} fits/s",
            best=BATCH / usual.best / bound,
        ),
        Metric("time of 478 points to that of 68", "1", ratio, "lower", reach=1.3, portable=True, includes=INCLUDES),
    ]
    if jax.default_backend() == "cpu" and not setup.quick:
        metrics.append(one_device.measured(BATCH))
    usual_point, dense_point = point(usual, BATCH, 68, size), point(many, BATCH, 478, size)
    over_batch = [usual_point]
    for batch in [] if setup.quick else [batch for batch in BATCHES if batch != BATCH]:
        some = faces if batch <= BATCH else random_faces(model, batch)
        over_batch.append(point(time_batch(model, first(some, batch)), batch, 68, size))
    series = {
        "batch": sorted(over_batch, key=lambda one: one["batch"]),
        "landmarks": [usual_point | {"name": "68"}, dense_point | {"name": "478"}],
    }
    if setup.quick:
        return Findings(metrics, series)

    for name, points, given in (("68, weighted", 68, faces), ("478, weighted", 478, dense)):
        weighted = replace(given, weight=np.ones((BATCH, points), np.float32))
        series["landmarks"].append(point(time_batch(model, weighted), BATCH, points, size) | {"name": name})
    series["components"] = [
        point(time_batch(with_components(model, count), faces), BATCH, 68, count) for count in COMPONENTS
    ]
    series["rounds"] = [
        point(time_batch(model, faces, FitOptions(iterations=rounds)), BATCH, 68, size, rounds) for rounds in ROUNDS
    ]
    name = "fits/s, AFLW2000 landmarks, batch 4096"
    if setup.aflw is None:
        return Findings([*metrics, skipped(name, "1/s", "give --aflw PATH")], series)
    photographs = time_batch(model, photographed_faces(setup.aflw, BATCH))
    metrics.append(
        Metric(
            name,
            "1/s",
            BATCH / photographs.median,
            "higher",
            reach=40_000,
            includes=INCLUDES,
            best=BATCH / photographs.best,
        )
    )
    return Findings(metrics, series)
