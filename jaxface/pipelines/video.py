"""One video from file to files: follow every face, fit each person's frames together, export."""

import re
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import jax
import numpy as np

from jaxface.detection.faces import apart, stacked
from jaxface.detection.reading import readable_name
from jaxface.detection.registry import Detector
from jaxface.detection.tracking import Tracker
from jaxface.export.animation import write_animation
from jaxface.export.files import Inputs
from jaxface.export.records import versions
from jaxface.fitting import FitOptions, fit_sequence
from jaxface.fitting.options import joint
from jaxface.model.morphable import MorphableModel
from jaxface.model.store import source_file
from jaxface.pipelines.faces import NO_FACE, require_depth
from jaxface.pipelines.frames import Video, writing
from jaxface.pipelines.telling import telling
from jaxface.rendering.film import draw_over
from jaxface.rendering.texture import bake
from jaxface.types import FitResult, Landmarks, Status

FILES = {"overlay": "overlay.mp4", "parquet": "faces.parquet", "glb": "person-*.glb"}
"""What is written for a video: each format's name and file."""

_MOVED = 0.5
"""A face farther from where a person was last than this part of its size is another's."""
_GONE_S = 1.0
"""A person who was not seen for this long, and a frame at least, is another when there again."""
_SEEN_S = Fraction(1, 5)
"""A person who is there for less is none: a detector errs now and then. A shorter video has no such."""
_FRAMES = 64
"""Clips are filled up to a multiple of it, as each length is compiled anew."""


@dataclass
class Person:
    """One face through a video: its ``frames`` (n,), counted from 0 and rising, and what was found there. ``result``,
    once there is one, is of all frames from the first to the last of them, those between without a face included."""

    frames: list[int] = field(default_factory=list)
    faces: list[Landmarks] = field(default_factory=list)
    result: FitResult = field(init=False, repr=False)

    def at(self, frame: int) -> FitResult | None:
        """The fit of a frame of the video, if there is one."""
        index = frame - self.frames[0]
        if not 0 <= index < len(self.result.status) or not self.fitted[index]:
            return None
        return jax.tree.map(lambda leaf: leaf[index], self.result)

    @cached_property
    def fitted(self) -> np.ndarray:
        """Which frames of ``result`` have a fit (n,)."""
        return np.array([Status(int(status)).fitted for status in np.asarray(self.result.status)])

    @cached_property
    def frontal(self) -> int:
        """The frame of the video in which the fitted face looks most straight into the camera."""
        away = np.asarray(self.result.pose.rotation)[:, 2, 2]  # -1 where the nose points at the viewer
        return self.frames[0] + int(np.argmin(np.where(self.fitted, away, np.inf)))

    @property
    def seen(self) -> FitResult:
        """The fits of the ``frames``."""
        return jax.tree.map(lambda leaf: leaf[self.shown], self.result)

    @property
    def shown(self) -> np.ndarray:
        """Which frames of ``result`` have the face (n,)."""
        return np.array(self.frames) - self.frames[0]


@dataclass
class VideoReport:
    """What became of a video. Times are seconds; ``error`` is a sentence where it failed or breaks off."""

    people: list[Person] = field(default_factory=list)
    frames: int = 0
    written: list[Path] = field(default_factory=list)
    error: str | None = None
    detect_s: float = 0.0
    fit_s: float = 0.0
    export_s: float = 0.0


def fit_video(
    path: Path,
    folder: Path,
    model: MorphableModel,
    detector: Detector,
    options: FitOptions,
    smoothness: float,
    formats: tuple[str, ...],
    progress=lambda stage, frames: None,
    model_source: str | None = None,
) -> VideoReport:
    """Fit everyone in a video and write the files into a folder, which is made.

    Nothing is raised for a video that cannot be read, shows no face or cannot be written: the report says so. One that
    breaks off is fitted as far as it goes.

    Args:
      detector: an open detector.
      formats: some of ``FILES``.
      progress: is told the name of the stage and how many of its frames are done.
      model_source: the file or registered name that the model was loaded by, None for the embedded one.
    """
    report, options = VideoReport(), joint(options)
    with telling(report, path, folder):
        started = time.perf_counter()
        video = Video(path)
        Inputs([path, source_file(model_source)]).require_kept(path, [folder / FILES[name] for name in formats])
        seen = _followed(video, detector, options.variant != "2d", report, progress)
        people = _lasting(seen, video)
        report.error = video.problem
        report.detect_s = time.perf_counter() - started
        if not people:
            nobody = f"no face was seen for {float(_SEEN_S):g} s" if seen else NO_FACE
            raise ValueError(f"{path}: {nobody} in its {report.frames} frames")

        started = time.perf_counter()
        for person in people:
            person.result = _fitted(person, model, options, smoothness)
            progress("fitting", len(person.frames))
        report.people = [person for person in people if person.fitted.any()]
        if not report.people:
            raise ValueError(f"{path}: its faces were {Status(int(people[0].result.status[0])).sentence}")
        report.fit_s = time.perf_counter() - started

        started = time.perf_counter()
        folder.mkdir(parents=True, exist_ok=True)
        _export(report, video, folder, model, model_source, options, smoothness, formats, progress)
        report.export_s = time.perf_counter() - started
    return report


