"""Eq. 4 of the variant ``2d+3d`` in NumPy float64, by itself: what every solver's result is judged by."""

import numpy as np

from benchmarks.opponents.numpy_single import Model

WEIGHT = 0.5
"""λ2d and λ3d."""


def cost(model: Model, xy, xyz, coefficients, scale, rotation, first_scale) -> float:
    """E_fit in mm² at ``first_scale``; ``scale`` and ``first_scale`` in pixels a mm, ``model`` in float64."""
    projected = scale * model.points(np.asarray(coefficients, np.float64)) @ np.asarray(rotation, np.float64).T
    off_2d = projected[:, :2] - xy
    off_3d = projected - xyz
    data = sum(np.sum((off - off.mean(axis=0)) ** 2) for off in (off_2d, off_3d))
    penalty = 2 * first_scale**2 * np.sum(model.prior * np.square(coefficients, dtype=np.float64))
    return float(WEIGHT * (data + penalty) / first_scale**2)
