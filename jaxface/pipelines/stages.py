"""The stages of a run over many images, as plain functions that every engine calls: detect, fit, write.

The unit of work is a part: some images, one Parquet file. A part's rows depend on its images and the settings alone,
so that engines, interruptions and the number of processes leave no trace in them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import jax
import numpy as np
import pyarrow as pa

from jaxface.detection.faces import stacked
from jaxface.detection.landmark_sources import origin
from jaxface.detection.reading import read_image, readable
from jaxface.export.parquet import face_rows, failure_rows, schema, write_rows
from jaxface.export.records import versions
from jaxface.fitting import FitOptions, fit_batch
from jaxface.fitting.options import settled
from jaxface.model.morphable import MorphableModel
from jaxface.model.store import load_model
from jaxface.pipelines.faces import Finder, Which, finder
from jaxface.types import POINTS, FitResult, Landmarks

BATCH = 256
"""Faces are fitted so many at a time, the last batch of a part filled up: one shape, so one compilation."""


STAGES = "compile", "decode", "detect", "fit", "write"


@dataclass(frozen=True)
class Settings:
    """What decides the rows: another value of any of these is another run.

    ``model`` is a face model's file or registered name, or None for the embedded one; ``part_images`` how many images
    share a Parquet file; ``score`` whether each face's likelihood is measured.
    """

    model: str | None = None
    detector: str = "mediapipe"
    faces: Which = "all"
    min_score: float = 0.0
    score: bool = False
    part_images: int = 1024
    fit: FitOptions = FitOptions()


@dataclass(frozen=True)
class Found:
    """What one image shows: its ``faces`` and their ``scores``, or the sentence ``error``; seconds it took."""

    source: str
    faces: tuple[Landmarks, ...] = ()
    scores: tuple[float | None, ...] = ()
    error: str | None = None
    decode_s: float = 0.0
    detect_s: float = 0.0


@dataclass(frozen=True)
class Part:
    """A file of the output: the images ``index`` * ``part_images`` and following."""

    index: int
    sources: Sequence[str]

    @property
    def file(self) -> str:
        return f"part-{self.index:07d}.parquet"


@dataclass
class Tally:
    """How much was done, and the seconds that the stages took, summed over processes."""

    images: int = 0
    faces: int = 0
    failures: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        seconds = {stage: self.seconds.get(stage, 0.0) + other.seconds.get(stage, 0.0) for stage in STAGES}
        return Tally(self.images + other.images, self.faces + other.faces, self.failures + other.failures, seconds)


@contextmanager
def open_finder(settings: Settings) -> Iterator[Finder]:
    """The finder of some settings, closed at the end, in a process of its own that leaves accelerators to the fits."""
    jax.config.update("jax_platforms", "cpu")
    with finder(settings.detector, settings.faces, settings.min_score) as opened:
        yield opened


def find(opened: Finder, source: str, settings: Settings) -> Found:
    """Decode an image and find its faces; nothing is raised for an image that is broken or shows none."""
    started, decoded = perf_counter(), None
    try:
        image = read_image(source)
        decoded = perf_counter()
        scored = opened.find_scored(image, depth=settings.fit.variant != "2d", score=settings.score)
        found = Found(source, tuple(face for face, _ in scored), tuple(score for _, score in scored))
    except (ValueError, RuntimeError, MemoryError) as error:  # RuntimeError: MediaPipe
        sentence = str(error) or "there is not enough memory for it"
        found = Found(source, error=sentence.removeprefix(f"{source}: "))
    ended = perf_counter()
    decoded = decoded or ended
    return replace(found, decode_s=decoded - started, detect_s=ended - decoded)


def compile_fit(settings: Settings) -> Tally:
    """Compile the fit of a batch ahead of the first part; how long that took."""
    started = perf_counter()
    nothing = np.zeros((BATCH, POINTS["ibug68"], 3), np.float32)
    jax.block_until_ready(
        fit_batch(model_of(settings.model), Landmarks(nothing[..., :2], nothing), options_of(settings))
    )
    return Tally(seconds={"compile": perf_counter() - started})


def fit_part(found: Sequence[Found], settings: Settings) -> pa.Table:
    """The rows of a part: its images' faces fitted in batches of one shape, in the images' order."""
    model = model_of(settings.model)
    options, told = options_of(settings), record(settings) | {"versions": versions()}
    columns = schema(told, detector=settings.detector, variant=options.variant)
    owners = [index for index, image in enumerate(found) for _ in image.faces]
    failed = {index: image.error for index, image in enumerate(found) if image.error is not None}
    rows = [failure_rows(columns, [readable(found[i].source) for i in failed], list(failed.values()))]
    if owners:
        faces = [face for image in found for face in image.faces]
        landmarks = stacked(faces)
        rows.append(
            face_rows(
                columns,
                source=[readable(found[owner].source) for owner in owners],
                face=[face for image in found for face in range(len(image.faces))],
                result=_fit_all(model, landmarks, options),
                landmarks=landmarks,
                score=[score for image in found for score in image.scores],
            )
        )
    return pa.concat_tables(rows).take(np.argsort([*failed, *owners], kind="stable")).combine_chunks()


def _fit_all(model: MorphableModel, landmarks: Landmarks, options: FitOptions) -> FitResult:
    count, batches = len(landmarks.xy), []
    for start in range(0, count, BATCH):
        index = np.minimum(np.arange(start, start + BATCH), count - 1)
        fitted = fit_batch(model, jax.tree.map(lambda leaf, index=index: leaf[index], landmarks), options)
        batches.append(jax.tree.map(np.asarray, fitted))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *batches)


def write_part(folder: Path, part: Part, rows: pa.Table) -> None:
    """Write a part's file, whole or not at all; raises an ``OSError`` where that cannot be."""
    write_rows(folder / part.file, rows)


