"""Compile time of ``fit_batch`` in a new process, without and with JAX's persistent cache;
``python -m benchmarks.cold_start`` is one such process.
"""

from tempfile import TemporaryDirectory

from benchmarks.findings import Findings, Setup
from benchmarks.metrics import Metric
from benchmarks.processes import in_new_process


def measure(setup: Setup) -> Findings:
    with TemporaryDirectory() as folder:
        cache = {
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "XLA_FLAGS": "",
        }
        cold, warm = (in_new_process("benchmarks.cold_start", **cache) for _ in range(2))

    def metric(name, run, reach):
        includes = "first call of a new process less a later one, the model's Gram matrices included; before it"
        includes += f" {run['import']:.2f} s to import, {run['model']:.2f} s to load the model and"
        includes += f" {run['solver']:.2f} s to import its solver"
        return Metric(name, "s", run["compile"], "lower", 0.3, reach, includes=includes)

    return Findings(
        [
            metric("compiling fit_batch", cold, 3.0),
            metric("compiling fit_batch, second process with the persistent cache", warm, 1.0),
        ]
    )
