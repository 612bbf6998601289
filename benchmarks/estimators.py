"""Which estimator of a face's error to trust: ``python -m benchmarks.estimators ict_face.npz``.

Pairs of faces of the ICT Face Model Light: a random person, and a guess at it, the same coefficients shrunk and
disturbed. The vertices of both correspond, so the true error is known: their mean distance after the best similarity,
within 85 mm of the nose tip. Each protocol sees two meshes that it knows nothing of. ``correlation`` is that of its
mean distance with the true one over the pairs, ``ratio`` its part of it, ``seconds`` the median time of a pair.
``--subdivided`` cuts every triangle in four: 37,281 vertices, over 20,000 of them measured.

The file is ICT-VGL/ICT-FaceKit's model (MIT): ``neutral`` (V, 3) in cm, ``identity`` (100, V, 3), ``tri`` (F, 3),
``landmarks68`` (68,).
"""

import argparse
import time

import numpy as np
import trimesh
from rich.console import Console
from rich.progress import track
from rich.table import Table

from jaxface.evaluation import PROTOCOLS, Face
from jaxface.evaluation.cropping import within
from jaxface.evaluation.protocols import CROP_MM
from jaxface.model.registration import similarity

SKIN_VERTICES = 9409
"""The first of the file: the face's skin."""


def pairs(path: str, count: int, subdivided: bool):
    """A guess and a truth, as often as asked for."""
    with np.load(path) as data:
        neutral, identity = 10 * data["neutral"][:SKIN_VERTICES], 10 * data["identity"][:, :SKIN_VERTICES]
        triangles, landmarks = data["tri"].astype(np.int64), data["landmarks68"]
    triangles = triangles[(triangles < SKIN_VERTICES).all(axis=1)]

    def face(name, coefficients):
        vertices = (neutral + np.tensordot(coefficients, identity, 1)).astype(np.float64)
        mesh = trimesh.remesh.subdivide(vertices, triangles) if subdivided else (vertices, triangles)
        return Face(name, *mesh, vertices[landmarks])

    for seed in range(count):
        rng = np.random.default_rng(seed)
        person, other = rng.normal(size=(2, 100))
        guess = rng.uniform(0.2, 0.9) * person + rng.uniform(0, 0.8) * other * (rng.random(100) < 0.3)
        yield face("guess", guess), face("truth", person)


def true_error(guess: Face, truth: Face) -> float:
    """Mean distance in mm of the vertices that correspond."""
    kept = within(guess.vertices, guess.nose_tip, CROP_MM)
    points, true = guess.vertices[kept], truth.vertices[kept]
    return np.linalg.norm(similarity(points, true)(points) - true, axis=1).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ict", help="ict_face.npz")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--subdivided", action="store_true")
    asked = parser.parse_args()
    known, found, seconds = [], [], []
    for guess, truth in track(pairs(asked.ict, asked.pairs, asked.subdivided), "measuring", total=asked.pairs):
        known.append(true_error(guess, truth))
        row, times = [], []
        for protocol in PROTOCOLS.values():
            started = time.perf_counter()
            row.append(protocol.measure(guess, truth).distances.mean())
            times.append(time.perf_counter() - started)
        found.append(row)
        seconds.append(times)
    table = Table(
        "protocol", "correlation", "ratio", "seconds", title=f"{asked.pairs} pairs of {len(truth.vertices)} vertices"
    )
    for name, values, times in zip(PROTOCOLS, np.transpose(found), np.transpose(seconds), strict=True):
        numbers = np.corrcoef(known, values)[0, 1], values.mean() / np.mean(known), np.median(times)
        table.add_row(name, *(f"{number:.2f}" for number in numbers))
    Console().print(table)


if __name__ == "__main__":
    main()
