import dataclasses
import json
import os

import jax
import jax.numpy as jnp
import meshio
import numpy as np
import pytest
import trimesh
from gltf_values import values
from pygltflib import GLTF2
from small_model import small_landmarks, small_model, small_photograph, small_result

from jaxface.export.files import atomic_write, atomic_write_all
from jaxface.export.meshes import CLAY, save, write_mesh
from jaxface.export.records import read_npz, write_json, write_npz
from jaxface.rendering.shading import vertex_normals


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def image():
    return small_photograph()


@pytest.fixture(scope="module")
def atlas():
    rows, columns = np.mgrid[:128, :128]
    return np.stack([2 * rows, 2 * columns, 0 * rows + 90], axis=-1).astype(np.uint8)


def face(model, result):
    return np.asarray(model.vertices(result.identity, result.expression))


@pytest.mark.parametrize("suffix", ["obj", "glb"])
def test_textured_meshes_load_with_their_texture(tmp_path, model, atlas, suffix):
    result = small_result(30.0)
    write_mesh(tmp_path / f"face.{suffix}", model, result, atlas)
    loaded = trimesh.load(tmp_path / f"face.{suffix}", force="mesh", process=False)
    unit = 1e-3 if suffix == "glb" else 1.0
    np.testing.assert_allclose(loaded.vertices / unit, face(model, result)[model.uv_vertices], atol=1e-3)
    np.testing.assert_array_equal(loaded.faces, model.uv_triangles)
    np.testing.assert_allclose(loaded.visual.uv, model.uv, atol=1e-5)
    material = loaded.visual.material
    picture = material.baseColorTexture if suffix == "glb" else material.image
    assert picture.size == (128, 128)
    assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - atlas).mean() < 2  # GLB: a JPEG
    if suffix == "glb":
        assert (material.metallicFactor, material.roughnessFactor) == (0.0, 1.0)


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_plain_meshes_keep_the_vertices_of_the_model(tmp_path, model, suffix):
    result = small_result()
    save(tmp_path / f"face.{suffix}", model, result)
    assert os.listdir(tmp_path) == [f"face.{suffix}"]
    loaded = trimesh.load(tmp_path / f"face.{suffix}", force="mesh", process=False)
    unit = 1e-3 if suffix == "glb" else 1.0
    np.testing.assert_allclose(loaded.vertices / unit, face(model, result), atol=1e-3)
    np.testing.assert_array_equal(loaded.faces, model.triangles)
    if suffix == "glb":
        assert loaded.visual.material.metallicFactor == 0.0


def test_ply_has_the_colour_of_the_texture_at_each_vertex(tmp_path, model, atlas):
    result = small_result()
    write_mesh(tmp_path / "face.ply", model, result, atlas)
    loaded = trimesh.load(tmp_path / "face.ply", process=False)
    colours = np.asarray(loaded.visual.vertex_colors)[:, :3].astype(float)
    first = np.unique(np.asarray(model.uv_vertices), return_index=True)[1]
    one_point = np.bincount(np.asarray(model.uv_vertices)) == 1
    u, v = np.asarray(model.uv)[first].T
    expected = np.stack([255 * (1 - v), 255 * u, 0 * u + 90], axis=-1)
    np.testing.assert_allclose(colours[one_point], expected[one_point], atol=3)


@pytest.mark.parametrize("name", ["face.obj", "face.ply"])
def test_meshio_reads_what_was_written(tmp_path, model, atlas, name):
    result = small_result()
    write_mesh(tmp_path / name, model, result, atlas)
    loaded = meshio.read(tmp_path / name)
    order = model.uv_vertices if name.endswith("obj") else slice(None)
    np.testing.assert_allclose(loaded.points, face(model, result)[order], atol=1e-3)
    if name.endswith("ply"):
        normals = np.stack([loaded.point_data[axis] for axis in ("nx", "ny", "nz")], axis=-1)
        assert (np.sum(normals * loaded.points, axis=1) > 0).mean() > 0.99  # outward


def test_save_bakes_the_texture_and_two_faces_share_a_folder(tmp_path, model, image):
    (tmp_path / "a.png").write_bytes(b"the photograph")
    for name, yaw in (("a", 0.0), ("b", 25.0)):
        save(tmp_path / f"{name}.OBJ", model, small_result(yaw), image)
    assert sorted(os.listdir(tmp_path)) == [
        "a.OBJ", "a.mtl", "a.png", "a_texture.png", "b.OBJ", "b.mtl", "b_texture.png"
    ]  # fmt: skip
    assert (tmp_path / "a.png").read_bytes() == b"the photograph"
    for name in "ab":
        assert f"mtllib {name}.mtl\n" in (tmp_path / f"{name}.OBJ").read_text()
        assert f"map_Kd {name}_texture.png" in (tmp_path / f"{name}.mtl").read_text()
    assert (tmp_path / "a_texture.png").read_bytes() != (tmp_path / "b_texture.png").read_bytes()


def test_a_model_without_atlas_is_saved_plain(tmp_path, model, image):
    bare = dataclasses.replace(model, uv=None, uv_vertices=None, uv_triangles=None)
    save(tmp_path / "face.obj", bare, small_result(), image)
    assert os.listdir(tmp_path) == ["face.obj"]


@pytest.mark.parametrize("name", ["face.stl", "face", ".obj"])
def test_another_suffix_is_refused(tmp_path, model, name):
    with pytest.raises(ValueError, match=rf"path: got '.*{name}', takes .*\.obj, \.ply, \.glb"):
        save(tmp_path / name, model, small_result())


