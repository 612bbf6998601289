"""A fit as one page for a browser: pictures, the head to turn, pose, status and coefficients, all in one HTML file."""

import base64
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from jaxface.detection.reading import require_photograph
from jaxface.export.files import atomic_write
from jaxface.export.meshes import write_mesh
from jaxface.export.records import versions
from jaxface.fitting import FitOptions, cost_history, uncertainty
from jaxface.model import correspondences as groups
from jaxface.model.morphable import MorphableModel
from jaxface.rendering.overlay import draw_faces, overlay
from jaxface.rendering.posed import seen_landmarks
from jaxface.rendering.texture import bake
from jaxface.rendering.uncertainty_map import draw_uncertainty
from jaxface.types import AnyArray, FitResult, Landmarks, Status

PHOTOGRAPH = 1200
"""The longer side of the photograph in the page in pixels, at most."""
FIELD_OF_VIEW = 25.0
"""Of the camera that shows the head, in degrees: a portrait lens."""
ROOM = 1.25
"""What the picture of the head is larger than the head."""
SHINE = 0.5
"""The part of the head's colour that needs no light."""
_FEW = 12
"""So many expression shapes are shown at once, the strongest first; the others unfold."""
_PARTS = {
    "jaw line": np.r_[groups.JAW],
    "brows": np.r_[groups.RIGHT_BROW, groups.LEFT_BROW],
    "nose": np.r_[groups.NOSE_BRIDGE, groups.NOSE_BASE],
    "eyes": np.r_[groups.RIGHT_EYE, groups.LEFT_EYE],
    "mouth": np.r_[groups.OUTER_LIPS, groups.INNER_LIPS],
}
"""The 68 points by the parts of a face."""


def write_report(
    path: str | Path,
    model: MorphableModel,
    result: FitResult,
    image: np.ndarray,
    landmarks: Landmarks,
    options: FitOptions = FitOptions(),
    *,
    texture: np.ndarray | None = None,
    source: str | None = None,
    face: int = 0,
    together: Sequence[str] = (),
) -> None:
    """Write one fit as an HTML file that needs no other file and no network.

    It shows the photograph, the landmarks, the overlay and the mesh, which the mouse turns; the pose, the status, the
    landmarks' errors, the cost by round where ``landmarks`` and ``options`` make this result again, the coefficients,
    and the options and versions that made them.

    Args:
      image: (H, W, 3) uint8 RGB, the photograph that was fitted.
      landmarks: what the face was fitted to.
      texture: (S, S, 3) uint8, as ``jaxface.rendering.texture`` bakes it; without it, it is baked here.
      source: the photograph's file name.
      face: which face of the photograph this is, from 0.
      together: the names of the photographs, this one among them, that the identity was fitted to as one person's.

    Raises:
      ValueError: ``result`` is a batch, ``image`` is not (H, W, 3) uint8, or the folder does not exist.
      RuntimeError: no OpenGL can be opened on this machine.
      OSError: the file cannot be written.
    """
    require_photograph(image)
    if texture is None:
        texture = bake(image, model, result)
    status = Status(int(result.status))
    alone = status.fitted and not together
    page = _template().render(
        title=source or "A face",
        face=face + 1,
        together=together,
        status=status,
        pose=result.pose.sentence,
        facts=_facts(result),
        photograph=_picture(_reduced(image)),
        landmarks=_picture(draw_faces(image, [landmarks], [str(face + 1)])) if _finite(landmarks) else None,
        overlay=_picture(overlay(image, model, result, landmarks, contour=options.contour)),
        viewer=_viewer(model, result, texture),
        certainty=_picture(_certainty(model, result, landmarks, options)) if status.fitted else None,
        errors=_bars(landmark_errors(model, result, landmarks, options.contour)) if status.fitted else [],
        costs=_chart(model, result, landmarks, options) if alone else [],
        expression=_bars(_named(model, result), ordered=True),
        named=bool(model.expression_names),
        identity=_bars(_numbered(result.identity)),
        few=_FEW,
        model={"name": model.name, "licence": model.licence},
        options=asdict(options) | {"variant": result.variant},
        versions=versions(),
    )
    atomic_write(path, page.encode())


def landmark_errors(
    model: MorphableModel, result: FitResult, landmarks: Landmarks, contour: str = "replace"
) -> dict[str, float]:
    """How far the fitted landmarks are from the detected 2D ones, in mm across the image: the mean of each part of the
    68 points, or of these among MediaPipe's, and of all. Those of the contour are where the fit with this ``contour``
    takes them to be seen."""
    fitted = seen_landmarks(model, result, landmarks.scheme, contour)
    apart = np.linalg.norm(fitted - np.asarray(landmarks.xy), axis=-1) / float(result.pose.scale)
    among = apart if landmarks.scheme == "ibug68" else apart[groups.IBUG68_FROM_MEDIAPIPE478]
    return {name: float(among[points].mean()) for name, points in _PARTS.items()} | {"all": float(apart.mean())}


