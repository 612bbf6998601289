"""A detector for tests of whole runs: a package of its own, quick, with images that end the process that reads them.

A grey image shows one face, whose points depend on the grey; a white one shows two and a black one none. A red image
kills the process; a blue one its parent, once, the first time it is seen. ``STUB_SECONDS`` in the environment is
how long each image takes.
"""

import os
import signal
from pathlib import Path
from time import sleep

import numpy as np
from PIL import Image

from jaxface.model import MorphableModel, save_model
from jaxface.types import Landmarks

RED, BLUE, BLACK, WHITE = (255, 0, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)
HERE = Path(__file__).parent


def install(folder: Path, model: MorphableModel) -> Path:
    """Fill a folder that, on the path of a process, brings the detector ``stub``; ``small.npz`` in it is the model."""
    save_model(folder / "small.npz", model)
    points = np.asarray(model.landmark_positions(model.mean, "ibug68")) * (1, -1, -1)
    np.save(folder / "points.npy", 2 * points + (200, 200, 0))
    folder.joinpath("stub_detector.py").write_text(Path(__file__).read_text())
    about = folder / "stub_detector-1.0.dist-info"
    about.mkdir()
    about.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: stub-detector\nVersion: 1.0\n")
    about.joinpath("entry_points.txt").write_text("[jaxface.detectors]\nstub = stub_detector:Stub\n")
    return folder


def paint(path: Path, colour) -> Path:
    Image.new("RGB", (16, 16), colour).save(path)
    return path


class Stub:
    def __init__(self, scheme):
        self._points = np.load(HERE / "points.npy")

    def detect(self, image: np.ndarray) -> list[Landmarks]:
        sleep(float(os.environ.get("STUB_SECONDS", 0)))
        colour = tuple(int(value) for value in image[0, 0])
        if colour == RED:
            os.kill(os.getpid(), signal.SIGKILL)
        if colour == BLUE and not _seen_before():
            os.kill(os.getppid(), signal.SIGKILL)
        count = {BLACK: 0, WHITE: 2}.get(colour, 1)
        noise = np.random.default_rng(colour).normal(size=(count, 68, 3))
        faces = (self._points + noise).astype(np.float32)
        return [Landmarks(face[:, :2], face) for face in faces]

    def close(self) -> None:
        pass


def _seen_before() -> bool:
    try:
        HERE.joinpath("seen").touch(exist_ok=False)
    except FileExistsError:
        return True
    return False
