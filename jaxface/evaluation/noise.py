"""The errors of a detector's landmarks on people of known shape: measured, and drawn at random.

Errors are taken where the image is scaled to mm by the mean face's pose, each face's mean error apart, in the frame of
``jaxface.calibration``.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxface.calibration import MIRRORS, YAW_STEP, YAWS, Calibration, at_yaw, corrected, upright
from jaxface.camera import euler_deg
from jaxface.evaluation.subjects import Subjects
from jaxface.fitting import FitOptions, fit_batch
from jaxface.fitting.uncertainty import pose_motion
from jaxface.model.contours import CANDIDATES, contour_lines, outermost, outward
from jaxface.model.correspondences import JAW
from jaxface.model.morphable import MorphableModel
from jaxface.types import POINTS, FitResult, Landmarks, Scheme

_FEWEST = 6.0
"""A yaw that fewer faces show, counted by their weight there, has the values of the nearest that more do."""
_STIFF = 1e6
"""A prior that leaves the mean face."""
PATTERNS = 40
"""So many patterns of common errors are kept, those that take off most."""
_ANY_POSE = 1e4
"""Variance of a pose that may be anything, mm²."""
_OWN, _EXACT = 0.05, 1e-6
"""No landmark's own error is a smaller part of its variance, nor any variance smaller (mm²)."""
_PLAIN = FitOptions()
_BEHIND = 2.0
"""A point that looks away is found so many times less exactly in the simulation of a 2D detector."""


def simulated(people: Subjects, noise: Calibration, scheme: Scheme = "ibug68") -> Landmarks:
    """The landmarks of subjects as a 2D and a 3D detector of these variances would give them, without mean offsets.

    In mm, as if a pixel were one. Of the 68 the 2D contour lies where the head ends in the image, the 3D one on the
    jaw; the 478 stay on the head. Errors of different points and of the two detectors are independent; a 2D point whose
    surface looks away from the viewer errs twice as much.
    """
    true = people.seen(people.points(scheme))
    at = jax.vmap(partial(at_yaw, noise, scheme))(jnp.asarray(people.yaw, jnp.float32))
    variance_2d, variance_3d = map(np.asarray, at[2:])
    draw = lambda offset, axes: np.stack(
        [np.random.default_rng([seed, offset]).normal(size=(POINTS[scheme], axes)) for seed in people.seeds]
    )
    deviation = np.sqrt(np.concatenate([variance_3d[..., :1].repeat(2, axis=-1), variance_3d[..., 1:]], axis=-1))
    xyz = true + deviation * draw(1, 3)
    xy = true[..., :2].copy()
    if scheme == "ibug68":
        xy[:, JAW] = _outline(people)
    normals = np.asarray(people.model.at_landmarks(scheme).normals)
    away = np.einsum("lc,nc->nl", normals, people.rotation[:, 2]) > 0
    spread = np.sqrt(variance_2d) * np.where(away, _BEHIND, 1.0)
    xy += spread[..., None] * draw(2, 2)
    return Landmarks(xy.astype(np.float32), xyz.astype(np.float32), scheme=scheme)


def _outline(people: Subjects) -> Float[np.ndarray, "n 17 2"]:
    """Where each contour landmark's line over the cheek ends in the image, mm."""
    lines = contour_lines(people.model)
    corners = np.asarray(people.model.triangles)[np.asarray(lines.triangle)]
    points = np.einsum("lk,nlkc->nlc", np.asarray(lines.barycentric), people.vertices[:, corners])
    points = people.seen(points)[..., :2].reshape(len(people), -1, CANDIDATES, 2)
    ends = jax.vmap(outermost, (0, 0, None))(
        jnp.asarray(np.moveaxis(points, -1, 1)), jnp.asarray(people.rotation), outward(people.shape.places)
    )
    return np.moveaxis(np.asarray(ends), 1, -1)


def measured(model: MorphableModel, landmarks: Landmarks, true: Float[np.ndarray, "n L 3"]) -> Calibration:
    """The calibration of landmarks, a batch, against where the points are, in the camera frame in pixels."""
    errors, yaw = upright_errors(model, landmarks, true)
    share = _share(yaw)
    weight = share.sum(axis=0)
    enough = np.nonzero(weight >= min(_FEWEST, weight.max()))[0]
    nearest = enough[np.abs(enough - np.arange(len(YAWS))[:, None]).argmin(axis=1)]
    at_yaws = lambda values: np.einsum("nb,nlk->blk", share / np.maximum(weight, 1e-9), values)[nearest]
    mean = at_yaws(errors)
    variance = at_yaws(np.square(errors - np.einsum("nb,blk->nlk", share, mean)))
    both = np.stack([variance[..., 2:4].mean(axis=-1), variance[..., 4]], axis=-1)
    tables = mean[..., :2], mean[..., 2:], variance[..., :2].mean(axis=-1), both
    points = true.shape[1]
    nothing = np.zeros((0, points, 3)), np.zeros((len(YAWS), 0, points, 3)), np.ones(len(YAWS))
    apart = Calibration(*(table.astype(np.float32) for table in (*tables, *nothing)))
    return patterned(model, landmarks, true, apart)


