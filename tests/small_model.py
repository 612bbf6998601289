"""A head small enough for quick tests: an ellipsoid with a nose, a two-island atlas and exact left-right symmetry."""

import jax.numpy as jnp
import numpy as np
import trimesh
from scipy.spatial import cKDTree

from jaxface import camera
from jaxface.model.morphable import Embedding, MorphableModel
from jaxface.types import POINTS, FitResult, Landmarks, Pose

SIZE = 400
"""Side of the test photographs in pixels."""


def small_model(nose_mm: float = 25.0) -> MorphableModel:
    sphere = trimesh.creation.icosphere(subdivisions=4)
    directions, triangles = np.asarray(sphere.vertices), np.asarray(sphere.faces)
    mean = directions * [75.0, 105.0, 90.0]
    near = np.exp(-(mean[:, 0] ** 2 + mean[:, 1] ** 2) / (2 * 12.0**2)) * (mean[:, 2] > 0)
    mean[:, 2] += nose_mm * near
    x, y, z = directions.T
    identity = np.stack([np.stack([4 * x, 0 * y, 0 * z], -1), np.stack([0 * x, 5 * y, 0 * z], -1)], -1)
    expression = np.stack([0 * x, 0 * y, 3 * np.exp(-((y + 0.4) ** 2) / 0.05)], -1)[..., None]

    front = directions[triangles].mean(axis=1)[:, 2] >= 0
    points, uv_triangles = np.unique(triangles + len(mean) * ~front[:, None], return_inverse=True)
    uv_vertices, back = points % len(mean), points >= len(mean)
    angle = np.arccos(np.clip(np.where(back, -1, 1) * directions[uv_vertices, 2], -1, 1))
    across = np.linalg.norm(directions[uv_vertices, :2], axis=-1)
    flat = directions[uv_vertices, :2] * (angle / np.maximum(across, 1e-9) / (2 * np.pi) * 0.8)[:, None]
    uv = np.where(back[:, None], [0.75, 0.5], [0.25, 0.5]) + flat

    seen = np.flatnonzero(front & (np.linalg.norm(directions[triangles].mean(axis=1)[:, :2], axis=-1) < 0.8))
    rng = np.random.default_rng(0)
    landmarks = {
        scheme: Embedding(
            jnp.asarray(rng.choice(seen, count, replace=False)),
            jnp.asarray(rng.dirichlet(np.ones(3), count), jnp.float32),
        )
        for scheme, count in POINTS.items()
    }
    return MorphableModel(
        mean=jnp.asarray(mean, jnp.float32),
        identity=jnp.asarray(identity, jnp.float32),
        expression=jnp.asarray(expression, jnp.float32),
        triangles=jnp.asarray(triangles, jnp.int32),
        landmarks=landmarks,
        uv=jnp.asarray(uv, jnp.float32),
        uv_vertices=jnp.asarray(uv_vertices, jnp.int32),
        uv_triangles=jnp.asarray(uv_triangles.reshape(-1, 3), jnp.int32),
        symmetry=jnp.asarray(cKDTree(mean).query(mean * [-1, 1, 1])[1], jnp.int32),
        name="small",
        expression_names=("pout",),
    )


def small_photograph() -> np.ndarray:
    """(SIZE, SIZE, 3) uint8: each pixel tells its place."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.stack([rows % 256, columns % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)


def small_result(yaw_deg: float = 0.0, scale: float = 1.5, centre: tuple[float, float] = (200.0, 200.0)) -> FitResult:
    number = jnp.float32
    pose = Pose(
        number(scale),
        camera.rotation_from_euler(jnp.array([0.0, yaw_deg, 0.0], jnp.float32)),
        jnp.array(centre, jnp.float32),
    )
    return FitResult(
        identity=jnp.array([0.5, -0.3], jnp.float32),
        expression=jnp.array([0.4], jnp.float32),
        pose=pose,
        depth_offset=jnp.zeros(3, jnp.float32),
        weight_2d=number(0.6),
        weight_3d=number(0.4),
        cost=number(0.01),
        iterations=jnp.int32(4),
        status=jnp.int32(0),
    )


def small_landmarks(model: MorphableModel, result: FitResult, scheme: str = "ibug68") -> Landmarks:
    points = model.landmark_positions(model.vertices(result.identity, result.expression), scheme)
    pose = result.pose
    placed = camera.project(points, pose.scale, pose.rotation, pose.translation)
    return Landmarks(placed[:, :2] + 2.0, placed, scheme=scheme)
