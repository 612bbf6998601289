"""What JAX does with a fit beside compiling, mapping and differentiating it: exports, shards, strict and wide types."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxface
from jaxface import FitOptions
from jaxface.fitting import Errors, outline

pytestmark = pytest.mark.usefixtures("run_once")


def test_types_are_not_left_to_promotion(small, face):
    landmarks = face()[0]
    pictures, result = jax.tree.map(lambda leaf: leaf[None], landmarks), jaxface.fit(small, landmarks)
    with jax.numpy_dtype_promotion("strict"):
        for options in {"calibration": "mediapipe"}, {"loss": "robust"}, {"contour": "march"}, {"solver": "optax"}:
            jax.eval_shape(lambda points, options=FitOptions(**options): jaxface.fit(small, points, options), landmarks)
        masked = replace(landmarks, weight=np.arange(68) > 3)
        jax.eval_shape(lambda: jaxface.fit(small, masked))
        jax.eval_shape(lambda points: jaxface.fit_sequence(small, points, smoothness=1.0), pictures)
        jax.eval_shape(lambda fitted: jaxface.uncertainty(small, fitted), result)


def test_the_widest_precision_counts_whatever_has_it(small, face, x64):
    """A basis that is learned in double precision, as much as landmarks or a mean face."""
    landmarks = face()[0]
    for field in "mean", "identity", "expression":
        wide = replace(small, **{field: jnp.asarray(getattr(small, field), jnp.float64)})
        result = jax.eval_shape(lambda wide=wide: jaxface.fit(wide, landmarks))
        assert {leaf.dtype.name for leaf in jax.tree.leaves(result)} == {"float64", "int32"}
        assert jax.eval_shape(lambda wide=wide: jaxface.uncertainty(wide, result_of(small))).axis_std.dtype == "float64"
    errors = Errors(*np.array([2.0, 6.0, 0.7]))
    unsure = jax.eval_shape(lambda: jaxface.uncertainty(small, result_of(small), errors=errors))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(unsure)} == {"float32"}


def result_of(model):
    """The mean face from the front, in single precision."""
    zeros = partial(np.zeros, dtype=np.float32)
    pose = jaxface.Pose(zeros(()) + 1, np.diag([1, -1, -1]).astype(np.float32), zeros(2))
    sizes = model.identity.shape[-1], model.expression.shape[-1]
    number, status = zeros(()), np.int32(0)
    return jaxface.FitResult(*map(zeros, sizes), pose, zeros(3), number, number, number, status, status)


def test_a_batch_of_any_size_is_exported(small, face):
    landmarks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(face(seed)[0] for seed in range(3)))
    identity = lambda xy, xyz: jaxface.fit_batch(small, jaxface.Landmarks(xy, xyz)).identity
    (any_size,) = jax.export.symbolic_shape("any")
    given = (jax.ShapeDtypeStruct((any_size, 68, axes), jnp.float32) for axes in (2, 3))
    program = jax.export.deserialize(jax.export.export(jax.jit(identity))(*given).serialize())
    whole = identity(landmarks.xy, landmarks.xyz)
    np.testing.assert_allclose(program.call(landmarks.xy, landmarks.xyz), whole, atol=1e-3)
    np.testing.assert_allclose(program.call(landmarks.xy[:2], landmarks.xyz[:2]), whole[:2], atol=1e-3)


def test_what_is_kept_with_a_model_outlives_a_shard_map(small, face):
    """One outside of jit, whose arrays mean nothing beyond it."""
    model, landmarks = replace(small), jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], face()[0])
    mesh = jax.make_mesh((1,), ("one",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    spread = partial(jax.shard_map, mesh=mesh, in_specs=jax.P("one"), out_specs=jax.P("one"), check_vma=False)
    fitted = spread(jax.vmap(partial(jaxface.fit, model)))
    ends = spread(partial(outline, model))
    results = fitted(landmarks), jax.jit(lambda points: fitted(points))(landmarks)
    np.testing.assert_allclose(results[0].identity, results[1].identity, atol=1e-3)
    np.testing.assert_allclose(ends(results[0]), jax.jit(lambda one: ends(one))(results[0]), atol=1e-2)
