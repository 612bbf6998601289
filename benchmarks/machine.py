"""Which machine, and which versions, gave the figures."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax
from threadpoolctl import threadpool_info

PEERS = ("jaxopt", "optax", "numpy", "scipy", "optimistix", "eos-py")


def describe() -> dict:
    """The machine as a JSON-able record."""
    device = jax.devices()[0]
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.device_count(),
        "precision": "float32",
        "python": platform.python_version(),
        "jax": jax.__version__,
        "blas": sorted({f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads" for pool in blas}),
        **{name: _version(name) for name in PEERS},
    }


def _cpu() -> str:
    """The processor's name, with the family and model that tell two of the same name apart."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor()
    lines = (line.split(":", 1) for line in cpuinfo.read_text().split("\n\n")[0].splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in lines}
    name = fields.get("model name", platform.machine())
    return f"{name}, family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
