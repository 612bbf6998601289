"""The method of ``jaxface.fit_batch`` in NumPy: every step of ``numpy_single`` over a leading batch axis.

A batch is worked through in blocks, whose Jacobians fit into the cache's neighbourhood. The pose loops run until the
slowest face of a block has ended.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from benchmarks.opponents.numpy_single import POSE_STEPS, POSE_TOLERANCE, Fit, Model
from jaxface.visibility import silhouettes

BLOCK = 128


def solve_pose(points, target, axes, scale, rotation):
    """As ``numpy_single.solve_pose``: points (B, L, 3), axes (B, 3), scale (B,), rotation (B, 3, 3)."""
    root = np.sqrt(axes)[:, None, :]
    count, size, _ = points.shape
    jacobian = np.zeros((count, size, 3, 4), points.dtype)
    damping = np.zeros(count, points.dtype)
    place = lambda scale, rotation: scale[:, None, None] * (points @ rotation.mT)
    turned = place(scale, rotation)
    residual = root * (turned - target)
    cost = np.einsum("blc,blc->b", residual, residual)
    for _ in range(POSE_STEPS):
        x, y, z = np.moveaxis(turned, -1, 0)
        a, b, c = np.moveaxis(root, -1, 0)
        jacobian[:, :, 1, 0], jacobian[:, :, 2, 0] = -b * z, c * y
        jacobian[:, :, 0, 1], jacobian[:, :, 2, 1] = a * z, -c * x
        jacobian[:, :, 0, 2], jacobian[:, :, 1, 2] = -a * y, b * x
        jacobian[..., 3] = root * turned
        flat = jacobian.reshape(count, -1, 4)
        normal = flat.mT @ flat
        normal[:, range(4), range(4)] += damping[:, None]
        step = np.linalg.solve(normal, -(flat.mT @ residual.reshape(count, -1, 1)))[..., 0]
        new_rotation = Rotation.from_rotvec(step[:, :3]).as_matrix().astype(points.dtype) @ rotation
        new_scale = scale * np.exp(step[:, 3])
        new_turned = place(new_scale, new_rotation)
        new_residual = root * (new_turned - target)
        new_cost = np.einsum("blc,blc->b", new_residual, new_residual)
        taken = new_cost <= cost
        pick = lambda new, old: np.where(taken.reshape(-1, *[1] * (new.ndim - 1)), new, old)  # noqa: B023
        scale, rotation, turned = pick(new_scale, scale), pick(new_rotation, rotation), pick(new_turned, turned)
        residual, cost = pick(new_residual, residual), pick(new_cost, cost)
        damping = pick(damping / 3, np.maximum(4 * damping, 1e-3 * normal.max(axis=(1, 2))))
        if np.abs(step).max() <= POSE_TOLERANCE:
            break
    return scale, rotation


def solve_shape(model: Model, target, axes, scale, rotation, prior):
    """As ``numpy_single.solve_shape``, for a block of faces; ``prior`` (B, N)."""
    root = np.sqrt(axes)[..., None]
    count, size = len(target), model.basis.shape[-1]
    turn = scale[:, None, None] * root * rotation
    jacobian = (turn @ model.basis.reshape(3, -1)).reshape(count, -1, size)
    residual = (root * target.mT - turn @ model.mean.T).reshape(count, -1, 1)
    normal = jacobian.mT @ jacobian
    normal[:, range(size), range(size)] += prior
    return np.linalg.solve(normal, jacobian.mT @ residual)[..., 0]


def adaptive_weights(rotation):
    """λ2d and λ3d of Eqs 7-9, each (B,)."""
    turn = np.arcsin(np.minimum(np.abs(rotation[:, 2, 0]), 1)) / np.float32(np.pi / 2)
    large = turn >= 0.5
    return np.where(large, (1 - turn) / 2, 1 - turn), np.where(large, turn, turn / 2)


def merge(xy, xyz, weight_2d, weight_3d):
    """Both detections (centred) as one target (B, L, 3), with the diagonal of D (B, 3)."""
    both = weight_2d + weight_3d
    a, b = ((weight / both)[:, None, None] for weight in (weight_2d, weight_3d))
    return np.concatenate([a * xy + b * xyz[..., :2], xyz[..., 2:]], axis=-1), np.stack([both, both, weight_3d], -1)


def affine_pose(points, xy):
    """The least-squares affine camera from points (L, 3) to xy (B, L, 2), its rows made orthonormal."""
    rows = (np.linalg.pinv(points) @ xy).mT
    left, size, right = np.linalg.svd(rows, full_matrices=False)
    rows = left @ right
    return size.mean(axis=-1), np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)


def coarse_pose(model: Model, xy, sides):
    """The pose from one side's silhouette and the inner points; of both sides, the one with the larger yaw."""
    found = []
    for other in sides:
        points, target = model.mean[~other], xy[:, ~other]
        points, target = points - points.mean(axis=0), target - target.mean(axis=1, keepdims=True)
        flat = np.concatenate([target, np.zeros_like(target[..., :1])], axis=-1)
        axes = np.tile(np.array([1, 1, 0], xy.dtype), (len(xy), 1))
        start = affine_pose(points, target)
        found.append(solve_pose(np.broadcast_to(points, (len(xy), *points.shape)), flat, axes, *start))
    (one, turn_one), (two, turn_two) = found
    larger = np.abs(turn_one[:, 2, 0]) > np.abs(turn_two[:, 2, 0])
    return np.where(larger, one, two), np.where(larger[:, None, None], turn_one, turn_two)


