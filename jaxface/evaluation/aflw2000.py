"""AFLW2000-3D's measures: landmark error in the image by yaw, and pose errors in the data set's own angles.

Landmark error: ``benchmark_aflw2000.py`` of cleardusk/3DDFA. Pose: Ruiz, Chong and Rehg 2018, "Fine-Grained Head Pose
Estimation Without Keypoints", who leave out faces with an angle beyond 99°.
"""

import numpy as np
from jaxtyping import Float

BINS = ("0-30", "30-60", "60-90")
_EDGES = (30.0, 60.0)
"""A face at an edge belongs to the bin below it."""
_LARGEST_ANGLE = 99.0
_VIEWER = np.diag([1.0, -1.0, -1.0])
"""Between jaxface's camera frame (y down, z away) and the data set's (y up, z toward the viewer)."""


def nme(predicted: Float[np.ndarray, "n 68 c"], true: Float[np.ndarray, "n 68 d"]) -> Float[np.ndarray, "n"]:
    """Normalised mean error in percent: the mean distance in x and y between 68 points, relative to the square root of
    the area of the true points' bounding box. Coordinates after the second are not looked at."""
    true, predicted = true[..., :2], predicted[..., :2]
    size = np.sqrt(np.prod(np.ptp(true, axis=-2), axis=-1))
    return 100 * np.linalg.norm(predicted - true, axis=-1).mean(axis=-1) / size


def by_yaw(values: Float[np.ndarray, "n"], yaw: Float[np.ndarray, "n"]) -> dict[str, float]:
    """The mean of values (n,) in each bin of |yaw| (n,) degrees that has any, and ``mean``: that of the bins' means."""
    index = np.searchsorted(_EDGES, np.abs(yaw))
    means = {name: float(values[index == k].mean()) for k, name in enumerate(BINS) if (index == k).any()}
    return means | {"mean": float(np.mean(list(means.values())))}


def angles(rotation: Float[np.ndarray, "*b 3 3"]) -> Float[np.ndarray, "*b 3"]:
    """Pitch, yaw and roll (*b, 3) in degrees as AFLW2000-3D writes them, of a jaxface rotation: R = Rx Ry Rz with y up,
    yaw > 0 where the nose points to the image's left."""
    r = _VIEWER @ rotation
    yaw = -np.arcsin(np.clip(r[..., 0, 2], -1, 1))
    pitch, roll = np.arctan2(r[..., 1, 2], r[..., 2, 2]), np.arctan2(r[..., 0, 1], r[..., 0, 0])
    return np.degrees(np.stack([pitch, yaw, roll], axis=-1))


def rotation(angles_deg: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3 3"]:
    """The jaxface rotation of AFLW2000-3D's pitch, yaw and roll (*b, 3) in degrees: ``angles`` undone."""
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_euler("XYZ", -angles_deg.reshape(-1, 3), degrees=True).as_matrix()
    return _VIEWER @ flat.reshape(*angles_deg.shape, 3)


def pose_errors(predicted: Float[np.ndarray, "n 3 3"], true_deg: Float[np.ndarray, "n 3"]) -> dict[str, np.ndarray]:
    """Absolute errors in degrees (n,): ``pitch``, ``yaw``, ``roll``, their ``mean``, and ``geodesic``, the angle of the
    rotation between the two, which no choice of angles changes.

    Args:
      predicted: rotations (n, 3, 3) of jaxface poses.
      true_deg: (n, 3) AFLW2000-3D's pitch, yaw, roll.
    """
    apart = np.abs((angles(predicted) - true_deg + 180) % 360 - 180)
    between = np.einsum("nij,nij->n", predicted, rotation(true_deg))
    named = dict(zip(("pitch", "yaw", "roll"), apart.T, strict=True))
    return named | {"mean": apart.mean(axis=1), "geodesic": np.degrees(np.arccos(np.clip((between - 1) / 2, -1, 1)))}


def usual(true_deg: Float[np.ndarray, "n 3"]) -> np.ndarray:
    """Which faces (n,) the usual pose protocol keeps: those without an angle beyond 99°."""
    return np.abs(true_deg).max(axis=-1) <= _LARGEST_ANGLE
