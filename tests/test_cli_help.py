"""What the commands say of themselves, and how little that takes."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import jax
import pytest
import typer

from jaxface import __file__ as source
from jaxface import calibration, solvers
from jaxface.cli import choices
from jaxface.cli.main import app
from jaxface.detection import landmark_files, registry
from jaxface.evaluation.protocols import PROTOCOLS
from jaxface.fitting import options, sequence
from jaxface.pipelines import faces, image, landmarks, video


def test_help_and_version(jaxface):
    assert jaxface("--help").exit_code == 0
    assert jaxface().exit_code == 2 and "fit" in jaxface().stderr
    result = jaxface("--version")
    assert (result.exit_code, result.stderr) == (0, "")
    kind, count = jax.devices()[0].device_kind, len(jax.devices())
    assert re.fullmatch(rf"jaxface .+, JAX {re.escape(jax.__version__)} on {count} {kind}\n", result.stdout)


def commands(command, words=()):
    """Every command of the program that does something, by the words that call it."""
    below = getattr(command, "commands", {})
    named = {key: made for name, inner in below.items() for key, made in commands(inner, (*words, name)).items()}
    return named or {words: command}


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_help_fits_a_terminal_and_its_examples_are_taken(jaxface, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    result = jaxface(*name, "--help")
    assert result.exit_code == 0 and max(map(len, result.stdout.splitlines())) <= 80
    examples = [shlex.split(line) for line in re.findall(r"^ {4}jaxface (.*)$", result.stdout, re.MULTILINE)]
    assert any(tuple(example[: len(name)]) == name for example in examples)
    for first, *arguments in examples:
        called = (first,) if (first,) in COMMANDS else (first, arguments.pop(0))
        COMMANDS[called].make_context(" ".join(called), arguments)  # raises for what is not taken


def test_the_list_of_commands_says_what_each_is_for(jaxface, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for group in ([], ["model"]):
        listed = jaxface(*group, "--help").stdout.split("Commands:\n")[1]
        lines = listed.splitlines()
        assert lines and all(line.endswith(".") and not line.endswith("...") for line in lines)


def test_options_take_what_the_rooms_have():
    assert choices.VARIANTS == get_args(options.Variant)
    assert choices.CONTOURS == get_args(options.Contour)
    assert choices.LOSSES == get_args(options.Loss)
    assert choices.SOLVERS == tuple(solvers.NAMES)
    assert choices.DETECTORS == tuple(registry.NAMES)
    assert choices.CALIBRATED == calibration.CALIBRATED
    assert choices.Which == faces.Which
    assert (choices.FACE_FILES, choices.USUAL_FACE_FILES) == (tuple(image.FILES), image.USUAL)
    assert (choices.MESHES, choices.PROTOCOLS) == (image.MESHES, (*PROTOCOLS, "aflw2000"))
    assert choices.VIDEO_FILES == tuple(video.FILES)
    assert choices.DETECTION_FILES == tuple(landmarks.FILES)
    assert choices.LANDMARK_SUFFIXES == landmark_files.SUFFIXES
    assert choices.SMOOTHNESS == sequence.SMOOTHNESS


PACKAGE = Path(source).parents[1]
LOADED = """
import atexit, sys
atexit.register(lambda: print("loaded", "jax" in sys.modules, "numpy" in sys.modules))
from jaxface.cli.main import app
app(prog_name="jaxface")
"""


@pytest.mark.parametrize(
    "typed, offered",
    [("jaxface fi", "fit"), ("jaxface fit --vari", "--variant"), ("jaxface fit --variant cal", "calibrated")],
)
def test_completion_loads_no_jax(typed, offered):
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_JAXFACE_COMPLETE": "complete_bash"}
    environment = os.environ | asked | {"PYTHONPATH": str(PACKAGE)}
    run = subprocess.run([sys.executable, "-P", "-c", LOADED], env=environment, capture_output=True, text=True)
    assert run.stdout.split() == [offered, "loaded", "False", "False"], run.stderr