def searched(found: Sequence[Found]) -> Tally:
    """What the search of some images came to."""
    failures = sum(image.error is not None for image in found)
    seconds = {"decode": sum(image.decode_s for image in found), "detect": sum(image.detect_s for image in found)}
    return Tally(len(found), 0, failures, seconds)


def fitted(rows: pa.Table, fit_s: float) -> Tally:
    """What the fits of a part came to."""
    faces = rows.num_rows - rows["status"].null_count
    unfitted = faces - rows["error"].null_count
    return Tally(0, faces - unfitted, unfitted, {"fit": fit_s})


def written(write_s: float) -> Tally:
    """What the writing of a part came to."""
    return Tally(seconds={"write": write_s})


@lru_cache(maxsize=1)
def record(settings: Settings) -> dict:
    """The settings as plain JSON values, and what tells their model, and a calibration's file, from another of its
    name."""
    told = {"model": described(model_of(settings.model), settings.model)}
    if (table := Path(settings.fit.calibration or "")).is_file():
        told["calibration"] = origin(table)
    asked = asdict(replace(settings, fit=options_of(settings)))
    return told | {"settings": {name: value for name, value in asked.items() if name != "model"}}


def options_of(settings: Settings) -> FitOptions:
    """The options with the variant that the faces are fitted with."""
    return settled(settings.fit, model_of(settings.model), "ibug68", settings.detector)


def described(model: MorphableModel, source: str | None) -> dict:
    """What rows tell of the model they were fitted with: the name it was loaded by, its own, and its fingerprint."""
    return {"source": source, "name": model.name, "licence": model.licence, "sha256": fingerprint(model)}


def fingerprint(model: MorphableModel) -> str:
    """What no other model shares: the SHA-256 of its mean and its bases."""
    return sha256(b"".join(np.asarray(a).tobytes() for a in (model.mean, model.identity, model.expression))).hexdigest()


@lru_cache(maxsize=1)
def model_of(source: str | None) -> MorphableModel:
    """The face model that some settings name, loaded once in a process."""
    return load_model(source)
