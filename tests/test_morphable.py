"""Eq. 1 and the model at its landmarks, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.energies import gram
from jaxface.fitting.coordinates import coordinates

RNG = np.random.default_rng(0)
ALPHA, BETA = RNG.normal(size=8), RNG.uniform(0, 1, 6)


def f64(array):
    return np.asarray(array, np.float64)


@pytest.fixture(scope="module")
def mesh(small):
    """Eq. 1: M = mean + Γα + Γβ."""
    return f64(small.mean) + f64(small.identity) @ ALPHA + f64(small.expression) @ BETA


def test_vertices_are_eq_1(small, mesh):
    ours = small.vertices(jnp.asarray(ALPHA, jnp.float32), jnp.asarray(BETA, jnp.float32))
    np.testing.assert_allclose(ours, mesh, atol=1e-4)


def test_vertices_take_batches(small, mesh):
    alpha = jnp.asarray(np.stack([0 * ALPHA, ALPHA]), jnp.float32)
    beta = jnp.asarray(np.stack([0 * BETA, BETA]), jnp.float32)
    ours = small.vertices(alpha, beta)
    np.testing.assert_allclose(ours[0], small.mean, atol=1e-5)
    np.testing.assert_allclose(ours[1], mesh, atol=1e-4)


@pytest.mark.parametrize("scheme", ["ibug68", "mediapipe478"])
def test_the_model_at_its_landmarks_is_the_mesh_there(small, mesh, scheme):
    at = small.landmarks[scheme]
    corners = mesh[np.asarray(small.triangles)[np.asarray(at.triangle)]]
    points = (f64(at.barycentric)[..., None] * corners).sum(axis=1)
    np.testing.assert_allclose(small.landmark_positions(jnp.asarray(mesh, jnp.float32), scheme), points, atol=1e-4)
    there = small.at_landmarks(scheme)
    coefficients = np.concatenate([ALPHA, BETA])
    np.testing.assert_allclose(f64(there.mean) + f64(there.basis) @ coefficients, points, atol=1e-4)
    np.testing.assert_allclose(f64(there.middle) + f64(there.drift) @ coefficients, points.mean(axis=0), atol=1e-4)
    back = f64(there.frontal).T * [1, -1, -1]  # of the camera's frame to the model's, in its unit
    spread = f64(there.mean) - f64(there.mean).mean(axis=0)
    np.testing.assert_allclose(back, spread / np.sqrt((spread[:, :2] ** 2).sum(axis=1).mean()), atol=1e-5)


def test_coefficients_of_another_model_are_named(small):
    with pytest.raises(ValueError, match=r"got \(3, 6\) coefficients, the model 'small' has \(8, 6\)"):
        small.vertices(jnp.zeros(3), jnp.zeros(6))


@pytest.mark.parametrize("scheme", ["ibug68", "mediapipe478"])
def test_a_model_of_numpy_arrays_is_the_same_at_its_landmarks(small, scheme):
    """And its coordinates say the same, however their axes are turned."""
    both = [model.at_landmarks(scheme) for model in (small, jax.tree.map(np.asarray, small))]
    assert isinstance(both[1].mean, np.ndarray)
    for ours, theirs in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    motions = []
    for there in both:
        axes = coordinates(there, 0.5, single=True)
        back = f64(axes.basis) @ np.linalg.inv(f64(axes.mixing))
        motions.append((back, f64(axes.core) @ f64(axes.core).T, np.einsum("aann->n", f64(axes.gram))))
    np.testing.assert_allclose(motions[1][0], motions[0][0], atol=1e-3)
    np.testing.assert_allclose(motions[1][2], motions[0][2], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(motions[1][1]), np.linalg.norm(motions[0][1]), rtol=1e-4)


@pytest.mark.parametrize("weight", [None, RNG.uniform(0.1, 2, 30)], ids=["alike", "weighted"])
def test_gram_matrices_are_sums_over_centred_landmarks(weight):
    basis = RNG.normal(size=(30, 3, 5))
    w = np.ones(30) if weight is None else weight
    centred = basis - np.average(basis, axis=0, weights=w)
    expected = sum(wi * np.einsum("an,bm->abnm", b, b) for wi, b in zip(w, centred, strict=True))
    ours = gram(
        jnp.asarray(np.moveaxis(basis, 1, 0), jnp.float32), None if weight is None else jnp.asarray(w, jnp.float32)
    )
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_normals_are_unit_and_look_out_of_the_face(model):
    normals = f64(model.at_landmarks("ibug68").normals)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert normals[30, 2] > 0.5  # nose tip
    assert (normals[:8, 0] < 0).all() and (normals[9:17, 0] > 0).all()  # jaw, subject's right and left


def test_a_model_is_a_pytree_with_static_names(small):
    leaves, structure = jax.tree.flatten(small)
    again = jax.tree.unflatten(structure, leaves)
    assert again.name == "small" and again.expression_names == small.expression_names
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
