"""One person in many pictures: ``python -m benchmarks.sequence ict_face.npz [--drawn]``.

``identity``: random people of the ICT Face Model Light, each in eight pictures from -50 to 50 degrees of yaw with an
expression of its own, fitted picture by picture and together. The error is that of the face at rest, within 85 mm of
the nose tip. With landmarks of the model itself and 2 mm of noise on each number, the model fitted is the people's
own, and the error is the root mean square distance between vertices after a similarity. ``--drawn`` fits the embedded
model to pictures that MediaPipe looks at, with the distance from surface to surface after a similarity ICP.

``steadiness``: the demo photograph in moving crops with noise, where the face is still but for the crop's motion; and
a head of the embedded model with that photograph's texture, drawn as it turns, speaks and blinks. ``jitter`` is the
root mean square motion of vertices from frame to frame, as a part of that when each frame is fitted by itself;
``yaw`` the mean and the largest error in degrees; ``jaw`` and ``blink`` the part of the true motion that is followed.
"""

import argparse
from importlib.resources import files

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

import jaxface
from jaxface import Landmarks
from jaxface.camera import project, rotation_from_euler
from jaxface.detection.faces import stacked
from jaxface.detection.registry import opened
from jaxface.detection.tracking import Tracker
from jaxface.evaluation.alignment import refine, scan_to_mesh, undone
from jaxface.evaluation.cropping import within
from jaxface.evaluation.distances import ExactSurface, rmse
from jaxface.evaluation.protocols import CROP_MM
from jaxface.fitting import sequence, shared_shape
from jaxface.model.correspondences import NOSE_TIP
from jaxface.model.registration import similarity
from jaxface.rendering.shading import draw_mesh
from jaxface.rendering.texture import texture
from jaxface.rendering.textured import draw_textured
from jaxface.types import PAPER

YAWS = np.linspace(-50, 50, 8)
NOISE_MM, PIXELS_A_MM, SIDE = 2.0, 1.7, 512
SKIN_VERTICES = 9409
"""Of ICT's vertices the first are the face's skin."""
SHARES = (0.0, 0.02, 0.1, 1.0)
SMOOTHNESSES = (0.0, 1.0, 4.0, 5.5, 10.0)
FRAMES, SENSOR_NOISE = 90, 3.0
SINGLE = jaxface.FitOptions(PAPER)
"""What a sequence is compared with: the same method, picture by picture."""
JAW, BLINK = ((62, 66),), ((37, 41), (43, 47))
"""Pairs of the 68 points that part as the jaw opens, and that meet as the eyes close."""


def singly(model, faces: Landmarks) -> jaxface.FitResult:
    return jaxface.fit_batch(model, faces, SINGLE)


def people(ict, count: int, odd: bool):
    """Random people: their vertices at rest, and those of eight pictures in the camera frame, in pixels."""
    basis, motion = np.asarray(ict.identity), np.asarray(ict.expression)
    for index in range(count):
        rng = np.random.default_rng(2 * index + odd)
        rest = np.asarray(ict.mean) + basis @ rng.normal(size=basis.shape[-1]).astype(np.float32)
        pictures = []
        for yaw in YAWS:
            expression = np.zeros(motion.shape[-1], np.float32)
            expression[rng.choice(len(expression), 4, replace=False)] = rng.uniform(0, 0.5, 4)
            turn = rotation_from_euler(jnp.array([rng.normal(0, 8), yaw, rng.normal(0, 5)]))
            pictures.append((rest + motion @ expression, np.asarray(turn)))
        yield rest, pictures, rng


def seen(ict, pictures, rng) -> Landmarks:
    """The true landmarks with noise."""
    faces = []
    for mesh, turn in pictures:
        points = np.asarray(ict.landmark_positions(jnp.asarray(mesh), "ibug68")) @ turn.T
        xy, xyz = (points + NOISE_MM * rng.normal(size=points.shape) for _ in range(2))
        faces.append(Landmarks((PIXELS_A_MM * xy[:, :2]).astype(np.float32), (PIXELS_A_MM * xyz).astype(np.float32)))
    return stacked(faces)


