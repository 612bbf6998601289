"""What the suite fits: random faces of the model itself, or the landmarks of photographs."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxface import Landmarks, MorphableModel
from jaxface.camera import project, rotation_from_euler

PIXELS_A_MM, NOISE_PIXELS = 3.0, 1.0
TURN_DEG = np.array([15.0, 75.0, 15.0])
"""The largest pitch, yaw and roll."""


def random_faces(model: MorphableModel, count: int, scheme: str = "ibug68", seed: int = 0, dtype=np.float32):
    """Landmarks (count, L, ·) of standard normal coefficients at random poses, with a pixel of noise on each number."""
    rng = np.random.default_rng(seed)
    points = model.at_landmarks(scheme)
    coefficients = rng.normal(size=(count, points.basis.shape[-1]))
    shapes = np.tensordot(coefficients.astype(np.float32), np.asarray(points.basis), (1, 2)) + np.asarray(points.mean)
    rotation = rotation_from_euler(jnp.asarray(rng.uniform(-TURN_DEG, TURN_DEG, (count, 3)), jnp.float32))
    placed = project(jnp.asarray(shapes), jnp.full(count, PIXELS_A_MM), rotation, jnp.full((count, 2), 500.0))
    noisy = [np.asarray(placed) + NOISE_PIXELS * rng.normal(size=placed.shape) for _ in range(2)]
    return Landmarks(noisy[0][..., :2].astype(dtype), noisy[1].astype(dtype), scheme=scheme)


def photographed_faces(path: str, count: int) -> Landmarks:
    """The faces of an AFLW2000-3D archive within 99 degrees of yaw, over and over until there are ``count``."""
    with np.load(path) as data:
        usual = np.flatnonzero(np.abs(data["yaw_deg"]) < 99)
        index = usual[np.arange(count) % len(usual)]
        xyz = np.moveaxis(data["pts68"][index], 1, 2) * np.float32((1, 1, -1))
        xy = np.moveaxis(data["reannotated_xy"][index], 1, 2)
    return Landmarks(xy.astype(np.float32), xyz)


def first(landmarks: Landmarks, count: int) -> Landmarks:
    """The first ``count`` faces of a batch."""
    return jax.tree.map(lambda leaf: leaf[:count], landmarks)
