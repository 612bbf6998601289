"""How a detector's landmarks lie: their mean offset from the model's points, their variance, and how they err together.

All is measured once for a detector and a model on people of known shape (``jaxface.evaluation.noise``), never on the
face that is fitted. The yaw is the one that the mean face shows under the detected landmarks, as a fit sees it, so the
offsets also undo what a detector turns too little.

A detector moves whole regions, and draws faces to its mean. With the offsets off, the mean face posed under the
landmarks, and r how far they lie from it, in mm in the model frame,

    r = Γ c + e + t,    e = Σ over patterns + what is each landmark's own

with c the face, e the error, in part an answer to the face, and t what another pose would do. Of all e with r, the
likeliest is E[e rᵀ] E[r rᵀ]⁻¹ r, all Gaussian and any pose as likely as another (``jaxface.evaluation.common_errors``).
``patterns`` span it and ``gains`` say how much of each r shows. e holds the pose's error, which then is found from the
landmarks' shape: a face that is drawn narrower is turned more.

Offsets are in mm in the upright camera frame: the image turned until the head's own up points up in it. They are linear
in the head's tilt there, the sine of the angle by which it nods to the viewer or away, or in profile leans. A head to
the image's left is the mirror image of one to its right.
"""

from dataclasses import field
from functools import lru_cache, partial
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.camera import HIGHEST, yaw_deg
from jaxface.energies import centred, mean_point, recentred
from jaxface.model.correspondences import MIRRORS
from jaxface.model.morphable import LandmarkModel
from jaxface.model.readers.checks import ModelFileError, numbers
from jaxface.model.readers.npz import read_npz
from jaxface.pytree import pytree

CALIBRATED = ("mediapipe", "mediapipe-averaged")
"""The detectors whose calibration comes along, ..."""
EMBEDDED = "jaxface MakeHuman head"
"""... for the face model of this name."""
YAW_STEP = 15.0
"""Degrees between the yaws of a table, which are 0, 15, ... 90; between them it is linear."""
YAWS = np.arange(0.0, 90.0 + YAW_STEP, YAW_STEP)
STEEPEST = 0.5
"""Beyond this sine of its tilt a head counts as tilted so far."""
_FIELDS = ("offset_2d", "offset_3d", "tilted_2d", "tilted_3d", "variance_2d", "variance_3d", "patterns", "gains", "own")
_LEAST_MM2 = 0.25
"""A variance is taken for no smaller: the fitted face itself is no closer to anyone."""


@pytree
class Calibration:
    """Of L landmarks at the Y ``YAWS``, to the image's right: ``offset_2d`` and ``offset_3d`` in mm, the mean
    face's, detected less true, of a head without a tilt; ``tilted_2d`` and ``tilted_3d``, what a tilt of 1 would add to
    them; ``variance_2d`` in mm², the mean of x's and y's; ``variance_3d`` in mm², such a mean and z's; the part
    ``own`` of these that is each landmark's own; K ``patterns`` of common errors, of length 1, and ``gains``, both in
    the model frame. ``model`` is the name of the face model whose points they are, ``None`` if nobody said."""

    offset_2d: Float[Array | np.ndarray, "Y L 2"]
    offset_3d: Float[Array | np.ndarray, "Y L 3"]
    tilted_2d: Float[Array | np.ndarray, "Y L 2"]
    tilted_3d: Float[Array | np.ndarray, "Y L 3"]
    variance_2d: Float[Array | np.ndarray, "Y L"]
    variance_3d: Float[Array | np.ndarray, "Y L 2"]
    patterns: Float[Array | np.ndarray, "K L 3"]
    gains: Float[Array | np.ndarray, "Y K L 3"]
    own: Float[Array | np.ndarray, "Y"]
    model: str | None = field(default=None, metadata={"static": True})


