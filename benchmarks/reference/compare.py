"""Every solver on every reference problem in both precisions: correct digits, and who reaches four of them."""

import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.reference import mgh, nist
from benchmarks.reference.problems import Problem
from benchmarks.reference.solvers import SOLVERS

ENOUGH_DIGITS = 4
PRECISIONS = ("float64", "float32")
#  collection -> problems, and what each of its starts is called
COLLECTIONS = {
    "NIST": (nist.problems, ("start 1", "start 2")),
    "MGH": (mgh.problems, ("×1", "×10", "×100")),
}


def digits(problem: Problem, solver: str, precision: str) -> list[float]:
    """The correct digits that a solver gets from each start; residual norms are taken in float64."""
    with jax.enable_x64(precision == "float64"):
        starts, *data = (jnp.asarray(array, precision) for array in (problem.starts, *problem.data))
        found = [np.asarray(answer, float) for answer in SOLVERS[solver](problem.residual, starts, *data)]
    with jax.enable_x64(True):
        norms = [float(jnp.linalg.norm(problem.residual(answer, *problem.data))) for answer in map(jnp.asarray, found)]
    return [problem.digits(answer, norm) for answer, norm in zip(found, norms, strict=True)]


def compare(solvers: Iterable[str] = SOLVERS, precisions: Iterable[str] = PRECISIONS) -> dict:
    """``{precision: {solver: {"NIST start 1": {"sets", "reached", "failures", "digits"}}}}``."""
    collections = {name: (make(), starts) for name, (make, starts) in COLLECTIONS.items()}
    jobs = [
        (precision, solver, name, problem)
        for precision in precisions
        for solver in solvers
        for name, (problems, _) in collections.items()
        for problem in problems
    ]
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # overflow on the way, from SciPy
        measured = pool.map(lambda job: digits(job[3], job[1], job[0]), jobs)
        results = {}
        for (precision, solver, name, problem), values in zip(jobs, measured, strict=True):
            columns = results.setdefault(precision, {}).setdefault(solver, {})
            for start, value in zip(collections[name][1], values, strict=False):  # not every set has every start
                columns.setdefault(f"{name} {start}", {"digits": {}})["digits"][problem.name] = round(value, 2)
    for columns in (columns for solvers in results.values() for columns in solvers.values()):
        for column in columns.values():
            column["failures"] = [name for name, value in column["digits"].items() if value < ENOUGH_DIGITS]
            column["sets"] = len(column["digits"])
            column["reached"] = column["sets"] - len(column["failures"])
    return results


def run() -> dict:
    """The comparison and the versions it was made with, ready for JSON."""
    packages = ("jax", "jaxopt", "optimistix", "scipy")
    return {"versions": {name: version(name) for name in packages}, "results": compare()}
