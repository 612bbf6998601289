"""Basel Face Model 2009: ``01_MorphableModel.mat``, with FaceWarehouse's expressions where they stand beside it.

The MATLAB file (version 5, or 7.3, which is HDF5 with every matrix transposed), as eos's
``share/scripts/convert-bfm2009-to-eos.py`` reads it; V = 53,490 vertices, N = 199 components:

======== ======= ===================================================================================
shapeMU  (3V, 1) mean, x, y, z of each vertex in turn, micrometres; x to the subject's left, y up, z out of the face
shapePC  (3V, N) components of unit length
shapeEV  (N, 1)  their standard deviations, micrometres
tl       (F, 3)  triangles, counted from 1, clockwise seen from outside
======== ======= ===================================================================================

FaceWarehouse's expressions on this mesh (Guo et al.), as Deep3DFaceReconstruction's ``load_mats.py`` reads them;
n = 53,215 vertices, K = 79 components:

``Exp_Pca.bin``
    int32 K; float32 (3n,) a mean, which that reader does not add to the neutral face, nor does this one;
    float32 (K, 3n) components of unit length. Little-endian.
``std_exp.txt``
    K numbers: their standard deviations, micrometres.

The 275 vertices that the expressions lack are the patch that closes the lips in the 2009 mesh. With expressions the
model is read without the patch, or opening the mouth would tear it.

The 68 points are 3DDFA's, in the numbering that Deep3DFaceReconstruction's ``facemodel_info.mat`` and
``BFM_exp_idx.mat`` lead to (both MIT), here counted from 0 in the mesh of 53,490.
"""

from pathlib import Path

import numpy as np

from jaxface.model.morphable import MorphableModel
from jaxface.model.readers.assembly import assemble
from jaxface.model.readers.checks import bad_field, indices, numbers, points, reading, small_enough
from jaxface.model.readers.hdf5 import read_hdf5

