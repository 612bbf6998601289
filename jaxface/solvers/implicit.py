"""Derivatives of what a solver found, by the implicit function theorem and not through its iterations."""

import operator
from functools import partial

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxface.camera import HIGHEST
from jaxface.solvers.inverse import inverse

_sealed = Primitive("found_from")
"""Its first operand, which the others led to. Reverse mode takes the rule below out of a loop, and whoever would then
differentiate again meets this instead of slopes of 0."""
_sealed.def_impl(lambda found, *_: found)
_sealed.def_abstract_eval(lambda found, *_: found)
mlir.register_lowering(_sealed, lambda _, found, *rest: [found])
batching.primitive_batchers[_sealed] = lambda operands, axes: (_sealed.bind(*operands), axes[0])


def _refuse(*_):
    raise NotImplementedError(
        "the slope of a fit in reverse mode has no slope of its own; for second derivatives take forward mode first: "
        "jax.jacfwd(jax.jacfwd(...)), or jax.jacrev(jax.jacfwd(...))"
    )


ad.primitive_jvps[_sealed] = _refuse


def root(gradient, solve, *args, moved=operator.add, newton=None):
    """``solve(*args)`` as the root of ``gradient(x, *args)``: its value as it is, its derivatives with respect to
    ``args`` (arrays of floats), forward and reverse, those of the root.

    ``moved(x, step)`` is where a step, a vector like the gradient, leads from x. ``newton(x, *args)`` gives a function
    that divides such a vector by the gradient's slope at x, a symmetric matrix; without it that is found column by
    column.
    """
    return _root(gradient, moved, newton, solve(*jax.lax.stop_gradient(args)), args)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _root(gradient, moved, newton, found, args):
    return jax.tree.map(lambda leaf: _sealed.bind(leaf, *jax.tree.leaves(args)), found)


@_root.defjvp
def _root_jvp(gradient, moved, newton, primals, tangents):
    found, args = primals
    x = _root(gradient, moved, newton, found, args)
    slope, change = jax.jvp(lambda *args: gradient(x, *args), args, tangents[1])
    still = jnp.zeros_like(slope)
    along = lambda step: jax.jvp(lambda step: gradient(moved(x, step), *args), (still,), (step,))[1]
    divided = newton(*jax.lax.stop_gradient((x, *args))) if newton else _by_columns(along, still)
    step = -jax.lax.custom_linear_solve(along, change, lambda _, right: divided(right), symmetric=True)
    return x, jax.jvp(partial(moved, x), (still,), (step,))[1]


def _by_columns(product, still):
    matrix = inverse(jax.vmap(product)(jnp.eye(still.size, dtype=still.dtype)))
    return partial(jnp.matmul, matrix, precision=HIGHEST)
