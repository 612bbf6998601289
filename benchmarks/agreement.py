"""How far the default solver's faces are from those of the stock Levenberg-Marquardt, at every vertex."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxface
from benchmarks.findings import Findings, Setup
from benchmarks.inputs import photographed_faces, random_faces
from benchmarks.metrics import Metric
from jaxface import FitOptions, FitResult, MorphableModel

FACES = 64


def rms_mm(model: MorphableModel, one: FitResult, two: FitResult) -> np.ndarray:
    """Root mean square distance over the vertices of each pair of faces, in the model frame: (B,)."""
    meshes = [jaxface.vertices(model, result) for result in (one, two)]
    return np.asarray(jnp.sqrt(jnp.mean(jnp.sum((meshes[0] - meshes[1]) ** 2, axis=-1), axis=-1)))


def metrics_for(model: MorphableModel, faces, bits: int, reach: float, kind: str) -> list[Metric]:
    ours, stock = (jaxface.fit_batch(model, faces, FitOptions(solver=name)) for name in ("structured", "jaxopt"))
    distance = rms_mm(model, ours, stock)
    rms = float(np.sqrt(np.mean(distance**2)))
    includes = f"rms over all vertices of {len(distance)} {kind} faces; the worst face {distance.max():.1e}"
    name = f"from the stock solver's fit, float{bits}" + ("" if kind == "random" else f", {kind}")
    return [Metric(name, "mm", rms, "lower", 1.0, reach, portable=True, includes=includes)]


def measure(setup: Setup) -> Findings:
    model, metrics = setup.model, []
    for bits, reach in ((32, 2e-2),) if setup.quick else ((32, 2e-2), (64, 1e-3)):
        with jax.enable_x64(bits == 64):
            dtype = np.float32 if bits == 32 else np.float64
            metrics += metrics_for(model, random_faces(model, FACES, dtype=dtype), bits, reach, "random")
            if setup.aflw is not None and not setup.quick:
                faces = jax.tree.map(lambda leaf: leaf.astype(dtype), photographed_faces(setup.aflw, FACES))  # noqa: B023
                metrics += metrics_for(model, faces, bits, reach, "AFLW2000")
    return Findings(metrics)
