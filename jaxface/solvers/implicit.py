"""Derivatives of what a solver found, by the implicit function theorem and not through its iterations."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxface.camera import HIGHEST
from jaxface.solvers.inverse import inverse


def root(gradient, solve, *args):
    """``solve(*args)``, a vector, as the root of ``gradient(x, *args)``: its value as it is, its derivatives with
    respect to ``args`` (arrays of floats), forward and reverse, those of the root."""
    return _root(gradient, solve(*jax.lax.stop_gradient(args)), args)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _root(gradient, found, args):
    return found


@_root.defjvp
def _root_jvp(gradient, primals, tangents):
    found, args = primals
    x = _root(gradient, found, args)
    change = jax.jvp(lambda *args: gradient(x, *args), args, tangents[1])[1]
    return x, -jnp.matmul(inverse(jax.jacfwd(gradient)(x, *args)), change, precision=HIGHEST)
