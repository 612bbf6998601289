"""A batch over eight devices that XLA makes of one CPU, in a process of its own: ``python -m benchmarks.devices``."""

import json
import re

import jax
import numpy as np

import jaxface
from benchmarks.agreement import rms_mm
from benchmarks.findings import Findings, Setup
from benchmarks.inputs import first, random_faces
from benchmarks.metrics import Metric, skipped
from benchmarks.processes import in_new_process

DEVICES, FACES = 8, 256
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter", "collective-broadcast")


def collectives(hlo: str) -> list[str]:
    """The operations of a compiled program's text in which devices wait for each other."""
    return [name for name in COLLECTIVES if re.search(rf"\b{name}(-start)?\(", hlo)]


def measure(setup: Setup) -> Findings:
    flags = f"--xla_force_host_platform_device_count={DEVICES}"
    try:
        found = in_new_process("benchmarks.devices", XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    except RuntimeError as error:
        return Findings([skipped(f"{DEVICES} devices against one", "mm", str(error))])
    named = ", ".join(found["collectives"]) or "none"
    return Findings(
        [
            Metric(
                f"{DEVICES} devices against one",
                "mm",
                found["rms_mm"],
                "lower",
                1.0,
                1e-3,
                portable=True,
                includes=f"the face that differs most of {FACES - 1}, rms over all vertices, float32; split over "
                f"{found['split']} devices",
            ),
            Metric(
                f"collective operations in the program for {DEVICES} devices",
                "1",
                float(len(found["collectives"])),
                "lower",
                0.0,
                0.0,
                portable=True,
                includes=f"compiled text of fit_batch: {named}",
            ),
        ]
    )


def main() -> None:
    model = jaxface.load_model()
    faces = random_faces(model, FACES)
    program = jax.jit(lambda faces: jaxface.fit_batch(model, faces)).lower(faces).compile()
    split = program(faces)
    fewer = first(faces, FACES - 1)  # does not divide among the devices, so one does it all
    whole = jaxface.fit_batch(model, fewer)
    assert len(jax.local_devices()) == DEVICES and len(whole.cost.sharding.device_set) == 1
    on_host = lambda result: jax.tree.map(np.asarray, result)
    report = {
        "split": len(split.cost.sharding.device_set),
        "rms_mm": float(rms_mm(model, on_host(whole), first(on_host(split), FACES - 1)).max()),
        "collectives": collectives(program.as_text()),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