def patterned(model: MorphableModel, landmarks: Landmarks, true: Float[np.ndarray, "n L 3"], table: Calibration):
    """A calibration of these landmarks with the ``patterns``, ``gains`` and ``own`` that are of it.

    The errors' covariance at a yaw is that of all faces, by a Gaussian weight of their yaw, shrunk to its diagonal as
    far as so few faces leave its other entries to chance (Schäfer and Strimmer 2005); where landmarks err independently
    nothing else remains. A face of the model is as likely as its fit takes it to be.
    """
    off, yaw = _placed_errors(model, landmarks, true, table)
    there = model.at_landmarks(landmarks.scheme)
    mean, basis = (np.asarray(part, np.float64) - np.mean(part, axis=0) for part in (there.mean, there.basis))
    narrow = (_PLAIN.identity_prior / _PLAIN.expression_prior) ** 0.5  # an expression, its prior's standard deviation
    moved = basis.reshape(off.shape[1], -1) * np.where(np.arange(basis.shape[-1]) < there.identity_size, 1, narrow)
    motion = np.moveaxis(np.asarray(pose_motion(mean.T)), 0, 1).reshape(-1, 4)
    pose = np.linalg.qr(np.concatenate([motion, np.tile(np.eye(3), (len(mean), 1))], axis=1))[0]
    face = moved @ moved.T + _ANY_POSE * pose @ pose.T
    still = off - off @ pose @ pose.T
    gains, own, told = [], [], 0
    for at in YAWS:
        share = np.exp(-(((yaw - at) / YAW_STEP) ** 2) / 2)
        share /= share.sum()
        alone = _by_chance(still, share)
        seen = (still.T * share) @ still
        spread = (1 - alone) * seen + np.diag(alone * np.diag(seen) + _EXACT)
        common = (1 - alone) * (off.T * share) @ still
        gains.append(np.linalg.solve(face + spread, common.T).T)
        own.append(alone)
        told += gains[-1] @ common.T
    patterns = np.linalg.eigh(told)[1][:, -PATTERNS:].T
    arrays = patterns.reshape(-1, *mean.shape), (patterns @ np.stack(gains)).reshape(len(YAWS), -1, *mean.shape), own
    patterns, gains, own = (np.asarray(one, np.float32) for one in arrays)
    return replace(table, patterns=patterns, gains=gains, own=own)


def _by_chance(errors: Float[np.ndarray, "n d"], share: Float[np.ndarray, "n"]) -> float:
    """How much of the correlations of errors, each face counting by its share, is left to chance."""
    alike = errors / np.sqrt(share @ errors**2 + _EXACT)
    seen = (alike.T * share) @ alike
    chance = ((alike.T**2 * share**2) @ alike**2 - (share @ share) * seen**2) / (1 - share @ share)
    apart = ~np.eye(len(seen), dtype=bool)
    return float(np.clip(chance[apart].sum() / (seen[apart] ** 2).sum(), _OWN, 1))


def _placed_errors(model: MorphableModel, landmarks: Landmarks, true: Float[np.ndarray, "n L 3"], table: Calibration):
    """Errors (n, 3 L) in mm that a calibration's offsets leave of 3D points, in the model frame as the mean face shows
    it under them, of faces to the image's right; and the |yaw| (n,) that it shows."""
    scheme, pose = landmarks.scheme, mean_face(model, landmarks).pose
    rows = (np.moveaxis(np.asarray(points), -1, -2) for points in (landmarks.xy, landmarks.xyz))
    less = partial(corrected, table, scheme, weight=None)
    xyz, weight, _ = jax.vmap(lambda *face: less(*face))(pose.scale, pose.rotation, *rows)
    xyz = jnp.moveaxis(xyz, -1, -2)
    pose = mean_face(model, Landmarks(xyz[..., :2], xyz, weight, scheme), "2d+3d").pose
    error = np.asarray(xyz, np.float64) - true
    error = (error - error.mean(axis=1, keepdims=True)) / np.asarray(pose.scale)[:, None, None]
    error = np.einsum("nji,nlj->nli", np.asarray(pose.rotation), error)
    yaw = np.asarray(euler_deg(pose.rotation))[:, 1]
    error[yaw < 0] = error[yaw < 0][:, MIRRORS[scheme]] * [-1, 1, 1]
    return error.reshape(len(error), -1), np.abs(yaw)


def upright_errors(model: MorphableModel, landmarks: Landmarks, true: Float[np.ndarray, "n L 3"]):
    """Errors (n, L, 5) in mm, x and y of the 2D and x, y, z of the 3D points, turned upright and to the image's right;
    and |yaw| (n,) in degrees as the mean face shows it."""
    pose = mean_face(model, landmarks).pose
    sin, cos = np.asarray(upright(pose.rotation))[:, :, None]
    yaw = np.asarray(euler_deg(pose.rotation))[:, 1]
    errors = []
    for found in (landmarks.xy, landmarks.xyz):
        error = (np.asarray(found) - true[..., : found.shape[-1]]) / np.asarray(pose.scale)[:, None, None]
        error = error - error.mean(axis=1, keepdims=True)
        x, y = error[..., 0], error[..., 1]
        errors += [(cos * x + sin * y)[..., None], (cos * y - sin * x)[..., None], error[..., 2:]]
    error = np.concatenate(errors, axis=-1)
    left = yaw < 0
    error[left] = error[left][:, MIRRORS[landmarks.scheme]] * [-1, 1, -1, 1, 1]
    return error, np.abs(yaw)


def mean_face(model: MorphableModel, landmarks: Landmarks, variant: str = "2d+3d+p+w") -> FitResult:
    """The mean face under the pose of a variant's first step, a batch."""
    stiff = FitOptions(variant, iterations=1, identity_prior=_STIFF, expression_prior=_STIFF)
    return fit_batch(model, landmarks, stiff)


def _share(yaw: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n Y"]:
    """How much of each face counts at each yaw of a table: linear between two of them."""
    return np.clip(1 - np.abs(np.minimum(np.abs(yaw), YAWS[-1])[:, None] - YAWS) / YAW_STEP, 0, None)
