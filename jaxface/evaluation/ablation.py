"""The paper's Fig. 3 made again: what each part of the method does to the error, by yaw.

The shape error is ``micc85``'s (``jaxface.evaluation.protocols``); of a dense mesh every few vertices are measured.
"""

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from jaxtyping import Float

from jaxface.evaluation.alignment import points_to_truth, refine, rigid
from jaxface.evaluation.cropping import seen, within
from jaxface.evaluation.distances import ExactSurface, rmse
from jaxface.evaluation.faces import SEVEN
from jaxface.evaluation.noise import mean_face
from jaxface.evaluation.protocols import CROP_MM
from jaxface.evaluation.subjects import Subjects
from jaxface.fitting import FitOptions, fit_batch
from jaxface.fitting.options import Variant
from jaxface.model.correspondences import NOSE_TIP
from jaxface.model.morphable import MorphableModel
from jaxface.model.registration import shape_of
from jaxface.types import FitResult, Landmarks

VARIANTS = tuple(name for name in get_args(Variant) if name != "auto")
MEAN_FACE = "mean face"
EDGES = (0, 15, 30, 45, 60, 75, 90)
"""Of the bins of |yaw|, in degrees."""
_ENOUGH = 2000
"""A mesh is thinned to no fewer vertices than these. Fewer would not do: of the embedded model's 2,600 every
fifteenth is off by a tenth, and differently for faces that are nearly the same."""
_95_PERCENT = 1.96


@dataclass(frozen=True)
class Cell:
    """A mean over ``count`` faces and 1.96 standard errors of it, NaN of one face: half of a 95 % confidence interval
    where there are 30 faces and more."""

    mean: float
    half: float
    count: int


def fits(model: MorphableModel, landmarks: Landmarks, options: FitOptions) -> dict[str, FitResult]:
    """The mean face and every variant, each all faces in one batch; ``options`` are theirs but for the variant, and
    ``contour`` the paper's alone."""
    asked = {name: replace(options, variant=name) for name in VARIANTS if name != "calibrated"}
    asked |= {"calibrated": replace(options, variant="calibrated", contour="replace")}
    return {MEAN_FACE: mean_face(model, landmarks)} | {
        name: fit_batch(model, landmarks, each) for name, each in asked.items()
    }


class ShapeError:
    """Measures meshes of a model against true people; each true surface is indexed once."""

    def __init__(self, model: MorphableModel, people: Subjects, rows: np.ndarray):
        shape = shape_of(model)
        self._anchors = shape.anchors
        visible = seen(shape.vertices, shape.triangles, shape.places[list(SEVEN)])
        self._skin = np.nonzero((shape.part == shape.skin) & visible)[0]
        self.skin_triangles = shape.triangles[shape.part[shape.triangles[:, 0]] == shape.skin]
        self.faces = [people.face(int(row)) for row in rows]
        self._surfaces = [ExactSurface(face.vertices, face.triangles) for face in self.faces]

    def __call__(self, meshes: Float[np.ndarray, "n V 3"]) -> Float[np.ndarray, "n"]:
        """Root mean square distance in mm of each mesh to its person, after rigid ICP."""
        return np.array([rmse(self.distances(row, mesh, _ENOUGH)[1]) for row, mesh in enumerate(meshes)])

    def distances(self, row: int, mesh: Float[np.ndarray, "V 3"], enough: int | None = None):
        """Which vertices of one mesh are measured (n,), all or ``enough`` of them, their distances (n,) mm, and where
        the mesh is placed."""
        mesh, face, surface = mesh.astype(np.float64), self.faces[row], self._surfaces[row]
        points = self._anchors @ mesh
        measured = self._skin[within(mesh[self._skin], points[NOSE_TIP], CROP_MM)]
        measured = measured[:: 1 if enough is None else max(len(measured) // enough, 1)]
        start = rigid(points[list(SEVEN)], face.seven)
        placed = refine(start, points_to_truth(mesh[measured], surface), scaled=False)
        return measured, surface.closest(placed(mesh[measured])).distance, placed


def by_yaw(values: Float[np.ndarray, "n"], yaw: Float[np.ndarray, "n"], edges=EDGES) -> dict[str, Cell]:
    """Means of values (n,) over bins of |yaw| (n,) that hold a face, and over ``all``."""
    bins = np.clip(np.searchsorted(edges, np.abs(yaw), side="right") - 1, 0, len(edges) - 2)
    names = [f"{low}-{high}" for low, high in zip(edges[:-1], edges[1:], strict=True)]
    groups = {name: values[bins == index] for index, name in enumerate(names)} | {"all": values}
    return {name: _cell(group) for name, group in groups.items() if len(group)}


def _cell(values: np.ndarray) -> Cell:
    spread = values.std(ddof=1) if len(values) > 1 else np.nan
    return Cell(float(values.mean()), float(_95_PERCENT * spread / len(values) ** 0.5), len(values))
