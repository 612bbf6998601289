"""Solvers of the two sub-problems of a fit, one a file, chosen by name.

Each file offers ``solve_pose(points, target, scale, rotation, stage)``, ``stage`` saying how near the start is:
"coarse" (a closed form), "refined" (a coarse pose) or "round" (the pose of the round before); and
``solve_shape(problem, prepared)`` with what ``prepare_shape(problem)`` found once for all rounds of a fit.
"""

from importlib import import_module
from types import ModuleType

import jax

NAMES = {
    "structured": "jaxface.solvers.structured",
    "jaxopt": "jaxface.solvers.reference",
    "optax": "jaxface.solvers.lbfgs",
}


def solver(name: str) -> ModuleType:
    """The solver of this name, imported when first asked for: jaxopt takes as long to import as JAX.

    That may be while a user's function is traced, where the constants of a module would be traced with it.
    """
    with jax.ensure_compile_time_eval():
        return import_module(NAMES[name])
