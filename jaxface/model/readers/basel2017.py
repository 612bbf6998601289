"""Basel Face Model 2017 and 2019: the ``.h5`` files, of every cut (full head, bfm, face12).

Statismo's layout, as eos's ``share/scripts/convert-bfm2017-to-eos.py`` reads it; V vertices, N components:

========================================== ====== ==============================================================
/shape/model/mean, /expression/model/mean  (3V,)  mean face, and what the mean expression adds to it; x, y, z of
                                                  each vertex in turn, millimetres; x to the subject's left, y up,
                                                  z out of the face
…/model/pcaBasis                           (3V,N) components of unit length
…/model/pcaVariance                        (N,)   their variances, mm²
/shape/representer/cells                   (3, F) triangles, counted from 0, counter-clockwise seen from outside
/shape/representer/points                  (3, V) the mesh that the landmarks lie on
/metadata/landmarks/json                   text   ``[{"id": "center.nose.tip", "coordinates": [x, y, z], …}, …]``, as
                                                  scalismo's ``LandmarkIO`` writes it
========================================== ====== ==============================================================

A file without ``/expression`` is a model of identity alone. No table of all 68 points is known for these meshes
(eos has 26 of one cut), and the named landmarks have no jaw line. Those that are of use for registration
(``NAMED_POINTS``) come with the model, each under its own name; by them ``load_model`` finds the 68, and MediaPipe's.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxface.model.correspondences import FEWEST_NAMED, NAMED_POINTS
from jaxface.model.morphable import Embedding, MorphableModel
from jaxface.model.readers.assembly import assemble, on_vertices
from jaxface.model.readers.checks import bad_field, deviations, indices, numbers, points
from jaxface.model.readers.hdf5 import read_hdf5

LICENCE = "Basel Face Model 2017/2019: non-commercial research by agreement with the University of Basel"
_CELLS, _POINTS = "/shape/representer/cells", "/shape/representer/points"
_LANDMARKS = "/metadata/landmarks/json"
_NEAR_MM = 3.0
"""A landmark that is farther from the mesh lies on what this cut of the head has not."""
_MODEL = ("mean", "pcaBasis", "pcaVariance")
_FIELDS = [f"/{part}/model/{field}" for part in ("shape", "expression") for field in _MODEL]


def read(path: Path) -> MorphableModel:
    """The model of a Basel ``.h5``."""
    data = read_hdf5(path, [*_FIELDS, _CELLS, _POINTS, _LANDMARKS])
    mean, identity = _part(path, data, "shape", "3V")
    triangles = indices(path, _CELLS, data.get(_CELLS), (3, "F"), len(mean)).T
    landmarks = _landmarks(path, data, mean, triangles)
    expression = np.zeros((len(mean), 3, 0), np.float32)
    if "/expression/model/mean" in data:
        added, expression = _part(path, data, "expression", mean.size)
        mean = mean + added
    model = assemble(
        path,
        name=f"Basel Face Model ({path.stem})",
        licence=LICENCE,
        mean=mean,
        identity=identity,
        expression=expression,
        triangles=triangles,
        millimetres=1.0,
    )
    return replace(model, landmarks=landmarks)


def _landmarks(path: Path, data: dict, mean: np.ndarray, triangles: np.ndarray) -> dict[str, Embedding]:
    """The useful ones among the file's named landmarks, each on the vertex nearest to it; none if they are few."""
    places = _named_places(path, data)
    from scipy.spatial import cKDTree

    if len(places) < FEWEST_NAMED:
        return {}
    surfaces = [mean]
    if _POINTS in data:
        surfaces.append(numbers(path, _POINTS, data[_POINTS], (3, len(mean))).T)
    used = np.unique(triangles)
    found = [cKDTree(surface[used]).query(list(places.values())) for surface in surfaces]
    distance, vertex = min(found, key=lambda near: np.median(near[0]))  # other readers take them to lie on the mean
    near = distance < _NEAR_MM
    if near.sum() < FEWEST_NAMED:
        return {}
    at = on_vertices(path, triangles, used[vertex])
    return {
        name: Embedding(at.triangle[k : k + 1], at.barycentric[k : k + 1]) for k, name in enumerate(places) if near[k]
    }


def _named_places(path: Path, data: dict) -> dict[str, np.ndarray]:
    """(3,) mm for each of the ``NAMED_POINTS`` that the file has."""
    text = data.get(_LANDMARKS, np.array("[]")).ravel()
    takes = "text: a JSON list of objects with 'id' and three 'coordinates'"
    try:
        said = text[0].decode() if isinstance(text[0], bytes) else str(text[0])
        listed = {each["id"]: np.array(each["coordinates"], float) for each in json.loads(said)}
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise bad_field(path, _LANDMARKS, f"cannot be read ({error})", takes) from None
    known = {name: listed[name] for name in NAMED_POINTS if name in listed}
    return {name: numbers(path, f"{_LANDMARKS}: {name}", place, (3,)) for name, place in known.items()}


def _part(path: Path, data: dict, part: str, coordinates: int | str) -> tuple[np.ndarray, np.ndarray]:
    """Mean (V, 3) and components of unit variance (V, 3, N), mm, of the shape or the expression model."""
    mean_name, basis_name, variance_name = (f"/{part}/model/{field}" for field in _MODEL)
    mean = numbers(path, mean_name, data.get(mean_name), (coordinates,))
    basis = numbers(path, basis_name, data.get(basis_name), (len(mean), "N"))
    variance = numbers(path, variance_name, data.get(variance_name), (basis.shape[1],))
    return points(path, mean_name, mean), points(path, basis_name, basis * deviations(path, variance_name, variance))
