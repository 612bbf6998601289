"""The opponents at matched rounds: each one's time of a fit beside ours, timed in turn."""

from collections.abc import Callable
from importlib.util import find_spec

import jax
import numpy as np
from threadpoolctl import threadpool_limits

import jaxface
from benchmarks import agreement
from benchmarks.findings import Findings, Setup
from benchmarks.inputs import first, random_faces
from benchmarks.metrics import Metric, skipped
from benchmarks.opponents import numpy_batched, numpy_single, optimistix_lm, scipy_least_squares
from benchmarks.throughput import BATCH
from benchmarks.timing import side_by_side
from jaxface import FitOptions


def measure(setup: Setup) -> Findings:
    model = setup.model
    faces = random_faces(model, BATCH)
    on_device = jax.device_put(faces)
    ours = lambda: jaxface.fit_batch(model, on_device)
    arrays = numpy_single.Model.of(model.at_landmarks("ibug68"))
    double = numpy_single.Model.of(model.at_landmarks("ibug68"), np.float64)
    pairs = list(zip(faces.xy, faces.xyz, strict=True))
    doubles = [(xy.astype(np.float64), xyz.astype(np.float64)) for xy, xyz in pairs[:4]]
    metrics, rows = [], []

    def against(name: str, call: Callable, count: int, includes: str, reach: float | None = None, threads: int = 0):
        """Time a call that fits ``count`` faces."""
        with threadpool_limits(threads or None, user_api="blas"):
            mine, theirs = side_by_side(ours, call, repeats=2 if setup.quick else 3)
        ratio = (theirs.median / count) / (mine.median / BATCH)
        best = (theirs.best / count) / (mine.best / BATCH)
        text = f"{1e3 * theirs.median / count:.3g} ms a fit; {includes}; ours at batch {BATCH}"
        metrics.append(Metric(f"times as fast as {name}", "1", ratio, "higher", 0.3, reach, True, text, best))
        rows.append({"name": name, "seconds_a_fit": theirs.median / count, "ours": mine.median / BATCH})

    some = pairs[: 8 if setup.quick else 32]
    one_by_one = lambda: [numpy_single.fit(arrays, *pair) for pair in some]
    for threads, suffix in ((1, ", 1 BLAS thread"), (0, "")):
        if threads or not setup.quick:
            against(f"NumPy, one at a time{suffix}", one_by_one, len(some), "float32", 100, threads)
    block = first(faces, numpy_batched.BLOCK * (1 if setup.quick else 4))
    against(
        "NumPy, batched",
        lambda: numpy_batched.fit(arrays, block.xy, block.xyz),
        len(block.xy),
        f"float32, blocks of {numpy_batched.BLOCK}",
    )
    against(
        "SciPy least_squares",
        lambda: [scipy_least_squares.fit(double, *pair) for pair in doubles[: 1 if setup.quick else 4]],
        1 if setup.quick else 4,
        "both sub-problems, float64",
    )
    batch = agreement.FACES if setup.quick else 256  # the agreement's program serves both
    few = jax.device_put(first(faces, batch))
    solvers = [("stock jaxopt", "jaxopt", 60)]
    if not setup.quick:
        solvers += [("optax L-BFGS", "optax", None), ("optimistix", optimistix_lm.register(), None)]
    for name, solver, reach in solvers:
        options = FitOptions(solver=solver)
        call = lambda: jaxface.fit_batch(model, few, options)  # noqa: B023
        against(f"{name}, vmapped", call, batch, f"compiled, float32, batch {batch}", reach)
    left_out = _eos(setup, faces, against)
    return Findings(metrics, {"peers": rows}) + left_out


def _eos(setup: Setup, faces, against: Callable) -> Findings:
    """Measure eos where it is at hand; what is said where it is not."""
    name = "times as fast as eos on the Surrey model"
    if setup.surrey is None:
        return Findings([skipped(name, "1", "give --surrey DIR")])
    if find_spec("eos") is None:
        return Findings([skipped(name, "1", "eos-py is not installed")])
    from benchmarks.opponents.eos_surrey import Surrey

    surrey = Surrey(setup.surrey)
    given = [surrey.landmarks(xy) for xy in faces.xy[: 4 if setup.quick else 32]]
    call = lambda: [surrey.fit(landmarks) for landmarks in given]
    against("eos on the Surrey model", call, len(given), "4 iterations, another model and energy", 1000)
    return Findings()
