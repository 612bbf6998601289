"""Make docs/pipeline.jpg, the steps of the method (the paper's Fig. 2): ``python docs/pipeline_picture.py``."""

from pathlib import Path

import numpy as np
from pictures import CYAN, GREEN, ORANGE, YELLOW, beside, captioned, turned_head, with_dots, with_mesh
from PIL import Image

import jaxface
from jaxface import solvers, visibility
from jaxface.camera import project
from jaxface.energies import mean_point
from jaxface.fitting.api import at_landmarks
from jaxface.fitting.coarse import coarse_pose
from jaxface.fitting.frame import to_unit
from jaxface.fitting.pose import initial_pose
from jaxface.rendering.posed import image_landmarks
from jaxface.rendering.texture import texture
from jaxface.rendering.textured import draw_textured

YAW = -50.0


def placed(model, points, frame, scale, rotation, xy):
    """The mean face's vertices in the photograph, by a pose of the fit's unit frame; ``points`` are its landmarks."""
    scale, middle = scale * frame.radius, frame.centre + frame.radius * mean_point(xy, None)
    shift = middle - (scale * rotation @ mean_point(points, None))[:2]
    return np.asarray(project(model.mean, scale, rotation, shift))


def main():
    model = jaxface.load_model()
    image = turned_head(model, YAW)
    landmarks = jaxface.detect(image)[0]
    options = jaxface.FitOptions("2d+3d+p+w")
    there, axes = at_landmarks(model, landmarks, options)
    (xy, xyz, _), frame, _ = to_unit(landmarks, there.frontal)
    in_pixels = lambda points: np.asarray(frame.centre[:, None] + frame.radius * points[:2]).T
    solve_pose, points = solvers.solver(options.solver).solve_pose, there.mean.T

    scale, rotation = coarse_pose(axes.sides, xy, solve_pose)
    silhouette = visibility.silhouettes(there.scheme).any(axis=0)
    hidden = np.asarray(visibility.hidden(there.normals, rotation)) & silhouette
    coarse = placed(model, points, frame, scale, rotation, xy)
    scale, rotation, replaced = initial_pose(there, axes, xy, xyz, None, options.variant, solve_pose)
    refined = placed(model, points, frame, scale, rotation, replaced)
    result = jaxface.fit(model, landmarks, options)
    fitted = np.asarray(jaxface.vertices(model, result, camera=True))
    weights = f"2D {float(result.weight_2d):.2f}, 3D {float(result.weight_3d):.2f}"

    marked = lambda seen, mesh: with_dots(
        with_mesh(image, mesh, model.triangles), (seen[~hidden], YELLOW), (seen[hidden], GREEN)
    )
    mesh = with_mesh(image, fitted, model.triangles)
    frontal_view = np.asarray(jaxface.vertices(model, result) * 1.9) * (1, -1, -1) + (256, 256, 0)
    head = draw_textured(model, frontal_view, texture(image, model, result), 512, 512)
    panels = [
        captioned(
            with_dots(image, (landmarks.xyz[:, :2], ORANGE), (landmarks.xy, YELLOW)),
            "1. landmarks:\n2D (yellow), 3D (orange)",
        ),
        captioned(marked(in_pixels(xy), coarse), "2. coarse pose of the mean face,\n2D alone; hidden points in green"),
        captioned(marked(in_pixels(replaced), refined), "3. refined pose: hidden points\nreplaced by the 3D ones"),
        captioned(
            with_dots(mesh, (image_landmarks(model, result, "ibug68")[:, :2], CYAN)),
            f"4. weights, shape, pose, four times;\nweights at the end: {weights}",
        ),
        captioned(head, "5. the textured face,\nturned to the front"),
    ]
    low, high = 60, 452  # the head without the empty sides
    row = Image.fromarray(beside(*(panel[:, low:high] for panel in panels)))
    row.resize((1600, round(1600 * row.height / row.width)), Image.Resampling.LANCZOS).save(
        Path(__file__).with_name("pipeline.jpg"), quality=85
    )


if __name__ == "__main__":
    main()