LICENCE = "Basel Face Model 2009: non-commercial research by agreement with the University of Basel"
VERTICES = 53490
_FIELDS = ("shapeMU", "shapePC", "shapeEV", "tl")
_NUMERIC = {"double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}

# fmt: off
IBUG68 = np.array([
    22148, 22424, 21928, 21311, 43511, 45193, 46441, 47410, 48189,
    48970, 49942, 51199, 52888, 33953, 33280, 32744, 32984,
    38970, 39667, 40057, 40262, 40429, 41168, 41334, 41542, 41936, 42642,
    8290, 8306, 8316, 8321, 6525, 7300, 8333, 9364, 10137,
    2215, 3886, 4920, 5828, 4801, 3640, 10730, 11628, 12658, 14341, 12928, 11767,
    5522, 6025, 7570, 8344, 9118, 10669, 11070, 9792, 9019, 8374, 7729, 6954,
    5909, 7450, 8352, 9256, 10812, 9012, 8367, 7722,
])
_LIP_PATCH = [
    (6167, 1), (6295, 3), (6423, 6), (6551, 7), (6680, 7), (6809, 7), (6938, 8), (7067, 9), (7196, 9), (7325, 9),
    (7454, 9), (7583, 9), (7712, 9), (7841, 9), (7970, 9), (8099, 9), (8228, 9), (8357, 9), (8486, 9), (8615, 9),
    (8744, 9), (8873, 9), (9002, 9), (9131, 9), (9260, 9), (9389, 9), (9518, 9), (9647, 9), (9776, 9), (9905, 9),
    (10034, 8), (10163, 7), (10292, 6), (10421, 3), (10425, 1), (10549, 3), (10679, 1),
]
# fmt: on
LIP_PATCH = np.concatenate([np.arange(first, first + count) for first, count in _LIP_PATCH])
"""(275,) The vertices between the lips that the expressions lack: runs of (first, how many)."""


def read(path: Path) -> MorphableModel:
    """The model of a ``01_MorphableModel.mat`` and of the expression files in its folder."""
    data = _matrices(path)
    mean = points(path, "shapeMU", numbers(path, "shapeMU", data.get("shapeMU"), ("3V", 1))[:, 0])
    identity = numbers(path, "shapePC", data.get("shapePC"), (mean.size, "N"))
    deviations = numbers(path, "shapeEV", data.get("shapeEV"), (identity.shape[1], 1))[:, 0]
    identity = points(path, "shapePC", identity * deviations)
    triangles = indices(path, "tl", data.get("tl"), ("F", 3), len(mean), first=1)[:, [0, 2, 1]]
    expression = np.zeros((len(mean), 3, 0), np.float32)
    ibug68 = IBUG68 if len(mean) == VERTICES else None
    if (beside := path.parent / "Exp_Pca.bin").is_file():
        expression, patched = _expressions(beside, len(mean))
        if patched:
            kept = np.delete(np.arange(len(mean)), LIP_PATCH)
            number = np.full(len(mean), -1)
            number[kept] = np.arange(len(kept))
            mean, identity, ibug68 = mean[kept], identity[kept], number[IBUG68]
            triangles = number[triangles]
            triangles = triangles[(triangles >= 0).all(axis=1)]
    return assemble(
        path,
        name="Basel Face Model 2009",
        licence=LICENCE,
        mean=mean,
        identity=identity,
        expression=expression,
        triangles=triangles,
        millimetres=1e-3,
        ibug68=ibug68,
    )


def _matrices(path: Path) -> dict[str, np.ndarray]:
    """The fields of the .mat file, of either version, as MATLAB shows them."""
    with path.open("rb") as file:
        if file.read(10) == b"MATLAB 7.3":
            return {name: matrix.T for name, matrix in read_hdf5(path, _FIELDS).items()}
    from scipy.io import loadmat, whosmat

    with reading(path, "MATLAB file"):
        found = [(name, shape, kind) for name, shape, kind in whosmat(path) if name in _FIELDS]
        declared = {name: 8 * int(np.prod(shape, dtype=object)) for name, shape, _ in found}
        for name, _, kind in found:
            if kind not in _NUMERIC or len(declared) < len(found):
                raise bad_field(path, name, f"is a {kind}, or there twice", "one matrix of numbers")
        small_enough(path, " + ".join(declared), sum(declared.values()))
        content = loadmat(path, variable_names=list(declared))
        return {name: content[name] for name in declared}


def _expressions(path: Path, vertices: int) -> tuple[np.ndarray, bool]:
    """(n, 3, K) in micrometres, of unit variance; and whether they are those of the mesh without the lip patch."""
    small_enough(path, "(whole file)", path.stat().st_size)
    content = path.read_bytes()
    components = int.from_bytes(content[:4], "little")
    values, rest = divmod(len(content) - 4, 4 * 3 * (components + 1))
    patched = vertices == VERTICES and values == vertices - len(LIP_PATCH)
    if rest or not components or not (patched or values == vertices):
        raise bad_field(
            path,
            "expressions",
            f"has {len(content):,} bytes for {components:,} components",
            f"4 + 12 (1 + components) vertices; {vertices:,} vertices, or without the lip patch 53,215 of {VERTICES:,}",
        )
    basis = np.frombuffer(content, "<f4", offset=4).reshape(components + 1, values, 3)[1:]
    basis = numbers(path, "expressions", basis, (components, values, 3))
    return np.moveaxis(basis, 0, -1) * _expression_deviations(path.parent / "std_exp.txt", components), patched


def _expression_deviations(path: Path, components: int) -> np.ndarray:
    if not path.is_file():
        raise bad_field(path, "standard deviations", "is missing", f"{components} numbers, one for each expression")
    with reading(path, "list of standard deviations"):
        deviations = np.array(path.read_text("ascii").split(), float)
    return numbers(path, "standard deviations", deviations, (components,))
