"""Where a contour landmark may slide to when the head turns: lines of points over cheek and jaw, for any model.

Seen from the front, each of the 17 lies at the end of a line that comes from the middle of the face, half as steeply as
one from the upper lip would. Turned, the line's outermost point is where the face ends in the image. The lines are
computed from the 68 points and the mean skin.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.model.correspondences import JAW
from jaxface.model.morphable import Embedding, MorphableModel
from jaxface.model.surfaces import triangle_normals

CANDIDATES = 24
"""Points a line, the contour landmark the last."""
_CENTRE = [33, 51]
"""Between the base of the nose and the upper lip."""
_SLOPE = 0.5
"""0: the lines are level. 1: all of them start at the centre. Half-way they cross the outlines of turned heads best."""
_INNER_PART = 0.1
"""The part of each line next to its start that is left out: only a head seen from the side ends there."""
_SUNK_MM = 10.0
"""What lies so much deeper than a point of the line nearer to the ear is seen through the opening of an eye."""
_SAMPLES = 120


def contour_lines(model: MorphableModel) -> Embedding:
    """The candidates of the 17 contour landmarks, ``CANDIDATES`` each, one line after the other, evenly spaced on the
    mean skin from its inside to the landmark.

    Raises:
      ValueError: the model lacks the 68 points.
    """
    from jaxface.model.registration import shape_of  # which loads SciPy

    shape = shape_of(model)
    ends, centre = shape.places[JAW, :2], shape.places[_CENTRE, :2].mean(axis=0)
    facing = triangle_normals(shape.vertices, shape.triangles)[:, 2] > 0
    rows = np.nonzero(facing & (shape.part[shape.triangles[:, 0]] == shape.skin))[0]
    own = model.landmarks["ibug68"]
    triangles, weights = [], []
    for line, end in enumerate(ends):
        start = np.array([centre[0], end[1] + _SLOPE * (centre[1] - end[1])])
        samples = start + np.linspace(_INNER_PART, 1.0, _SAMPLES)[:, None] * (end - start)
        row, barycentric = _frontmost(samples, shape.vertices, shape.triangles, rows)
        row = np.append(row, int(own.triangle[line]))
        barycentric = np.append(barycentric, np.asarray(own.barycentric[line])[None], axis=0)
        places = np.einsum("nk,nkc->nc", barycentric, shape.vertices[shape.triangles[row]])
        sunk = places[:, 2] < np.maximum.accumulate(places[::-1, 2])[::-1] - _SUNK_MM
        row, barycentric, places = row[~sunk], barycentric[~sunk], places[~sunk]
        length = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1)))
        chosen = np.abs(length - np.linspace(0, length[-1], CANDIDATES)[:, None]).argmin(axis=1)
        triangles.append(row[chosen])
        weights.append(barycentric[chosen])
    return Embedding(np.concatenate(triangles).astype(np.int32), np.concatenate(weights).astype(np.float32))


def outward(points: Float[Array | np.ndarray, "68 3"]) -> Float[np.ndarray, "2 17"]:
    """Where each contour landmark lies from the middle of the face, in a picture from the front (x right, y down), of
    the 68 points of a mean face."""
    flat = np.asarray(points)[:, :2] * np.array([1, -1], points.dtype)
    return (flat[JAW] - flat[_CENTRE].mean(axis=0)).T


def outermost(
    candidates: Float[Array, "2 17 K"], rotation: Float[Array, "3 3"], outward: Float[Array | np.ndarray, "2 17"]
) -> Float[Array, "2 17"]:
    """Of each line's candidates in the image the one farthest out, where the face ends.

    Which it is is a choice: derivatives are those of the chosen one.
    """
    (a, b), (c, d) = rotation[:2, :2] * jnp.array([1.0, -1.0], rotation.dtype)
    x, y = outward
    normal = jnp.stack([d * x - c * y, a * y - b * x])  # normals go by the cofactors where vectors go by a matrix
    reach = jnp.sum(normal[:, :, None] * candidates, axis=0)
    chosen = jnp.argmax(jax.lax.stop_gradient(reach), axis=1)
    return jnp.sum(jnp.where(jnp.arange(candidates.shape[2]) == chosen[:, None], candidates, 0.0), axis=2)


def _frontmost(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, rows: np.ndarray):
    """What a viewer in front sees at these places (n, 2): of the triangles ``rows``, the foremost that covers each, and
    the barycentric coordinates on it. Places that none covers are left out."""
    corners = vertices[triangles[rows], :2]
    near = (corners.max(axis=1) >= points.min(axis=0)) & (corners.min(axis=1) <= points.max(axis=0))
    rows = rows[near.all(axis=1)]
    a, b, c = (vertices[triangles[rows, corner]] for corner in range(3))
    cross = lambda u, v: u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    whole = cross(b - a, c - a)
    from_a = points[:, None] - a[:, :2]
    second, third = cross(from_a, c - a) / whole, cross(b - a, from_a) / whole
    barycentric = np.stack([1 - second - third, second, third], axis=-1)
    depth = np.einsum("nfk,kf->nf", barycentric, np.stack([a[:, 2], b[:, 2], c[:, 2]]))
    depth = np.where((barycentric > -1e-6).all(axis=-1), depth, -np.inf)
    best = depth.argmax(axis=1)
    seen = np.nonzero(np.isfinite(depth.max(axis=1)))[0]
    return rows[best[seen]], barycentric[seen, best[seen]]
