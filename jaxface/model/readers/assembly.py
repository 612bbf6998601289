"""From a file's arrays to a ``MorphableModel`` in millimetres, with landmarks that sit on vertices."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from jaxface.model.morphable import Embedding, MorphableModel
from jaxface.model.readers.checks import bad_field


def assemble(
    path: Path,
    *,
    name: str,
    licence: str,
    mean: np.ndarray,
    identity: np.ndarray,
    expression: np.ndarray,
    triangles: np.ndarray,
    millimetres: float,
    shift: Sequence[float] = (0.0, 0.0, 0.0),
    ibug68: Sequence[int] | np.ndarray | None = None,
    expression_names: Sequence[str] = (),
    uv: np.ndarray | None = None,
    uv_corners: np.ndarray | None = None,
) -> MorphableModel:
    """The model of checked arrays.

    Args:
      mean, identity, expression: (V, 3), (V, 3, Na), (V, 3, Nb) in the file's unit, axes as in the model frame,
        components of unit variance.
      triangles: (F, 3), counter-clockwise seen from outside.
      millimetres: how many of them one unit of the file is.
      shift: (3,) mm, what is added to every vertex to bring the origin near the middle of the head.
      ibug68: the vertices of the 68 points; None where no table is known.
      uv, uv_corners: (T, 2) texture points, origin bottom left, and (F, 3) which of them each triangle's corners have.
    """

    def scaled(field: str, array: np.ndarray) -> np.ndarray:
        array = np.asarray(np.float32(millimetres) * array, np.float32)
        if not np.isfinite(array).all():
            raise bad_field(path, field, "has values that are infinite in millimetres", "finite numbers")
        return array

    atlas = {} if uv is None or uv_corners is None else _atlas(uv, uv_corners, triangles)
    return MorphableModel(
        mean=jax.device_put(scaled("mean", mean) + np.asarray(shift, np.float32)),
        identity=jax.device_put(scaled("identity", identity)),
        expression=jax.device_put(scaled("expression", expression)),
        triangles=jax.device_put(triangles.astype(np.int32)),
        landmarks={} if ibug68 is None else {"ibug68": on_vertices(path, triangles, np.asarray(ibug68))},
        name=name,
        licence=licence,
        expression_names=tuple(expression_names),
        **atlas,
    )


def on_vertices(path: Path, triangles: np.ndarray, vertices: np.ndarray) -> Embedding:
    """Points that ride on vertices (L,): for each, the first triangle that has it as a corner."""
    corners = triangles.ravel()
    order = np.argsort(corners, kind="stable")
    place = np.searchsorted(corners, vertices, sorter=order)
    found = order[np.minimum(place, len(order) - 1)]
    if (lonely := corners[found] != vertices).any():
        raise bad_field(path, "triangles", f"leaves out landmark vertex {vertices[lonely][0]}", "one with all 68")
    return Embedding(*map(jax.device_put, ((found // 3).astype(np.int32), np.eye(3, dtype=np.float32)[found % 3])))


def _atlas(uv: np.ndarray, uv_corners: np.ndarray, triangles: np.ndarray) -> dict:
    """Texture points as ``MorphableModel`` has them: each belongs to one vertex, so a shared one is repeated."""
    pairs = np.stack([uv_corners.ravel(), triangles.ravel()], axis=1)
    owned, corners = np.unique(pairs, axis=0, return_inverse=True)
    return dict(
        uv=jax.device_put(uv[owned[:, 0]].astype(np.float32)),
        uv_vertices=jax.device_put(owned[:, 1].astype(np.int32)),
        uv_triangles=jax.device_put(corners.reshape(-1, 3).astype(np.int32)),
    )
