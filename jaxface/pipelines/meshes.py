"""Rows of Parquet files back to fitted faces: which rows, and with which model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from jaxface.export.parquet import read_faces, record_of
from jaxface.model.morphable import MorphableModel
from jaxface.pipelines.dataset import parts_of, read_part, sound
from jaxface.pipelines.naming import different_names
from jaxface.pipelines.selection import condition
from jaxface.pipelines.stages import fingerprint
from jaxface.types import FitResult

_AT_A_TIME = 256
_FITTED = pc.field("error").is_null() & pc.field("status").is_valid()


@dataclass(frozen=True)
class Selection:
    """Rows of fitted faces that meet a condition, in the files' order, the first ``limit`` of them. ``beside`` are the
    rows of the run that they belong to, which decide their names."""

    rows: ds.Dataset
    beside: ds.Dataset
    where: pc.Expression
    limit: int | None

    @property
    def model(self) -> dict:
        """What the rows say of the model they were fitted with: ``source``, ``name``, ``licence``, ``sha256``."""
        return record_of(self.rows.schema)["model"]

    def require(self, model: MorphableModel) -> None:
        """Raise a ``ValueError`` unless the rows were fitted with this model."""
        if fingerprint(model) != self.model["sha256"]:
            raise ValueError(f"the rows were fitted with the model {self.model['name']!r}, and this is another one")

    def names(self) -> list[str]:
        """A relative path for each face, the same whatever else is chosen: ``NAME`` for a photograph's first face,
        ``NAME/face-2``, ... for the further ones, ``NAME/person-1/frame-000000`` for a video's."""
        columns, rows = ["source", "frame", "face"], []
        for batch in self._taken(columns):
            rows += zip(*(batch[name].to_pylist() for name in columns), strict=True)
        fitted = (batch["source"] for batch in _batches(self.beside, ["source"], _FITTED))
        named = different_names((source for source, _, _ in rows), fitted)
        return [named[source] + _within(frame, face) for source, frame, face in rows]

    def results(self) -> Iterator[FitResult]:
        """The fits, one after another."""
        for batch in self._taken(None):
            if batch.num_rows:
                results = read_faces(batch)[0]
                yield from (jax.tree.map(lambda leaf, i=i: leaf[i], results) for i in range(batch.num_rows))

    def _taken(self, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        left = self.limit
        for batch in _batches(self.rows, columns, self.where):
            taken = batch if left is None else batch.slice(0, left)
            yield taken
            if left is not None and not (left := left - taken.num_rows):
                return


def _batches(rows: ds.Dataset, columns: list[str] | None, where: pc.Expression) -> Iterator[pa.RecordBatch]:
    """Some rows of Parquet files, in these files' order."""
    for file in rows.get_fragments():
        with sound(Path(file.path)):
            yield from file.to_batches(rows.schema, columns, filter=where, batch_size=_AT_A_TIME)


def _within(frame: int | None, face: int) -> str:
    if frame is not None:
        return f"/person-{face + 1}/frame-{frame:06}"
    return f"/face-{face + 1}" if face else ""


def select(rows: Path, where: str | None = None, limit: int | None = None) -> Selection:
    """The fitted faces of a folder that ``jaxface dataset`` wrote, or of one Parquet file.

    Args:
      where: a condition as ``jaxface.pipelines.selection.condition`` takes it.

    Raises:
      ValueError: there are no rows of jaxface there, or the condition is none.
    """
    parts = parts_of(rows if rows.is_dir() else rows.parent)
    files = parts if rows.is_dir() else [rows]
    if not files or not rows.exists():
        raise ValueError(f"{rows}: takes a folder that jaxface dataset wrote, or one of its Parquet files")
    for file in parts if rows in parts else files:
        read_part(file, [])
    try:
        found = ds.dataset([str(file) for file in files], format="parquet")
        if "sha256" not in record_of(found.schema)["model"]:
            raise ValueError("the rows do not tell the model they were fitted with")
    except (pa.ArrowInvalid, ValueError) as error:
        raise ValueError(f"{rows}: {error}") from None
    beside = ds.dataset(list(map(str, parts)), format="parquet") if rows in parts else found
    return Selection(found, beside, _FITTED if where is None else _FITTED & _checked(where, found.schema), limit)


def _checked(where: str, columns: pa.Schema) -> pc.Expression:
    """Raise here, on no rows, for a condition whose sides are of kinds that do not go together."""
    try:
        expression = condition(where, columns)
        columns.empty_table().filter(expression)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise ValueError(f"the condition mixes numbers and text, or is none: {error}") from None
    return expression
