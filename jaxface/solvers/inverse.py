"""Inverses of many small positive definite matrices.

LAPACK takes them one after the other, at some microseconds each; and in a loop, on several CPU devices, its calls
wait for each other for good in the one pool of threads that these devices share. Here a matrix is halved (Schur) until
its blocks are few enough for Gauss and Jordan's method, written as one update of rank one a pivot: plain arithmetic,
which with the batch as the last axis fills a processor's vector units.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from jaxface.camera import HIGHEST

_BLOCK = 24
"""Largest matrix that is not halved."""


@jax.custom_jvp
def inverse(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The inverse of a symmetric positive definite matrix, or of one near it: without pivoting."""
    unit = jax.lax.rsqrt(jnp.abs(diagonal(matrix)))
    unit = unit[:, None] * unit
    return unit * _of_unit_diagonal(unit * matrix)


def diagonal(matrix: Float[Array, "n n"]) -> Float[Array, "n"]:
    """A matrix's diagonal, by a mask that is known: it joins the arithmetic beside it, which ``jnp.diag`` does not."""
    return jnp.sum(jnp.where(np.eye(len(matrix), dtype=bool), matrix, 0.0), axis=1)


@inverse.defjvp
def _inverse_jvp(primals, tangents):
    (matrix,), (change,) = primals, tangents
    found = inverse(matrix)
    return found, -jnp.matmul(found, jnp.matmul(change, found, precision=HIGHEST), precision=HIGHEST)


def _of_unit_diagonal(matrix):
    """Entries no larger than 1 keep the pivots' update from cancelling."""
    if len(matrix) <= _BLOCK:
        return _swept(matrix)
    half = len(matrix) // 2
    across, below = matrix[:half, half:], matrix[half:, half:]
    first = _of_unit_diagonal(matrix[:half, :half])
    reach = jnp.matmul(first, across, precision=HIGHEST)
    second = _of_unit_diagonal(below - jnp.matmul(across.T, reach, precision=HIGHEST))
    joint = -jnp.matmul(reach, second, precision=HIGHEST)
    first = first - jnp.matmul(joint, reach.T, precision=HIGHEST)
    return jnp.concatenate([jnp.concatenate([first, joint], 1), jnp.concatenate([joint.T, second], 1)])


def _alone(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    return _sweep(matrix[..., None])[..., 0]


_swept = custom_vmap(_alone)


@_swept.def_vmap
def _many(_, batched, matrices: Float[Array, "B n n"]):
    if not batched[0]:  # a batch of tangents about one matrix
        return _alone(matrices), False
    return jnp.moveaxis(_sweep(jnp.moveaxis(matrices, 0, -1)), -1, 0), True


def _sweep(matrix: Float[Array, "n n lanes"]) -> Float[Array, "n n lanes"]:
    """A - (c - e)(r + e)ᵀ/d for each pivot d of row r and column c: pivoting in place, all four cases at once."""
    n = matrix.shape[0]

    def pivot(k, matrix):
        row, unit = matrix[k], (jnp.arange(n) == k).astype(matrix.dtype)[:, None]
        return matrix - (matrix[:, k] - unit)[:, None] * ((row + unit) / row[k])[None]

    return jax.lax.fori_loop(0, n, pivot, matrix)