def _certainty(model: MorphableModel, result: FitResult, landmarks: Landmarks, options: FitOptions) -> np.ndarray:
    return draw_uncertainty(model, result, np.asarray(uncertainty(model, result, landmarks, options).vertex_std))


def _chart(model: MorphableModel, result: FitResult, landmarks: Landmarks, options: FitOptions) -> list[dict]:
    """A line chart of the cost at the start of a fit and after each round: of each point its name, value, and place in
    parts of width and height, down, of which the logarithm counts. No points where the result came about otherwise."""
    costs = np.asarray(cost_history(model, landmarks, options), float)
    if not np.isclose(costs[-1], float(result.cost), rtol=0.01):
        return []
    heights = np.log(np.maximum(costs, np.finfo(float).tiny))
    down = (heights.max() - heights) / (np.ptp(heights) or 1.0)
    names = ["start", *map(str, range(1, len(costs)))]
    across = np.linspace(0, 1, len(costs))
    return [{"name": n, "value": v, "x": x, "y": y} for n, v, x, y in zip(names, costs, across, down, strict=True)]


def _facts(result: FitResult) -> dict[str, str]:
    """The numbers of a fit as people write them; of a face that was not fitted, none of its pose."""
    if not Status(int(result.status)).fitted:
        return {}
    pitch, yaw, roll = np.asarray(result.pose.euler_deg, float)
    pose = result.pose
    return {
        "yaw": f"{yaw:+z.1f}°",
        "pitch": f"{pitch:+z.1f}°",
        "roll": f"{roll:+z.1f}°",
        "scale": f"{float(pose.scale):.3g} px/mm",
        "cost (Eq. 4)": f"{float(result.cost):.4g} mm²",
        "weight of 2D, 3D": f"{float(result.weight_2d):.2f}, {float(result.weight_3d):.2f}",
        "rounds": str(int(result.iterations)),
    }


def _named(model: MorphableModel, result: FitResult) -> dict[str, float]:
    names = model.expression_names
    if len(names) != len(result.expression):
        return _numbered(result.expression)
    return dict(zip(names, np.asarray(result.expression, float).tolist(), strict=True))


def _numbered(coefficients: AnyArray) -> dict[str, float]:
    return {str(number): float(value) for number, value in enumerate(np.asarray(coefficients), start=1)}


def _bars(values: dict[str, float], ordered: bool = False) -> list[dict]:
    """What a bar chart of named values needs: of each its name, value, and extent in parts of the largest."""
    limit = max((abs(value) for value in values.values()), default=0.0) or 1.0
    bars = [{"name": name, "value": value, "part": value / limit} for name, value in values.items()]
    return sorted(bars, key=lambda bar: -abs(bar["value"])) if ordered else bars


def _viewer(model: MorphableModel, result: FitResult, texture: np.ndarray | None) -> str:
    """A page of trimesh's viewer with the mesh in it, seen from the front."""
    import trimesh
    from trimesh.viewer.notebook import scene_to_html

    with TemporaryDirectory() as folder:
        write_mesh(Path(folder) / "face.glb", model, result, texture)
        mesh = trimesh.load_mesh(Path(folder) / "face.glb", process=False)
    mesh.vertex_normals  # noqa: B018 - those that are there are exported, and without any the shading is flat
    visual: Any = mesh.visual  # a GLB's, with a PBR material
    material = visual.material
    if texture is not None:  # the viewer has one lamp and no sky, so that the head has to shine a little
        material.baseColorFactor = [*3 * [round(255 * (1 - SHINE))], 255]
        material.emissiveTexture, material.emissiveFactor = material.baseColorTexture, 3 * [SHINE]
    scene = mesh.scene()
    distance = ROOM * mesh.extents.max() / (2 * np.tan(np.radians(FIELD_OF_VIEW / 2)))
    scene.set_camera(distance=distance, center=mesh.bounds.mean(axis=0), fov=2 * [FIELD_OF_VIEW])
    return scene_to_html(scene)


def _finite(landmarks: Landmarks) -> bool:
    return bool(np.isfinite(landmarks.xy).all() and np.isfinite(landmarks.xyz).all())


def _reduced(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((PHOTOGRAPH, PHOTOGRAPH), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _picture(picture: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as an address that holds it."""
    from PIL import Image

    content = BytesIO()
    Image.fromarray(picture).save(content, format="JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def _template():
    """The page, in which every text is escaped: a file's name is not trusted."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("jaxface.export").joinpath("report.html").read_text("utf-8"))
