"""The shapes of one person in F pictures at fixed poses: one identity α, and an expression β_f a picture.

The energy is the sum of Eq. 4 over the pictures, in mm². It is quadratic, and its normal equations have structure:

    [ A    B_1ᵀ ... B_Fᵀ ] [ α  ]     A = Σ_f A_f + prior
    [ B_1  C_1           ] [ β_1]     C_f with its prior, and with ties to its neighbours where the pictures are frames
    [ :         :        ] [ :  ]     of a video
    [ B_F           C_F  ] [ β_F]

The expressions are eliminated by Schur complement, which leaves a system of the identity's size. All blocks come from
the landmarks' Gram matrices (``jaxface.energies.gram``); Σ_f A_f takes one contraction, whatever the number of
pictures.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

from jaxface import energies
from jaxface.camera import HIGHEST
from jaxface.fitting.chain import solve_chain
from jaxface.fitting.options import FitOptions
from jaxface.model.morphable import LandmarkModel

SHARED_ERROR = 0.02
"""The part of a landmark's error that all pictures of a person have in common and that their number does not average
out; ``docs/video.md`` records how it was chosen."""

_product = partial(jnp.einsum, precision=HIGHEST)


def solve_shapes(
    model: LandmarkModel,
    target: energies.Target,
    scale: Float[Array, "F"],
    rotation: Float[Array, "F 3 3"],
    present: Float[Array, "F"],
    held: Float[Array, "F"],
    options: FitOptions,
    smoothness: Float[Array, ""],
) -> tuple[Float[Array, "Na"], Float[Array, "F Nb"]]:
    """The identity and the expressions that minimise the energy.

    Args:
      target: of each picture, in mm.
      scale: about 1.
      present: 1, or 0 for a picture that has no say.
      held: how much, from 0 to 1, a picture's expression is tied to that of the one before.
      smoothness: as ``jaxface.fit_sequence`` takes it.
    """
    size = model.identity_size
    basis = jnp.moveaxis(model.basis - model.drift, 1, 0)
    if target.weight is None:
        grams, index = energies.gram(basis, None), "abnm"
    else:
        grams, index = jax.vmap(energies.gram, (None, 0))(basis, target.weight), "fabnm"
    pull = jax.vmap(partial(_pull, model.mean.T, basis))(target, scale, rotation)
    metric = _product("f,fca,fc,fcb->fab", scale**2, rotation, target.axes, rotation)  # s² Rᵀ D R
    seen = present[:, None, None] * metric
    trust = target.axes[:, 0]  # λ2d + λ3d
    count = jnp.maximum(present.sum(), 1.0)
    distinct = count / (1 + SHARED_ERROR * (count - 1))  # pictures whose errors are their own would say as much
    prior = jnp.where(present.any(), options.identity_prior / distinct * jnp.vdot(trust, present), 1.0)

    a = _product(f"fab,{index}->nm", seen, grams[..., :size, :size]) + prior * jnp.eye(size, dtype=prior.dtype)
    b = _product(f"fab,{index}->fnm", seen, grams[..., size:, :size])
    c = _product(f"fab,{index}->fnm", metric, grams[..., size:, size:])
    c += options.expression_prior * trust[:, None, None] * jnp.eye(c.shape[-1], dtype=c.dtype)
    motion = _product("aanm->nm", energies.gram(basis[..., size:], None))
    solved = solve_chain(c, smoothness * motion, held, jnp.concatenate([pull[:, size:, None], b], axis=2))
    alone, shift = solved[..., 0], solved[..., 1:]  # C⁻¹ of the expressions' pull, and C⁻¹ B
    schur = a - _product("fnm,fnk->mk", b, shift)
    right = present @ pull[:, :size] - _product("fnm,fn->m", b, alone)
    product = partial(jnp.matmul, schur, precision=HIGHEST)
    solve = lambda _, right: cho_solve(cho_factor(schur), right)
    identity = jax.lax.custom_linear_solve(product, right, solve, symmetric=True)
    return identity, alone - jnp.matmul(shift, identity, precision=HIGHEST)


def _pull(mean: Float[Array, "3 L"], basis: Float[Array, "3 L N"], target: energies.Target, scale, rotation):
    """Half the slope of Eq. 4's data terms at the mean face, down, in every coefficient."""
    points = energies.centred(mean, target.weight)
    gap = target.points - scale * energies.turned(rotation, points)
    pull = scale * energies.turned(rotation.T * target.axes, gap)
    return _product("al,aln->n", pull if target.weight is None else pull * target.weight, basis)
