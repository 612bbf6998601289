"""What a reference problem is: residuals, starts, and what is known of the answer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MOST_DIGITS = 11.0  # NIST certifies eleven


@dataclass(frozen=True)
class Problem:
    """Minimise ``residual(parameters (N,), *data) -> (M,)`` summed in squares, from each of ``starts`` (S, N).

    Known is either ``solution``, the best parameters (N,), or ``minima``, the sums of squares of the global and local
    minima.
    """

    name: str
    residual: Callable
    starts: np.ndarray
    data: tuple[np.ndarray, ...] = ()
    solution: np.ndarray | None = None
    minima: tuple[float, ...] = ()

    def digits(self, parameters: np.ndarray, norm: float) -> float:
        """Correct digits: -log10 of the relative error of the worst parameter or, by ``minima``, of the norm.

        Where the least norm is 0 its error is absolute, and the nearest of the known minima counts. From 0 to 11.
        """
        if self.solution is not None:
            error = np.max(np.abs(parameters - self.solution) / np.abs(self.solution))
        else:
            error = min(abs(norm - best) / (best or 1.0) for best in np.sqrt(self.minima))
        return 0.0 if not np.isfinite(error) else float(np.clip(-np.log10(max(error, 1e-99)), 0.0, MOST_DIGITS))
