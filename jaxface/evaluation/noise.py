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

from jaxface.calibration import YAW_STEP, YAWS, Calibration, at_pose, corrected, tilt, upright
from jaxface.camera import euler_deg, rotation_from_euler
from jaxface.evaluation.common_errors import common_errors
from jaxface.evaluation.subjects import Subjects
from jaxface.fitting import FitOptions, fit_batch
from jaxface.model.contours import CANDIDATES, contour_lines, outermost, outward
from jaxface.model.correspondences import JAW, MIRRORS
from jaxface.model.morphable import MorphableModel
from jaxface.model.registration import similarity
from jaxface.types import PAPER, POINTS, FitResult, Landmarks, Scheme

_FEWEST = 6.0
"""A yaw that fewer faces show, counted by their weight there, has the values of the nearest that more do."""
_UPRIGHT = 0.05
"""A tilt counts for little until the squares of people's tilts at a yaw sum up to more than this."""
_STIFF = 1e6
"""A prior that leaves the mean face."""
_ACROSS = [-1, 1, -1, 1, 1]
"""Signs of a mirror image's errors: x and y of the 2D, x, y and z of the 3D points."""
_BEHIND = 2.0
"""A point that looks away is found so many times less exactly in the simulation of a 2D detector."""


def simulated(people: Subjects, noise: Calibration, scheme: Scheme = "ibug68") -> Landmarks:
    """The landmarks of subjects as a 2D and a 3D detector of these variances would give them, without mean offsets.

    In mm, as if a pixel were one. Of the 68 the 2D contour lies where the head ends in the image, the 3D one on the
    jaw; the 478 stay on the head. Errors of different points and of the two detectors are independent; a 2D point whose
    surface looks away from the viewer errs twice as much.
    """
    true = people.seen(people.points(scheme))
    at = jax.vmap(partial(at_pose, noise, scheme, tilt=jnp.zeros(())))(jnp.asarray(people.yaw, jnp.float32))
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
    points = contour_lines(people.model).on(people.model.triangles, people.vertices)
    points = people.seen(points)[..., :2].reshape(len(people), -1, CANDIDATES, 2)
    ends = jax.vmap(outermost, (0, 0, None))(
        jnp.asarray(np.moveaxis(points, -1, 1)), jnp.asarray(people.rotation), outward(people.shape.places)
    )
    return np.moveaxis(np.asarray(ends), 1, -1)


def measured(model: MorphableModel, landmarks: Landmarks, true: Float[np.ndarray, "n L 3"]) -> Calibration:
    """The calibration of landmarks, a batch, against where the points are, in the camera frame in pixels."""
    offset, rise, variance = _by_pose(*upright_errors(model, landmarks, true), landmarks.scheme)
    both = np.stack([variance[..., 2:4].mean(axis=-1), variance[..., 4]], axis=-1)
    tables = offset[..., :2], offset[..., 2:], rise[..., :2], rise[..., 2:], variance[..., :2].mean(axis=-1), both
    points = true.shape[1]
    nothing = np.zeros((0, points, 3)), np.zeros((len(YAWS), 0, points, 3)), np.ones(len(YAWS))
    apart = Calibration(*(table.astype(np.float32) for table in (*tables, *nothing)), model=model.name)
    return patterned(model, landmarks, true, apart)


def _by_pose(
    errors: Float[np.ndarray, "n L 5"], yaw: Float[np.ndarray, "n"], tilted: Float[np.ndarray, "n"], scheme: Scheme
):
    """The errors' mean at each of the ``YAWS`` of a head without a tilt, what a unit of the sine of the tilt adds to
    it, and their variance about both: (Y, L, 5) each. Straight ahead, where the two sides meet, mirror images count as
    much."""
    met = lambda table, signs: np.concatenate([(table[:1] + table[:1, MIRRORS[scheme]] * signs) / 2, table[1:]])
    share = _share(yaw)
    weight = share.sum(axis=0)
    enough = np.nonzero(weight >= min(_FEWEST, weight.max()))[0]
    nearest = enough[np.abs(enough - np.arange(len(YAWS))[:, None]).argmin(axis=1)]
    there = share[:, nearest]
    part = there / weight[nearest]
    usual = tilted @ part
    beyond = there * (tilted[:, None] - usual)
    rise = np.einsum("ny,nlk->ylk", beyond, errors) / (_UPRIGHT + tilted @ beyond)[:, None, None]
    offset = np.einsum("ny,nlk->ylk", part, errors) - usual[:, None, None] * rise
    offset, rise = met(offset, _ACROSS), met(rise, _ACROSS)
    known = np.einsum("ny,ylk->nlk", share, offset) + np.einsum("n,ny,ylk->nlk", tilted, share, rise, optimize=True)
    return offset, rise, met(np.einsum("ny,nlk->ylk", part, np.square(errors - known)), 1)


