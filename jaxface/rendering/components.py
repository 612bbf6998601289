"""What a face model's identity components do, and what its people look like: a picture of each."""

import jax.numpy as jnp
import numpy as np

from jaxface.camera import rotation_from_euler
from jaxface.model.morphable import MorphableModel
from jaxface.rendering.shading import draw_mesh

_DEVIATIONS = 2.0
_COMPONENTS = 5
_HEIGHT, _WIDTH = 320, 260
"""Of one face in a picture, in pixels."""
_FILLED = 0.8
"""The part of its field that the mean face takes."""
_TURN = -25.0
"""Degrees of yaw at which the components are drawn, to show depth as well as outline."""
_ALBEDO = np.array([0.78, 0.70, 0.64], np.float32)
_PEOPLE, _YAWS = 6, (0.0, -35.0)
_EXTREME = 3.0


def draw_components(model: MorphableModel) -> np.ndarray:
    """The first five identity components, a column each, at +2σ above and -2σ below: (H, W, 3) uint8 on white."""
    mean, components = np.asarray(model.mean), np.moveaxis(np.asarray(model.identity), -1, 0)[:_COMPONENTS]
    columns = [[mean + _DEVIATIONS * component, mean - _DEVIATIONS * component] for component in components]
    return _sheet(model, columns or [[mean, mean]], (_TURN,))


def draw_people(model: MorphableModel) -> np.ndarray:
    """Six random people, a column each, at 1σ and at 3σ, each from the front and turned: (H, W, 3) uint8 on white.

    At 1σ all coefficients are standard normal. At 3σ (``extreme``) the same people are moved along one random trait,
    until it is three deviations from the mean. The people of a model are the same in every picture.
    """
    mean, identity = np.asarray(model.mean), np.asarray(model.identity)
    columns = []
    for seed in range(_PEOPLE):
        rng = np.random.default_rng(seed)
        person = rng.normal(size=identity.shape[-1])
        columns.append([mean + identity @ person, mean + identity @ extreme(model, person, rng)])
    return _sheet(model, columns, _YAWS)


def extreme(model: MorphableModel, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A person's coefficients (N,), changed as little as makes a random trait lie 3σ from the mean.

    A trait is a number read off the face, linear in where its points lie: its weights are random, one for each
    coordinate of each vertex. Three deviations in one of them is what one person in 370 has. Three deviations in all
    coefficients at once is nobody: with 100, the chance is below 1e-100, and faces of scans break there too.
    """
    weights = rng.normal(size=model.mean.shape)
    trait = np.tensordot(weights, np.asarray(model.identity), 2)
    trait /= max(np.linalg.norm(trait), np.finfo(float).tiny)
    value = person @ trait
    return person + (np.copysign(_EXTREME, value) - value) * trait


def _sheet(model: MorphableModel, columns: list[list[np.ndarray]], yaws: tuple[float, ...]) -> np.ndarray:
    """Faces (V, 3), a list for each column of the picture; each at every yaw, one below the other."""
    drawn = [[_draw(model, face, yaw) for face in column for yaw in yaws] for column in columns]
    return np.concatenate([np.concatenate(column) for column in drawn], axis=1)


def _draw(model: MorphableModel, face: np.ndarray, yaw: float) -> np.ndarray:
    """One face (_HEIGHT, _WIDTH, 3) uint8, all at the scale at which the mean fills its field."""
    rotation = np.asarray(rotation_from_euler(jnp.array([0.0, yaw, 0.0])))
    mean = np.asarray(model.mean) @ rotation.T
    low, high = mean[:, :2].min(axis=0), mean[:, :2].max(axis=0)
    size = np.array([_WIDTH, _HEIGHT])
    scale = _FILLED * (size / (high - low)).min()
    image = scale * face @ rotation.T
    image[:, :2] += size / 2 - scale * (low + high) / 2
    drawn = draw_mesh(image.astype(np.float32), np.asarray(model.triangles), _HEIGHT, _WIDTH, _ALBEDO)
    return np.round(255 * (drawn[..., :3] + 1 - drawn[..., 3:])).astype(np.uint8)
