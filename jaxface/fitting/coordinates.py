"""The coordinates in which a fit solves for the shape.

Any orthonormal turn of the coefficients, and any scaling that the prior undoes, leaves the minimum of Eq. 4 where it
is. These are turned to the eigenvectors of Σ_a G_aa, the Gram matrix of the landmarks' motion, so that it is diagonal;
and the expression's are scaled so that one λ is the prior of all.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.camera import HIGHEST
from jaxface.model.morphable import LandmarkModel
from jaxface.pytree import pytree

ACTIVE, PATTERNS = 80, 40
"""How many coordinates, and how many patterns over the landmarks, hold all motion but what a round corrects."""
SAMPLES = 128
"""How many patterns over many landmarks hold all that they tell of a face but hundredths of a millimetre."""


@pytree
class Coordinates:
    """``basis`` is the landmarks' centred motion a unit of each coordinate, the most moving first: all x, all y, all z
    in one matrix. ``gram`` are its Gram matrices. ``core`` is the basis of the first coordinates seen through the
    few patterns of landmarks that move most with them. ``mixing @ coordinates`` are the model's coefficients (α, β).

    Where there are many landmarks, and single precision is enough, ``patterns`` are orthonormal ones that stand for
    them (centred points times ``patterns``), and ``sampled`` is the basis so seen; else ``None``.
    """

    basis: Float[Array, "3*L N"]
    gram: Float[Array, "3 3 N N"]
    patterns: Float[Array, "L K"] | None
    sampled: Float[Array, "3*K N"] | None
    core: Float[Array, "M A"]
    mixing: Float[Array, "N N"]


def coordinates(model: LandmarkModel, expression_unit: Float[Array, ""], single: bool) -> Coordinates:
    """A model's coordinates; ``expression_unit`` is √(λα/λβ), what one unit of them means to an expression, and
    ``single`` whether single precision is enough."""
    size = model.basis.shape[-1]
    units = jnp.where(jnp.arange(size) < model.identity_size, 1.0, expression_unit).astype(model.basis.dtype)
    centred = jnp.moveaxis(model.basis - model.basis.mean(axis=0), 1, 0) * units
    motion = jnp.einsum("cln,clm->nm", centred, centred, precision=HIGHEST)
    # A choice of axes, which no result depends on: a traced model needs no slope through it.
    turn = jnp.linalg.eigh(jax.lax.stop_gradient(motion))[1][:, ::-1]
    basis = jnp.matmul(centred, turn, precision=HIGHEST)
    patterns = sampled = None
    if single and basis.shape[1] > SAMPLES:
        patterns = _patterns(jnp.concatenate([basis, (model.mean - model.mean.mean(axis=0)).T[..., None]], 2), SAMPLES)
        sampled = _seen(patterns, basis)
    whole = basis.reshape(-1, size)
    return Coordinates(whole, gram(basis, None), patterns, sampled, core(basis), units[:, None] * turn)


def core(basis: Float[Array, "3 L N"]) -> Float[Array, "M A"]:
    """The first coordinates' motion in the patterns over the landmarks, orthonormal, that hold most of it."""
    active = basis[:, :, :ACTIVE]
    return _seen(_patterns(active, PATTERNS), active)


def _patterns(basis: Float[Array, "3 L N"], count: int) -> Float[Array, "L K"]:
    """The patterns over the landmarks that hold most of their motion: a choice, as the axes are."""
    together = jnp.einsum("aln,akn->lk", basis, basis, precision=HIGHEST)
    return jnp.linalg.eigh(jax.lax.stop_gradient(together))[1][:, -count:]


def _seen(patterns: Float[Array, "L K"], basis: Float[Array, "3 L N"]) -> Float[Array, "M N"]:
    return jnp.einsum("lk,aln->akn", patterns, basis, precision=HIGHEST).reshape(-1, basis.shape[-1])


def gram(basis: Float[Array, "3 L N"], weight: Float[Array, "L"] | None) -> Float[Array, "3 3 N N"]:
    """Gram matrices ``[a, b] = Γ̃_aᵀ Γ̃_b`` between x, y and z, summed over (weighted) landmarks. Γ̃ is the basis less its
    mean over them: the shape step eliminates translation."""
    weight = jnp.ones(basis.shape[1], basis.dtype) if weight is None else weight
    centred = basis - jnp.einsum("l,aln->an", weight / weight.sum(), basis, precision=HIGHEST)[:, None]
    return jnp.einsum("l,aln,blm->abnm", weight, centred, centred, precision=HIGHEST)
