"""The camera: weak perspective (Eqs 2-3) and Euler angles, with their signs stated once.

Camera frame: x right, y down, z away from the viewer. Model frame: x to the subject's left, y up, z out of the face.
A frontal face has R = R0 = diag(1, -1, -1). Angles are degrees, in the order pitch, yaw, roll:

    R = Rz(roll) Ry(-yaw) Rx(-pitch) R0

with the usual right-handed Rx, Ry, Rz of the camera frame, so that pitch > 0 is nose up, yaw > 0 nose to the image's
right and roll > 0 clockwise in the image. Yaw lies in [-90, 90]. At exactly +-90 pitch and roll turn about one axis:
the whole turn is reported as pitch and roll as 0. Near it they are large and cancel, so words go by ``looking_deg``:

    R = Ry(-azimuth) Rx(-elevation) Rz(bank) R0
"""

import jax
import jax.numpy as jnp
import jaxlie
import numpy as np
from jaxtyping import Array, Float

FRONTAL = np.diag(np.array([1.0, -1.0, -1.0], np.float32))
"""R0, the rotation of a face that looks straight into the camera."""

HIGHEST = jax.lax.Precision.HIGHEST


@jax.jit
def project(
    points: Float[Array, "*b n 3"],
    scale: Float[Array, "*b"],
    rotation: Float[Array, "*b 3 3"],
    translation: Float[Array, "*b 2"],
) -> Float[Array, "*b n 3"]:
    """Weak perspective, Eq. 3, keeping depth: model millimetres to image pixels.

    x and y are pixels; z is pixels too, away from the viewer, with its origin at the model's origin.
    """
    turned = jnp.einsum("...ij,...nj->...ni", rotation, points, precision=HIGHEST)
    shift = jnp.concatenate([translation, jnp.zeros_like(translation[..., :1])], axis=-1)
    return scale[..., None, None] * turned + shift[..., None, :]


@jax.jit
def rotation_from_euler(pitch_yaw_roll_deg: Float[Array, "*b 3"]) -> Float[Array, "*b 3 3"]:
    """The rotation matrix of pitch, yaw and roll in degrees; the inverse of ``euler_deg``."""
    pitch, yaw, roll = jnp.moveaxis(jnp.deg2rad(jnp.asarray(pitch_yaw_roll_deg)), -1, 0)
    turn = jaxlie.SO3.from_rpy_radians(-pitch, -yaw, roll).as_matrix()  # jaxlie: Rz(its yaw) Ry(its pitch) Rx(its roll)
    return turn * np.diag(FRONTAL).astype(turn.dtype)


@jax.jit
def euler_deg(rotation: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3"]:
    """Pitch, yaw, roll in degrees of a rotation matrix, finite (value and gradient) at yaw = +-90 too."""
    yaw, level = _yaw(rotation)
    turn = rotation * np.diag(FRONTAL).astype(rotation.dtype)
    pick = lambda there, locked: jnp.where(level, there, locked)
    roll = jnp.arctan2(pick(turn[..., 1, 0], 0.0), pick(turn[..., 0, 0], 1.0))
    # The pitch of what this roll leaves: near ±90°, where rounding decides how both share a turn, they still make it.
    sin, cos = jnp.sin(roll)[..., None], jnp.cos(roll)[..., None]
    upright = cos * turn[..., 1, 1:] - sin * turn[..., 0, 1:]
    pitch = jnp.arctan2(upright[..., 1], upright[..., 0])
    return jnp.rad2deg(jnp.stack([pitch, yaw, roll], axis=-1))


def yaw_deg(rotation: Float[Array, "*b 3 3"]) -> Float[Array, "*b"]:
    """The yaw alone of ``euler_deg``."""
    return jnp.rad2deg(_yaw(rotation)[0])


def _yaw(rotation: Float[Array, "*b 3 3"]):
    """In radians, and whether it is so far from ±90° that pitch and roll are two angles."""
    squared = jnp.sum(rotation[..., :2, 0] ** 2, axis=-1)
    level = squared > (4 * jnp.finfo(rotation.dtype).eps) ** 2
    cosine = jnp.where(level, jnp.sqrt(jnp.where(level, squared, 1.0)), jnp.finfo(rotation.dtype).tiny)
    return jnp.arctan2(rotation[..., 2, 0], cosine), level


@jax.jit
def looking_deg(rotation: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3"]:
    """Azimuth and elevation of where the nose points, and bank about it, in degrees: yaw, pitch and roll of a head that
    has one of them alone, and steady in profile. Azimuth lies in [-180, 180], elevation in [-90, 90]."""
    turn = rotation * np.diag(FRONTAL).astype(rotation.dtype)
    azimuth = jnp.arctan2(-turn[..., 0, 2], turn[..., 2, 2])
    elevation = jnp.arcsin(jnp.clip(turn[..., 1, 2], -1.0, 1.0))
    bank = jnp.arctan2(turn[..., 1, 0], turn[..., 1, 1])
    return jnp.rad2deg(jnp.stack([azimuth, elevation, bank], axis=-1))
