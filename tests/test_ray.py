"""``jaxface dataset --engine ray`` on a cluster of two nodes on this machine, one of whose workers dies midway."""

import os
from pathlib import Path

import pytest
import stub_detector

import jaxface
from jaxface.pipelines import local
from jaxface.pipelines.dataset import started
from jaxface.pipelines.stages import Settings, Tally

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture
def cluster(tmp_path, small, monkeypatch):
    """A cluster whose workers have the detector ``stub``; the folder that brings it."""
    ray = pytest.importorskip("ray", reason="needs the package ray: pip install 'jaxface[ray]'")
    pytest.importorskip("ray.data", reason="needs Ray Data: pip install 'jaxface[ray]'")
    from ray.cluster_utils import Cluster

    folder = tmp_path / "stub"
    folder.mkdir()
    stub_detector.install(folder, small)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(Path(jaxface.__file__).parents[1])]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    memory = {"object_store_memory": 100 * 2**20}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False, **memory})
    try:
        nodes.add_node(num_cpus=2, **memory)
        ray.init(address=nodes.address, log_to_driver=False, logging_level="error")
        yield folder
    finally:
        ray.shutdown()
        nodes.shutdown()


def test_the_files_are_those_of_the_local_engine_though_a_worker_dies_midway(cluster, tmp_path):
    from jaxface.pipelines import ray

    (tmp_path / "in").mkdir()
    for index in range(40):
        stub_detector.paint(tmp_path / "in" / f"{index:04d}.png", (index + 1, 5, 9))
    stub_detector.paint(tmp_path / "in" / "0007.png", stub_detector.BLACK)
    stub_detector.paint(tmp_path / "in" / "0008.png", stub_detector.WHITE)
    stub_detector.paint(tmp_path / "in" / "0025.png", stub_detector.BLUE)  # kills the Ray worker that first sees it
    stub_detector.paint(tmp_path / "in" / "0013.png", stub_detector.RED)
    settings = Settings(model=str(cluster / "small.npz"), detector="stub", part_images=4)

    def run(engine, output):
        with started(str(tmp_path / "in"), output, settings) as begun:
            return sum(engine.run(begun.parts, begun.folder, settings, 2), Tally())

    done = run(ray, tmp_path / "ray")
    assert (cluster / "seen").exists()
    assert (done.images, done.faces, done.failures) == (40, 39, 2)
    run(local, tmp_path / "local")
    there = {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()}
    assert len(there) == 12
    assert {path.name: path.read_bytes() for path in (tmp_path / "ray").iterdir()} == there
    assert run(ray, tmp_path / "ray").images == 0