@lru_cache(maxsize=8)
def load_calibration(source: str, scheme: str) -> Calibration:
    """A stored calibration: of a detector by its name, with the embedded model; or a file by its path.

    Raises:
      ValueError: there is none for this name or path, it lacks the scheme, or it is damaged; the message names it.
    """
    if Path(source).name == source and not Path(source).suffix:
        with as_file(files("jaxface.assets").joinpath(f"calibration_{source}.npz")) as path:
            return _read(path, source, scheme)
    return _read(Path(source), source, scheme)


def save_calibration(path: str | Path | BytesIO, **schemes: Calibration) -> None:
    """Write the calibrations of one detector and model, by scheme, to an ``.npz``."""
    arrays: dict[str, Any] = {
        f"{scheme}/{name}": np.asarray(getattr(table, name), np.float16)
        for scheme, table in schemes.items()
        for name in _FIELDS
    }
    arrays |= {f"{scheme}/model": np.array(table.model) for scheme, table in schemes.items() if table.model is not None}
    np.savez_compressed(path, **arrays)
    load_calibration.cache_clear()  # a file of this name may have been read before


def _read(path: Path, source: str, scheme: str) -> Calibration:
    if not path.is_file():
        raise ValueError(
            f"calibration={source!r}: there is none; takes {' or '.join(map(repr, CALIBRATED))}, or the file that "
            "jaxface model calibrate writes for another detector or model"
        )
    names = [f"{scheme}/{name}" for name in _FIELDS]
    try:
        data = read_npz(path, [*names, f"{scheme}/model"])
        model = str(data.pop(f"{scheme}/model")) if f"{scheme}/model" in data else None
        if len(data) < len(names):
            raise ValueError(
                f"calibration={source!r}: has no {scheme} landmarks, or is of an older jaxface; "
                "jaxface model calibrate measures it"
            )
        yaws, points, patterns = len(YAWS), len(MIRRORS[scheme]), data[names[6]].shape[:1]
        table = [(yaws, points, *axes) for axes in ((2,), (3,), (2,), (3,), (), (2,))]
        shapes = [*table, (*patterns, points, 3), (yaws, *patterns, points, 3), (yaws,)]
        fields = (numbers(path, name, data[name], shape) for name, shape in zip(names, shapes, strict=True))
        return Calibration(*fields, model=model)
    except ModelFileError as error:
        raise ValueError(f"calibration={source!r}: {error.said}") from None


def corrected(
    table: Calibration,
    scheme: str,
    scale: Float[Array, ""],
    rotation: Float[Array, "3 3"],
    xy: Float[Array, "2 L"],
    xyz: Float[Array, "3 L"],
    weight: Float[Array, "L"] | None,
) -> tuple[Float[Array, "3 L"], Float[Array, "L"], Float[Array, ""]]:
    """Landmarks less their mean offsets, both kinds merged where they are likeliest: ``xyz, weight, depth``.

    The two kinds may come from one network and err together, so both are no surer than the surer of them.

    Args:
      scale: the mean face's under these landmarks, in their unit.
      rotation: the same pose's.

    Returns:
      ``xyz`` (3, L); ``weight`` (L,), how sure each is in the image, of mean 1 for a face from the front; and how sure
      their ``depth`` is, as a part of that.
    """
    yaw = yaw_deg(rotation)
    offset_2d, offset_3d, *variances = at_pose(table, scheme, yaw, tilt(rotation))
    variance_2d, variance_3d = (jnp.maximum(one, _LEAST_MM2) for one in variances)
    sin, cos = upright(rotation)
    turn = lambda offset: scale * jnp.stack([cos * offset[0] - sin * offset[1], sin * offset[0] + cos * offset[1]])
    xy = xy - turn(offset_2d.T)
    deep = offset_3d.T
    xyz = xyz - jnp.concatenate([turn(deep), scale * deep[2:]])
    xy = xy - mean_point(xy - xyz[:2], weight)[:, None]
    sure_2d, sure_3d = 1 / variance_2d, 1 / variance_3d[:, 0]
    merged = (sure_2d * xy + sure_3d * xyz[:2]) / (sure_2d + sure_3d)
    surer = lambda flat, deep: 1 / jnp.maximum(jnp.minimum(flat, deep), _LEAST_MM2)
    sure = surer(variance_2d, variance_3d[:, 0])
    front = surer(table.variance_2d[0], table.variance_3d[0, :, 0])
    depth = jnp.minimum((1 / variance_3d[:, 1]).mean() / sure.mean(), 1.0)
    own = sure / front.mean() / between(table.own, yaw)
    return jnp.concatenate([merged, xyz[2:]]), own if weight is None else weight * own, depth


