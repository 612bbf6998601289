"""Surrey Face Model: eos's ``sfm_shape_3448.bin``, with ``expression_blendshapes_3448.bin`` where it stands beside it.

Binary archives of the cereal library, little-endian, without a magic number; from eos's ``MorphableModel.hpp``,
``PcaModel.hpp``, ``Blendshape.hpp`` and ``eigen_cerealisation.hpp``. A matrix is int32 rows, int32 columns, and float32
values column by column. The shape file begins with (what follows differs by version and is not read):

=============== ========= =====================================================================================
version         uint32    1 to 4
mean            (3V, 1)   x, y, z of each vertex in turn, millimetres; x to the subject's left, y up, z out of the face
basis           (3V, N)   components of unit length
eigenvalues     (N, 1)    their variances, mm²
triangles       (F, 3)    uint64 F, then int32 values row by row, counted from 0, counter-clockwise seen from outside
=============== ========= =====================================================================================

The blendshape file: uint64 count; for each, uint64 length, the name, and a matrix (3V, 1), what the expression adds to
the face at its full extent.

The file's origin lies as far forward as the tip of the nose; 100 mm are added to z, which brings it between the ears.

The 68 points of the mesh of 3,448 vertices: eos's ``ibug_to_sfm.txt`` (Apache-2.0) has the chin and all inner ones but
the corners of the inner lips (61, 65), for which the upper lip's second vertices from the corners stand here. Points
1-8 and 10-17 are spaced evenly from the height of the eyes to the chin along the contours of eos's
``sfm_model_contours.json``.
"""

import struct
from pathlib import Path

import numpy as np

from jaxface.model.morphable import MorphableModel
from jaxface.model.readers.assembly import assemble
from jaxface.model.readers.checks import bad_field, deviations, indices, numbers, points, small_enough

LICENCE = "Surrey Face Model: non-commercial use only (University of Surrey)"
VERTICES = 3448
VERSIONS = range(1, 5)
SHIFT = (0.0, 0.0, 100.0)

# fmt: off
INNER = np.array([
    225, 229, 233, 2086, 157, 590, 2091, 666, 662, 658,
    2842, 379, 272, 114, 100, 2794, 270, 2797, 537,
    177, 172, 191, 181, 173, 174, 614, 624, 605, 610, 607, 606,
    398, 315, 413, 329, 825, 736, 812, 841, 693, 411, 264, 431,
    410, 416, 423, 828, 823, 817, 442, 404,
])
"""(51,) Points 18-68."""
CHIN = 33
RIGHT_CONTOUR = np.array([380, 373, 356, 358, 359, 360, 365, 363, 364, 388, 391, 392, 393, 11, 21, 25, 22])
LEFT_CONTOUR = np.array([795, 790, 773, 775, 776, 777, 782, 780, 781, 802, 805, 806, 807, 454, 464, 466, 465])
# fmt: on


def looks_like(head: bytes) -> bool:
    """Whether a file's first bytes are a version and a mean face."""
    if len(head) < 12:
        return False
    version, rows, columns = struct.unpack_from("<Iii", head)
    return version in VERSIONS and rows > 0 and rows % 3 == 0 and columns == 1


def read(path: Path) -> MorphableModel:
    """The model of a shape file and of the blendshapes in its folder."""
    archive = _Archive(path)
    archive.take("I", "version")
    mean = points(path, "mean", archive.matrix("mean", ("3V", 1))[:, 0])
    basis = archive.matrix("basis", (mean.size, "N"))
    variance = archive.matrix("eigenvalues", (basis.shape[1], 1))[:, 0]
    triangles = indices(path, "triangles", archive.triangles(), ("F", 3), len(mean))
    names, expression = _blendshapes(path, len(mean))
    return assemble(
        path,
        name="Surrey Face Model",
        licence=LICENCE,
        mean=mean,
        identity=points(path, "basis", basis * deviations(path, "eigenvalues", variance)),
        expression=expression,
        expression_names=names,
        triangles=triangles,
        millimetres=1.0,
        shift=SHIFT,
        ibug68=_ibug68(mean) if len(mean) == VERTICES else None,
    )


def _blendshapes(path: Path, vertices: int) -> tuple[list[str], np.ndarray]:
    beside = path.with_name(f"expression_blendshapes_{vertices}.bin")
    if not beside.is_file():
        return [], np.zeros((vertices, 3, 0), np.float32)
    archive = _Archive(beside)
    names, shapes = [], [np.zeros((vertices, 3, 0), np.float32)]
    for _ in range(archive.take("Q", "count")):
        names.append(archive.text("name"))
        shapes.append(points(beside, names[-1], archive.matrix(names[-1], (3 * vertices, 1))))
    return names, np.concatenate(shapes, axis=-1)


def _ibug68(mean: np.ndarray) -> np.ndarray:
    right, left = (_along(mean, contour) for contour in (RIGHT_CONTOUR, LEFT_CONTOUR))
    return np.concatenate([right, [CHIN], left[::-1], INNER])


def _along(mean: np.ndarray, contour: np.ndarray) -> np.ndarray:
    """(8,) The contour's vertices nearest to even steps from the height of the eyes down to the chin."""
    eyes = mean[INNER[[19, 28]], 1].mean()
    below = np.append(contour[np.abs(mean[contour, 1] - eyes).argmin() :], CHIN)
    length = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(mean[below], axis=0), axis=-1)))
    steps = np.linspace(0.0, length[-1], 9)[:8]
    return below[np.abs(length - steps[:, None]).argmin(axis=1)]


class _Archive:
    """A cereal archive, read from its beginning; every size is compared with what is left of the file."""

    def __init__(self, path: Path):
        small_enough(path, "(whole file)", path.stat().st_size)
        self.path, self.content, self.at = path, path.read_bytes(), 0

    def bytes(self, name: str, count: int) -> bytes:
        left = len(self.content) - self.at
        if not 0 <= count <= left:
            raise bad_field(self.path, name, f"wants {count:,} bytes and {left:,} are left", "a file that is whole")
        self.at += count
        return self.content[self.at - count : self.at]

    def take(self, code: str, name: str) -> int:
        return struct.unpack(f"<{code}", self.bytes(name, struct.calcsize(code)))[0]

    def text(self, name: str) -> str:
        return self.bytes(name, self.take("Q", name)).decode("utf-8", "replace")

    def matrix(self, name: str, shape: tuple[int | str, ...]) -> np.ndarray:
        rows, columns = self.take("I", name), self.take("I", name)
        values = np.frombuffer(self.bytes(name, 4 * rows * columns), "<f4")
        return numbers(self.path, name, values.reshape(columns, rows).T, shape)

    def triangles(self) -> np.ndarray:
        count = self.take("Q", "triangles")
        return np.frombuffer(self.bytes("triangles", 12 * count), "<i4").reshape(-1, 3)
