"""FLAME 2017, 2020 and 2023: ``generic_model.pkl``, ``flame2023.pkl`` and the like, or the same fields in an ``.npz``.

A dictionary, as smplx and DECA read it; V = 5,023 vertices:

========== =========== ==========================================================================================
v_template (V, 3)      mean, metres; x to the subject's left, y up, z out of the face
shapedirs  (V, 3, 400) 300 components of identity, then 100 of expression, of unit variance; often a chumpy array
f          (F, 3)      triangles, counted from 0, counter-clockwise seen from outside
========== =========== ==========================================================================================

The rest (joints, skinning weights, pose correctives) makes the model move its jaw, eyes and neck; a linear model has no
place for it. The mouth opens only as far as the expressions open it.

FLAME's own 68 points are licensed with the model and follow the jaw by table. Here they are the vertices that SAiD
publishes (``data/FLAME_landmarks.txt``, Apache-2.0).
"""

from pathlib import Path

import numpy as np

from jaxface.model.morphable import MorphableModel
from jaxface.model.readers.assembly import assemble
from jaxface.model.readers.checks import indices, numbers
from jaxface.model.readers.npz import read_npz
from jaxface.model.readers.pickles import read_pickle

LICENCE = "FLAME: the licence of MPI-IS that the file came with (research only; 2023 Open: CC BY 4.0)"
IDENTITY, EXPRESSION = 300, 100
FIELDS = ("v_template", "shapedirs", "f")

# fmt: off
IBUG68 = np.array([
    2210, 1963, 3056, 3424, 3423, 3421, 3419, 3416, 3414, 3635, 3643, 3646, 3650, 3652, 2004, 568, 728,
    2567, 337, 338, 3154, 3712, 3868, 2135, 27, 18, 1430,
    3560, 3561, 3501, 3564, 2751, 2793, 3556, 1676, 1623,
    2428, 2453, 2494, 3631, 2278, 2359, 3832, 1343, 1218, 1154, 995, 829,
    2820, 2864, 2774, 3543, 1657, 1749, 1703, 1774, 1802, 3503, 2905, 2881,
    2845, 2787, 3531, 1670, 1730, 1804, 3504, 2907,
])
# fmt: on
VERTICES = 5023


def read(path: Path, pickled: bool) -> MorphableModel:
    """The model of a FLAME file, a pickle or an ``.npz``."""
    data = (read_pickle if pickled else read_npz)(path, FIELDS)
    mean = numbers(path, "v_template", data.get("v_template"), ("V", 3))
    basis = numbers(path, "shapedirs", data.get("shapedirs"), (len(mean), 3, IDENTITY + EXPRESSION))
    return assemble(
        path,
        name=f"FLAME ({path.stem})",
        licence=LICENCE,
        mean=mean,
        identity=basis[..., :IDENTITY],
        expression=basis[..., IDENTITY:],
        triangles=indices(path, "f", data.get("f"), ("F", 3), len(mean)),
        millimetres=1000.0,
        ibug68=IBUG68 if len(mean) == VERTICES else None,
    )