def photograph(mesh, triangles, rotation):
    """A lit, skin-coloured picture (H, W, 3) uint8 of a mesh."""
    placed = PIXELS_A_MM * mesh @ rotation.T + (SIDE / 2, SIDE / 2, 0)
    drawn = draw_mesh(placed, triangles, SIDE, SIDE, np.array([0.87, 0.68, 0.58]))
    return (255 * (drawn[..., :3] + 0.6 * (1 - drawn[..., 3:]))).astype(np.uint8)


def surface_error(true, true_landmarks, mesh, triangles, mesh_landmarks):
    """Root mean square distance from true points (n, 3) to a mesh after a similarity ICP, in the truth's mm."""
    surface = ExactSurface(mesh, triangles)
    placed = refine(similarity(mesh_landmarks, true_landmarks), scan_to_mesh(true, surface), scaled=True)
    return placed.scale * rmse(surface.closest(undone(placed, true)).distance)


def drawn(detector, ict, pictures) -> Landmarks | None:
    """What MediaPipe finds in drawn pictures, or nothing where it misses one."""
    faces = []
    for mesh, turn in pictures:
        centre = np.asarray(ict.landmark_positions(jnp.asarray(mesh), "ibug68")).mean(axis=0)
        faces += detector.detect(photograph(mesh - centre, np.asarray(ict.triangles), turn))[:1]
    return stacked(faces) if len(faces) == len(pictures) else None


def identity(path: str, count: int, odd: bool, from_pictures: bool) -> Table:
    ict, embedded = jaxface.load_model(path), jaxface.load_model()
    model = embedded if from_pictures else ict
    points = lambda of, mesh: np.asarray(of.landmark_positions(jnp.asarray(mesh), "ibug68"))
    near = np.flatnonzero(within(np.asarray(ict.mean)[:SKIN_VERTICES], points(ict, ict.mean)[NOSE_TIP], CROP_MM))[::5]

    def error(rest, coefficients) -> float:
        fitted = np.asarray(model.mean + model.identity @ coefficients)
        if from_pictures:
            return surface_error(
                rest[near], points(ict, rest), fitted, np.asarray(model.triangles), points(model, fitted)
            )
        placed = similarity(fitted[near], rest[near])
        return placed.scale * np.sqrt(np.mean(np.sum((undone(placed, rest[near]) - fitted[near]) ** 2, axis=1)))

    with opened("mediapipe") as detector:
        cases = []
        for rest, pictures, rng in track(people(ict, count, odd), "seeing", total=count):
            found = drawn(detector, ict, pictures) if from_pictures else seen(ict, pictures, rng)
            cases += [(rest, found)] if found else []
    alone = np.mean([error(rest, one) for rest, faces in cases for one in singly(model, faces).identity])
    none = np.mean([error(rest, jnp.zeros(model.identity.shape[-1])) for rest, _ in cases])
    kind = "drawn pictures, embedded model" if from_pictures else "landmarks with noise, ICT model"
    table = Table("fitted", "error mm", "of one picture's", title=f"identity, {len(cases)} people, {kind}")
    table.add_row("mean face", f"{none:.3f}", "")
    table.add_row("one picture", f"{alone:.3f}", "1")
    chosen = shared_shape.SHARED_ERROR
    for share in SHARES:
        shared_shape.SHARED_ERROR = share
        jax.clear_caches()
        joint = np.mean([error(rest, jaxface.fit_sequence(model, faces).identity[0]) for rest, faces in cases])
        name = f"eight, shared error {share}" + (" (the default)" if share == chosen else "")
        table.add_row(name, f"{joint:.3f}", f"{joint / alone:.2f}")
    shared_shape.SHARED_ERROR = chosen
    return table


def noisy(picture, rng) -> np.ndarray:
    return (picture + rng.normal(0, SENSOR_NOISE, np.shape(picture))).clip(0, 255).astype(np.uint8)


def still(detector, rng) -> Landmarks:
    """The demo photograph's face in moving crops, the crop's motion undone."""
    whole = Image.open(files("jaxface.assets") / "astronaut.png").convert("RGB").resize((900, 900))
    tracker, faces = Tracker(detector), []
    for frame in range(FRAMES):
        x, y = np.float32(60 + 60 * np.sin(frame / 15)), np.float32(40 + 30 * np.cos(frame / 11))
        crop = whole.transform((640, 480), Image.Transform.AFFINE, (1, 0, x, 0, 1, y), Image.Resampling.BICUBIC)
        (face,) = tracker.update(noisy(crop, rng))
        faces.append(Landmarks(face.xy + [x, y], face.xyz + np.array([x, y, 0], np.float32)))
    return stacked(faces)


