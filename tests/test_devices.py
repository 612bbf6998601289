"""A batch over several devices, and slopes through it, in a process that has four."""

import os
import subprocess
import sys
from pathlib import Path

import jaxface

PROGRAM = """
import jax, numpy as np, jaxface
from dataclasses import replace

model = jaxface.load_model()
model = replace(model, identity=model.identity[..., :8], expression=model.expression[..., :6])
points = np.asarray(model.landmark_positions(model.mean, "ibug68")) * (1, -1, -1)
points = (points + np.random.default_rng(0).normal(size=(8, 68, 3))).astype(np.float32)
faces = jaxface.Landmarks(points[..., :2], points)
assert len(jax.local_devices()) == 4
with jax.set_mesh(jax.make_mesh((4,), ("four",))):  # whose arrays, kept with the model, no other mesh takes
    under = jaxface.fit_batch(model, faces)
split = jaxface.fit_batch(model, faces)
assert len(split.identity.sharding.device_set) == 4
whole = jaxface.fit_batch(model, jax.tree.map(lambda leaf: leaf[:7], faces))  # 7 faces do not divide among 4
for ours, theirs in zip(jax.tree.leaves(split), jax.tree.leaves(whole), strict=True):
    np.testing.assert_allclose(ours[:7], theirs, atol=1e-3)
np.testing.assert_allclose(under.identity, split.identity, atol=1e-3)
last = jaxface.fit_batch(model, jax.device_put(faces, jax.devices()[3]))  # where somebody put them
assert last.identity.sharding.device_set == {jax.devices()[3]}

# Faces that lie on a mesh are fitted there: two of the devices, the axis explicit.
explicit = (jax.sharding.AxisType.Explicit,)
there = jax.NamedSharding(jax.make_mesh((2,), ("x",), axis_types=explicit, devices=jax.devices()[2:]), jax.P("x"))
placed = jaxface.fit_batch(model, jax.device_put(faces, there))
assert placed.identity.sharding.is_equivalent_to(there, 2)
np.testing.assert_allclose(placed.identity, split.identity, atol=1e-3)

# Inside of jit where they lie is what the mesh in force says.
inside = jax.jit(lambda faces: jaxface.fit_batch(model, faces).identity)
with jax.set_mesh(jax.make_mesh((1,), ("one",), devices=jax.devices()[3:])):
    alone = inside(jax.device_put(faces, jax.devices()[3]))
assert alone.sharding.device_set == {jax.devices()[3]}
np.testing.assert_allclose(alone, split.identity, atol=1e-3)


def loss(mean, faces):
    return jaxface.fit_batch(replace(model, mean=mean), faces).cost.sum()


few = jax.tree.map(lambda leaf: leaf[:4], faces)  # one face a device, and the same faces one by one on one device
ours = jax.grad(loss, argnums=(0, 1))(model.mean, few)
single = lambda face: jax.grad(loss, argnums=(0, 1))(model.mean, jax.tree.map(lambda leaf: leaf[None], face))
means, slopes = zip(*(single(jax.tree.map(lambda leaf: leaf[i], few)) for i in range(4)), strict=True)
largest = abs(ours[0]).max()
np.testing.assert_allclose(ours[0], sum(means), atol=1e-3 * largest)
slopes = np.concatenate([slope.xy for slope in slopes])
np.testing.assert_allclose(ours[1].xy, slopes, atol=1e-3 * abs(slopes).max())
with jax.set_mesh(there.mesh):
    theirs = jax.grad(loss, argnums=1)(model.mean, jax.device_put(few, there)).xy
np.testing.assert_allclose(theirs, slopes, atol=1e-3 * abs(slopes).max())
print("the same faces")
"""


def test_a_batch_is_split_over_all_devices_and_its_faces_are_the_same():
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # it runs once what it compiles
        "PYTHONPATH": str(Path(jaxface.__file__).parents[1]),
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.stdout == "the same faces\n", done.stderr
