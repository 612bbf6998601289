"""A head that moves, as GLB: what the file says against the fits that it is of."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gltf_values import values
from pygltflib import GLTF2
from small_model import small_model, small_result

from jaxface import camera
from jaxface.export.animation import write_animation


@pytest.fixture
def scene(tmp_path):
    model = small_model()
    angles = jnp.array([[0.0, yaw, 0.0] for yaw in (-40.0, 0.0, 10.0, 40.0)])
    still = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), small_result())
    pose = replace(still.pose, rotation=camera.rotation_from_euler(angles))
    expression, status = jnp.array([[0.0], [0.5], [9.0], [1.0]]), jnp.array([0, 0, 2, 1])
    result = replace(still, pose=pose, expression=expression, status=status)
    write_animation(tmp_path / "head.glb", model, result, np.arange(4) / 25)
    return model, GLTF2.load_binary(str(tmp_path / "head.glb"))


def test_plays_the_fitted_frames(scene):
    model, scene = scene
    (animation,) = scene.animations
    times = [values(scene, sampler.input) for sampler in animation.samplers]
    for each in times:
        np.testing.assert_allclose(each[:, 0], [0, 0.04, 0.12])  # the third frame has no fit
    tracks = {
        channel.target.path: values(scene, animation.samplers[channel.sampler].output) for channel in animation.channels
    }
    np.testing.assert_allclose(tracks["weights"][:, 0], [0, 0.5, 1])
    half = np.deg2rad([-40, 0, 40]) / 2  # yaw > 0 turns the nose to the viewer's right: about +y
    expected = np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], axis=1)
    np.testing.assert_allclose(np.abs(np.sum(tracks["rotation"] * expected, axis=1)), 1, atol=1e-6)
    np.testing.assert_allclose(tracks["translation"], 0, atol=1e-6)


def test_morphs_the_face_as_the_model_does(scene):
    model, scene = scene
    (mesh,) = scene.meshes
    assert mesh.extras["targetNames"] == ["pout"] and mesh.weights == [0]
    (primitive,) = mesh.primitives
    moved = values(scene, primitive.targets[0]["POSITION"])
    np.testing.assert_allclose(moved, 1e-3 * model.expression[..., 0], atol=1e-7)
    rest = model.vertices(jnp.array([0.5, -0.3]), jnp.zeros(1))
    np.testing.assert_allclose(values(scene, primitive.attributes.POSITION), 1e-3 * rest, atol=1e-6)


def test_a_head_moves_as_in_the_image_and_turns_the_short_way(tmp_path):
    """15 pixels at 1.5 a millimetre are 10 mm, and what is higher in the image, of smaller y, is higher here."""
    still = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), small_result())
    angles = jnp.array([[0.0, 0.0, roll] for roll in (60.0, 80.0, 100.0, 120.0)])
    places = jnp.array([[200.0, 200], [215, 200], [200, 170], [185, 230]])
    pose = replace(still.pose, rotation=camera.rotation_from_euler(angles), translation=places)
    write_animation(tmp_path / "head.glb", small_model(), replace(still, pose=pose), np.arange(4) / 25)
    scene = GLTF2.load_binary(str(tmp_path / "head.glb"))
    turns, moves = (values(scene, sampler.output) for sampler in scene.animations[0].samplers[:2])
    np.testing.assert_allclose(np.sum(turns[1:] * turns[:-1], axis=1), np.cos(np.radians(10)), atol=1e-6)
    np.testing.assert_allclose(moves, 1e-3 * np.array([[0, 0, 0], [10, 0, 0], [0, 20, 0], [-10, -20, 0]]), atol=1e-7)


def test_a_textured_head_morphs_at_the_vertices_of_its_atlas(tmp_path):
    model, still = small_model(), jax.tree.map(lambda leaf: leaf[None], small_result())
    write_animation(tmp_path / "head.glb", model, still, np.zeros(1), np.zeros((64, 64, 3), np.uint8))
    scene = GLTF2.load_binary(str(tmp_path / "head.glb"))
    moved = values(scene, scene.meshes[0].primitives[0].targets[0]["POSITION"])
    np.testing.assert_allclose(moved, 1e-3 * model.expression[model.uv_vertices, :, 0], atol=1e-7)


def test_a_model_without_expressions_moves_its_head(tmp_path):
    model = replace(small_model(), expression=jnp.zeros((*small_model().mean.shape, 0)), expression_names=())
    still = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), small_result())
    write_animation(tmp_path / "head.glb", model, replace(still, expression=jnp.zeros((2, 0))), np.arange(2) / 25)
    scene = GLTF2.load_binary(str(tmp_path / "head.glb"))
    assert [channel.target.path for channel in scene.animations[0].channels] == ["rotation", "translation"]
    (mesh,) = scene.meshes
    assert not mesh.primitives[0].targets and not mesh.weights and "targetNames" not in mesh.extras


def test_a_head_that_comes_nearer_moves_by_its_mean_scale(tmp_path):
    """150 pixels to the right at 1 and at 2 pixels a millimetre, in whose mean they are 100 mm."""
    still = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), small_result())
    places = jnp.array([[100.0, 200], [250, 200]])
    pose = replace(still.pose, scale=jnp.array([1.0, 2.0]), translation=places)
    write_animation(tmp_path / "head.glb", small_model(), replace(still, pose=pose), np.arange(2) / 25)
    scene = GLTF2.load_binary(str(tmp_path / "head.glb"))
    moves = values(scene, scene.animations[0].samplers[1].output)
    np.testing.assert_allclose(moves, [[-0.05, 0, 0], [0.05, 0, 0]], atol=1e-7)
