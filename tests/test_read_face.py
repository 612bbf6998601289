"""Faces as meshes in files, with the landmarks that align them."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from evaluation_faces import head
from small_model import small_result

from jaxface.evaluation.faces import SEVEN, read_face
from jaxface.export.meshes import write_mesh


@pytest.fixture(scope="module")
def face():
    return head()


def coefficients(model):
    return jnp.zeros(model.identity.shape[-1]), jnp.zeros(model.expression.shape[-1])


def blank(model):
    """The mean face as a fit."""
    identity, expression = coefficients(model)
    return replace(small_result(), identity=identity, expression=expression)


@pytest.fixture
def mesh(face, tmp_path):
    path = tmp_path / "scan.ply"
    path.write_bytes(trimesh.Trimesh(face.vertices, face.triangles, process=False).export(file_type="ply"))
    return path


def test_landmarks_beside_the_mesh(face, mesh):
    assert read_face(mesh).landmarks is None
    np.save(mesh.with_suffix(".npy"), face.seven[None])
    np.testing.assert_allclose(read_face(mesh).seven, face.seven)
    mesh.with_suffix(".npy").unlink()
    np.savetxt(mesh.with_suffix(".txt"), face.landmarks)
    np.testing.assert_allclose(read_face(mesh).seven, face.landmarks[list(SEVEN)])
    np.testing.assert_allclose(read_face(mesh).nose_tip, face.landmarks[30])
    np.testing.assert_allclose(read_face(mesh).vertices, face.vertices, atol=1e-4)


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
def test_a_mesh_that_jaxface_wrote_has_its_models_landmarks(small, tmp_path, suffix):
    result = blank(small)
    write_mesh(tmp_path / f"face{suffix}", small, result)
    face = read_face(tmp_path / f"face{suffix}", model=small)
    known = np.asarray(small.landmark_positions(small.vertices(result.identity, result.expression), "ibug68"))
    np.testing.assert_allclose(face.landmarks, known * (1e-3 if suffix == ".glb" else 1), atol=1e-3)


def test_a_textured_obj_too(small, tmp_path):
    texture = np.full((8, 8, 3), 128, np.uint8)
    write_mesh(tmp_path / "face.obj", small, blank(small), texture)
    face = read_face(tmp_path / "face.obj", model=small)
    known = np.asarray(small.landmark_positions(small.vertices(*coefficients(small)), "ibug68"))
    np.testing.assert_allclose(face.landmarks, known, atol=1e-3)


@pytest.mark.parametrize("suffix", [".stl", ".obj"])
def test_a_vertex_counts_once_however_often_the_file_has_it(face, tmp_path, suffix):
    """An STL has each triangle's own; editors leave some that no triangle has."""
    split = face.vertices[face.triangles].reshape(-1, 3), np.arange(3 * len(face.triangles)).reshape(-1, 3)
    vertices, triangles = split if suffix == ".stl" else (np.concatenate([face.vertices, [[9, 9, 9]]]), face.triangles)
    path = tmp_path / f"scan{suffix}"
    trimesh.Trimesh(vertices, triangles, process=False).export(path)
    read = read_face(path)
    assert len(read.vertices) == len(face.vertices)
    corners = read.vertices[read.triangles]
    np.testing.assert_allclose(corners, face.vertices[face.triangles], atol=1e-4)


@pytest.mark.parametrize("off", [1, -5000])
def test_triangles_of_vertices_that_are_not_there_are_refused(face, tmp_path, off):
    lines = [f"3 {a} {b} {c}" for a, b, c in face.triangles + off]
    head = f"ply\nformat ascii 1.0\nelement vertex {len(face.vertices)}\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz")
    head += f"element face {len(lines)}\nproperty list uchar int vertex_indices\nend_header\n"
    points = "\n".join(" ".join(map(str, point)) for point in face.vertices)
    (tmp_path / "scan.ply").write_text(head + points + "\n" + "\n".join(lines) + "\n")
    with pytest.raises(
        ValueError, match=rf"scan.ply: has triangles of the vertices .*; takes 0 to {len(face.vertices) - 1}"
    ):
        read_face(tmp_path / "scan.ply")


def test_what_cannot_be_read_is_named(face, mesh, tmp_path):
    with pytest.raises(ValueError, match=r"nothing.obj: no such file"):
        read_face(tmp_path / "nothing.obj")
    (tmp_path / "face.jpg").touch()
    with pytest.raises(ValueError, match=r"takes a name that ends in .obj, .ply"):
        read_face(tmp_path / "face.jpg")
    (tmp_path / "torn.ply").write_bytes(b"ply\nformat")
    with pytest.raises(ValueError, match=r"torn.ply: cannot be read"):
        read_face(tmp_path / "torn.ply")
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    with pytest.raises(ValueError, match=r"points.obj: "):
        read_face(tmp_path / "points.obj")
    (tmp_path / "scan.txt").write_text("1 2 3\n4 5 6\n")
    with pytest.raises(ValueError, match=r"scan.txt: got shape \(2, 3\), takes \(68, 3\) iBUG points or NoW's"):
        read_face(mesh)
    (tmp_path / "scan.txt").write_text("one two three\n")
    with pytest.raises(ValueError, match=r"scan.txt: cannot be read"):
        read_face(mesh)
    np.savetxt(tmp_path / "scan.txt", np.ones((7, 3)))
    with pytest.raises(ValueError, match=r"scan.txt: all landmarks coincide or lie in a line"):
        read_face(mesh)
    np.savez(tmp_path / "archive", face.landmarks)
    header = (
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': ((((((((".ljust(117) + b"\n"
    )
    for content in (b"nothing", b"", (tmp_path / "archive.npz").read_bytes(), b"PK\x03\x04", header):
        (tmp_path / "bad.npy").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad.npy: cannot be read"):
            read_face(mesh, tmp_path / "bad.npy")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e200])
def test_coordinates_are_numbers_that_can_be_squared(face, wrong):
    spoilt = np.where(np.arange(len(face.vertices))[:, None] == 5, wrong, face.vertices)
    with pytest.raises(ValueError, match="head: a coordinate is not a number"):
        replace(face, vertices=spoilt)
    with pytest.raises(ValueError, match="head: a coordinate is not a number"):
        replace(face, landmarks=spoilt[:68])


@pytest.mark.parametrize("squeeze", [0.0, [1.0, 0.0, 0.0], 1e-200])
def test_landmarks_that_align_nothing_are_refused(small, tmp_path, squeeze):
    """A model's too, whose mesh has collapsed."""
    mesh = trimesh.Trimesh(np.asarray(small.mean) * squeeze, np.asarray(small.triangles), process=False)
    (tmp_path / "face.off").write_text(mesh.export(file_type="off"))
    with pytest.raises(ValueError, match=r"face.off: all landmarks coincide or lie in a line"):
        read_face(tmp_path / "face.off", model=small)
