"""A fitted video as one GLB that plays: the person's face, its expressions as morph targets, and the head's motion."""

import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxface.camera import FRONTAL
from jaxface.export.files import atomic_write
from jaxface.export.meshes import METRES, write_mesh
from jaxface.model.morphable import MorphableModel
from jaxface.types import FitResult, Status


def write_animation(
    path: str | Path,
    model: MorphableModel,
    result: FitResult,
    times: Float[np.ndarray, "F"],
    texture: np.ndarray | None = None,
) -> None:
    """Write one person of a video as a GLB with an animation.

    The mesh is the person's face at rest, in metres; each expression of the model is a morph target of its name, and
    its weights are the fitted coefficients; a model without expressions has neither. The head turns as it does in the
    video, for a viewer who looks along -z with y up, and moves with it across the image. Between frames, and over those
    without a fit, a player interpolates.

    Args:
      result: F frames of one person, as ``jaxface.fit_sequence`` gives them.
      times: seconds, rising.
      texture: (S, S, 3) uint8, as ``jaxface.rendering.texture`` bakes it.

    Raises:
      ValueError: no frame has a fit, or the folder does not exist.
      OSError: the file cannot be written.
    """
    from pygltflib import Animation, AnimationChannel, AnimationChannelTarget, AnimationSampler, Attributes

    fitted = np.array([Status(int(status)).fitted for status in np.asarray(result.status)])
    if not fitted.any():
        raise ValueError("result: no frame has a fit, so there is nothing to animate")
    frames = jax.tree.map(lambda leaf: np.asarray(leaf)[fitted], result)
    offsets = METRES * np.moveaxis(np.asarray(model.expression, np.float32), -1, 0)
    if texture is not None:
        offsets = offsets[:, np.asarray(model.uv_vertices)]

    scene = _at_rest(model, frames, texture)
    content = bytearray(scene.binary_blob())
    add = lambda values, kind, **more: _add(scene, content, np.asarray(values, np.float32), kind, **more)
    moving = {"rotation": ("VEC4", _quaternions(frames)), "translation": ("VEC3", _places(frames))}
    if len(offsets):
        (mesh,) = scene.meshes
        mesh.primitives[0].targets = [Attributes(POSITION=add(offset, "VEC3", of_vertices=True)) for offset in offsets]
        mesh.weights = frames.expression[0].tolist()
        mesh.extras = {"targetNames": list(model.expression_names) or [f"{index}" for index in range(len(offsets))]}
        moving["weights"] = "SCALAR", frames.expression.reshape(-1)
    at = add(np.asarray(times)[fitted], "SCALAR")
    samplers = [AnimationSampler(input=at, output=add(values, kind)) for kind, values in moving.values()]
    (node,) = (index for index, node in enumerate(scene.nodes) if node.mesh is not None)
    scene.nodes[node].matrix = None  # a node that moves has none
    channels = [
        AnimationChannel(sampler=index, target=AnimationChannelTarget(node=node, path=name))
        for index, name in enumerate(moving)
    ]
    scene.animations = [Animation(name="video", samplers=samplers, channels=channels)]
    scene.buffers[0].byteLength = len(content)
    scene.set_binary_blob(bytes(content))
    atomic_write(path, b"".join(scene.save_to_bytes()))


def _at_rest(model: MorphableModel, frames: FitResult, texture: np.ndarray | None):
    """The scene of a person's face without an expression."""
    from pygltflib import GLTF2

    first = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), frames)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "face.glb"
        write_mesh(file, model, replace(first, expression=0 * first.expression), texture)
        return GLTF2.load_binary(str(file))


def _add(scene, content: bytearray, values: np.ndarray, kind: str, of_vertices: bool = False) -> int:
    """Append float32 values to a scene's content; the number of the accessor that reads them."""
    from pygltflib import ARRAY_BUFFER, FLOAT, Accessor, BufferView

    rows = values if values.ndim > 1 else values[:, None]
    data = np.ascontiguousarray(values).tobytes()
    target = ARRAY_BUFFER if of_vertices else None
    scene.bufferViews.append(BufferView(buffer=0, byteOffset=len(content), byteLength=len(data), target=target))
    low, high = (limit(axis=0).tolist() for limit in (rows.min, rows.max))
    view = len(scene.bufferViews) - 1
    scene.accessors.append(
        Accessor(bufferView=view, componentType=FLOAT, count=len(rows), type=kind, min=low, max=high)
    )
    content.extend(data)
    return len(scene.accessors) - 1


def _quaternions(frames: FitResult) -> np.ndarray:
    """(F, 4) x, y, z, w of the turns from the face's frame into a viewer's with y up, each on its neighbour's side."""
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_matrix(FRONTAL @ frames.pose.rotation).as_quat()
    flips = np.sign(np.einsum("fi,fi->f", turns[1:], turns[:-1]))
    return turns * np.cumprod(np.concatenate([[1.0], np.where(flips == 0, 1.0, flips)]))[:, None]


def _places(frames: FitResult) -> np.ndarray:
    """(F, 3) metres: where the model's origin is, from its mean place, at the clip's mean scale."""
    across = frames.pose.translation - frames.pose.translation.mean(axis=0)
    metres = METRES * across / frames.pose.scale.mean() * [1, -1]
    return np.pad(metres, ((0, 0), (0, 1)))
