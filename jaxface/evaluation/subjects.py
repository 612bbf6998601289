"""People whose true faces are known: random people of a face model with an expression, each seen once.

A subject is its seed: who it is, its expression and how its head is turned. Even seeds are for choosing by, odd ones
for reporting on.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxface.camera import rotation_from_euler
from jaxface.evaluation.faces import Face
from jaxface.model.morphable import MorphableModel
from jaxface.model.registration import Shape, shape_of

EXPRESSIONS, STRONGEST = 4, 0.5
"""So many random expressions are mixed into a face, each from 0 to this part of its full extent."""
TILT_DEG, NODDING_DEG = 5.0, 15.0
"""Standard deviation of pitch and roll: of people who are reported on, and of those that a calibration is measured on,
which is to hold for photographs."""
_LARGEST_YAW = 90.0
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False)
class Subjects:
    """n people of a ``model``: ``vertices`` (n, V, 3) mm in the model frame, the ``rotation`` (n, 3, 3) into the camera
    frame under which each is seen, and its ``yaw`` (n,) in degrees. ``shape`` is the model's mean face."""

    model: MorphableModel
    shape: Shape
    seeds: Int[np.ndarray, "n"]
    vertices: Float[np.ndarray, "n V 3"]
    rotation: Float[np.ndarray, "n 3 3"]
    yaw: Float[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.seeds)

    def points(self, scheme: str = "ibug68") -> Float[np.ndarray, "n L 3"]:
        """The true landmarks (n, L, 3) in mm, in the model frame.

        Raises:
          ValueError: the model lacks the scheme.
        """
        if scheme not in self.model.landmarks:
            raise ValueError(f"{self.model.name}: has no {scheme} landmarks; jaxface model convert adds them")
        return self.model.landmarks[scheme].on(self.model.triangles, self.vertices)

    def seen(self, points: Float[np.ndarray, "n L 3"]) -> Float[np.ndarray, "n L 3"]:
        """Points of each subject's model frame in the camera frame, still in mm."""
        return np.einsum("nij,nlj->nli", self.rotation, points)

    def face(self, index: int) -> Face:
        """One true face as a scan has it, with its 68 points: the skin alone."""
        inside, triangles = self.shape.of(self.shape.skin)
        mesh = self.vertices[index, inside].astype(np.float64)
        landmarks = self.shape.anchors @ self.vertices[index].astype(np.float64)
        return Face(f"seed {self.seeds[index]}", mesh, triangles, landmarks)


def subjects(model: MorphableModel, count: int, odd: bool = False, tilt_deg: float = TILT_DEG) -> Subjects:
    """The first people of a model: coefficients of the identity standard normal, a few expressions, yaw from -90° to
    90° in golden-ratio steps, so that however many there are, every yaw has its share; ``tilt_deg`` the standard
    deviation of pitch and roll.

    Raises:
      ValueError: the model lacks the 68 points.
    """
    seeds = 2 * np.arange(count) + odd
    shape = shape_of(model)
    names, expressions = model.identity.shape[-1], model.expression.shape[-1]
    identity, expression = np.zeros((count, names)), np.zeros((count, expressions))
    angles = np.zeros((count, 3))
    for row, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        identity[row] = rng.normal(size=names)
        mixed = rng.choice(expressions, min(EXPRESSIONS, expressions), replace=False)
        expression[row, mixed] = rng.uniform(0, STRONGEST, len(mixed))
        yaw = _LARGEST_YAW * (2 * (_GOLDEN * (seed // 2 + 1) % 1) - 1)
        angles[row] = rng.normal(0, tilt_deg), yaw, rng.normal(0, tilt_deg)
    flat = lambda basis: np.asarray(basis).reshape(-1, basis.shape[-1]).T
    moved = identity.astype(np.float32) @ flat(model.identity) + expression.astype(np.float32) @ flat(model.expression)
    vertices = np.asarray(model.mean) + moved.reshape(count, -1, 3)
    rotation = np.asarray(rotation_from_euler(jnp.asarray(angles, jnp.float32)))
    return Subjects(model, shape, seeds, vertices, rotation, angles[:, 1])
