"""How much of a face MediaPipe's points hold: ``python -m benchmarks.ceiling ict_face.npz [--model ict_face.npz]``.

The best linear guess at a face from its points, without a fit: ridge regression, learned from drawn people of the
fitted model and tried on the ICT people that ``jaxface ablation`` reports on. It learns how the detector answers to a
face, how its errors go together, and which expressions these people make.

A face's 3D points are first placed on the embedded model's mean face by a similarity, so that neither pose nor size is
told. Each face is learned anew, mostly from people whose placed points show a yaw within ``WIDTH`` degrees of its own;
everybody is learned from twice, once mirrored. The cells are ``micc85``'s error; ``of the true size`` is a face scaled
until its 68 points are as far apart as the person's.
"""

import argparse

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from scipy.spatial import cKDTree

import jaxface
from jaxface.camera import euler_deg
from jaxface.cli.ablation import table
from jaxface.evaluation.ablation import ShapeError, by_yaw
from jaxface.evaluation.subjects import subjects
from jaxface.model.correspondences import IBUG68_FROM_MEDIAPIPE478, MEDIAPIPE478_MIRROR
from jaxface.model.registration import similarity
from jaxface.pipelines.calibrating import detected

WIDTH = 15.0
"""Standard deviation of the weight that people have by their yaw."""
NOISE = {68: 1.0, 478: 10.0}
"""By the number of points, the ridge in mm²; chosen by the error on other people of the embedded model."""
_LIGHTEST = 0.02
"""Who weighs less is left out."""


def placed(points: np.ndarray, number: int):
    """Of points (n, 478, 3) ``number``, on the mean face and less it, (n, 3 number) mm; and the yaw (n,) they show."""
    kept = IBUG68_FROM_MEDIAPIPE478 if number == 68 else slice(None)
    face = jaxface.load_model()
    mean = np.asarray(face.landmark_positions(face.mean, "mediapipe478"), np.float64)[kept]
    points = points[:, kept].astype(np.float64)
    onto = [similarity(own, mean) for own in points]
    rotation = np.stack([one.rotation.T for one in onto]).astype(np.float32)
    moved = np.stack([one(own) - mean for one, own in zip(onto, points, strict=True)])
    return moved.reshape(len(points), -1), np.asarray(euler_deg(jnp.asarray(rotation)))[:, 1]


def coefficients(model, meshes: np.ndarray) -> np.ndarray:
    """Those (n, N) of meshes (n, V, 3), mirrored ones among them."""
    basis = np.concatenate([model.identity, model.expression], axis=-1).reshape(model.mean.size, -1)
    moved = (meshes - np.asarray(model.mean)).reshape(len(meshes), -1)
    return np.linalg.solve(basis.T @ basis, basis.T @ moved.T).T


class Guess:
    """Coefficients by ridge regression from the points (n, 478, 3) of people of known coefficients (n, N)."""

    def __init__(self, points: np.ndarray, known: np.ndarray, number: int):
        self._number, self._known = number, known
        self._points, self._yaw = placed(points, number)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return np.stack([self._one(*face) for face in zip(*placed(points, self._number), strict=True)])

    def _one(self, point: np.ndarray, yaw: float) -> np.ndarray:
        weight = np.exp(-(((self._yaw - yaw) / WIDTH) ** 2) / 2)
        near = weight > _LIGHTEST
        root = np.sqrt(weight[near] / weight[near].sum())[:, None]
        line = root * np.stack([np.ones(near.sum()), (self._yaw[near] - yaw) / WIDTH], axis=1)
        both = root * np.concatenate([self._points[near], self._known[near]], axis=1)
        mean = np.linalg.lstsq(line, both, rcond=None)[0]
        off, known = np.split(both - line @ mean, [len(point)], axis=1)
        middle, usual = np.split(mean[0], [len(point)])
        share = np.linalg.solve(off @ off.T + NOISE[self._number] * np.eye(len(off)), off @ (point - middle))
        return usual + share @ known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ict", help="the ICT Face Model Light, whose people are guessed at")
    parser.add_argument("--model", help="the model whose faces are the guesses; without it the embedded one")
    parser.add_argument("--learn", type=int, default=300, help="from so many people")
    parser.add_argument("--people", type=int, default=200)
    asked = parser.parse_args()
    model, ict = jaxface.load_model(asked.model), jaxface.load_model(asked.ict)
    own, others = subjects(model, asked.learn), subjects(ict, asked.people, odd=True)
    (learned, met), (seen, found) = (detected(who, "mediapipe", "mediapipe478") for who in (own, others))
    points = np.concatenate([learned.xyz, learned.xyz[:, MEDIAPIPE478_MIRROR] * [-1, 1, 1]])
    across = cKDTree(model.mean).query(model.mean * np.array([-1, 1, 1]))[1]
    meshes = own.vertices[met]
    known = coefficients(model, np.concatenate([meshes, meshes[:, across] * [-1, 1, 1]]))

    error, yaw = ShapeError(model, others, np.nonzero(found)[0]), others.yaw[found]
    size = lambda points: np.sqrt(np.square(points - points.mean(axis=1, keepdims=True)).sum(axis=(1, 2)))
    true = size(others.points()[found])
    guesses = {"mean face": np.zeros((len(yaw), known.shape[1]))}
    guesses |= {f"{number} points": Guess(points, known, number)(seen.xyz) for number in NOISE}
    rows = {}
    for name, guess in guesses.items():
        split = jnp.split(jnp.asarray(guess, jnp.float32), [model.identity.shape[-1]], axis=1)
        faces = model.vertices(*split)
        scale = true / size(np.asarray(model.landmark_positions(faces, "ibug68")))
        rows[name] = by_yaw(error(np.asarray(faces)), yaw)
        rows[f"{name}, of the true size"] = by_yaw(error(np.asarray(faces) * scale[:, None, None]), yaw)
    console = Console(width=160)
    console.print(f"people of {ict.name}, faces of {model.name}")
    console.print(table("micc85 mm", rows))


if __name__ == "__main__":
    main()
