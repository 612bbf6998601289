"""SciPy's ``least_squares`` (MINPACK's Levenberg-Marquardt, exact Jacobians) in two places.

``fit``: on both sub-problems of the alternating loop. ``fit_jointly``: on pose and coefficients at once, from the pose
of the mean face; without alternation it reaches the minimum of Eq. 4 itself, which the others are measured against.
"""

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from benchmarks.opponents import numpy_single
from benchmarks.opponents.numpy_single import Fit, Model
from jaxface.evaluation.alignment import left_jacobian


def _pose_columns(turned, root):
    """The weighted derivative (3L, 4) of turned points (L, 3) by a turn in the camera frame and the log scale."""
    turns = np.stack([np.cross(axis, turned) for axis in np.eye(3)], axis=-1)
    return (root[:, None] * np.concatenate([turns, turned[..., None]], axis=-1)).reshape(-1, 4)


def _moved(step, scale, rotation):
    return scale * np.exp(step[3]), Rotation.from_rotvec(step[:3]).as_matrix() @ rotation


def solve_pose(points, target, axes, scale, rotation):
    """As ``numpy_single.solve_pose``."""
    root = np.sqrt(axes)

    def turned(step):
        new_scale, new_rotation = _moved(step, scale, rotation)
        return new_scale * points @ new_rotation.T

    residual = lambda step: (root * (turned(step) - target)).ravel()

    def jacobian(step):
        """The turn at a step is not that at 0: its derivative is taken by the left Jacobian of SO(3)."""
        columns = _pose_columns(turned(step), root)
        columns[:, :3] = columns[:, :3] @ left_jacobian(step[:3])
        return columns

    found = least_squares(residual, np.zeros(4), jacobian, method="lm", xtol=1e-6, ftol=1e-8, gtol=1e-8)
    return _moved(found.x, scale, rotation)


def solve_shape(model: Model, target, axes, scale, rotation, prior, start):
    """As ``numpy_single.solve_shape``."""
    root = np.sqrt(axes)[:, None]
    size = model.basis.shape[-1]
    rows = ((scale * root * rotation) @ model.basis.reshape(3, -1)).reshape(-1, size)
    wanted = (root * (target.T - scale * rotation @ model.mean.T)).ravel()
    whole = np.concatenate([rows, np.sqrt(prior) * np.eye(size)])
    residual = lambda c: np.concatenate([rows @ c - wanted, np.sqrt(prior) * c])
    return least_squares(residual, start, lambda _: whole, method="lm", xtol=1e-6, ftol=1e-8, gtol=1e-8).x


def fit(model: Model, xy, xyz, iterations: int = 4, refined: bool = True) -> Fit:
    """Fit one face; the solver works in float64."""
    return numpy_single.fit(model, xy, xyz, iterations, refined, solve_pose, solve_shape)


def fit_jointly(model: Model, xy, xyz, evaluations: int | None = None) -> Fit:
    """Minimise Eq. 4 of the variant ``2d+3d`` over pose and coefficients together, float64, to full precision or for
    this many evaluations."""
    start = numpy_single.fit(model, xy, xyz, iterations=0, refined=False)
    centre = xy.mean(axis=0)
    xy, xyz = (xy - centre) / start.radius, xyz / start.radius
    target, axes = numpy_single.merge(xy, xyz - xyz.mean(axis=0), 0.5, 0.5)
    root, prior, size = np.sqrt(axes), np.sqrt(model.prior) * start.first_scale, model.basis.shape[-1]
    penalty = np.concatenate([np.zeros((size, 4)), prior * np.eye(size)], axis=1)

    def residual(params):
        scale, rotation = _moved(params[:4], start.scale, start.rotation)
        data = root * (scale * model.points(params[4:]) @ rotation.T - target)
        return np.concatenate([data.ravel(), prior * params[4:]])

    def jacobian(params):
        scale, rotation = _moved(params[:4], start.scale, start.rotation)
        turned = scale * model.points(params[4:]) @ rotation.T
        pose = _pose_columns(turned, root)
        pose[:, :3] = pose[:, :3] @ left_jacobian(params[:3])
        shape = np.tensordot(scale * root[:, None] * rotation, model.basis, 1)
        return np.concatenate([np.concatenate([pose, np.moveaxis(shape, 0, 1).reshape(-1, size)], axis=1), penalty])

    found = least_squares(
        residual, np.zeros(4 + size), jacobian, method="lm", xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=evaluations
    )
    return Fit(found.x[4:], *_moved(found.x[:4], start.scale, start.rotation), start.first_scale, start.radius)
