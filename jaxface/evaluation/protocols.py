"""How far a reconstruction is from the truth, by the protocols that papers report; docs/accuracy.md gives the sources.

Every protocol takes a predicted and a true ``Face`` and gives ``Measured``; the truth is in millimetres.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxface.evaluation.alignment import points_to_truth, refine, rigid, scan_to_mesh
from jaxface.evaluation.cropping import FEWEST, fronts_outward, now_region, seen, skin, submesh, within
from jaxface.evaluation.distances import ExactSurface, point_to_plane, rmse
from jaxface.evaluation.drawing import partners
from jaxface.evaluation.faces import Face
from jaxface.model.registration import Similarity, similarity

CROP_MM, _WIDE_CROP_MM = 85.0, 95.0
_OTHER_UNIT = 2.0
"""A prediction larger or smaller than the truth by more than this factor is in another unit, and so is a truth than
people's ``_EYES_MM`` from one outer eye corner to the other; and one that an alignment grows or shrinks so is no
face."""
_EYES_MM = 90.0
_ANCHORS = list(range(17, 68))
"""Landmarks that hold a non-rigid alignment: without the jaw line's, which no one finds on a scan."""
_SURROUNDING_MM = 20.0
"""How far the surface goes on around the measured part while it is drawn: a rim would hold it back."""


@dataclass(frozen=True)
class Measured:
    """What a protocol found.

    ``distances`` (n,) mm at the ``measured`` (V,) vertices of a mesh ``vertices`` (V, 3) mm, ``triangles`` (F, 3), in
    the truth's frame; ``placed`` takes the prediction into it; ``seven`` (7, 3) mm are the truth's landmarks.
    """

    distances: Float[np.ndarray, "n"]
    measured: Bool[np.ndarray, "V"]
    vertices: Float[np.ndarray, "V 3"]
    triangles: Int[np.ndarray, "F 3"]
    placed: Similarity
    seven: Float[np.ndarray, "7 3"]


def micc85(predicted: Face, truth: Face) -> Measured:
    """The paper's: rigid ICP of the reconstruction, cropped 85 mm around its nose tip; the distance X - X* of Eq. 13
    from each of its vertices to the true surface.

    Raises:
      ValueError: landmarks are missing, the prediction's nose tip is not known, or one side is not in millimetres.
    """
    start = rigid(predicted.seven, truth.seven)
    _require_true_size(truth)
    if predicted.nose_tip is None:
        raise ValueError(f"{predicted.name}: has NoW's 7 landmarks; micc85 crops around the nose tip and takes the 68")
    _require_millimetres(predicted, truth)
    kept = within(predicted.vertices, predicted.nose_tip, CROP_MM)
    kept &= skin(predicted.vertices, predicted.triangles, predicted.nose_tip) & _visible(predicted)
    _require_many(kept, predicted)
    surface = ExactSurface(truth.vertices, truth.triangles)
    points = predicted.vertices[kept]
    placed = refine(start, points_to_truth(points, surface), scaled=False)
    distances = surface.closest(placed(points)).distance
    return Measured(distances, kept, placed(predicted.vertices), predicted.triangles, placed, truth.seven)


def micc95(predicted: Face, truth: Face) -> Measured:
    """Similarity ICP of each reconstruction by itself to the scan, cropped 95 mm around its nose tip; from each of the
    scan's vertices the distance to the closest triangle's plane.

    Where the closest point lies on an edge, rounding says which of its triangles is the closest, so that errors
    change by up to 0.02 mm with the frame and the unit of the prediction.

    The nose tip of a scan with NoW's 7 landmarks is its point closest to the prediction's.

    Raises:
      ValueError: landmarks are missing, neither side has the 68 points, of which the nose tip is one, or the truth is
        not in millimetres.
    """
    start = similarity(predicted.seven, truth.seven)
    _require_true_size(truth)
    tip = truth.nose_tip
    if tip is None:
        if predicted.nose_tip is None:
            raise ValueError(
                f"{predicted.name} and {truth.name}: have NoW's 7 landmarks; micc95 crops around the nose tip and "
                "takes the 68 of either"
            )
        tip = ExactSurface(truth.vertices, truth.triangles).closest(start(predicted.nose_tip[None])).position[0]
    return _scan_to_mesh(predicted, truth, start, within(truth.vertices, tip, _WIDE_CROP_MM), to_plane=True)


def now(predicted: Face, truth: Face) -> Measured:
    """NoW's: aligned with scale by seven landmarks, then by the distance from the scan, cropped around the nose, to
    the mesh; this distance, unsigned, at each of the scan's vertices.

    Raises:
      ValueError: landmarks are missing, or the truth is not in millimetres.
    """
    start = similarity(predicted.seven, truth.seven)
    _require_true_size(truth)
    return _scan_to_mesh(predicted, truth, start, within(truth.vertices, *now_region(truth.seven)), to_plane=False)


