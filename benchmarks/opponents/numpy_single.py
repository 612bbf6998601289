"""The method of ``jaxface.fit`` one face at a time in NumPy: plain Jacobians, normal equations, BLAS.

The same energy (Eq. 4) and the same loop: coarse and refined pose, then rounds of weights, shape and pose. The two
sub-problems can be solved by others (``scipy_least_squares``).
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.transform import Rotation

from jaxface import FitOptions
from jaxface.model.morphable import LandmarkModel
from jaxface.visibility import silhouettes

POSE_STEPS, POSE_TOLERANCE = 8, 1e-5


class Model(NamedTuple):
    """A face model at its landmarks: ``basis`` (3, L, N), so that a pose turns all of it in one matrix product;
    ``prior`` (N,) is λα or λβ of Eq. 10 in mm², as ``FitOptions`` has them."""

    mean: np.ndarray
    basis: np.ndarray
    normals: np.ndarray
    prior: np.ndarray

    @classmethod
    def of(cls, model: LandmarkModel, dtype=np.float32) -> "Model":
        basis = np.ascontiguousarray(np.moveaxis(np.asarray(model.basis, dtype), 1, 0))
        centred = basis - basis.mean(axis=1, keepdims=True)
        identity, usual = np.arange(basis.shape[-1]) < model.identity_size, FitOptions()
        prior = np.where(identity, usual.identity_prior, usual.expression_prior)
        fields = model.mean - model.mean.mean(0), centred, model.normals, prior
        return cls(*(np.asarray(field, dtype) for field in fields))

    def points(self, coefficients: np.ndarray) -> np.ndarray:
        """The centred landmarks (L, 3) of coefficients (N,)."""
        return self.mean + (self.basis @ coefficients).T


class Fit(NamedTuple):
    """A fitted face in its unit frame: ``first_scale`` is that of the mean face, at which the priors are in mm²."""

    coefficients: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    first_scale: np.ndarray
    radius: np.ndarray


def solve_pose(points, target, axes, scale, rotation):
    """The pose that minimises Eq. 4 at fixed centred points (L, 3): Levenberg-Marquardt on a 3L x 4 Jacobian.

    A step is a turn in the camera frame and a change of log scale.
    """
    root = np.sqrt(axes)
    jacobian = np.zeros((len(points), 3, 4), points.dtype)
    damping = 0.0
    turned = scale * points @ rotation.T
    residual = root * (turned - target)
    cost = np.vdot(residual, residual)
    for _ in range(POSE_STEPS):
        x, y, z = turned.T
        jacobian[:, 1, 0], jacobian[:, 2, 0] = -root[1] * z, root[2] * y
        jacobian[:, 0, 1], jacobian[:, 2, 1] = root[0] * z, -root[2] * x
        jacobian[:, 0, 2], jacobian[:, 1, 2] = -root[0] * y, root[1] * x
        jacobian[:, :, 3] = root * turned
        flat = jacobian.reshape(-1, 4)
        normal = flat.T @ flat
        normal[np.diag_indices(4)] += damping
        step = np.linalg.solve(normal, -flat.T @ residual.ravel())
        new_rotation = Rotation.from_rotvec(step[:3]).as_matrix().astype(points.dtype) @ rotation
        new_scale = scale * np.exp(step[3])
        new_turned = new_scale * points @ new_rotation.T
        new_residual = root * (new_turned - target)
        new_cost = np.vdot(new_residual, new_residual)
        if new_cost <= cost:
            scale, rotation, turned, residual, cost = new_scale, new_rotation, new_turned, new_residual, new_cost
            damping /= 3
        else:
            damping = max(4 * damping, 1e-3 * normal.max())
        if np.abs(step).max() <= POSE_TOLERANCE:
            break
    return scale, rotation


def solve_shape(model: Model, target, axes, scale, rotation, prior, _):
    """The coefficients that minimise Eq. 4 at a fixed pose: ridge regression on a 3L x N Jacobian."""
    root = np.sqrt(axes)[:, None]
    size = model.basis.shape[-1]
    jacobian = ((scale * root * rotation) @ model.basis.reshape(3, -1)).reshape(-1, size)
    residual = (root * (target.T - scale * rotation @ model.mean.T)).ravel()
    normal = jacobian.T @ jacobian
    normal[np.diag_indices(size)] += prior
    return cho_solve(cho_factor(normal, check_finite=False), jacobian.T @ residual, check_finite=False)


def adaptive_weights(rotation) -> tuple[float, float]:
    """λ2d and λ3d of Eqs 7-9."""
    turn = np.arcsin(min(abs(rotation[2, 0]), 1)) / (np.pi / 2)
    return ((1 - turn) / 2, turn) if turn >= 0.5 else (1 - turn, turn / 2)


def equal_weights(_) -> tuple[float, float]:
    """λ2d and λ3d of the variant ``2d+3d``, whose energy is one function of a face from the first round to the last."""
    return 0.5, 0.5


def merge(xy, xyz, weight_2d, weight_3d):
    """Both detections (centred) as one target (L, 3), with the diagonal of D."""
    both = weight_2d + weight_3d
    target = np.column_stack([(weight_2d * xy + weight_3d * xyz[:, :2]) / both, xyz[:, 2]])
    return target.astype(xy.dtype), np.array([both, both, weight_3d], xy.dtype)


def affine_pose(points, xy):
    """The least-squares affine camera, its rows made orthonormal."""
    rows = np.linalg.lstsq(points, xy, rcond=None)[0].T
    left, size, right = np.linalg.svd(rows, full_matrices=False)
    rows = left @ right
    return size.mean(), np.vstack([rows, np.cross(rows[0], rows[1])])


def coarse_pose(model: Model, xy, sides, pose=solve_pose):
    """The pose from one side's silhouette and the inner points; of both sides, the one with the larger yaw."""
    found = []
    for other in sides:
        seen = ~other
        points, target = (field[seen] - field[seen].mean(axis=0) for field in (model.mean, xy))
        flat = np.column_stack([target, np.zeros_like(target[:, 0])])
        found.append(pose(points, flat, np.array([1, 1, 0], xy.dtype), *affine_pose(points, target)))
    return max(found, key=lambda one: abs(one[1][2, 0]))


