"""How far round a head can turn and still be found, and how well its pose is then known: ``python -m benchmarks.yaw``.

The demo photograph's texture on ten random heads of the embedded model, drawn at known yaws to both sides. ``found`` is
the part of them that MediaPipe finds; ``yaw`` and ``pitch`` are mean errors of the fitted pose in degrees, positive
where the fit turns farther than the head does, and ``landmarks`` is the mean distance in mm of the fitted 68 points
from the true ones in the image.
"""

from importlib.resources import files

import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxface
from jaxface.camera import project, rotation_from_euler
from jaxface.detection.mediapipe import find_faces, landmarker
from jaxface.rendering.texture import texture
from jaxface.rendering.textured import draw_textured

YAWS = (0, 15, 30, 45, 60, 70, 80, 90)
HEADS, SIDE, PIXELS_A_MM = 10, 700, 2.4


def main() -> None:
    model = jaxface.load_model()
    image = jaxface.read_image(files("jaxface.assets") / "astronaut.png")
    rest = jnp.zeros(model.expression.shape[-1])
    rows = {yaw: [] for yaw in YAWS}
    with landmarker() as opened:
        face = find_faces(opened, image)[0]
        atlas = texture(image, model, jaxface.fit(model, face))
        rng = np.random.default_rng(0)
        for _ in range(HEADS):
            head = model.vertices(jnp.asarray(rng.normal(size=model.identity.shape[-1]), jnp.float32), rest)
            for yaw, side in ((yaw, side) for yaw in YAWS for side in (-1, 1)):
                rotation = rotation_from_euler(jnp.array([0.0, side * yaw, 0.0]))
                camera = jnp.float32(PIXELS_A_MM), rotation, jnp.full(2, SIDE / 2)
                picture = draw_textured(model, np.asarray(project(head, *camera)), atlas, SIDE, SIDE, background=155.0)
                found = find_faces(opened, picture)
                if not found:
                    rows[yaw].append((0, np.nan, np.nan, np.nan))
                    continue
                result = jaxface.fit(model, found[0])
                pitch, turned, _ = np.asarray(result.pose.euler_deg)
                mesh = jaxface.vertices(model, result, camera=True)
                apart = model.landmark_positions(mesh - project(head, *camera), "ibug68")[:, :2]
                distance = np.linalg.norm(apart, axis=1).mean() / PIXELS_A_MM
                rows[yaw].append((1, side * turned - yaw, pitch, distance))
    table = Table("yaw °", "found", "yaw error °", "pitch error °", "landmarks mm")
    for yaw, values in rows.items():
        found, *errors = np.nanmean(values, axis=0)
        table.add_row(str(yaw), f"{found:.2f}", *(f"{error:+.1f}" for error in errors[:2]), f"{errors[2]:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
