"""Basel Face Model 2017 and 2019: the ``.h5`` files, of every cut (full head, bfm, face12).

Statismo's layout, as eos's ``share/scripts/convert-bfm2017-to-eos.py`` reads it; V vertices, N components:

========================================== ====== ==============================================================
/shape/model/mean, /expression/model/mean  (3V,)  mean face, and what the mean expression adds to it; x, y, z of
                                                  each vertex in turn, millimetres; x to the subject's left, y up,
                                                  z out of the face
…/model/pcaBasis                           (3V,N) components of unit length
…/model/pcaVariance                        (N,)   their variances, mm²
/shape/representer/cells                   (3, F) triangles, counted from 0, counter-clockwise seen from outside
========================================== ====== ==============================================================

A file without ``/expression`` is a model of identity alone. No table of all 68 points is known for these meshes
(eos has 26 of one cut; ``/metadata/landmarks/json`` has no jaw line), so the model comes without ``"ibug68"``.
"""

from pathlib import Path

import numpy as np

from jaxface.model.morphable import MorphableModel
from jaxface.model.readers.assembly import assemble
from jaxface.model.readers.checks import deviations, indices, numbers, points
from jaxface.model.readers.hdf5 import read_hdf5

LICENCE = "Basel Face Model 2017/2019: non-commercial research by agreement with the University of Basel"
_CELLS = "/shape/representer/cells"
_MODEL = ("mean", "pcaBasis", "pcaVariance")
_FIELDS = [f"/{part}/model/{field}" for part in ("shape", "expression") for field in _MODEL]


def read(path: Path) -> MorphableModel:
    """The model of a Basel ``.h5``."""
    data = read_hdf5(path, [*_FIELDS, _CELLS])
    mean, identity = _part(path, data, "shape", "3V")
    expression = np.zeros((len(mean), 3, 0), np.float32)
    if "/expression/model/mean" in data:
        added, expression = _part(path, data, "expression", mean.size)
        mean = mean + added
    return assemble(
        path,
        name=f"Basel Face Model ({path.stem})",
        licence=LICENCE,
        mean=mean,
        identity=identity,
        expression=expression,
        triangles=indices(path, _CELLS, data.get(_CELLS), (3, "F"), len(mean)).T,
        millimetres=1.0,
    )


def _part(path: Path, data: dict, part: str, coordinates: int | str) -> tuple[np.ndarray, np.ndarray]:
    """Mean (V, 3) and components of unit variance (V, 3, N), mm, of the shape or the expression model."""
    mean_name, basis_name, variance_name = (f"/{part}/model/{field}" for field in _MODEL)
    mean = numbers(path, mean_name, data.get(mean_name), (coordinates,))
    basis = numbers(path, basis_name, data.get(basis_name), (len(mean), "N"))
    variance = numbers(path, variance_name, data.get(variance_name), (basis.shape[1],))
    return points(path, mean_name, mean), points(path, basis_name, basis * deviations(path, variance_name, variance))
