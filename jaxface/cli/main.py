"""The ``jaxface`` command. Exit codes: 0 all faces fitted; 1 nothing fitted or a file failed; 2 wrong usage."""

import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from jaxface.cli import ablation, dataset, demo, detect, evaluate, fit, mesh, model, video
from jaxface.cli.terminal import printable


class _OneLineErrors(TyperGroup):
    """Says what is wrong in one line, without the usage around it."""

    def main(self, *args, **kwargs):
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="replace")  # a name may hold what the terminal's encoding does not
        try:
            code = super().main(*args, **kwargs | {"standalone_mode": False})
        except typer.BadParameter.__base__ as error:  # click's UsageError, which typer does not name
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()
            else:
                typer.echo(f"Error: {printable(error.format_message())}", err=True)
            code = error.exit_code
        except (typer.Abort, KeyboardInterrupt):
            code = 130
        except OSError as error:
            typer.echo(f"Error: {printable(str(error))}", err=True)
            code = 1
        sys.exit(code)


app = typer.Typer(
    cls=_OneLineErrors,
    help="One photograph becomes a 3D face.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("ablation")(ablation.ablation)
app.command("demo")(demo.demo)
app.command("dataset")(dataset.dataset)
app.command("evaluate")(evaluate.evaluate)
app.command("detect")(detect.detect)
app.command("fit")(fit.fit)
app.command("mesh")(mesh.mesh)
app.command("video")(video.video)
app.add_typer(model.app, name="model")


def _version(asked: bool | None) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"jaxface {version('jaxface')}")
        raise typer.Exit()


@app.callback()
def _main(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    pass
