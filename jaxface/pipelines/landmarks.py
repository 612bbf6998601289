"""One photograph from file to its faces' landmarks: a picture of them for people, and a file for programs."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from jaxface.detection.landmark_files import landmark_file
from jaxface.detection.landmark_sources import origin
from jaxface.detection.reading import read_image
from jaxface.export.files import Inputs, atomic_write, png
from jaxface.pipelines.faces import Finder
from jaxface.pipelines.telling import telling
from jaxface.rendering.overlay import draw_faces
from jaxface.types import Landmarks

FILES = {"picture": ".faces.png", "json": ".json", "npz": ".npz"}
"""What is written for a photograph: each format's name, and what follows the photograph's name."""


@dataclass
class DetectionReport:
    """What became of one photograph; ``scores`` from 0 to 1, ``error`` a sentence where the photograph failed."""

    path: Path
    faces: list[Landmarks] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    error: str | None = None
    detect_s: float = 0.0


def detect_image(path: Path, stem: Path, finder: Finder, formats: tuple[str, ...], inputs: Inputs) -> DetectionReport:
    """Find the faces of one photograph and write them to files named ``stem`` and what ``FILES`` adds; none of them may
    replace an input.

    Nothing is raised for a photograph that cannot be read, shows no face or cannot be written: the report says so.
    """
    report = DetectionReport(path)
    with telling(report, path, stem.parent, "landmarks"):
        image = read_image(path)
        started = time.perf_counter()
        faces = finder.find(image, depth=False)
        report.detect_s = time.perf_counter() - started
        scores = [finder.score(image, face) for face in faces]
        stem.parent.mkdir(parents=True, exist_ok=True)
        files = {name: stem.with_name(stem.name + FILES[name]) for name in formats}
        inputs.require_kept(path, files.values())
        for name, file in files.items():
            if name == "picture":
                atomic_write(file, png(draw_faces(image, faces, [f"{score:.2f}" for score in scores])))
            else:
                atomic_write(file, landmark_file(file, faces, scores, origin(path)))
        report.faces, report.scores = faces, scores
    return report
