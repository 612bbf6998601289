"""The program in processes of its own, and what ends it before its time."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from commands import PACKAGE, WRITTEN, names

import jaxface.cli.session as session
from jaxface.pipelines.image import ImageReport

pytestmark = pytest.mark.usefixtures("no_user_cache")


@pytest.fixture(scope="module")
def compilations(tmp_path_factory):
    return tmp_path_factory.mktemp("compilations")


@pytest.fixture
def program(tmp_path, compilations):
    """``program(*arguments)``: the command in a process of its own."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(compilations), "PYTHONPATH": str(PACKAGE)}

    def run(*arguments, before=(), **options):
        command = [*before, sys.executable, "-m", "jaxface", *map(str, arguments)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": tmp_path} | options
        return subprocess.Popen(command, env=environment | options.pop("env", {}), text=True, **options)

    return run


GUARD = """
import os, socket
def refused(*arguments, **options):
    with open(os.environ["ATTEMPTS"], "a") as log:
        log.write(repr(arguments) + "\\n")
    raise OSError("the network is cut off")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refused
"""


def test_the_demo_asks_for_no_connection_and_needs_none(program, compilations, tmp_path):
    cut_off = ["unshare", "--net", "--map-root-user"]
    allowed = shutil.which("unshare") and subprocess.run([*cut_off, "true"], capture_output=True).returncode == 0
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    folders = os.pathsep.join([str(tmp_path / "guard"), str(PACKAGE)])
    environment = {"PYTHONPATH": folders, "ATTEMPTS": str(tmp_path / "attempts")}
    process = program("demo", "-o", "out", before=cut_off if allowed else (), env=environment)
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "astronaut.png" in output and names(tmp_path / "out") == WRITTEN
    assert not (tmp_path / "attempts").exists()
    assert any(compilations.iterdir())
    if not allowed:
        pytest.skip("unshare --net is not permitted here: only the guard within Python was tried")


def test_a_reader_that_leaves_early_ends_it_quietly_even_without_a_cache(program, tmp_path, photograph):
    refused = {"JAX_COMPILATION_CACHE_DIR": "/dev/null/cache"}
    with program("fit", photograph, "-o", "out", "-f", "json", env=refused) as leaving:
        leaving.stdout.close()
        assert leaving.stderr.read() == ""
    assert leaving.returncode == 0 and names(tmp_path / "out") == {"fit.json"}


def test_a_closed_stderr_stops_nothing(program, tmp_path, photograph):
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh"]
    process = program("detect", photograph, "-o", "out", "-f", "json", before=closed)
    output, _ = process.communicate()
    assert process.returncode == 0 and output.endswith("written to out\n")
    assert names(tmp_path / "out") == {"astronaut.json"}


def test_sigint_ends_it_quietly_and_leaves_whole_results(ctrl_c, program, tmp_path, photograph):
    with program("fit", *[photograph] * 200, "-o", "out", "-f", "json") as process:
        while not (tmp_path / "out").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert process.returncode == 130
    assert (output, errors) == ("", "")
    assert all(names(folder) == {"fit.json"} for folder in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["fit", "video"])
def test_an_interrupt_that_a_library_takes_for_its_own_error_ends_it_too(
    ctrl_c, jaxface, photograph, monkeypatch, command, number
):
    def swallows(path, *_):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        return ImageReport(path, error="an error of the library's own")

    monkeypatch.setattr("jaxface.cli.session.fit_image", swallows)
    monkeypatch.setattr("jaxface.pipelines.video.fit_video", swallows)
    result = jaxface(command, photograph, "-o", "out")
    assert result.exit_code == 130 and "own" not in result.output


@pytest.mark.parametrize("loads", ["model_to_fit", "open_finder"])
def test_an_interrupt_while_it_loads_ends_it_at_once(ctrl_c, jaxface, photograph, monkeypatch, loads):
    class Left(BaseException):
        pass

    def leave(code):
        raise Left(code)

    def swallows(*_):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise AssertionError("it goes on")

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(session, loads, swallows)
    with pytest.raises(Left, match="130"):
        jaxface("fit", photograph, "-o", "out")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    "typed, offered",
    [
        (["jaxface", "model", ""], ["info", "convert", "merge"]),
        (["jaxface", "fit", "--variant", "2d+3d+"], ["2d+3d+w", "2d+3d+p+w"]),
    ],
)
def test_a_shell_completes(program, typed, offered):
    at = {"COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
    output, errors = program(env={"_JAXFACE_COMPLETE": "complete_bash"} | at).communicate()
    assert errors == "" and set(offered) <= set(output.split())


def test_completion_is_installed_for_a_shell(program, tmp_path):
    environment = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    process = program("--install-completion", "bash", env=environment)
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "") and "installed" in output
    assert any("_JAXFACE_COMPLETE=complete_bash" in path.read_text() for path in tmp_path.rglob("*.sh"))
