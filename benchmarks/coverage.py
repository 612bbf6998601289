"""How often a face lies where ``jaxface.uncertainty`` says: ``python -m benchmarks.coverage ict_face.npz``.

Random people of the ICT Face Model Light are fitted with that model, in which they lie, and with the embedded one, in
which they do not; from simulated landmarks and from those that MediaPipe finds on drawings of them. Each fitted face is
placed on its person by the rigid motion that brings corresponding vertices within 85 mm of the nose tip closest, and
each of these vertices' errors along x, y and z is held against its own standard deviation. The cells are the percent of
them within 1 and within 1.96 standard deviations: 68 and 95 are right. The embedded model's vertices correspond to
points of ICT's skin as ``benchmarks.generalisation`` finds them.

For each model and kind of landmarks a first row has the ``Errors`` that ``uncertainty`` comes with, a second one those
that fit the people of even seed best; both rows are of people of odd seed. All 478 points and the calibrated variant
are of the embedded model alone. ``error`` and ``deviation`` are root mean squares of errors and standard deviations
along an axis, also of each quarter of the vertices, from the surest on; ``toward`` and ``away`` are the vertices that
look to the viewer and from it. All errors of a person go together, so that who is in a bin sets its percents ``off by``
this standard error or less.
``--picture FILE`` writes what the demo photograph's fit is sure of, beside that of one turned to profile, instead.
"""

import argparse
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

import jaxface
from benchmarks.generalisation import Correspondence
from jaxface.calibration import CALIBRATED, load_calibration
from jaxface.camera import rotation_from_euler
from jaxface.evaluation.alignment import rigid
from jaxface.evaluation.noise import simulated
from jaxface.evaluation.protocols import CROP_MM
from jaxface.evaluation.subjects import subjects
from jaxface.fitting.uncertainty import Errors, usual_errors
from jaxface.model.correspondences import NOSE_TIP
from jaxface.model.registration import shape_of
from jaxface.pipelines.calibrating import detected, of_scheme
from jaxface.rendering.shading import vertex_normals
from jaxface.rendering.uncertainty_map import draw_uncertainty
from jaxface.types import PAPER, POINTS
from jaxface.weighting import adaptive_weights

DEVIATIONS, WANTED, ALLOWED = np.array([1.0, 1.96]), np.array([68.3, 95.0]), np.array([5.0, 3.0])
"""Half the width of an interval in standard deviations, the percent that it is to hold, and how far off is fair."""
EDGE = 0.2
"""How wide an interval's edge is to the choice of constants, in standard deviations."""
BINS = {"all": (0, 90)} | {f"{low}-{low + 15}°": (low, low + 15) for low in range(0, 76, 15)}
"""Of |yaw|."""
EVERY, AT_ONCE = 5, 8
"""So many vertices apart are looked at, and faces at once."""
UNKNOWN, UNIT = Errors(0.0, 0.0, 0.0), Errors(1.0, 1.0, 0.0)


