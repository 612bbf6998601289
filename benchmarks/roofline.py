"""How far a fit is from the fewest operations that its method needs, done at the machine's own matrix-product rate."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import timed
from jaxface.fitting.coordinates import ACTIVE, PATTERNS
from jaxface.solvers.structured import SHAPE_STEPS


def least_flops(points: int, components: int, iterations: int = 4, steps: int = SHAPE_STEPS) -> float:
    """The fewest floating-point operations of one fit, a multiply-add counting as two.

    A round needs the landmarks Γc and the right-hand side Γᵀ(·) of the shape step, 3LN multiply-adds each, and
    ``steps`` conjugate-gradient steps of two products with the basis' core. The pose, O(L), is left out.
    """
    landmarks_and_right_hand_side = 2 * 3 * points * components
    step = 2 * 3 * min(points, PATTERNS) * min(components, ACTIVE)
    return 2.0 * iterations * (landmarks_and_right_hand_side + steps * step)


def sgemm_rate() -> float:
    """FLOP/s of a float32 matrix product at full precision: XLA's, or on a CPU NumPy's BLAS where that is faster."""
    size = 2048
    one, two = np.random.default_rng(0).normal(size=(2, size, size)).astype(np.float32)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST))
    a, b = jax.device_put((one, two))
    times = [timed(lambda: product(a, b)).best]
    if jax.default_backend() == "cpu":
        times.append(timed(lambda: one @ two).best)
    return 2.0 * size**3 / min(times)