def visible_xy(model: Model, xy, xyz, sides, rotation):
    """The 2D landmarks, those on the silhouette that this pose hides replaced by the 3D ones."""
    replaced = (model.normals @ rotation[2] > 0) & sides.any(axis=0)
    offset = (xy - xyz[:, :2])[~replaced].mean(axis=0)
    return np.where(replaced[:, None], xyz[:, :2] + offset, xy)


def fit(model: Model, xy, xyz, iterations=4, refined=True, pose=solve_pose, shape=solve_shape, scheme="ibug68") -> Fit:
    """Fit one face from ``xy`` (L, 2) and ``xyz`` (L, 3) in pixels; ``refined=False`` is the variant ``2d+3d``."""
    centre = xy.mean(axis=0)
    radius = np.sqrt(((xy - centre) ** 2).sum(axis=1).mean())
    xy, xyz = (xy - centre) / radius, (xyz - np.append(centre, 0).astype(xyz.dtype)) / radius
    weights = adaptive_weights if refined else equal_weights
    if refined:
        sides = silhouettes(scheme)
        scale, rotation = coarse_pose(model, xy, sides, pose)
        xy = visible_xy(model, xy, xyz, sides, rotation)
    else:
        scale, rotation = affine_pose(model.mean, xy - xy.mean(axis=0))
    xy, xyz = xy - xy.mean(axis=0), xyz - xyz.mean(axis=0)
    scale, rotation = pose(model.mean, *merge(xy, xyz, *weights(rotation)), scale, rotation)
    first_scale = scale
    coefficients = np.zeros(model.basis.shape[-1], xy.dtype)
    for _ in range(iterations):
        weight_2d, weight_3d = weights(rotation)
        target, axes = merge(xy, xyz, weight_2d, weight_3d)
        prior = (weight_2d + weight_3d) * model.prior * first_scale**2
        coefficients = shape(model, target, axes, scale, rotation, prior, coefficients)
        scale, rotation = pose(model.points(coefficients), target, axes, scale, rotation)
    return Fit(coefficients, scale, rotation, first_scale, radius)
