"""What a click on the page computes. Nothing here knows the page."""

import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxface.camera import rotation_from_euler
from jaxface.detection.faces import box, size
from jaxface.detection.reading import read_image
from jaxface.export.meshes import write_mesh
from jaxface.export.records import write_json
from jaxface.fitting import FitOptions, fit, uncertainty
from jaxface.fitting.options import settled
from jaxface.model.morphable import MorphableModel
from jaxface.pipelines.faces import Finder
from jaxface.rendering.overlay import draw_faces, overlay
from jaxface.rendering.posed import model_vertices
from jaxface.rendering.shading import draw_mesh
from jaxface.rendering.texture import texture
from jaxface.rendering.textured import draw_textured
from jaxface.rendering.uncertainty_map import draw_uncertainty
from jaxface.types import FitResult, Landmarks, Status

MAX_PIXELS = 50_000_000
"""Of a photograph: 150 MB once it is decoded."""
PANEL = (560, 720)
"""The longer side of each half of the overlay in pixels, at least and at most."""
SHOWN_ATLAS, SAVED_ATLAS = 512, 1024
"""Side of the texture in pixels: of the head on the page, and of the files."""
HEAD_SIDE = 560
"""Side of the drawn head's picture in pixels."""
HEAD_PART = 0.8
"""Of the drawn head's picture that the head is high."""
GROUND = 32.0
"""The grey level behind the drawn head."""
CLAY = np.array([0.78, 0.80, 0.84], np.float32)
TIMED = 5
"""Fits of which the median time is told, after one that may compile."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph (H, W, 3) uint8 with the faces that were found in it, left to right."""

    name: str
    image: np.ndarray
    faces: list[Landmarks]

    @property
    def largest(self) -> int:
        """Which face is the largest."""
        return int(np.argmax([size(face) for face in self.faces]))

    def boxes(self) -> np.ndarray:
        """The photograph with the faces' boxes and numbers, from 1."""
        return draw_faces(self.image, self.faces, [str(number + 1) for number in range(len(self.faces))])


@dataclass(frozen=True, eq=False)
class Face:
    """One fitted face of a photograph; ``seconds`` is how long the fit took."""

    photograph: Photograph
    index: int
    options: FitOptions
    result: FitResult
    seconds: float

    @property
    def landmarks(self) -> Landmarks:
        return self.photograph.faces[self.index]

    @property
    def status(self) -> Status:
        return Status(int(self.result.status))


def read_photograph(path: str | Path, finder: Finder) -> Photograph:
    """The photograph in a file, and its faces.

    Raises:
      ValueError: it cannot be read, has more than ``MAX_PIXELS`` or shows no face; a sentence that names the file
        without its folder.
    """
    path = Path(path)
    try:
        image = read_image(path, MAX_PIXELS)
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), path.name)) from None
    try:
        return Photograph(path.name, image, finder.find(image))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def fit_face(model: MorphableModel, photograph: Photograph, index: int, options: FitOptions) -> Face:
    """Fit one face of a photograph."""
    landmarks = photograph.faces[index]
    options = settled(options, model, landmarks.scheme, landmarks.detector)
    started = time.perf_counter()
    result = jax.block_until_ready(fit(model, landmarks, options))
    return Face(photograph, index, options, result, time.perf_counter() - started)


def timed(model: MorphableModel, face: Face, options: FitOptions) -> Face:
    """The same face with other options; ``seconds`` is the median of several fits, none of which compiles."""
    _, *fits = (fit_face(model, face.photograph, face.index, options) for _ in range(TIMED + 1))
    return replace(fits[-1], seconds=statistics.median(fit.seconds for fit in fits))


def draw_overlay(model: MorphableModel, face: Face) -> np.ndarray:
    """The landmarks and the mesh over the photograph, (h, w, 3) uint8."""
    return overlay(face.photograph.image, model, face.result, face.landmarks, PANEL, face.options.contour)