class Measured(NamedTuple):
    """Errors (n, v, 3) mm of n fitted people along each axis, their ``yaw`` (n,), the part (n, 1, 1) of a quarter turn
    that the fits show, which vertices look ``away`` (n, v) from the viewer, and what the variance is made of: ``noise``
    a mm² of the landmarks', and the ``prior``."""

    error: np.ndarray
    yaw: np.ndarray
    turn: np.ndarray
    away: np.ndarray
    noise: np.ndarray
    prior: np.ndarray

    def variance(self, errors: Errors) -> np.ndarray:
        noise = (errors.front + (errors.profile - errors.front) * self.turn) ** 2
        return noise * self.noise + self.prior + errors.outside**2

    def apart(self, errors: Errors) -> np.ndarray:
        """The errors (n, v, 3) in standard deviations, without their signs."""
        return np.abs(self.error) / np.sqrt(self.variance(errors))

    def by_yaw(self, values: np.ndarray, bins) -> list[np.ndarray]:
        """Values (n, ...) of the people in each bin."""
        yaw = np.abs(self.yaw)
        return [values[(low <= yaw) & (yaw < high)] for low, high in bins]

    def coverage(self, errors: Errors, bins) -> np.ndarray:
        """Percent (bins, 2) of errors within each of ``DEVIATIONS``."""
        return _within(self.by_yaw(self.apart(errors), bins))

    def standard_error(self, errors: Errors, bins) -> np.ndarray:
        """Of ``coverage``, from how it differs between people."""
        groups = self.by_yaw(_within(self.apart(errors)), bins)
        return np.array([group.std(axis=0, ddof=1) / np.sqrt(len(group)) for group in groups])

    def by_side(self, errors: Errors) -> np.ndarray:
        """The same (2, 2) of vertices that look toward the viewer, and away."""
        apart = self.apart(errors)
        return _within((apart[~self.away], apart[self.away]))

    def by_sureness(self, errors: Errors) -> np.ndarray:
        """Root mean square deviation and error (4, 2), mm, of the vertices in quarters, from the surest on."""
        squares = np.stack([self.variance(errors).mean(axis=(0, 2)), np.square(self.error).mean(axis=(0, 2))], axis=-1)
        quarters = np.array_split(squares[np.argsort(squares[:, 0])], 4)
        return np.sqrt([quarter.mean(axis=0) for quarter in quarters])


def _within(groups) -> np.ndarray:
    return 100 * np.array([[(group < width).mean() for width in DEVIATIONS] for group in groups])


class Places:
    """Which vertices of a model are looked at, and where they are on people of ICT."""

    def __init__(self, model, ict):
        if model is ict:
            shape = shape_of(ict)
            near = np.linalg.norm(shape.vertices - shape.places[NOSE_TIP], axis=1) < CROP_MM
            self.inside = np.nonzero(near & (shape.part == shape.skin))[0]
            self.on_ict = lambda vertices: vertices[self.inside]
        else:
            found = Correspondence(model, ict)
            self.inside, self.on_ict = found.inside, found.on_ict

    def __call__(self, model, options: jaxface.FitOptions, people, landmarks, found) -> Measured:
        result = jaxface.fit_batch(model, landmarks, options)
        inside = self.inside[::EVERY]
        fitted = np.asarray(jaxface.vertices(model, result), np.float64)[:, inside]
        true = [self.on_ict(person.astype(np.float64))[::EVERY] for person in people.vertices[found]]
        error = np.array([rigid(mesh, goal)(mesh) - goal for mesh, goal in zip(fitted, true, strict=True)])

        def variance(errors):
            of = partial(jaxface.uncertainty, model, options=options, errors=errors)
            one = lambda fitted: of(*fitted).axis_std[inside] ** 2
            return np.asarray(jax.lax.map(one, (result, landmarks), batch_size=AT_ONCE))

        prior = variance(UNKNOWN)
        turn = np.minimum(np.abs(np.asarray(result.pose.euler_deg)[:, 1]) / 90, 1.0)
        normals = vertex_normals(np.asarray(model.mean), np.asarray(model.triangles))[inside]
        away = np.einsum("vc,nc->nv", normals, people.rotation[found][:, 2]) > 0
        return Measured(error, people.yaw[found], turn[:, None, None], away, variance(UNIT) - prior, prior)


def chosen(measured: Measured) -> Errors:
    """The errors whose coverage is nearest to what it should be, over all people and in each bin of yaw alike. A vertex
    at the edge of an interval counts by part, since whole counts have many least misses."""

    def miss(errors):
        apart = measured.apart(Errors(*errors))
        inside = (np.clip((width - apart) / EDGE + 0.5, 0, 1).mean(axis=(1, 2)) for width in DEVIATIONS)
        people = 100 * np.stack([*inside], axis=-1)
        percents = np.array([some.mean(axis=0) for some in measured.by_yaw(people, BINS.values())])
        return np.mean(((percents - WANTED) / ALLOWED) ** 2)

    closely = {"xatol": 1e-3, "fatol": 1e-5}
    found = minimize(miss, (4.0, 6.0, 1.0), method="Nelder-Mead", bounds=3 * [(0, None)], options=closely)
    return Errors(*found.x.tolist())