def patterned(model: MorphableModel, landmarks: Landmarks, true: Float[np.ndarray, "n L 3"], table: Calibration):
    """A calibration of these landmarks with its ``patterns``, ``gains`` and ``own``, and the mean face's offsets."""
    there = model.at_landmarks(landmarks.scheme)
    errors, faces, yaw = _placed(model, landmarks, true, table)
    patterns, gains, own, lack = common_errors(errors, faces, yaw, there)
    angles = np.stack([0 * YAWS, YAWS, 0 * YAWS], axis=-1).astype(np.float32)
    lack = np.einsum("yij,ylj->yli", np.asarray(rotation_from_euler(jnp.asarray(angles))), lack)
    offsets = {"offset_2d": table.offset_2d + lack[..., :2], "offset_3d": table.offset_3d + lack}
    return replace(table, patterns=patterns, gains=gains, own=own, **offsets)


def _placed(model: MorphableModel, landmarks: Landmarks, true: Float[np.ndarray, "n L 3"], table: Calibration):
    """Errors (n, 3 L) in mm that a calibration's offsets leave of 3D points, in the model frame as the mean face shows
    it under them; how the true faces differ from the mean one, (n, 3 L), placed on it; both of faces to the image's
    right; and the |yaw| (n,) that the mean face shows."""
    scheme, pose = landmarks.scheme, mean_face(model, landmarks).pose
    rows = (np.moveaxis(np.asarray(points), -1, -2) for points in (landmarks.xy, landmarks.xyz))
    less = partial(corrected, table, scheme, weight=None)
    xyz, weight, _ = jax.vmap(lambda *face: less(*face))(pose.scale, pose.rotation, *rows)
    xyz = jnp.moveaxis(xyz, -1, -2)
    pose = mean_face(model, Landmarks(xyz[..., :2], xyz, weight, scheme), "2d+3d").pose
    error = np.asarray(xyz, np.float64) - true
    error = (error - error.mean(axis=1, keepdims=True)) / np.asarray(pose.scale)[:, None, None]
    error = np.einsum("nji,nlj->nli", np.asarray(pose.rotation), error)
    mean = np.asarray(model.at_landmarks(scheme).mean, np.float64)
    face = np.stack([similarity(own, mean)(own) - mean for own in true.astype(np.float64)])
    yaw = np.asarray(euler_deg(pose.rotation))[:, 1]
    errors, faces = (_to_right(rows, scheme, yaw, [-1, 1, 1]).reshape(len(yaw), -1) for rows in (error, face))
    return errors, faces, np.abs(yaw)


def upright_errors(model: MorphableModel, landmarks: Landmarks, true: Float[np.ndarray, "n L 3"]):
    """Errors (n, L, 5) in mm, x and y of the 2D and x, y, z of the 3D points, turned upright and to the image's right;
    and |yaw| (n,) in degrees and the ``tilt`` (n,) as the mean face shows them."""
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
    return _to_right(error, landmarks.scheme, yaw, _ACROSS), np.abs(yaw), np.asarray(tilt(pose.rotation))


def _to_right(rows: np.ndarray, scheme: Scheme, yaw: np.ndarray, signs: list[int]) -> np.ndarray:
    """What landmarks have, (n, L, k), of faces that look to the image's left as their mirror images have it."""
    return np.where(yaw[:, None, None] < 0, rows[:, MIRRORS[scheme]] * signs, rows)


def mean_face(model: MorphableModel, landmarks: Landmarks, variant: str = PAPER) -> FitResult:
    """The mean face under the pose of a variant's first step, a batch."""
    stiff = FitOptions(variant, iterations=1, identity_prior=_STIFF, expression_prior=_STIFF)
    return fit_batch(model, landmarks, stiff)


def _share(yaw: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n Y"]:
    """How much of each face counts at each yaw of a table: linear between two of them."""
    return np.clip(1 - np.abs(np.minimum(np.abs(yaw), YAWS[-1])[:, None] - YAWS) / YAW_STEP, 0, None)
