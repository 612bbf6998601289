"""What a face model's identity components do, in one picture."""

import jax.numpy as jnp
import numpy as np

from jaxface.camera import rotation_from_euler
from jaxface.model.morphable import MorphableModel
from jaxface.rendering.shading import draw_mesh

_DEVIATIONS = 2.0
_COMPONENTS = 5
_HEIGHT, _WIDTH = 320, 260
"""Of one face in the picture, in pixels."""
_FILLED = 0.8
"""The part of its field that the mean face takes."""
_TURN = -25.0
"""Degrees of yaw at which the faces are drawn, to show depth as well as outline."""
_ALBEDO = np.array([0.78, 0.70, 0.64], np.float32)


def draw_components(model: MorphableModel) -> np.ndarray:
    """The first five identity components, a column each, at +2σ above and -2σ below: (H, W, 3) uint8 on white."""
    count = min(_COMPONENTS, model.identity.shape[-1])
    rows = [[_draw(model, component, sign * _DEVIATIONS) for component in range(count)] for sign in (1, -1)]
    return np.concatenate([np.concatenate(row or [_draw(model, 0, 0.0)], axis=1) for row in rows])


def _draw(model: MorphableModel, component: int, amount: float) -> np.ndarray:
    """One face (_HEIGHT, _WIDTH, 3) uint8, all at the scale at which the mean fills its field."""
    rotation = np.asarray(rotation_from_euler(jnp.array([0.0, _TURN, 0.0])))
    turned = np.asarray(model.mean) @ rotation.T
    low, high = turned[:, :2].min(axis=0), turned[:, :2].max(axis=0)
    size = np.array([_WIDTH, _HEIGHT])
    scale = _FILLED * (size / (high - low)).min()
    face = turned if not amount else turned + amount * np.asarray(model.identity[..., component]) @ rotation.T
    image = scale * face
    image[:, :2] += size / 2 - scale * (low + high) / 2
    drawn = draw_mesh(image.astype(np.float32), np.asarray(model.triangles), _HEIGHT, _WIDTH, _ALBEDO)
    return np.round(255 * (drawn[..., :3] + 1 - drawn[..., 3:])).astype(np.uint8)
