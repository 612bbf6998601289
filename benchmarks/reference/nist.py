"""The 27 nonlinear regressions of NIST's Statistical Reference Datasets, read from the files in ``nist_strd/``.

Each file carries two starts, the certified parameters and the data; its model, which stands there as text, is here.
"""

from importlib.resources import files

import jax.numpy as jnp
import numpy as np

from benchmarks.reference.problems import Problem


def _saturating(b, x):
    return b[0] * (1 - jnp.exp(-b[1] * x))


def _chwirut(b, x):
    return jnp.exp(-b[0] * x) / (b[1] + b[2] * x)


def _enso(b, x):
    wave = lambda period, cosine, sine: (
        cosine * jnp.cos(2 * jnp.pi * x / period) + sine * jnp.sin(2 * jnp.pi * x / period)
    )
    return b[0] + wave(12, b[1], b[2]) + wave(b[3], b[4], b[5]) + wave(b[6], b[7], b[8])


def _gauss(b, x):
    peak = lambda height, centre, width: height * jnp.exp(-((x - centre) ** 2) / width**2)
    return b[0] * jnp.exp(-b[1] * x) + peak(*b[2:5]) + peak(*b[5:8])


def _cubics(b, x):
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def _lanczos(b, x):
    return b[0] * jnp.exp(-b[1] * x) + b[2] * jnp.exp(-b[3] * x) + b[4] * jnp.exp(-b[5] * x)


MODELS = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": _saturating,
    "Chwirut1": _chwirut,
    "Chwirut2": _chwirut,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "ENSO": _enso,
    "Eckerle4": lambda b, x: b[0] / b[1] * jnp.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Gauss1": _gauss,
    "Gauss2": _gauss,
    "Gauss3": _gauss,
    "Hahn1": _cubics,
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Lanczos1": _lanczos,
    "Lanczos2": _lanczos,
    "Lanczos3": _lanczos,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * jnp.exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * jnp.exp(-x * b[3]) + b[2] * jnp.exp(-x * b[4]),
    "Misra1a": _saturating,
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "Nelson": lambda b, x: b[0] - b[1] * x[:, 0] * jnp.exp(-b[2] * x[:, 1]),  # of log y
    "Rat42": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - jnp.arctan(b[2] / (x - b[3])) / jnp.pi,
    "Thurber": _cubics,
}


def load(name: str) -> Problem:
    """The problem of this name; ``minima`` holds the certified residual sum of squares."""
    lines = (files("benchmarks.reference") / "nist_strd" / f"{name}.dat").read_text().splitlines()
    fields = [line.split("=")[1].split() for line in lines[40:60] if line.strip().startswith("b") and "=" in line]
    start1, start2, certified, _ = np.array(fields, float).T
    squares = next(float(line.split(":")[1]) for line in lines if line.startswith("Residual Sum of Squares"))
    y, *x = np.array([line.split() for line in lines[60:] if line.strip()], float).T
    if name == "Nelson":
        y = np.log(y)
    data = (x[0] if len(x) == 1 else np.stack(x, axis=1), y)
    model = MODELS[name]
    return Problem(
        name, lambda b, x, y: model(b, x) - y, np.stack([start1, start2]), data, solution=certified, minima=(squares,)
    )


def problems() -> list[Problem]:
    return [load(name) for name in MODELS]
