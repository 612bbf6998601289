"""What a face model is, in numbers: behind ``jaxface model info``."""

import numpy as np

from jaxface.model.morphable import MorphableModel


def describe(model: MorphableModel) -> dict:
    """What the model says of itself.

    Returns:
      ``name``, ``licence``; the counts ``vertices`` and ``triangles``; ``identity_spread_mm`` and
      ``expression_spread_mm``, for each component the root mean square displacement of a vertex at one standard
      deviation (or at the full extent of a blendshape); ``landmarks``, how many points each scheme has; ``atlas``,
      whether it has texture points.
    """
    return {
        "name": model.name,
        "licence": model.licence,
        "vertices": len(model.mean),
        "triangles": len(model.triangles),
        "identity_spread_mm": spread(model.identity),
        "expression_spread_mm": spread(model.expression),
        "landmarks": {scheme: len(embedding.triangle) for scheme, embedding in model.landmarks.items()},
        "atlas": model.uv is not None,
    }


def spread(basis) -> list[float]:
    """Root mean square over the vertices of how far each component of a basis (V, 3, N) moves them, mm."""
    return [float(value) for value in np.sqrt(np.square(np.asarray(basis)).sum(axis=1).mean(axis=0))]
