"""The linear systems of implicit differentiation: small, symmetric or nearly so, solved densely."""

import jax
import jax.numpy as jnp


def solve_dense(matvec, b):
    """Solve ``matvec(x) = b`` for a vector x by forming the matrix."""
    matrix = jax.vmap(matvec, out_axes=-1)(jnp.eye(b.size, dtype=b.dtype))
    return jnp.linalg.solve(matrix, b)
