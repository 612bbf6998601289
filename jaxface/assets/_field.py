"""People differ by smooth deformations of the space around the average head.

A displacement of the skin is smoothed over the points near in space, not along the mesh, and carried to what lies under
the skin. What lies close together therefore moves together: no person's identity opens the lips or tears a nostril,
teeth and the lining of the mouth stay behind the lips, and eyeballs behind their lids.
"""

import numpy as np
import trimesh
from scipy.spatial.distance import cdist

from jaxface.assets._makehuman import Head

REACH = 5.0
"""Standard deviation (mm) of the Gaussian over which the skin's displacements are averaged."""

BUMP_WIDTH, BUMPS_APART, BUMPS_NEAR = 20.0, 25.0, 110.0
"""Bumps: the standard deviation of one, the least distance of two, and the farthest from the tip of the nose, mm."""
BUMP, ODD_BUMP = 1.2, 0.3
"""Heights (mm) of a pair of bumps, symmetric and antisymmetric."""


class SmoothField:
    """Displacements of the head ``vertices`` (V, 3) mm, made smooth: takes and returns (..., V, 3) mm."""

    def __init__(self, head: Head, vertices: np.ndarray):
        self.head, self.vertices = head, vertices
        triangles = head.triangles[head.skin]
        self._skin = np.unique(triangles)
        areas = np.repeat(trimesh.triangles.area(vertices[triangles]), 3)
        squared = cdist(vertices, vertices[self._skin], "sqeuclidean")
        depth = squared.min(axis=1, keepdims=True)
        weight = np.exp((depth - squared) / (2 * (REACH**2 + depth)))  # wider in the depth, where no skin is near
        weight *= np.bincount(triangles.ravel(), areas)[self._skin]
        self._weight = weight / weight.sum(axis=1, keepdims=True)

    def __call__(self, moved: np.ndarray) -> np.ndarray:
        return np.matmul(self._weight, moved[..., self._skin, :])

    def bumps(self) -> np.ndarray:
        """Displacements (n, V, 3) mm: bumps all over the face in the three directions, paired with their mirror images.

        They give a person what no sculptor made a slider for, as the kernels of Lüthi et al., *Gaussian Process
        Morphable Models* (2018), do.
        """
        tip = self._skin[self.vertices[self._skin, 2].argmax()]
        near = np.linalg.norm(self.vertices - self.vertices[tip], axis=1) < BUMPS_NEAR
        half = self._skin[near[self._skin] & (self.vertices[self._skin, 0] < 1e-6)]
        centres = self.vertices[self._farthest_apart(half)]
        height = np.exp(-cdist(centres, self.vertices, "sqeuclidean") / (2 * BUMP_WIDTH**2))
        one = (height[:, None, :, None] * np.eye(3)[:, None, :]).reshape(-1, *self.vertices.shape)
        other = self.head.mirrored(one)
        pairs = np.concatenate([BUMP * (one + other), ODD_BUMP * (one - other)])
        return self(pairs[np.abs(pairs).max(axis=(1, 2)) > 0.1])  # on the middle line half of them cancel

    def _farthest_apart(self, among: np.ndarray) -> list[int]:
        """Vertices of ``among``, each the farthest from those before it and from their mirror images."""
        chosen = [int(among[self.vertices[among, 2].argmax()])]
        while True:
            taken = np.append(chosen, self.head.symmetry[chosen])
            distance = cdist(self.vertices[among], self.vertices[taken]).min(axis=1)
            if distance.max() < BUMPS_APART:
                return chosen
            chosen.append(int(among[distance.argmax()]))
