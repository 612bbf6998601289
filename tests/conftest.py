import shutil
import signal
import sys
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

import jaxface
from jaxface import camera

SHARED = Path(__file__).parents[2] / "shared"
sys.path.append(str(Path(__file__).parents[1]))  # for benchmarks; at the end, so that the installed jaxface is tested

# The same examples on every machine, however slow; ``pytest --hypothesis-profile=default`` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


@pytest.fixture
def ctrl_c():
    """Interrupts as a terminal's programs have them, here and in programs that are started: a background job ignores
    SIGINT, and one of nohup SIGHUP."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def model():
    """The embedded model."""
    return jaxface.load_model()


@pytest.fixture(scope="session")
def small(model):
    """The embedded model with 8 identity and 6 expression components: the real face, quick to fit."""
    expression = [model.expression_names.index(name) for name in EXPRESSIONS]
    return replace(
        model,
        identity=model.identity[..., :8],
        expression=model.expression[..., jnp.array(expression)],
        expression_names=EXPRESSIONS,
        name="small",
    )


EXPRESSIONS = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "browInnerUp")


@pytest.fixture(scope="session")
def face(small):
    """``face(seed, euler_deg)``: a random face of the small model and its exact landmarks."""

    def make(seed=0, euler_deg=(5.0, 20.0, -10.0), scheme="ibug68", scale=3.0, shift=(320.0, 240.0), dtype=np.float32):
        rng = np.random.default_rng(seed)
        identity, expression = rng.normal(size=8), rng.uniform(0.1, 0.6, size=6)
        rotation = np.asarray(camera.rotation_from_euler(jnp.array(euler_deg, float)), np.float64)
        mesh = np.asarray(small.mean, np.float64) + small.identity @ identity + small.expression @ expression
        at = small.landmarks[scheme]
        corners = mesh[np.asarray(small.triangles)[np.asarray(at.triangle)]]
        points = np.einsum("lk,lkc->lc", np.asarray(at.barycentric, np.float64), corners)
        xyz = scale * points @ rotation.T + (*shift, 0.0)
        truth = dict(identity=identity, expression=expression, rotation=rotation, scale=scale, shift=np.array(shift))
        return jaxface.Landmarks(xyz[:, :2].astype(dtype), xyz.astype(dtype), scheme=scheme), truth

    return make


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """The demo photograph as a file."""
    path = tmp_path_factory.mktemp("photograph") / "astronaut.png"
    with as_file(files("jaxface.assets").joinpath("astronaut.png")) as source:
        shutil.copy(source, path)
    return path


@pytest.fixture(scope="module")
def pixels(photograph):
    """The demo photograph, (H, W, 3) uint8."""
    return jaxface.read_image(photograph)


@pytest.fixture(scope="module")
def pair(photograph):
    """A photograph of two faces, the right one smaller."""
    image = Image.open(photograph).convert("RGB")
    canvas = Image.new("RGB", (900, 512), (90, 120, 150))
    canvas.paste(image, (0, 0))
    canvas.paste(image.resize((384, 384)), (514, 100))
    path = photograph.parent / "pair.png"
    canvas.save(path)
    return path


@pytest.fixture(scope="module")
def run_once():
    """What a file's tests compile is run seldom: XLA leaves most of its work out. All of it is let go at the end, since
    Linux allows a process some 65,000 pieces of memory, and a compiled fit takes hundreds."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()


@pytest.fixture
def no_user_cache(monkeypatch):
    """The tests compile once in their process and leave the user's cache alone."""
    monkeypatch.setattr("jaxface.cli.session.keep_compilations", lambda: None)


@pytest.fixture(name="jaxface")
def command(tmp_path, monkeypatch, no_user_cache):
    """``jaxface(*arguments)``: the command, run in this process in an empty folder."""
    from typer.testing import CliRunner

    from jaxface.cli.main import app

    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def shared():
    """The folder of data that is measured against, for tests that need it."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the measuring data in {SHARED.name}/ beside the checkout")
    return SHARED
