"""The ``jaxface`` command. Exit codes: 0 all faces fitted; 1 nothing fitted or a file failed; 2 wrong usage."""

import re
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jaxface.cli import ablation, dataset, demo, detect, evaluate, fit, mesh, model, video
from jaxface.cli import app as page
from jaxface.cli.terminal import console, printable

_UsageError: Any = typer.BadParameter.__base__
"""Click's, which typer does not name."""


class _OneLineErrors(TyperGroup):
    """Says what is wrong in one line, without the usage around it, and takes no empty argument: an empty path would be
    the folder that one is in."""

    def parse_args(self, ctx, args):
        for before, given in zip(["", *args], args, strict=False):
            if re.fullmatch("(--[^=]+=)?", given) and not ctx.resilient_parsing:
                option = given.removesuffix("=") or before
                name = option if option.startswith("-") else "an argument"
                raise typer.BadParameter("is empty, as of a variable that is not set", param_hint=name)
        return super().parse_args(ctx, args)

    def main(self, *args, **kwargs):
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a name may hold what the terminal's encoding does not
        try:
            code = super().main(*args, **kwargs | {"standalone_mode": False})
        except _UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()
            else:
                _tell(error.format_message())
            code = error.exit_code
        except (typer.Abort, KeyboardInterrupt):
            code = 130
        except (OSError, RuntimeError) as error:  # RuntimeError: no OpenGL, or no device that JAX can use
            _tell(str(error))
            code = 1
        sys.exit(code)


def _tell(error: str) -> None:
    console(stderr=True).print(f"Error: {printable(error)}", soft_wrap=True)


app = typer.Typer(
    cls=_OneLineErrors,
    help="One photograph becomes a 3D face.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("fit")(fit.fit)
app.command("detect")(detect.detect)
app.command("video")(video.video)
app.command("dataset")(dataset.dataset)
app.command("mesh")(mesh.mesh)
app.command("app")(page.app)
app.command("evaluate")(evaluate.evaluate)
app.command("ablation")(ablation.ablation)
app.add_typer(model.app, name="model")


def _version(asked: bool | None) -> None:
    if asked:
        console().print(_told(), soft_wrap=True)
        raise typer.Exit()


def _told() -> str:
    """The versions of jaxface and JAX, and the devices that JAX computes on."""
    from collections import Counter

    import jax

    from jaxface.export.records import versions

    try:
        devices = Counter(device.device_kind for device in jax.devices())
    except (RuntimeError, AssertionError):  # a platform is asked for that is not there
        devices = {"device that JAX can use": "no"}
    on = ", ".join(f"{count} {kind}" for kind, count in devices.items())
    return f"jaxface {versions()['jaxface'] or 'not installed'}, JAX {jax.__version__} on {on}"


@app.callback()
def _main(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the versions and devices.")
    ] = None,
) -> None:
    pass
