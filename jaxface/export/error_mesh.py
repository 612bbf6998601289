"""A mesh coloured by its errors, as a PLY file."""

from io import BytesIO
from pathlib import Path

import numpy as np

from jaxface.export.files import atomic_write
from jaxface.rendering.error_map import error_colours


def write_error_mesh(path: str | Path, vertices: np.ndarray, triangles: np.ndarray, errors: np.ndarray) -> None:
    """Write a binary PLY: vertices (V, 3) mm, triangles (F, 3), the colours of ``error_colours``, and the errors (V,)
    mm themselves as ``quality``, which MeshLab shows; -1 and grey where an error is nan, not measured.

    Raises:
      ValueError: the folder does not exist.
      OSError: the file cannot be written.
    """
    import meshio

    colours = (255 * error_colours(errors) + 0.5).astype(np.uint8)
    attributes: dict[str, np.ndarray] = dict(zip(("red", "green", "blue"), colours.T, strict=True))
    attributes["quality"] = np.where(np.isfinite(errors), errors, -1).astype(np.float32)
    mesh = meshio.Mesh(vertices.astype(np.float32), [("triangle", triangles.astype(np.int32))], point_data=attributes)
    content = BytesIO()
    meshio.write(content, mesh, file_format="ply")
    atomic_write(path, content.getvalue())