def visible_xy(model: Model, xy, xyz, sides, rotation):
    """The 2D landmarks, those on the silhouette that the pose hides replaced by the 3D ones."""
    replaced = ((rotation[:, 2] @ model.normals.T > 0) & sides.any(axis=0))[..., None]
    offset = np.where(replaced, 0, xy - xyz[..., :2]).sum(axis=1, keepdims=True)
    offset /= (~replaced).sum(axis=1, keepdims=True).astype(xy.dtype)
    return np.where(replaced, xyz[..., :2] + offset, xy)


def fit_block(model: Model, xy, xyz, iterations: int, scheme: str) -> Fit:
    centre = xy.mean(axis=1, keepdims=True)
    radius = np.sqrt(((xy - centre) ** 2).sum(axis=-1).mean(axis=-1))
    middle = np.concatenate([centre, np.zeros_like(centre[..., :1])], axis=-1)
    xy, xyz = (xy - centre) / radius[:, None, None], (xyz - middle) / radius[:, None, None]
    sides = silhouettes(scheme)
    scale, rotation = coarse_pose(model, xy, sides)
    xy = visible_xy(model, xy, xyz, sides, rotation)
    xy, xyz = xy - xy.mean(axis=1, keepdims=True), xyz - xyz.mean(axis=1, keepdims=True)
    points = np.broadcast_to(model.mean, xyz.shape)
    scale, rotation = solve_pose(points, *merge(xy, xyz, *adaptive_weights(rotation)), scale, rotation)
    first_scale = scale
    for _ in range(iterations):
        weight_2d, weight_3d = adaptive_weights(rotation)
        target, axes = merge(xy, xyz, weight_2d, weight_3d)
        prior = ((weight_2d + weight_3d) * first_scale**2)[:, None] * model.prior
        coefficients = solve_shape(model, target, axes, scale, rotation, prior)
        flat = coefficients @ model.basis.reshape(-1, coefficients.shape[-1]).T
        points = model.mean + flat.reshape(len(xy), 3, -1).mT
        scale, rotation = solve_pose(points, target, axes, scale, rotation)
    return Fit(coefficients, scale, rotation, first_scale, radius)


def fit(model: Model, xy, xyz, iterations: int = 4, scheme: str = "ibug68") -> Fit:
    """Fit faces from ``xy`` (B, L, 2) and ``xyz`` (B, L, 3) in pixels, a block at a time."""
    blocks = [
        fit_block(model, xy[start : start + BLOCK], xyz[start : start + BLOCK], iterations, scheme)
        for start in range(0, len(xy), BLOCK)
    ]
    return Fit(*map(np.concatenate, zip(*blocks, strict=True)))