def independent(
    table: Calibration,
    model: LandmarkModel,
    scale: Float[Array, ""],
    rotation: Float[Array, "3 3"],
    xyz: Float[Array, "3 L"],
    weight: Float[Array, "L"] | None,
) -> Float[Array, "3 L"]:
    """Corrected landmarks less the errors that they have in common.

    Args:
      scale: the mean face's under them, in their unit.
      rotation: the same pose's.
      weight: of less than 1 a landmark counts as lying nearer to the mean face, of 0 on it.
    """
    yaw, mean = yaw_deg(rotation), recentred(model.centred, weight)
    off = jnp.matmul(rotation.T, centred(xyz, weight) / scale, precision=HIGHEST) - mean
    off = off if weight is None else jnp.minimum(weight, 1.0) * off
    to_side = partial(mirrored, scheme=model.scheme, yaw=yaw, signs=[-1, 1, 1])
    shown = jnp.einsum("yklc,lc->yk", table.gains, to_side(off.T), precision=HIGHEST)
    common = to_side(jnp.einsum("k,klc->lc", between(shown, yaw), table.patterns, precision=HIGHEST))
    return xyz - scale * jnp.matmul(rotation, common.T, precision=HIGHEST)


def upright(rotation: Float[Array, "*b 3 3"]) -> Float[Array, "2 *b"]:
    """Sine and cosine of the turn of the image that brings the head's own up from up in the image to where it is."""
    up = jnp.stack([rotation[..., 0, 1], -rotation[..., 1, 1]])
    return up / jnp.sqrt(jnp.maximum(jnp.sum(up**2, axis=0), jnp.finfo(up.dtype).tiny))


def tilt(rotation: Float[Array, "*b 3 3"]) -> Float[Array, "*b"]:
    """The tilt of a head: the sine of the angle by which its own up points away from the viewer, up to ``STEEPEST``."""
    return rotation[..., 2, 1].clip(-STEEPEST, STEEPEST)


def at_pose(table: Calibration, scheme: str, yaw: Float[Array, ""], tilt: Float[Array, ""]):
    """The table's offsets of 2D and 3D points, ``variance_2d`` and ``variance_3d`` at one pose, without the axis Y."""
    at = lambda values, signs: mirrored(values, scheme, yaw, signs)
    there = lambda name: between(getattr(table, name), yaw)  # two rows of a table, of which a face takes no more
    flat = there("offset_2d") + tilt * there("tilted_2d")
    deep = there("offset_3d") + tilt * there("tilted_3d")
    return at(flat, [-1, 1]), at(deep, [-1, 1, 1]), at(there("variance_2d"), 1), at(there("variance_3d"), 1)


def mirrored(values: Float[Array, "L *axes"], scheme: str, yaw: Float[Array, ""], signs) -> Float[Array, "L *axes"]:
    """What landmarks of a head to the image's right have, for one of this yaw, and back: where it looks to the left,
    its other side's, times ``signs``."""
    return jnp.where(yaw < 0, jnp.asarray(signs, values.dtype) * values[MIRRORS[scheme]], values)


def between(values: Float[Array | np.ndarray, "Y *axes"], yaw: Float[Array, ""]) -> Float[Array, "*axes"]:
    """Values at the ``YAWS``, taken at one yaw."""
    values, place = jnp.asarray(values), jnp.minimum(jnp.abs(yaw) / YAW_STEP, len(YAWS) - 1.001)
    below = place.astype(int)
    part = place - below.astype(place.dtype)
    return (1 - part) * values[below] + part * values[below + 1]
