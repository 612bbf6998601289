"""What a GLB's accessors hold."""

import numpy as np


def values(scene, number):
    """The numbers (n, k) of a scene's accessor, whose bounds must be theirs."""
    accessor = scene.accessors[number]
    view = scene.bufferViews[accessor.bufferView]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
    start = view.byteOffset + (accessor.byteOffset or 0)
    flat = np.frombuffer(scene.binary_blob(), np.float32, width * accessor.count, start)
    assert view.byteLength == 4 * flat.size and start % 4 == 0
    found = flat.reshape(-1, width)
    np.testing.assert_allclose(accessor.min, found.min(axis=0))
    np.testing.assert_allclose(accessor.max, found.max(axis=0))
    return found