def picture() -> np.ndarray:
    """The demo photograph's fit by the paper's method, whose weights a yaw tells, and the same face in profile."""
    model = jaxface.load_model()
    face = jaxface.detect(jaxface.read_image(files("jaxface.assets") / "astronaut.png"))[0]
    result = jaxface.fit(model, face, jaxface.FitOptions(PAPER))
    angles = jnp.array([0.0, 75.0, 0.0])
    weight_2d, weight_3d = adaptive_weights(angles[1])
    pose = replace(result.pose, rotation=rotation_from_euler(angles))
    turned = replace(result, pose=pose, weight_2d=weight_2d, weight_3d=weight_3d)
    drawn = []
    for seen, caption in ((result, "as photographed"), (turned, "turned to 75°")):
        std = np.asarray(jaxface.uncertainty(model, seen).vertex_std)
        drawn.append(draw_uncertainty(model, seen, std, caption))
    return np.concatenate(drawn, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description="Coverage of intervals.")
    parser.add_argument("ict", nargs="?", help="ict_face.npz")
    parser.add_argument("--people", type=int, default=300, help="of even seed to choose by, and of odd seed")
    parser.add_argument("--picture", metavar="FILE", help="draw the demo photograph's, instead")
    asked = parser.parse_args()
    if asked.picture:
        Image.fromarray(picture()).save(asked.picture, quality=90)
        return
    if asked.ict is None:
        parser.error("takes ict_face.npz, or --picture FILE")
    ict = jaxface.load_model(asked.ict)
    noise = load_calibration("mediapipe", "ibug68")
    kinds = {
        "simulated": lambda people: (simulated(people, noise), np.ones(len(people), bool)),
        "mediapipe": partial(detected, detector="mediapipe", scheme="mediapipe478"),
        "mediapipe-averaged": partial(detected, detector="mediapipe-averaged", scheme="mediapipe478"),
    }
    halves = [subjects(ict, asked.people, odd=odd) for odd in (False, True)]
    seen = {kind: [(people, *find(people)) for people in halves] for kind, find in kinds.items()}
    own, plain = jaxface.load_model(), jaxface.FitOptions(PAPER)
    cases = [(model, kind, "ibug68", plain) for model in (ict, own) for kind in ("simulated", "mediapipe")]
    cases += [(own, "mediapipe", "mediapipe478", plain)]
    for kind in CALIBRATED:
        cases += [(own, kind, scheme, jaxface.FitOptions("calibrated", calibration=kind)) for scheme in POINTS]
    table = Table(
        "fitted",
        "landmarks",
        "front / profile / outside mm",
        "error mm",
        "deviation mm",
        "deviation/error mm",
        *BINS,
        "toward",
        "away",
        "off by",
    )
    root = lambda values: f"{np.sqrt(np.mean(values)):.2f}"
    places = {model: Places(model, ict) for model in (ict, own)}
    for model, kind, scheme, options in cases:
        given = [(people, of_scheme(faces, scheme), found) for people, faces, found in seen[kind]]
        even, odd = (places[model](model, options, *half) for half in given)
        for errors in (usual_errors(options.variant, scheme), chosen(even)):
            off = odd.standard_error(errors, BINS.values()).max(axis=0)
            rows = *odd.coverage(errors, BINS.values()), *odd.by_side(errors), off
            cells = [f"{one:.1f}/{two:.1f}" for one, two in rows]
            of = " / ".join(f"{error:.1f}" for error in errors)
            name = f"{kind}, {POINTS[scheme]}" + ("" if options == plain else f", {options.variant}")
            quarters = " ".join(f"{one:.1f}/{two:.1f}" for one, two in odd.by_sureness(errors))
            table.add_row(model.name, name, of, root(odd.error**2), root(odd.variance(errors)), quarters, *cells)
    Console(width=240).print(table)


if __name__ == "__main__":
    main()
