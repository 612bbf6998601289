"""Derivatives of what a solver found, by the implicit function theorem and not through its iterations."""

import operator
from functools import partial

import jax
import jax.numpy as jnp

from jaxface.camera import HIGHEST
from jaxface.solvers.inverse import inverse


def root(gradient, solve, *args, moved=operator.add):
    """``solve(*args)`` as the root of ``gradient(x, *args)``: its value as it is, its derivatives with respect to
    ``args`` (arrays of floats), forward and reverse, those of the root. ``moved(x, step)`` is where a step, a vector
    like the gradient, leads from x."""
    return _root(gradient, moved, solve(*jax.lax.stop_gradient(args)), args)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _root(gradient, moved, found, args):
    return found


@_root.defjvp
def _root_jvp(gradient, moved, primals, tangents):
    found, args = primals
    x = _root(gradient, moved, found, args)
    slope, change = jax.jvp(lambda *args: gradient(x, *args), args, tangents[1])
    still = jnp.zeros_like(slope)
    matrix = jax.jacfwd(lambda step: gradient(moved(x, step), *args))(still)
    step = -jnp.matmul(inverse(matrix), change, precision=HIGHEST)
    return x, jax.jvp(partial(moved, x), (still,), (step,))[1]
