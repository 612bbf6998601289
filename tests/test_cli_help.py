"""What the commands say of themselves."""

import re
import shlex

import jax
import pytest
import typer

from jaxface.cli.main import app


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
