"""``jaxface app``: the page in a browser."""

import time
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Annotated

import typer

from jaxface.cli.interrupts import interrupts
from jaxface.cli.options import DetectorName, Model
from jaxface.cli.terminal import console, face_model

HINT = "--host and --port"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def app(
    host: Annotated[str, typer.Option(help="Address to serve at; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to serve at.", show_default="the first free from 7860 on")
    ] = None,
    model: Model = None,
    detector: DetectorName = "mediapipe",
) -> None:
    """Serve a page that fits photographs.

    It shows the overlay, a head to turn and to change, comparisons and downloads. It is for this machine alone unless
    --host says otherwise, and opens no connection. Ctrl-C ends it.

    \b
    Examples:
      jaxface app
      jaxface app --host 0.0.0.0 --port 8000
    """
    if find_spec("gradio") is None:
        typer.echo('Error: the page needs Gradio; install it with: pip install "jaxface[app]"', err=True)
        raise typer.Exit(2)
    from jaxface.app.server import free_port, served
    from jaxface.cli.session import keep_compilations, open_finder

    try:
        port = free_port(host, port)
    except OSError as error:
        given = host if port is None else f"{host} and {port}"
        raise typer.BadParameter(f"{given}: cannot be served there ({error.strerror})", param_hint=HINT) from None
    keep_compilations()
    face = face_model(model, "--model", "ibug68")
    results, notes = console(), console(stderr=True)
    with interrupts(), ExitStack() as held:  # whatever ends it, what was uploaded is removed
        finder = open_finder(held, detector, "all", 0.0)
        notes.print("getting ready ...")
        try:
            address = held.enter_context(served(face, finder, detector, host, port))
        except ValueError as error:  # a detector without depth does not find what the page fits
            raise typer.BadParameter(str(error), param_hint="--detector") from None
        results.print(f"jaxface is at {address} (Ctrl-C ends it)", soft_wrap=True)
        if host not in LOOPBACK:
            notes.print("everyone who can reach this machine can use it")
        while True:
            time.sleep(3600)
