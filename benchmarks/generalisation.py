"""How well a face model's identity describes people that it does not know:
``python -m benchmarks.generalisation ict_face.npz [sfm_shape_3448.bin]``.

Random people of the ICT Face Model Light are carried onto a model's mesh: the model's mean is registered to ICT's once,
which gives every vertex its point on ICT's skin, and so on each person's. Each is then fitted with the model's identity
and a similarity, vertex to vertex, at the prior under which the coefficients are as likely as the distances. The error
is the root mean square distance within 85 mm of the tip of the nose, at vertices that have a counterpart.

``fitted`` asks for the whole face; ``fitted, less the means`` first takes off how the two mean faces differ, and asks
only for what makes a person differ from the mean. The unfitted mean face's error stands beside both.

A second table says how well the models' own faces hold together: the part of the triangles within the same 85 mm that
look the other way than on the mean, for random people, for people 3 sigma from the mean in one random trait
(``jaxface.rendering.components.extreme``), and with all coefficients three times as large as people's.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import jaxface
from jaxface.evaluation.alignment import undone
from jaxface.evaluation.protocols import CROP_MM
from jaxface.model.correspondences import NOSE_TIP
from jaxface.model.registration import register, shape_of, similarity
from jaxface.model.surfaces import triangle_normals
from jaxface.rendering.components import extreme

SUBJECTS = 200
NOISE_MM = 1.0
"""Distances that are as likely as coefficients of 1: the fit is the maximum a posteriori under both."""
ROUNDS = 5


class Correspondence:
    """A model's vertices near the face that have a counterpart on ICT's skin: ``inside`` (n,), and people there."""

    def __init__(self, model, ict):
        template, target = shape_of(model), shape_of(ict)
        found = register(template, target)
        near = np.linalg.norm(template.vertices[found.skin] - template.places[NOSE_TIP], axis=1) < CROP_MM
        sure = near & (found.found.distance < 2.0) & (found.found.cosine > 0.7) & ~found.found.on_rim
        self.inside = found.skin[sure]
        self._corners = found.target_skin[found.target.triangles[found.found.triangle[sure]]]
        self._barycentric = found.found.barycentric[sure]

    def on_ict(self, vertices: np.ndarray) -> np.ndarray:
        """The counterparts (n, 3) on an ICT mesh (V, 3)."""
        return np.einsum("nk,nkc->nc", self._barycentric, vertices[self._corners])


def placed_error(face: np.ndarray, points: np.ndarray) -> float:
    """Rms distance, mm, of a similarity of a face (n, 3) to points (n, 3)."""
    return float(np.sqrt(np.square(similarity(face, points)(face) - points).sum(axis=1).mean()))


class Fit:
    """The faces ``mean + basis @ coefficients`` (n, 3) of a model, each after a similarity, closest to given points."""

    def __init__(self, mean: np.ndarray, basis: np.ndarray):
        self.mean, self.flat = mean, basis.reshape(mean.size, basis.shape[-1])
        normal = self.flat.T @ self.flat + NOISE_MM**2 * np.eye(self.flat.shape[1])
        self.gain = np.linalg.solve(normal, self.flat.T)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        face = self.mean
        for _ in range(ROUNDS):
            wanted = undone(similarity(face, points), points) - self.mean
            face = self.mean + (self.flat @ (self.gain @ wanted.ravel())).reshape(-1, 3)
        return face


def folds(model, people: int = 50) -> list[float]:
    """Percent of the face's triangles that turn over: at 1 sigma, at 3 sigma in one trait, and at 3 sigma in all."""
    mean, basis, triangles = (np.asarray(field) for field in (model.mean, model.identity, model.triangles))
    tip = np.asarray(model.landmark_positions(model.mean, "ibug68"))[NOSE_TIP]
    face = triangles[(np.linalg.norm(mean - tip, axis=1) < CROP_MM)[triangles].all(axis=1)]
    own = triangle_normals(mean, face)
    turned = []
    for seed in range(people):
        rng = np.random.default_rng(seed)
        person = rng.normal(size=basis.shape[-1])
        drawn = [mean + basis @ coefficients for coefficients in (person, extreme(model, person, rng), 3 * person)]
        turned.append([100 * ((triangle_normals(vertices, face) * own).sum(axis=1) < 0).mean() for vertices in drawn])
    return np.mean(turned, axis=0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ict", help="ict_face.npz")
    parser.add_argument("others", nargs="*", help="further models to measure beside the embedded one")
    asked = parser.parse_args()
    ict = jaxface.load_model(asked.ict)
    mean, components = np.asarray(ict.mean, np.float64), np.asarray(ict.identity)
    coefficients = lambda seed: np.random.default_rng(seed).normal(size=components.shape[-1])
    people = [mean + components @ coefficients(seed) for seed in range(SUBJECTS)]
    table = Table(title=f"identity generalisation: rms error on {SUBJECTS} ICT faces, mm")
    errors = ("mean face", "fitted", "mean face, less the means", "fitted, less the means")
    for name in ("model", "components", "vertices", *errors):
        table.add_column(name, justify="left" if name == "model" else "right")
    models = [jaxface.load_model(source) for source in (None, *asked.others)]
    for model in models:
        where = Correspondence(model, ict)
        own, basis = (np.asarray(field, np.float64)[where.inside] for field in (model.mean, model.identity))
        common = where.on_ict(mean)
        offset = common - similarity(own, common)(own)
        fit = Fit(own, basis)
        rows = []
        for person in track(people, model.name):
            whole = where.on_ict(person)
            pairs = [(points, face) for points in (whole, whole - offset) for face in (own, fit(points))]
            rows.append([placed_error(face, points) for points, face in pairs])
        means = [f"{value:.2f}" for value in np.mean(rows, axis=0)]
        table.add_row(model.name, str(basis.shape[-1]), str(len(own)), *means)
    whole = Table(title="triangles of the face that turn over, %")
    for name in ("model", "random people", "3 sigma in one trait", "all coefficients tripled"):
        whole.add_column(name, justify="left" if name == "model" else "right")
    for model in (*models, ict):
        whole.add_row(model.name, *(f"{value:.2f}" for value in folds(model)))
    Console(width=140).print(table, whole)


if __name__ == "__main__":
    main()