def turning(model, detector, rng):
    """A drawn head that turns by up to 2.5 degrees a frame, speaks four times a second and blinks."""
    image = jaxface.read_image(files("jaxface.assets") / "astronaut.png")
    atlas = texture(image, model, jaxface.fit(model, detector.detect(image)[0], SINGLE))
    head = jnp.asarray(rng.normal(size=model.identity.shape[-1]), jnp.float32)
    jaw = model.expression_names.index("jawOpen")
    eyes = [model.expression_names.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
    tracker, faces, yaws, expressions = Tracker(detector), [], [], []
    for frame in range(FRAMES):
        angles = np.array([5 * np.sin(frame / 9), 30 * np.sin(2 * np.pi * frame / 75), 4 * np.cos(frame / 12)])
        expression = np.zeros(model.expression.shape[-1], np.float32)
        expression[jaw] = 0.3 + 0.3 * np.sin(2 * np.pi * frame / 7.5)
        expression[eyes] = frame % 30 in (10, 11, 12, 13)
        middle = jnp.array([320 + 40 * np.sin(frame / 20), 250.0])
        mesh = model.vertices(head, jnp.asarray(expression))
        placed = project(mesh, jnp.float32(2.0), rotation_from_euler(jnp.array(angles)), middle)
        (face,) = tracker.update(
            noisy(draw_textured(model, np.asarray(placed), atlas, 480, 640, background=155.0), rng)
        )
        faces.append(face), yaws.append(angles[1]), expressions.append(expression)
    return stacked(faces), np.array(yaws), np.array(expressions)


def steadiness() -> Table:
    model, rng = jaxface.load_model(), np.random.default_rng(0)
    with opened("mediapipe") as detector:
        fixed = still(detector, rng)
        moving, yaws, expressions = turning(model, detector, rng)
    motion = np.asarray(model.at_landmarks("ibug68").basis)[..., model.identity.shape[-1] :]

    def jitter(result) -> float:
        mesh = np.asarray(jaxface.vertices(model, result, camera=True))[:, ::40, :2]
        return np.sqrt(np.mean(np.sum(np.diff(mesh, axis=0) ** 2, axis=-1)))

    def opening(expression, pairs):
        points = np.einsum("lcn,fn->flc", motion, np.asarray(expression))[..., 1]
        return sum(points[:, above] - points[:, below] for above, below in pairs)

    def row(name, fitted_still, fitted_moving, first):
        off = np.abs(np.asarray(fitted_moving.pose.euler_deg)[:, 1] - yaws)
        followed = (
            np.polyfit(opening(expressions, pairs), opening(fitted_moving.expression, pairs), 1)[0]
            for pairs in (JAW, BLINK)
        )
        return [
            name,
            f"{jitter(fitted_still) / first:.3f}",
            f"{off.mean():.1f} / {off.max():.1f}",
            *(f"{part:.2f}" for part in followed),
        ]

    table = Table("fitted", "jitter", "yaw °", "jaw", "blink", title=f"steadiness, {FRAMES} frames at 30 a second")
    alone = singly(model, fixed), singly(model, moving)
    first = jitter(alone[0])
    table.add_row(*row("frame by frame", *alone, first))
    for smoothness in SMOOTHNESSES:
        both = (jaxface.fit_sequence(model, faces, smoothness=smoothness) for faces in (fixed, moving))
        name = f"smoothness {smoothness:g}" + (" (video's default)" if smoothness == sequence.SMOOTHNESS else "")
        table.add_row(*row(name, *both, first))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ict", help="ict_face.npz")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--odd", action="store_true", help="the people to report on, not those to choose by")
    parser.add_argument("--drawn", action="store_true", help="also from pictures that MediaPipe looks at; minutes")
    asked = parser.parse_args()
    console = Console()
    console.print(steadiness())
    for from_pictures in (False, True)[: 1 + asked.drawn]:
        console.print(identity(asked.ict, asked.people, asked.odd, from_pictures))


if __name__ == "__main__":
    main()
