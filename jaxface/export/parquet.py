"""Fitted faces as rows of Parquet files: the schema, the writing and the reading back.

A row is a face, or a photograph (a video's frame) that has none to show, with the reason in ``error``. The columns,
whose units and frames are those of ``FitResult``, ``Pose`` and ``Landmarks``:

``source`` the file; ``frame`` of a video, from 0, null for a photograph; ``face`` which of the file's faces, from 0
(of a video: the person); ``error`` a sentence where the row has no fit, otherwise null; ``status`` a name of
``Status``; ``score`` 0 to 1, null where none was asked for; ``left_px``, ``top_px``, ``right_px``, ``bottom_px`` the
box of the 2D landmarks; ``pitch_deg``, ``yaw_deg``, ``roll_deg``; ``scale_px_per_mm``, ``translation_px`` (2),
``rotation`` (9, row by row); ``identity`` (Na), ``expression`` (Nb); ``depth_offset_px`` (3); ``weight_2d``,
``weight_3d``; ``cost`` in mm²; ``iterations``; ``landmark_weight`` (L), null where all counted alike; ``landmarks_xy``
(2 L) and ``landmarks_xyz`` (3 L), point by point; ``landmarks_weight`` (L), null where all are believed alike.

Numbers are float32. The file's metadata hold, under the key ``jaxface``, what the rows were made with, as JSON.
"""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxface import camera
from jaxface.export.files import atomic_write
from jaxface.types import PAPER, POINTS, FitResult, Landmarks, Pose, Status

_RECORD = b"jaxface"
_FILLED_UP = 256
_FEW_VALUES = ["source", "error", "status"]


def schema(record: dict, detector: str | None = None, variant: str = PAPER) -> pa.Schema:
    """The columns.

    Args:
      record: what the rows are made with, as plain JSON values; kept in the files.
      detector: of the landmarks, which are the 68.
      variant: of the fits.
    """
    record = record | {"scheme": "ibug68", "detector": detector, "variant": variant}
    number, numbers = pa.float32(), pa.list_(pa.float32())  # lists of a fixed size take no nulls before pyarrow 26
    columns = {
        "source": pa.string(),
        "frame": pa.int32(),
        "face": pa.int32(),
        "error": pa.string(),
        "status": pa.string(),
        "score": number,
        **dict.fromkeys(("left_px", "top_px", "right_px", "bottom_px"), number),
        **dict.fromkeys(("pitch_deg", "yaw_deg", "roll_deg", "scale_px_per_mm"), number),
        "translation_px": numbers,
        "rotation": numbers,
        "identity": numbers,
        "expression": numbers,
        "depth_offset_px": numbers,
        **dict.fromkeys(("weight_2d", "weight_3d", "cost"), number),
        "iterations": pa.int32(),
        **dict.fromkeys(("landmark_weight", "landmarks_xy", "landmarks_xyz", "landmarks_weight"), numbers),
    }
    return pa.schema(columns.items(), metadata={_RECORD: json.dumps(record)})


def face_rows(
    columns: pa.Schema,
    source: Sequence[str],
    face: Sequence[int],
    result: FitResult,
    landmarks: Landmarks,
    score: Sequence[float | None] | None = None,
    frame: Sequence[int] | None = None,
) -> pa.Table:
    """Rows of fitted faces.

    Args:
      columns: what ``schema`` gives.
      result: a batch of n fits.
      landmarks: the batch that was fitted.
      source, face, score, frame: n values; no scores and no frames become nulls.
    """
    xy, pose = np.asarray(landmarks.xy), result.pose
    statuses = [Status(int(status)) for status in np.asarray(result.status)]
    pitch, yaw, roll = _euler_deg(np.asarray(pose.rotation)).T
    (left, top), (right, bottom) = xy.min(axis=1).T, xy.max(axis=1).T
    values = {
        "source": source,
        "frame": frame,
        "face": face,
        "error": [None if status.fitted else status.sentence for status in statuses],
        "status": [status.name for status in statuses],
        "score": score,
        **dict(left_px=left, top_px=top, right_px=right, bottom_px=bottom, pitch_deg=pitch, yaw_deg=yaw, roll_deg=roll),
        "scale_px_per_mm": pose.scale,
        "translation_px": pose.translation,
        "rotation": pose.rotation,
        "identity": result.identity,
        "expression": result.expression,
        "depth_offset_px": result.depth_offset,
        **{name: getattr(result, name) for name in ("weight_2d", "weight_3d", "cost", "iterations")},
        "landmark_weight": result.landmark_weight,
        "landmarks_xy": xy,
        "landmarks_xyz": landmarks.xyz,
        "landmarks_weight": landmarks.weight,
    }
    return _table(columns, len(face), values)


