"""What a photograph shows of points on a face: their colours, and how far each is to be believed."""

from dataclasses import dataclass

import numpy as np

from jaxface.model.surfaces import unit
from jaxface.rendering.rasterizer import rasterize

BEHIND_MM = 2.0
"""A point this far behind the nearest surface is hidden."""
STEP_MM = 6.0
"""Neighbouring pixels this far apart in depth have an occluding edge between them."""
FEATHER_MM = 3.5
"""At an occluding edge, where a small misfit shows something else, belief begins at 0; this far away it is whole."""
GRAZING = (0.12, 0.5)
"""Belief rises from 0 to 1 between these cosines of the surface normal to the viewer."""


@dataclass(frozen=True, eq=False)
class Observation:
    """The part of a photograph that a face covers, resampled.

    ``colour`` (h, w, 3) float32 in 0..255; ``depth`` (h, w) of the nearest surface in pixels of the photograph,
    infinite where there is none; ``belief`` (h, w) in 0..1 is low near occluding edges and the photograph's border.
    ``low`` (2,) and ``zoom`` (2,) take the photograph's pixels to these: ``(xy - low) * zoom``. ``hidden`` is the depth
    in pixels behind the nearest surface from which a point is hidden.
    """

    colour: np.ndarray
    depth: np.ndarray
    belief: np.ndarray
    low: np.ndarray
    zoom: np.ndarray
    hidden: float

    def sample(self, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look points up.

        Args:
          points: (n, 3) in the image frame, on the surface.
          normals: (n, 3) outward in the camera frame, of any length.

        Returns:
          Colours (n, 3) float32 in 0..255 and belief (n,) in 0..1: the cosine to the viewer, faded at occluding edges,
          0 where the point is hidden or outside of the photograph.
        """
        from scipy.ndimage import map_coordinates

        height, width = self.depth.shape
        at = (points[:, :2] - self.low) * self.zoom
        inside = np.all((at >= 0) & (at < [width, height]), axis=-1)
        columns, rows = np.where(inside[:, None], at, 0).astype(int).T
        facing = -unit(normals)[:, 2]
        visible = inside & (points[:, 2] <= self.depth[rows, columns] + self.hidden)
        belief = visible * smoothstep(facing, *GRAZING) * self.belief[rows, columns]
        where = (at - 0.5)[:, ::-1].T
        channels = np.moveaxis(self.colour, -1, 0)
        colours = [map_coordinates(channel, where, order=1, mode="nearest") for channel in channels]
        return np.stack(colours, axis=-1), belief.astype(np.float32)


def observe(image: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, scale: float, detail: int) -> Observation:
    """See a face in its photograph.

    Args:
      image: (H, W, 3) uint8 RGB.
      vertices: (V, 3) in the image frame.
      triangles: (F, 3).
      scale: pixels a millimetre.
      detail: the longer side of the resampled part is between this and twice this many pixels.
    """
    from PIL import Image
    from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter

    limit = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(vertices[:, :2].min(axis=0)).astype(int) - 2, 0, limit - 1)
    high = np.clip(np.ceil(vertices[:, :2].max(axis=0)).astype(int) + 2, low + 1, limit)
    longest = (high - low).max()
    size = np.maximum(np.rint((high - low) * (np.clip(longest, detail, 2 * detail) / longest)), 1).astype(int)
    zoom = size / (high - low)
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    colour = np.asarray(Image.fromarray(part).resize(tuple(size), Image.Resampling.LANCZOS), np.float32)

    width, height = size.tolist()
    fragments = rasterize((vertices - [*low, 0]) * [*zoom, 1], triangles, height, width)
    depth = np.full(fragments.triangle.shape, np.inf, np.float32)
    depth[fragments.covered] = fragments.interpolate(vertices[:, 2:], triangles)[:, 0]
    far = np.where(fragments.covered, depth, vertices[:, 2].max() + 2 * STEP_MM * scale)
    edge = maximum_filter(far, 3) - minimum_filter(far, 3) > STEP_MM * scale
    calm = np.pad(~edge & fragments.covered, 1)
    distance = distance_transform_edt(calm)[1:-1, 1:-1] / (scale * zoom.mean())
    return Observation(colour, depth, smoothstep(distance, 0.0, FEATHER_MM), low, zoom, BEHIND_MM * scale)


def smoothstep(x: np.ndarray, start: float, stop: float) -> np.ndarray:
    """0 up to ``start``, 1 from ``stop``, smooth between."""
    t = np.clip((x - start) / (stop - start), 0.0, 1.0)
    return t * t * (3 - 2 * t)
