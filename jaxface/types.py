"""The vocabulary of every room: what goes into a fit and what comes out of it.

All of them are frozen dataclasses registered as pytrees, so they pass through ``jax.jit``, ``jax.vmap`` and
``jax.grad`` as they are. Leading batch axes are allowed everywhere and written ``*b`` in the shapes.
"""

from dataclasses import field
from enum import IntEnum
from typing import Literal

import numpy as np
from jaxtyping import Array, Float, Int

from jaxface import camera
from jaxface.pytree import pytree

AnyArray = Array | np.ndarray
Scheme = Literal["ibug68", "mediapipe478"]
POINTS: dict[Scheme, int] = {"ibug68": 68, "mediapipe478": 478}
"""How many landmarks each scheme has."""
SCHEMES: dict[int, Scheme] = {count: scheme for scheme, count in POINTS.items()}
"""Which scheme has so many."""
PAPER = "2d+3d+p+w"
"""The paper's method, by the name that its ablation (Fig. 3) gives it."""


class Status(IntEnum):
    """How one fit ended; ``Status(int(result.status)).sentence`` says it to a person.

    ``CONVERGED`` (0), ``MAX_ITERATIONS`` (1), which are fits; ``NON_FINITE_INPUT`` (2), ``DEGENERATE_LANDMARKS`` (3),
    ``DIVERGED`` (4), which are the mean face.
    """

    CONVERGED = 0
    MAX_ITERATIONS = 1
    NON_FINITE_INPUT = 2
    DEGENERATE_LANDMARKS = 3
    DIVERGED = 4

    @property
    def sentence(self) -> str:
        """The same for people."""
        return _SENTENCES[self]

    @property
    def fitted(self) -> bool:
        """Whether the result is a fit of this face, and not the mean face returned in its place."""
        return self <= Status.MAX_ITERATIONS


_SENTENCES = {
    Status.CONVERGED: "fitted: a further iteration would not move the face",
    Status.MAX_ITERATIONS: "fitted: the face still moved a little in the last iteration",
    Status.NON_FINITE_INPUT: "not fitted: a landmark is not a finite number",
    Status.DEGENERATE_LANDMARKS: "not fitted: the landmarks coincide, lie on a line or too few count: no pose",
    Status.DIVERGED: "not fitted: the solution left the finite numbers",
}


@pytree
class Pose:
    """Weak-perspective pose, Eqs 2-3: ``image = scale * (rotation @ x)[:2] + translation``.

    ``scale`` is pixels a millimetre; ``rotation`` takes the model frame into the camera frame (both in
    ``jaxface.camera``); ``translation`` is in pixels.
    """

    scale: Float[Array, "*b"]
    rotation: Float[Array, "*b 3 3"]
    translation: Float[Array, "*b 2"]

    @property
    def euler_deg(self) -> Float[Array, "*b 3"]:
        """Pitch, yaw, roll in degrees, with the signs that ``jaxface.camera`` states."""
        return camera.euler_deg(self.rotation)

    @property
    def sentence(self) -> str:
        """Where one face looks, for people: "turned 12° to the image's right, nose 5° up"; in whole degrees, those of
        ``jaxface.camera.looking_deg``, whose three turns do not cancel in profile.

        Raises:
          ValueError: this is a batch.
        """
        if batch := np.shape(self.scale):
            raise ValueError(f"pose: got a batch of shape {batch}, a sentence is of one face; index it first")
        azimuth, elevation, bank = (round(float(angle)) for angle in camera.looking_deg(self.rotation))
        told = [
            (azimuth, f"turned {abs(azimuth)}° to the image's {'right' if azimuth > 0 else 'left'}"),
            (elevation, f"nose {abs(elevation)}° {'up' if elevation > 0 else 'down'}"),
            (bank, f"tilted {abs(bank)}° {'clockwise' if bank > 0 else 'counter-clockwise'}"),
        ]
        return ", ".join(words for angle, words in told if angle) or "looking straight into the camera"


@pytree
class Landmarks:
    """One face as a detector saw it.

    ``xy``: pixels, on the *visible* silhouette, as a 2D detector's contour points are (L2d in Eq. 5).
    ``xyz``: camera frame, pixel units, on the *anatomical* jaw line even where it is hidden (L3d in Eq. 6); z points
    away from the viewer and its origin is free, the fit eliminates it.
    ``weight``: how far each point is believed beside the others, 0 or less not at all: a mask will do. A fit divides
    weights by Σw² / Σw, so that those that are alike count as 1. ``None``, the default, believes all alike and lets a
    fit use Gram matrices computed once a model. A face of which no point is believed is not fitted.
    ``scheme``: which points these are, ``"ibug68"`` (68) or ``"mediapipe478"`` (478); static under ``jax.jit``.
    ``detector``: who found them, by the name that ``jaxface.detect`` takes, ``None`` where that is not known; static.
    Its errors may be known, as ``FitOptions`` says.
    """

    xy: Float[AnyArray, "*b L 2"]
    xyz: Float[AnyArray, "*b L 3"]
    weight: Float[AnyArray, "*b L"] | None = None
    scheme: Scheme = field(default="ibug68", metadata={"static": True})
    detector: str | None = field(default=None, metadata={"static": True})


@pytree
class FitResult:
    """One fitted face; every leaf gains the batch axis under ``fit_batch``.

    ``identity`` (α) and ``expression`` (β) are standard-normal coefficients of the model; ``depth_offset`` is t′ of
    Eq. 6 in pixels; ``weight_2d`` and ``weight_3d`` are λ2d and λ3d of the last round; ``cost`` is
    Eq. 4 at the end in mm², at the scale that the mean face had, of 478 points in single precision to 2 %;
    ``iterations`` counts the rounds of shape and pose; ``status`` is a ``Status``; ``landmark_weight`` is how much each
    landmark counted, ``None`` where all did alike; ``variant`` is that of the method (``FitOptions``), static.
    """

    identity: Float[Array, "*b Na"]
    expression: Float[Array, "*b Nb"]
    pose: Pose
    depth_offset: Float[Array, "*b 3"]
    weight_2d: Float[Array, "*b"]
    weight_3d: Float[Array, "*b"]
    cost: Float[Array, "*b"]
    iterations: Int[Array, "*b"]
    status: Int[Array, "*b"]
    landmark_weight: Float[Array, "*b L"] | None = None
    variant: str = field(default=PAPER, metadata={"static": True})
