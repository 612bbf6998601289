"""eos (``eos-py``) on the Surrey face model, the C++ library that people use for this.

``fit_shape_and_pose`` is no solver of Eq. 4, only a peer in what it is used for. In each iteration it estimates an
affine and then an orthographic camera, fits 63 identity components by ridge regression and 6 expression blendshapes
by non-negative least squares, and looks for the mesh vertices that lie on the contour, which it then fits as well. It
sees 2D landmarks alone, has no weights by yaw, and works on one core.
"""

from pathlib import Path

import numpy as np


class Surrey:
    """eos with the model files of a folder: those of eos's own ``share/``, as its release has them."""

    def __init__(self, folder: str):
        import eos

        self._eos = eos
        path = lambda name: str(Path(folder) / name)
        shape = eos.morphablemodel.load_model(path("sfm_shape_3448.bin"))
        self._model = eos.morphablemodel.MorphableModel(
            shape.get_shape_model(),
            eos.morphablemodel.load_blendshapes(path("expression_blendshapes_3448.bin")),
            color_model=eos.morphablemodel.PcaModel(),
            vertex_definitions=None,
            texture_coordinates=shape.get_texture_coordinates(),
        )
        self._mapper = eos.core.LandmarkMapper(path("ibug_to_sfm.txt"))
        self._edges = eos.morphablemodel.load_edge_topology(path("sfm_3448_edge_topology.json"))
        self._contour = eos.fitting.ContourLandmarks.load(path("ibug_to_sfm.txt"))
        self._model_contour = eos.fitting.ModelContour.load(path("sfm_model_contours.json"))

    def landmarks(self, xy: np.ndarray) -> list:
        """68 points (68, 2) in pixels as eos takes them."""
        return [self._eos.core.Landmark(str(1 + i), [float(x), float(y)]) for i, (x, y) in enumerate(xy)]

    def fit(self, landmarks: list, iterations: int = 4, side: int = 1000):
        """Mesh, camera, identity and expression coefficients of one face in a picture of side x side pixels."""
        return self._eos.fitting.fit_shape_and_pose(
            self._model,
            landmarks,
            self._mapper,
            side,
            side,
            self._edges,
            self._contour,
            self._model_contour,
            iterations,
        )
