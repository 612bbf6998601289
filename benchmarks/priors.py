"""Choose λα and λβ of Eq. 10: ``python -m benchmarks.priors ict_face.npz``.

Random people of the ICT Face Model Light, none of whom the embedded model knows, are drawn with an expression at
several yaws, found by MediaPipe, and fitted for a grid of priors. A fit's error is the root mean square distance from
the true face, within 85 mm of the nose tip, to the fitted surface after a similarity ICP. Even seeds are for
choosing; ``--odd`` draws others, to report on.

The file is ICT-VGL/ICT-FaceKit's model (MIT): ``neutral`` (V, 3) in cm, ``identity`` (100, V, 3), ``expression``
(57, V, 3), ``tri`` (F, 3), ``landmarks68`` (68,); the first 9,409 vertices are the face's skin.
"""

import argparse
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import jaxface
from jaxface.camera import rotation_from_euler
from jaxface.detection.registry import opened
from jaxface.evaluation.alignment import refine, scan_to_mesh, undone
from jaxface.evaluation.cropping import within
from jaxface.evaluation.distances import ExactSurface, rmse
from jaxface.model.registration import similarity
from jaxface.rendering.shading import draw_mesh

YAWS = (0.0, 20.0, 40.0, 55.0)
PRIORS = (1.0, 3.0, 10.0, 30.0, 100.0)
SKIN_VERTICES, NOSE_TIP, CROP_MM = 9409, 30, 85.0
PICTURE_SIDE, PIXELS_A_MM = 512, 1.7


def subjects(path: str, count: int, odd: bool):
    """Random people with an expression: vertices (V, 3) in mm around the landmarks' mean, at each yaw."""
    with np.load(path) as ict:
        data = {name: ict[name] for name in ("neutral", "identity", "expression", "tri", "landmarks68")}
    for index in range(count):
        rng = np.random.default_rng(2 * index + odd)
        identity, expression = rng.normal(size=100), np.zeros(57)
        expression[rng.choice(57, 4, replace=False)] = rng.uniform(0, 0.5, 4)
        mesh = data["neutral"] + np.tensordot(identity, data["identity"], 1)
        mesh = 10 * (mesh + np.tensordot(expression, data["expression"], 1))
        mesh -= mesh[data["landmarks68"]].mean(axis=0)
        for yaw in YAWS:
            angles = jnp.array([rng.normal(0, 5), yaw * rng.choice([-1, 1]), rng.normal(0, 5)])
            yield mesh, data["tri"], data["landmarks68"], abs(yaw), np.asarray(rotation_from_euler(angles))


def photograph(mesh, triangles, rotation):
    """A lit, skin-coloured picture (H, W, 3) uint8 of a mesh."""
    placed = PIXELS_A_MM * mesh @ rotation.T + (PICTURE_SIDE / 2, PICTURE_SIDE / 2, 0)
    drawn = draw_mesh(placed, triangles, PICTURE_SIDE, PICTURE_SIDE, np.array([0.87, 0.68, 0.58]))
    return (255 * (drawn[..., :3] + 0.6 * (1 - drawn[..., 3:]))).astype(np.uint8)


def surface_error(true, true_landmarks, mesh, triangles, mesh_landmarks):
    """Root mean square distance from true points (n, 3) to a mesh after a similarity ICP, in the truth's mm."""
    surface = ExactSurface(mesh, triangles)
    placed = refine(similarity(mesh_landmarks, true_landmarks), scan_to_mesh(true, surface), scaled=True)
    return placed.scale * rmse(surface.closest(undone(placed, true)).distance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ict", help="ict_face.npz")
    parser.add_argument("--subjects", type=int, default=40)
    parser.add_argument("--odd", action="store_true", help="the subjects to report on, not those to choose by")
    parser.add_argument("--scheme", default="ibug68", choices=["ibug68", "mediapipe478"])
    asked = parser.parse_args()
    model = jaxface.load_model()
    cases, faces = [], []
    with opened("mediapipe", asked.scheme) as detector:
        for mesh, triangles, landmarks68, yaw, rotation in track(
            subjects(asked.ict, asked.subjects, asked.odd), "drawing", total=asked.subjects * len(YAWS)
        ):
            if found := detector.detect(photograph(mesh, triangles, rotation)):
                skin = mesh[:SKIN_VERTICES]
                near = within(skin, mesh[landmarks68[NOSE_TIP]], CROP_MM)
                cases.append((skin[near][::5], mesh[landmarks68], yaw))
                faces.append(found[0])
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), *faces)
    yaws = np.array([yaw for *_, yaw in cases])
    triangles = np.asarray(model.triangles)

    def errors(result):
        meshes = np.asarray(jaxface.vertices(model, result))
        at = np.asarray(model.landmark_positions(jnp.asarray(meshes), "ibug68"))
        return np.array(
            [
                surface_error(true, landmarks, mesh, triangles, points)
                for (true, landmarks, _), mesh, points in zip(cases, meshes, at, strict=True)
            ]
        )

    def row(name, values):
        return [*name, f"{values.mean():.3f}", *(f"{values[yaws == yaw].mean():.3f}" for yaw in YAWS)]

    table = Table(title=f"surface error, mm, {len(cases)} pictures of {asked.subjects} people, {asked.scheme}")
    for name in ("λα", "λβ", "all", *(f"yaw {yaw:.0f}" for yaw in YAWS)):
        table.add_column(name, justify="right")
    blank = jaxface.fit_batch(model, batch, jaxface.FitOptions(identity_prior=1e9, expression_prior=1e9))
    table.add_row(*row(("mean", "face"), errors(blank)))
    for prior in track(list(product(PRIORS, PRIORS)), "fitting"):
        options = jaxface.FitOptions(identity_prior=prior[0], expression_prior=prior[1])
        table.add_row(*row(map(str, prior), errors(jaxface.fit_batch(model, batch, options))))
    Console().print(table)


if __name__ == "__main__":
    main()
