"""A fitted face as a mesh file: PLY, written by meshio; OBJ and GLB, whose textures meshio drops, by trimesh."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jaxface.export.files import atomic_write, atomic_write_all
from jaxface.model.morphable import MorphableModel
from jaxface.rendering.posed import model_vertices
from jaxface.rendering.shading import vertex_normals
from jaxface.rendering.texture import bake
from jaxface.types import FitResult

METRES = 1e-3
"""A millimetre in glTF's unit of length."""
CLAY = (200, 205, 215, 255)
"""The colour of a GLB without a texture."""
_OBJ: dict[str, Any] = {"digits": 6, "header": None}


def save(path: str | Path, model: MorphableModel, result: FitResult, image: np.ndarray | None = None) -> None:
    """Write a fitted face to a mesh file, without its pose; the suffix says which.

    ``.obj``: millimetres in the model frame; with a texture also ``<stem>.mtl`` and ``<stem>_texture.png`` beside it.
    ``.ply``: binary, millimetres in the model frame; with a texture, a colour a vertex.
    ``.glb``: metres, as glTF prescribes; its axes (y up, z forward) are the model frame's. Matt; without a
    texture, of one colour.

    An OBJ or GLB with a texture has the vertices of the texture atlas: a mesh vertex at a seam is there twice, and
    vertex k is ``model.uv_vertices[k]`` of the model. All others have the model's own vertices in their order. Files
    appear whole or not at all.

    Args:
      image: (H, W, 3) uint8 RGB, the photograph that was fitted. If it is given and the model has a texture atlas,
        the texture is baked from it.

    Raises:
      ValueError: the suffix is another, the folder does not exist, ``result`` is a batch, or ``image`` is not of
        this kind.
      OSError: the file cannot be written.
    """
    _writer(path)
    write_mesh(path, model, result, None if image is None else bake(image, model, result))


def write_mesh(path: str | Path, model: MorphableModel, result: FitResult, texture: np.ndarray | None = None) -> None:
    """``save`` with a texture (S, S, 3) uint8 that ``jaxface.rendering.texture`` baked before, or with none."""
    path = Path(path)
    _writer(path)(path, model, model_vertices(model, result), texture)


def _write_obj(path: Path, model: MorphableModel, vertices: np.ndarray, texture: np.ndarray | None) -> None:
    from PIL import Image
    from trimesh.exchange.obj import export_obj
    from trimesh.visual.material import SimpleMaterial

    if texture is None:
        return atomic_write(path, export_obj(_plain(model, vertices), **_OBJ).encode())
    if not path.stem.isprintable():
        raise ValueError(f"path: got {str(path)!r}, takes a name of letters that an OBJ can call its material by")
    white, black = [255, 255, 255, 255], [0, 0, 0, 255]
    material = SimpleMaterial(
        Image.fromarray(texture), diffuse=white, ambient=white, specular=black, name=f"{path.stem}_texture"
    )
    mesh = _textured(model, vertices, material)
    library = f"{path.stem}.mtl"
    text, beside = export_obj(mesh, include_normals=True, return_texture=True, mtl_name=library, **_OBJ)
    files = {path.with_name(name): content for name, content in beside.items() if name != library}
    atomic_write_all({**files, path.with_name(library): beside[library], path: text.encode()})


def _write_ply(path: Path, model: MorphableModel, vertices: np.ndarray, texture: np.ndarray | None) -> None:
    import meshio

    triangles = np.asarray(model.triangles, np.int32)
    normals = vertex_normals(vertices, triangles).T.astype(np.float32)
    attributes: dict[str, np.ndarray] = dict(zip(("nx", "ny", "nz"), normals, strict=True))
    if texture is not None:
        attributes |= zip(("red", "green", "blue"), _vertex_colours(model, texture).T, strict=True)
    mesh = meshio.Mesh(vertices.astype(np.float32), [("triangle", triangles)], point_data=attributes)
    content = BytesIO()
    meshio.write(content, mesh, file_format="ply")
    atomic_write(path, content.getvalue())


def _write_glb(path: Path, model: MorphableModel, vertices: np.ndarray, texture: np.ndarray | None) -> None:
    from PIL import Image
    from trimesh.exchange.gltf import export_glb
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    material = PBRMaterial(name=path.stem, metallicFactor=0.0, roughnessFactor=1.0)
    if texture is None:
        material.baseColorFactor = CLAY
        mesh = _plain(model, METRES * vertices)
        mesh.visual = TextureVisuals(material=material)
    else:
        material.baseColorTexture = _jpeg(Image.fromarray(texture))
        mesh = _textured(model, METRES * vertices, material)
    atomic_write(path, export_glb(mesh, include_normals=True))


_WRITERS = {".obj": _write_obj, ".ply": _write_ply, ".glb": _write_glb}


def _writer(path: str | Path):
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(f"path: got {str(path)!r}, takes a name that ends in {', '.join(_WRITERS)}")
    return _WRITERS[suffix]


def _plain(model: MorphableModel, vertices: np.ndarray):
    import trimesh

    return trimesh.Trimesh(vertices, np.asarray(model.triangles), process=False)


def _textured(model: MorphableModel, vertices: np.ndarray, material):
    """The mesh split along the atlas's seams, with the normals of the whole one: no seam shows in its shading."""
    import trimesh
    from trimesh.visual import TextureVisuals

    split = np.asarray(model.uv_vertices)
    return trimesh.Trimesh(
        vertices[split],
        np.asarray(model.uv_triangles),
        vertex_normals=vertex_normals(vertices, np.asarray(model.triangles))[split],
        visual=TextureVisuals(uv=np.asarray(model.uv), material=material),
        process=False,
    )


def _vertex_colours(model: MorphableModel, texture: np.ndarray) -> np.ndarray:
    """(V, 3) uint8: the texture at each vertex, at one of its texture points; mid-grey where it has none."""
    height, width = texture.shape[:2]
    u, v = np.asarray(model.uv).T
    columns = np.clip((u * width).astype(int), 0, width - 1)
    rows = np.clip(((1 - v) * height).astype(int), 0, height - 1)
    colours = np.full((len(model.mean), 3), 128, np.uint8)
    colours[np.asarray(model.uv_vertices)] = texture[rows, columns]
    return colours


def _jpeg(image):
    """The same picture as a JPEG, which trimesh embeds as it is: a tenth of a PNG's bytes."""
    from PIL import Image

    encoded = BytesIO()
    image.save(encoded, format="JPEG", quality=95, subsampling=0)
    return Image.open(encoded)
