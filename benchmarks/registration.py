"""Non-rigid ICP, ours beside trimesh's: ``PYTHONPATH=tests python -m benchmarks.registration ict_face.npz``.

Heads of the ICT Face Model Light, its mean and random people, re-meshed to 5,000 vertices, are drawn onto its mean.
Both registrations begin after the same similarity, with the same open mouths and the same 68 points; trimesh's takes
the vertex nearest to each and its own steps. ``place`` is the rms distance in mm from where a vertex
is found to where it truly lies, ``moves`` the rms difference between what the 57 expressions do at the two, over the
vertices that they move by more than 0.5 mm, and ``cpu`` the seconds of processor time.
"""

import argparse
import time
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import trimesh
from remeshed import remeshed
from rich.console import Console
from rich.table import Table

import jaxface
from jaxface.model.registration import register, shape_of
from jaxface.model.surfaces import Surface

PEOPLE = (None, 11, 12)
VERTICES, MOVING_MM = 5000, 0.5


def rms(vectors: np.ndarray) -> float:
    """Of the lengths of vectors (n, 3)."""
    return float(np.sqrt(np.square(vectors).sum(axis=-1).mean()))


def head(ict, person: int | None):
    """A re-meshed head whose one identity component holds where on the mean face each vertex lies."""
    weights = np.random.default_rng(person).normal(size=ict.identity.shape[-1]) * (person is not None)
    face = ict.vertices(jnp.asarray(weights, jnp.float32), jnp.zeros(ict.expression.shape[-1]))
    return remeshed(replace(ict, mean=face, identity=ict.mean[..., None]), VERTICES)


def errors(other, target, moves: np.ndarray, registration, found) -> tuple[float, float]:
    """``place`` and ``moves`` of a registration that has found the skin's vertices on the target."""
    corners = registration.target.triangles
    place = found.interpolate(target.vertices[registration.target_skin], corners)
    moved = found.interpolate(moves[registration.target_skin], corners)
    true_place = np.asarray(other.identity)[registration.skin, :, 0]
    true_moves = np.asarray(other.expression)[registration.skin]
    moving = np.linalg.norm(true_moves, axis=1) > MOVING_MM
    apart = (moved - true_moves).swapaxes(1, 2)
    return rms((place - true_place)[moving.any(axis=1)]), rms(apart[moving])


def drawn_by_trimesh(template, target, registration) -> np.ndarray:
    """The template's skin (n, 3) mm drawn by ``nricp_amberg``, with its steps as they come."""
    mesh = lambda surface: trimesh.Trimesh(surface.vertices, surface.triangles, process=False)
    points = template.anchors[:, registration.skin].toarray().argmax(axis=1)
    places = target.anchors[:, registration.target_skin] @ registration.target.vertices
    drawn = trimesh.registration.nricp_amberg(mesh(registration.surface), mesh(registration.target), points, places)
    return np.asarray(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare two non-rigid ICPs.")
    parser.add_argument("ict", help="ICT Face Model Light: ict_face.npz or the folder FaceXModel")
    ict = jaxface.load_model(parser.parse_args().ict)
    target, moves = shape_of(ict), np.asarray(ict.expression)
    table = Table("head", "by", "place mm", "moves mm", "cpu s")
    for person in PEOPLE:
        other = head(ict, person)
        template = shape_of(other)
        start = time.process_time()
        ours = register(template, target)
        middle = time.process_time()
        drawn = drawn_by_trimesh(template, target, ours)
        seconds = middle - start, time.process_time() - middle
        found = ours.target.closest(drawn, Surface(drawn, ours.surface.triangles).vertex_normals)
        for by, where, took in zip(("jaxface", "trimesh"), (ours.found, found), seconds, strict=True):
            name = "mean" if person is None else f"person {person}"
            table.add_row(name, by, *(f"{x:.2f}" for x in errors(other, target, moves, ours, where)), f"{took:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