def _followed(video: Video, detector: Detector, depth: bool, report: VideoReport, progress) -> list[Person]:
    """Everyone in a video, in the order of their first frames; ``depth`` is whether 3D points are needed."""
    tracker, people = Tracker(detector), []
    for index, frame in enumerate(video.frames()):
        unseen_s = lambda person: video.times[-1] - video.times[person.frames[-1]]
        free = [person for person in people if index - person.frames[-1] <= 1 or unseen_s(person) <= _GONE_S]
        faces = tracker.update(frame)
        if depth:
            require_depth(faces)
        for face in faces:
            person = min(free, key=lambda person, face=face: apart(person.faces[-1], face), default=None)
            if person is None or apart(person.faces[-1], face) > _MOVED:
                people.append(person := Person())
            else:
                free = [other for other in free if other is not person]
            person.frames.append(index)
            person.faces.append(face)
        report.frames = index + 1
        progress("detecting", 1)
    return people


def _lasting(people: list[Person], video: Video) -> list[Person]:
    """Those who are seen for long enough."""
    ends = [*video.times[1:], video.times[-1] + 1 / video.rate]
    lasting = [end - start for start, end in zip(video.times, ends, strict=True)]
    least = min(_SEEN_S, sum(lasting))
    return [person for person in people if sum(lasting[frame] for frame in person.frames) >= least]


def _fitted(person: Person, model: MorphableModel, options: FitOptions, smoothness: float) -> FitResult:
    count = person.shown[-1] + 1
    found = stacked(person.faces)

    def placed(leaf):
        whole = np.full((-(-count // _FRAMES) * _FRAMES, *leaf.shape[1:]), np.nan, leaf.dtype)
        whole[person.shown] = leaf
        return whole

    result = fit_sequence(model, jax.tree.map(placed, found), options, smoothness)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], result)


def _export(report, video: Video, folder: Path, model, source, options, smoothness, formats, progress) -> None:
    textures, times = [None] * len(report.people), video.times
    if "overlay" in formats or "glb" in formats:
        film = folder / FILES["overlay"]
        with writing(film, video.rate, video.tick) if "overlay" in formats else nullcontext() as add:
            _draw(report.people, video, times, model, "glb" in formats, textures, add, progress)
        report.written += [film] if "overlay" in formats else []
    if "parquet" in formats:
        from jaxface.pipelines.stages import described

        rows = folder / FILES["parquet"]
        asked = dict(options=asdict(options), smoothness=smoothness)
        _write_rows(rows, report, video, asked | {"model": described(model, source)})
        report.written.append(rows)
    if "glb" in formats:
        for number, (person, texture) in enumerate(zip(report.people, textures, strict=True), start=1):
            moving = folder / FILES["glb"].replace("*", str(number))
            keys = np.array(times[person.frames[0] : person.frames[-1] + 1], float)
            write_animation(moving, model, person.result, keys, texture)
            report.written.append(moving)
        _remove_others(folder, len(report.people))


def _remove_others(folder: Path, people: int) -> None:
    """Remove the GLBs of an earlier video's people, who are more than this one's."""
    for file in folder.glob(FILES["glb"]):
        named = re.fullmatch(r"person-([1-9][0-9]*)\.glb", file.name)
        if named and int(named[1]) > people and file.is_file() and not file.is_symlink():
            file.unlink()


def _draw(people: list[Person], video: Video, times, model, textured: bool, textures: list, add, progress) -> None:
    """Give every frame with the faces over it, and its time, to ``add``, where there is one, and bake each person's
    texture."""
    for index, (at, frame) in enumerate(zip(times, video.frames(), strict=False)):
        drawn = frame.copy()
        for number, person in enumerate(people):
            result = person.at(index)
            if result is None:
                continue
            if textured and index == person.frontal:
                textures[number] = bake(frame, model, result)
            if add:
                draw_over(drawn, model, result)
        if add:
            add(drawn, at)
        progress("drawing", 1)


def _write_rows(path: Path, report: VideoReport, video: Video, record: dict) -> None:
    import pyarrow as pa

    from jaxface.export.parquet import face_rows, failure_rows, schema, write_rows

    record = record | {"frames_a_second": float(video.rate), "versions": versions()}
    first = report.people[0]
    columns = schema(record, detector=first.faces[0].detector, variant=first.seen.variant)
    name = readable_name(video.path)
    empty = sorted(set(range(report.frames)).difference(*(person.frames for person in report.people)))
    tables = [failure_rows(columns, [name] * len(empty), [NO_FACE] * len(empty), frame=empty)]
    for number, person in enumerate(report.people):
        found = stacked(person.faces)
        count = len(person.frames)
        tables.append(face_rows(columns, [name] * count, [number] * count, person.seen, found, frame=person.frames))
    write_rows(path, pa.concat_tables(tables).sort_by([("frame", "ascending"), ("face", "ascending")]))