def failure_rows(
    columns: pa.Schema, source: Sequence[str], error: Sequence[str], frame: Sequence[int] | None = None
) -> pa.Table:
    """Rows of photographs (frames) without a face, each with the sentence that says why."""
    return _table(columns, len(source), {"source": source, "error": error, "frame": frame})


def _euler_deg(rotations: np.ndarray) -> np.ndarray:
    """(n, 3) degrees of rotations (n, 3, 3), filled up to one of few shapes: JAX compiles each that it meets."""
    filled = np.resize(rotations, (-(-len(rotations) // _FILLED_UP) * _FILLED_UP, 3, 3))
    return np.asarray(camera.euler_deg(jnp.asarray(filled)))[: len(rotations)]


def _table(columns: pa.Schema, count: int, values: dict) -> pa.Table:
    return pa.table([_column(field.type, count, values.get(field.name)) for field in columns], schema=columns)


def _column(kind: pa.DataType, count: int, values) -> pa.Array:
    if values is None:
        return pa.nulls(count, kind)
    if pa.types.is_list(kind):
        flat = np.asarray(values, np.float32).reshape(-1)
        ends = np.arange(count + 1, dtype=np.int32) * (flat.size // max(count, 1))
        return pa.ListArray.from_arrays(ends, flat)
    if isinstance(values, (list, tuple)):
        return pa.array(values, kind)
    return pa.array(np.asarray(values)).cast(kind)


def write_rows(path: str | Path, rows: pa.Table) -> None:
    """Write rows as a Parquet file, which appears whole or not at all; the same rows give the same bytes.

    Raises:
      ValueError: the folder does not exist.
      OSError: the file cannot be written.
    """
    content = BytesIO()
    pq.write_table(rows, content, compression="zstd", use_dictionary=_FEW_VALUES)
    atomic_write(path, content.getvalue())


def record_of(columns: pa.Schema) -> dict:
    """What rows were made with, from the metadata of their schema.

    Raises:
      ValueError: the metadata do not hold it.
    """
    if _RECORD not in (columns.metadata or {}):
        raise ValueError("these are no rows of jaxface: the files' metadata have no record of how they were made")
    return json.loads(columns.metadata[_RECORD])


def read_faces(rows: pa.Table | pa.RecordBatch) -> tuple[FitResult, Landmarks]:
    """The batch of fits and of landmarks that rows were made of.

    Args:
      rows: fitted faces, without rows that hold an error alone.

    Raises:
      ValueError: there are such rows, or none at all.
    """
    count, without = rows.num_rows, rows.column("status").null_count
    if without:
        raise ValueError(
            f"rows: {without} of {count} hold an error and no face; leave them out, as with "
            "rows.filter(pyarrow.compute.field('status').is_valid())"
        )
    if not count:
        raise ValueError("rows: there are none, and so no sizes of a batch; takes one row or more")
    record = record_of(rows.schema)
    scheme = record["scheme"]
    points = POINTS[scheme]

    def column(name: str) -> pa.Array:
        found = rows.column(name)
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    def array(name: str, *shape: int):
        found = column(name)
        found = found.flatten() if pa.types.is_list(found.type) else found
        return jnp.asarray(found.to_numpy(zero_copy_only=False).reshape(count, *shape))

    def weight(name: str):
        """Null counts as 1 beside rows that are weighted; older files have no such column."""
        if name not in rows.schema.names or column(name).null_count == count:
            return None
        filled = np.ones((count, points), np.float32)
        filled[column(name).is_valid().to_numpy(zero_copy_only=False)] = (
            column(name).flatten().to_numpy(zero_copy_only=False).reshape(-1, points)
        )
        return jnp.asarray(filled)

    status = [Status[name] for name in rows.column("status").to_pylist()]
    pose = Pose(array("scale_px_per_mm"), array("rotation", 3, 3), array("translation_px", 2))
    result = FitResult(
        identity=array("identity", -1),
        expression=array("expression", -1),
        pose=pose,
        depth_offset=array("depth_offset_px", 3),
        weight_2d=array("weight_2d"),
        weight_3d=array("weight_3d"),
        cost=array("cost"),
        iterations=array("iterations"),
        status=jnp.asarray(status, jnp.int32),
        landmark_weight=weight("landmark_weight"),
        variant=record.get("variant", PAPER),
    )
    xy, xyz = array("landmarks_xy", points, 2), array("landmarks_xyz", points, 3)
    return result, Landmarks(xy, xyz, weight("landmarks_weight"), scheme, record.get("detector"))
