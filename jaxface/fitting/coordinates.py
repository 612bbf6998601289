"""The coordinates in which a fit solves for the shape.

Any orthonormal turn of the coefficients, and any scaling that the prior undoes, leaves the minimum of Eq. 4 where it
is. These are turned to the eigenvectors of Σ_a G_aa, the Gram matrix of the landmarks' motion, so that it is diagonal;
and the expression's are scaled so that one λ is the prior of all.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.calibration import Calibration
from jaxface.energies import gram
from jaxface.fitting.coarse import Sides, sides_of
from jaxface.fitting.marching import Contour
from jaxface.model.morphable import LandmarkModel
from jaxface.pytree import pytree

ACTIVE, PATTERNS = 80, 40
"""How many coordinates, and how many patterns over the landmarks, hold all motion but what a round corrects."""
SAMPLES = 128
"""How many patterns over many landmarks hold all that they tell of a face but hundredths of a millimetre."""


@pytree
class Coordinates:
    """``basis`` is the landmarks' centred motion a unit of each coordinate, the most moving first: all x, all y, all z
    in one matrix. ``gram`` are its Gram matrices, ``squares`` their diagonals. ``core`` is the basis of the first
    coordinates seen through the few patterns of landmarks that move most with them. ``mixing @ coordinates`` are the
    model's coefficients (α, β).

    Where there are many landmarks, and single precision is enough, ``patterns`` are orthonormal ones that stand for
    them (centred points times ``patterns``), and ``sampled`` is the basis so seen; else ``None``. ``contour`` is there
    where a fit marches, ``calibration`` where it is calibrated, and ``sides`` are the mean face's where all landmarks
    weigh alike.
    """

    basis: Float[Array, "3*L N"]
    gram: Float[Array, "3 3 N N"]
    squares: Float[Array, "3 3 N"]
    patterns: Float[Array, "L K"] | None
    sampled: Float[Array, "3*K N"] | None
    core: Float[Array, "M A"]
    mixing: Float[Array, "N N"]
    sides: Sides
    contour: Contour | None = None
    calibration: Calibration | None = None


def coordinates(model: LandmarkModel, expression_unit: float, single: bool) -> Coordinates:
    """A model's coordinates, in JAX or, of a model of NumPy arrays, in NumPy. ``expression_unit`` is √(λα/λβ), what one
    unit of them means to an expression, and ``single`` whether single precision is enough."""
    xp, size = model.basis.__array_namespace__(), model.basis.shape[-1]
    units = xp.where(xp.arange(size) < model.identity_size, 1.0, expression_unit).astype(model.basis.dtype)
    with jax.default_matmul_precision("highest"):
        centred = xp.moveaxis(model.basis - model.drift, 1, 0) * units
        turn = _eigenvectors(xp.einsum("cln,clm->nm", centred, centred, optimize=True))[:, ::-1]
        basis = centred @ turn
        patterns = sampled = None
        if single and basis.shape[1] > SAMPLES:
            patterns = _patterns(xp.concatenate([basis, model.centred[..., None]], axis=2), SAMPLES)
            sampled = _seen(patterns, basis)
        grams, mixing = gram(basis, None), units[:, None] * turn
        squares = xp.einsum("abnn->abn", grams)
        sides = sides_of(model.centred, model.scheme, None)
        return Coordinates(basis.reshape(-1, size), grams, squares, patterns, sampled, core(basis), mixing, sides)


def core(basis: Float[Array | np.ndarray, "3 L N"]) -> Any:
    """The first coordinates' motion (M, A) in the patterns over the landmarks, orthonormal, that hold most of it."""
    active = basis[:, :, :ACTIVE]
    return _seen(_patterns(active, PATTERNS), active)


def _patterns(basis: Float[Array | np.ndarray, "3 L N"], count: int) -> Any:
    """The patterns (L, K) over the landmarks that hold most of their motion: a choice, as the axes are."""
    together = basis.__array_namespace__().einsum("aln,akn->lk", basis, basis, optimize=True)
    return _eigenvectors(together)[:, -count:]


def _eigenvectors(matrix: Float[Array | np.ndarray, "n n"]) -> Any:
    """A choice of axes (n, n), which no result depends on where they are complete: a traced model, of which no
    ``patterns`` are taken, needs no slope through it."""
    if isinstance(matrix, np.ndarray):
        return np.linalg.eigh(matrix)[1]
    return jnp.linalg.eigh(jax.lax.stop_gradient(matrix))[1]


def _seen(patterns: Float[Array | np.ndarray, "L K"], basis: Float[Array | np.ndarray, "3 L N"]) -> Any:
    xp = basis.__array_namespace__()
    return xp.einsum("lk,aln->akn", patterns, basis, optimize=True).reshape(-1, basis.shape[-1])