def nonrigid(predicted: Face, truth: Face) -> Measured:
    """The reconstruction is drawn onto the truth, held by landmarks (``drawing.partners``), to find out which points
    correspond; then, undrawn and placed by the similarity that fits them best, measured between these.

    Cropped 85 mm, in the truth's unit, around the nose bottom, which both sides have. ICP pairs each point with the
    closest one instead, and so takes a wrong face for a good one where its surface slides along the true one.

    Raises:
      ValueError: landmarks are missing, the truth is not in millimetres, or a mesh is too irregular to be drawn.
    """
    held, places = predicted.seven, truth.seven
    _require_true_size(truth)
    if predicted.nose_tip is not None and truth.nose_tip is not None:
        assert predicted.landmarks is not None and truth.landmarks is not None
        held, places = predicted.landmarks[_ANCHORS], truth.landmarks[_ANCHORS]
    start = similarity(held, places)
    moved, bottom = start(predicted.vertices), truth.seven[4]
    face = skin(predicted.vertices, predicted.triangles, predicted.seven[4])
    kept = within(moved, bottom, CROP_MM) & face & _visible(predicted)
    around = within(moved, bottom, CROP_MM + _SURROUNDING_MM) & face
    goal = within(truth.vertices, bottom, CROP_MM + 2 * _SURROUNDING_MM)
    _require_many(kept, predicted)
    _require_many(goal, truth)
    mesh = _part(moved, predicted.triangles, around, start(predicted.seven))
    target = _part(truth.vertices, truth.triangles, goal, truth.seven)
    partner = partners(moved[kept], *mesh, target, start(held), places)
    placed = similarity(predicted.vertices[kept], partner)
    _require_size_kept(start, placed, predicted)
    distances = np.linalg.norm(placed(predicted.vertices[kept]) - partner, axis=1)
    return Measured(distances, kept, placed(predicted.vertices), predicted.triangles, placed, truth.seven)


def _part(vertices: np.ndarray, triangles: np.ndarray, kept: np.ndarray, seven: np.ndarray):
    """The kept part of a mesh, its triangles with their fronts outward."""
    part, of_part = vertices[kept], submesh(triangles, kept)
    return part, fronts_outward(part, of_part, seven)


def _visible(face: Face) -> Bool[np.ndarray, "V"]:
    return seen(face.vertices, face.triangles, face.seven)


@dataclass(frozen=True)
class Protocol:
    """A protocol: what ``measure`` it takes, its ``headline`` statistic, and whether statistics over several pairs are
    those of all their distances ``pooled``, or means over the pairs."""

    measure: Callable[[Face, Face], Measured]
    headline: str
    pooled: bool


PROTOCOLS = {
    "micc85": Protocol(micc85, "rmse", pooled=False),
    "micc95": Protocol(micc95, "rmse", pooled=False),
    "now": Protocol(now, "median", pooled=True),
    "nonrigid": Protocol(nonrigid, "mean", pooled=False),
}


def statistics(distances: Float[np.ndarray, "n"]) -> dict[str, float]:
    """Root mean square (Eq. 13), mean, standard deviation and median of distances (n,), in their unit."""
    return {
        "rmse": rmse(distances),
        "mean": float(distances.mean()),
        "std": float(distances.std()),
        "median": float(np.median(distances)),
    }


def over_pairs(protocol: Protocol, distances: Sequence[np.ndarray]) -> dict[str, float]:
    """The statistics of several pairs' distances, as the protocol summarises them."""
    if protocol.pooled:
        return statistics(np.concatenate(distances))
    each = [statistics(one) for one in distances]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def _alike(ratio: float) -> bool:
    """Whether two sizes of this ratio can be those of one face in one unit."""
    return bool(1 / _OTHER_UNIT < ratio < _OTHER_UNIT)


def _require_millimetres(predicted: Face, truth: Face) -> None:
    ratio = similarity(predicted.seven, truth.seven).scale
    if not _alike(ratio):
        wrong = f"{ratio:.3g} times too small" if ratio > 1 else f"{1 / ratio:.3g} times too large"
        raise ValueError(
            f"{predicted.name}: is {wrong} for {truth.name}; micc85 leaves the scale as it is and "
            "takes both in millimetres"
        )


def _require_true_size(truth: Face) -> None:
    apart = float(np.linalg.norm(truth.seven[3] - truth.seven[0]))
    if not _alike(apart / _EYES_MM):
        raise ValueError(
            f"{truth.name}: its outer eye corners are {apart:.3g} apart, people's about {_EYES_MM:.0f} mm; takes "
            "truths in millimetres"
        )


def _require_many(kept: np.ndarray, face: Face) -> None:
    if kept.sum() < FEWEST:
        raise ValueError(
            f"{face.name}: has {kept.sum()} vertices in the part that is measured; takes {FEWEST} or more, around the "
            "landmarks"
        )


def _require_size_kept(start: Similarity, placed: Similarity, predicted: Face) -> None:
    growth = placed.scale / start.scale
    if not _alike(growth):
        raise ValueError(
            f"{predicted.name}: comes out {growth:.3g} times as large as by its landmarks; is it a whole face, and no "
            "mirror image of one?"
        )


def _scan_to_mesh(predicted: Face, truth: Face, start: Similarity, kept: np.ndarray, *, to_plane: bool) -> Measured:
    _require_many(kept, truth)
    surface, scan = ExactSurface(predicted.vertices, predicted.triangles), truth.vertices[kept]
    placed = refine(start, scan_to_mesh(scan, surface), scaled=True)
    _require_size_kept(start, placed, predicted)
    surface = ExactSurface(placed(predicted.vertices), predicted.triangles)
    nearest = surface.closest(scan)
    distances = point_to_plane(scan, nearest) if to_plane else nearest.distance
    return Measured(distances, kept, truth.vertices, truth.triangles, placed, truth.seven)
