"""A batch over the devices of two processes that ``jax.distributed`` joins: eight, made of one CPU."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

import jaxface
from jaxface.model import save_model

PROGRAM = """
import sys, jax, numpy as np

rank, address = int(sys.argv[1]), sys.argv[2]
jax.distributed.initialize(address, 2, rank)
assert (len(jax.devices()), len(jax.local_devices())) == (8, 4)
import jaxface
from jaxface.model import load_model

model, mine = load_model(sys.argv[3]), np.load(sys.argv[4])[rank::2]
result = jaxface.fit_batch(model, jaxface.Landmarks(mine[..., :2], mine))
assert len(result.identity.sharding.device_set) == 4
everywhere = jax.NamedSharding(jax.make_mesh((8,), ("faces",)), jax.P("faces"))  # one array over both processes
parts = (jax.make_array_from_process_local_data(everywhere, part) for part in (mine[..., :2], mine))
found = jaxface.fit_batch(model, jaxface.Landmarks(*parts))
assert found.identity.shape == (16, 8) and found.identity.sharding.is_equivalent_to(everywhere, 2)
shards = sorted(found.identity.addressable_shards, key=lambda shard: shard.index[0].start)
np.testing.assert_allclose(np.concatenate([shard.data for shard in shards]), result.identity, atol=1e-3)
print(*np.asarray(result.identity).ravel())
"""


def test_each_process_fits_its_part_on_its_own_devices_and_the_faces_are_the_same(small, face, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    points = np.stack([face(seed)[0].xyz for seed in range(16)])
    save_model(tmp_path / "small.npz", small)
    np.save(tmp_path / "points.npy", points)
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(jaxface.__file__).parents[1]),
    }
    command = [sys.executable, "-c", PROGRAM]
    given = [address, str(tmp_path / "small.npz"), str(tmp_path / "points.npy")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, str(rank), *given], env=environment, **pipes) for rank in range(2)]
    ours = np.asarray(jaxface.fit_batch(small, jaxface.Landmarks(points[..., :2], points)).identity)
    for rank, process in enumerate(started):
        said, problems = process.communicate()
        assert process.returncode == 0, problems
        theirs = np.array(said.split()[-64:], float).reshape(8, 8)
        np.testing.assert_allclose(theirs, ours[rank::2], atol=1e-3)