@pytest.mark.parametrize("name", ["line\nbreak", os.fsdecode(b"caf\xe9")])
def test_a_name_that_an_obj_cannot_call_its_material_by_is_refused(tmp_path, model, image, name):
    with pytest.raises(ValueError, match="path: got .*, takes a name of letters that an OBJ can call its material by"):
        save(tmp_path / f"{name}.obj", model, small_result(), image=image)
    assert not any(tmp_path.iterdir())


def test_a_batch_and_a_missing_folder_are_refused(tmp_path, model):
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), small_result())
    with pytest.raises(ValueError, match=r"batch of shape \(3,\).*jax.tree.map"):
        save(tmp_path / "face.ply", model, batch)
    with pytest.raises(ValueError, match="path: .*a folder that exists"):
        save(tmp_path / "nowhere" / "face.ply", model, small_result())


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_nothing_is_left_of_a_write_that_fails(tmp_path, model, atlas, monkeypatch, fails_at):
    replace, calls = os.replace, []

    def failing(source, target):
        calls.append(target)
        if len(calls) > fails_at:
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="disk full"):
        write_mesh(tmp_path / "face.obj", model, small_result(), atlas)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_former_file(tmp_path):
    atomic_write(tmp_path / "a", b"old")
    (tmp_path / "b").mkdir()
    with pytest.raises(OSError):
        atomic_write(tmp_path / "b", b"new")
    with pytest.raises(TypeError):
        atomic_write_all({tmp_path / "a": b"new", tmp_path / "c": None})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("weighted", [False, True])
def test_npz_round_trip(tmp_path, model, weighted):
    result = small_result(-40.0)
    landmarks = small_landmarks(model, result)
    if weighted:
        landmarks = dataclasses.replace(landmarks, weight=jnp.linspace(0, 1, 68), detector="mine")
        result = dataclasses.replace(result, variant="calibrated")
    write_npz(tmp_path / "fit.npz", result, landmarks)
    read = read_npz(tmp_path / "fit.npz")
    assert jax.tree.structure(read) == jax.tree.structure((result, landmarks))
    for ours, theirs in zip(jax.tree.leaves((result, landmarks)), jax.tree.leaves(read), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_npz_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_npz(tmp_path / "fit.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.npz: not a fit"):
        read_npz(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", scale=1.0)
    with pytest.raises(ValueError, match=r"other\.npz: the field 'rotation' is missing"):
        read_npz(tmp_path / "other.npz")


def test_json_is_strict_and_complete(tmp_path, model):
    result = dataclasses.replace(small_result(25.0), cost=jnp.float32(np.nan))
    options = {"variant": "2d", "iterations": 4, "tolerance": float("inf")}
    write_json(
        tmp_path / "fit.json", model, result, options=options, source="héad.jpg", face=1, box=(1.0, 2.0, 3.5, 4.0)
    )

    def refuse(constant):
        raise AssertionError(constant)

    record = json.loads((tmp_path / "fit.json").read_text("utf-8"), parse_constant=refuse)
    assert record["source"] == "héad.jpg" and record["face"] == 1 and record["box"] == [1, 2, 3.5, 4]
    assert record["pose"]["yaw_deg"] == pytest.approx(25.0, abs=1e-3)
    assert record["pose"]["scale_px_per_mm"] == 1.5 and record["pose"]["translation_px"] == [200.0, 200.0]
    np.testing.assert_array_equal(np.float32(record["identity"]), result.identity)
    assert record["expression"] == {"pout": 0.4}
    assert record["cost"] is None and record["iterations"] == 4
    assert record["status"]["name"] == "CONVERGED" and record["status"]["sentence"].startswith("fitted")
    assert record["options"] == options | {"tolerance": None}
    assert set(record["versions"]) >= {"python", "jaxface", "jax", "jaxopt", "ai-edge-litert", "numpy"}


def test_no_seam_of_the_atlas_shows_in_the_shading(tmp_path, model, atlas):
    """A vertex that is there twice has one normal, that of the whole mesh."""
    result = small_result()
    whole = vertex_normals(face(model, result), np.asarray(model.triangles))[model.uv_vertices]
    for name in ("face.obj", "face.glb"):
        write_mesh(tmp_path / name, model, result, atlas)
    lines = (tmp_path / "face.obj").read_text().splitlines()
    in_obj = np.array([line.split()[1:] for line in lines if line.startswith("vn ")], float)
    scene = GLTF2.load_binary(str(tmp_path / "face.glb"))
    in_glb = values(scene, scene.meshes[0].primitives[0].attributes.NORMAL)
    np.testing.assert_allclose(in_obj, whole, atol=1e-5)
    np.testing.assert_allclose(in_glb, whole, atol=1e-5)


def test_a_glb_without_a_texture_is_clay(tmp_path, model):
    save(tmp_path / "face.glb", model, small_result())
    (material,) = GLTF2.load_binary(str(tmp_path / "face.glb")).materials
    np.testing.assert_allclose(material.pbrMetallicRoughness.baseColorFactor, np.array(CLAY) / 255, atol=0.01)


def test_expressions_without_names_are_a_list(tmp_path, model):
    bare = dataclasses.replace(model, expression_names=())
    write_json(tmp_path / "fit.json", bare, small_result(), options={})
    assert json.loads((tmp_path / "fit.json").read_text())["expression"] == [0.4]


def test_an_npz_that_says_no_variant_is_of_the_papers_method(tmp_path, model):
    result = small_result()
    write_npz(tmp_path / "fit.npz", result, small_landmarks(model, result))
    with np.load(tmp_path / "fit.npz") as stored:
        np.savez(tmp_path / "older.npz", **{name: stored[name] for name in stored.files if name != "variant"})
    assert read_npz(tmp_path / "older.npz")[0].variant == "2d+3d+p+w"
