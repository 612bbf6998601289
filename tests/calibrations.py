"""A calibration for tests of what takes one."""

import numpy as np

from jaxface.calibration import YAWS, Calibration


def a_calibration(offset=0.0, deviation=1.5, points=68, own=1.0, tilted=0.0):
    """One whose values differ by landmark and yaw."""
    rng = np.random.default_rng(1)
    grow = (1 + np.arange(len(YAWS)) / 6)[:, None, None]
    make = lambda axes, size=offset: (size * grow * rng.normal(size=(1, points, axes))).astype(np.float32)
    variance = np.full((len(YAWS), points, 2), deviation**2, np.float32)
    nothing = np.zeros((0, points, 3), np.float32), np.zeros((len(YAWS), 0, points, 3), np.float32)
    offsets = make(2), make(3), make(2, tilted), make(3, tilted)
    return Calibration(*offsets, variance[..., 0], variance, *nothing, np.full(len(YAWS), own, np.float32))
