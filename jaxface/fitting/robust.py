"""``loss="robust"``: landmarks that no likely face has where they are count for little.

Points that a hand, hair or a mistake displaces together pull a fit along, and what is left between them and the face no
longer shows it. So a few faces are fitted before, one after the other, each in one round and with stiff priors, which
keep it a likely one. For the next a landmark weighs

    w = (1 + (r / σ)²)⁻²,

r how far it lies in the image from where this face has it: the weights under which steps of least squares lead to the
minimum of Geman and McClure's loss, Σ r² / (1 + r² / σ²) (1987). Under the last weights, and its own priors, the fit is
then that of Eq. 4.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.fitting.frame import Unit

DOUBTED_MM = 6.0
"""σ, at the scale of the mean face. ``docs/accuracy.md`` records how this and the next were chosen."""
STIFFER = 40.0
"""The priors of the first faces, by those of the fit."""
FACES = 5
"""How many come before the fit."""


def landmark_weights(fit, unit: Unit) -> Float[Array, "L"]:
    """The landmarks' weights for a fit; ``fit`` takes landmarks, and how much stiffer its priors are to be, to the
    landmarks' squared distances (L,) from its face, in mm²."""
    own = jnp.ones_like(unit.xy[0]) if unit.weight is None else unit.weight

    def doubted(weight, _):
        return own / (1 + fit(unit._replace(weight=weight), STIFFER) / DOUBTED_MM**2) ** 2, None

    return jax.lax.scan(doubted, own, length=FACES)[0]
