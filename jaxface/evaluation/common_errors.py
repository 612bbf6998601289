"""How a detector's errors at different landmarks go together, and how much of them is its answer to the face.

A network draws faces to its mean: it finds a wide jaw narrower than it is. With f how a face differs from the mean one,
less what a pose does, and e the error, both in mm in the model frame,

    e = B f + ε,

B by ridge regression and ε of covariance C, at each yaw of a table from people who count by a Gaussian of theirs.
Landmarks then lie r = f + e + t from the mean face, t what a pose does. Of faces as likely as a fit takes them to be,
of covariance F, the likeliest error is

    ê = (B F (1 + B)ᵀ + C) ((1 + B) F (1 + B)ᵀ + C + any pose)⁻¹ r.

How common faces and expressions were among the people measured changes neither B nor C.
"""

from operator import itemgetter

import numpy as np
from jaxtyping import Float

from jaxface.calibration import YAW_STEP, YAWS
from jaxface.fitting import FitOptions
from jaxface.fitting.uncertainty import pose_motion
from jaxface.model.correspondences import MIRRORS
from jaxface.model.morphable import LandmarkModel

_KEPT = 56
"""So many patterns of common errors are kept, those that take off most."""
_ANY_POSE = 1e4
"""Variance of a pose that may be anything, mm²."""
_CHANCE, _OWN, _EXACT = 0.1, 0.2, 1e-6
"""No smaller part of correlations is taken for chance, nor of a variance for a landmark's own, as no face of a model is
quite anybody's; nor is any variance smaller (mm²)."""
_RIDGES = (3.0, 10.0, 30.0, 100.0, 300.0, 1e9)
"""mm², of which the one counts that best foretells the errors of people left out; the last says that nothing does.
A lighter one foretells them better still, but the faces that ICT's own people then get are worse (even seeds)."""
_THIN = 1e-3
"""A motion of less than this part of the largest one is none."""
_PLAIN = FitOptions()


def common_errors(
    errors: Float[np.ndarray, "n d"],
    faces: Float[np.ndarray, "n d"],
    yaw: Float[np.ndarray, "n"],
    there: LandmarkModel,
) -> tuple[
    Float[np.ndarray, "K L 3"], Float[np.ndarray, "Y K L 3"], Float[np.ndarray, "Y"], Float[np.ndarray, "Y L 3"]
]:
    """A calibration's ``patterns``, ``gains`` and ``own``; and what its offsets, of all people's mean, lack of the mean
    face's, in mm in the model frame.

    Args:
      errors, faces: e and f of n people, d = 3 L, in mm in the model frame, of heads to the image's right. Each counts
        once more as its mirror image, whose yaw is the opposite one.
      yaw: |yaw| in degrees.
    """
    mean, basis = (np.asarray(part, np.float64) - np.mean(part, axis=0) for part in (there.mean, there.basis))
    turns = np.moveaxis(np.asarray(pose_motion(mean.T)), 0, 1).reshape(-1, 4)
    pose = np.linalg.qr(np.concatenate([turns, np.tile(np.eye(3), (len(mean), 1))], axis=1))[0]
    still = lambda rows: rows - rows @ pose @ pose.T
    flat = basis.reshape(len(pose), -1)
    span, size, _ = np.linalg.svd(still(flat.T).T, full_matrices=False)
    span = span[:, size > _THIN * size[0]]
    narrow = (_PLAIN.identity_prior / _PLAIN.expression_prior) ** 0.5  # an expression, its prior's standard deviation
    moved = flat * np.where(np.arange(flat.shape[1]) < there.identity_size, 1, narrow)

    sides, signs = MIRRORS[there.scheme], np.array([-1, 1, 1])
    across = lambda rows: (rows.reshape(-1, *mean.shape)[:, sides] * signs).reshape(rows.shape)
    both_ways = lambda matrix: across(across(matrix).T).T
    errors, faces = (np.concatenate([rows, across(rows)]) for rows in (errors, faces))
    yaw, faces = np.concatenate([yaw, -yaw]), faces @ span
    gains, own, lack, told = [], [], [], 0
    for at in YAWS:
        share = np.exp(-(((yaw - at) / YAW_STEP) ** 2) / 2)
        share /= share.sum()
        usual = share @ faces
        answer, rest = _answer(errors - share @ errors, faces - usual, share, still)
        missing = -answer @ usual
        answer, shape = answer @ span.T, still(rest)
        alone, seen = _by_chance(shape, share), (shape.T * share) @ shape
        spread = (1 - alone) * seen + np.diag(alone * np.diag(seen) + _EXACT)
        answered = answer @ moved
        shown = moved + still(answered.T).T
        common = answered @ shown.T + (1 - alone) * (rest.T * share) @ shape
        gain = np.linalg.solve(shown @ shown.T + spread + _ANY_POSE * pose @ pose.T, common.T).T
        told += gain @ common.T
        if at == 0:  # where the two sides meet, though a model's expressions are not quite each other's mirror images
            gain, missing = (gain + both_ways(gain)) / 2, (missing + across(missing)) / 2
        gains.append(gain)
        lack.append(missing)
        own.append(max(alone, _OWN))
    patterns = np.linalg.eigh(told + both_ways(told))[1][:, -_KEPT:].T  # each symmetric, or the opposite
    at_landmarks = lambda rows, *axes: np.asarray(rows, np.float32).reshape(*axes, *mean.shape)
    gains = at_landmarks(patterns @ np.stack(gains), len(YAWS), -1)
    return at_landmarks(patterns, -1), gains, np.asarray(own, np.float32), at_landmarks(lack, -1)


def _answer(errors: Float[np.ndarray, "m d"], faces: Float[np.ndarray, "m k"], share: Float[np.ndarray, "m"], still):
    """B (d, k), and ε (m, d) of each face as the others foretell it: so many unknowns would learn by heart what is
    chance. The second half of the faces are mirror images of the first, and left out with them."""
    square, product = (faces.T * share) @ faces, (errors.T * share) @ faces
    pairs, shares = faces.reshape(2, -1, faces.shape[1]), share.reshape(2, -1)
    found = []
    for ridge in _RIDGES:
        inverse = np.linalg.inv(square + ridge * np.eye(len(square)))
        answer = product @ inverse
        apart = np.eye(2) - np.einsum("apk,kj,bpj,bp->pab", pairs, inverse, pairs, shares)
        rest = np.moveaxis((errors - faces @ answer.T).reshape(2, len(apart), -1), 0, 1)
        rest = np.moveaxis(np.linalg.solve(apart, rest), 1, 0).reshape(errors.shape)
        found.append((share @ np.square(still(rest)).sum(axis=1), answer, rest))
    return min(found, key=itemgetter(0))[1:]


def _by_chance(errors: Float[np.ndarray, "m d"], share: Float[np.ndarray, "m"]) -> float:
    """How much of the correlations of errors, each face counting by its share, is left to chance (Schäfer and Strimmer
    2005); where landmarks err independently, all."""
    alike = errors / np.sqrt(share @ errors**2 + _EXACT)
    seen = (alike.T * share) @ alike
    chance = ((alike.T**2 * share**2) @ alike**2 - (share @ share) * seen**2) / (1 - share @ share)
    apart = ~np.eye(len(seen), dtype=bool)
    return float(np.clip(chance[apart].sum() / (seen[apart] ** 2).sum(), _CHANCE, 1))