def bake(model: MorphableModel, face: Face, side: int) -> np.ndarray | None:
    """The face's texture (side, side, 3) uint8; none for a model without an atlas."""
    return None if model.uv is None else texture(face.photograph.image, model, face.result, side)


def figures(face: Face) -> dict[str, str]:
    """The fit in numbers, each with its name; no pose and no cost where the face was not fitted."""
    pitch, yaw, roll = (f"{float(angle):+z.1f}°" for angle in face.result.pose.euler_deg)
    fitted = {"yaw": yaw, "pitch": pitch, "roll": roll, "cost": f"{float(face.result.cost):.2f} mm²"}
    return (fitted if face.status.fitted else {}) | {"time": f"{1000 * face.seconds:.1f} ms"}


def in_words(face: Face) -> str:
    """Status and pose in a sentence or two."""
    status = face.status.sentence
    said = f"{status[0].upper()}{status[1:]}."
    if not face.status.fitted:
        return said
    return f"{said} The face is {face.result.pose.sentence}."


def changed(
    result: FitResult, pose_deg: Sequence[float], identity: Sequence[float], expression: dict[int, float]
) -> FitResult:
    """A fit with another pose (pitch, yaw, roll in degrees), its first identity coefficients and some of its expression
    coefficients, by their index, replaced."""
    alpha = result.identity.at[: len(identity)].set(jnp.asarray(identity, result.identity.dtype))
    beta = result.expression
    if expression:
        beta = beta.at[jnp.array(list(expression))].set(jnp.array(list(expression.values()), beta.dtype))
    rotation = rotation_from_euler(jnp.asarray(pose_deg, result.pose.rotation.dtype))
    return replace(result, identity=alpha, expression=beta, pose=replace(result.pose, rotation=rotation))


def draw_unsure(model: MorphableModel, face: Face) -> np.ndarray:
    """How far each part of the face may lie from its true place, as colours, (h, w, 3) uint8."""
    unsure = uncertainty(model, face.result, face.landmarks, face.options)
    return draw_uncertainty(model, face.result, np.asarray(unsure.vertex_std))


def draw_head(model: MorphableModel, result: FitResult, atlas: np.ndarray | None, side: int = HEAD_SIDE) -> np.ndarray:
    """The head in its pose in the middle of a picture (side, side, 3) uint8, textured or, without an atlas, of clay."""
    mean = np.asarray(model.mean)
    middle = (mean.min(axis=0) + mean.max(axis=0)) / 2
    zoom = HEAD_PART * side / np.ptp(mean[:, 1])
    turned = (model_vertices(model, result) - middle) @ np.asarray(result.pose.rotation).T
    vertices = zoom * turned + [side / 2, side / 2, 0]
    if atlas is not None:
        return draw_textured(model, vertices, atlas, side, side, background=GROUND)
    drawn = draw_mesh(vertices, np.asarray(model.triangles), side, side, CLAY)
    return (255 * drawn[..., :3] + GROUND * (1 - drawn[..., 3:]) + 0.5).astype(np.uint8)


def write_head(path: Path, model: MorphableModel, result: FitResult, atlas: np.ndarray | None) -> Path:
    """Write a head to a mesh file, of the kind that the suffix names; returns the path."""
    write_mesh(path, model, result, atlas)
    return path


def write_files(folder: Path, model: MorphableModel, face: Face) -> list[Path]:
    """Write a face's ``face.glb``, ``face-obj.zip`` (the OBJ with its material and texture) and ``fit.json``."""
    atlas = bake(model, face, SAVED_ATLAS)
    glb = write_head(folder / "face.glb", model, face.result, atlas)
    parts = folder / "obj"
    parts.mkdir(exist_ok=True)
    write_head(parts / "face.obj", model, face.result, atlas)
    archive = Path(shutil.make_archive(str(folder / "face-obj"), "zip", parts))
    record = folder / "fit.json"
    about = {"source": face.photograph.name, "face": face.index, "detector": face.landmarks.detector}
    write_json(record, model, face.result, options=asdict(face.options), box=box(face.landmarks), **about)
    return [glb, archive, record]
