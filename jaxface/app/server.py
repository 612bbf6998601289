"""The page, served to browsers. Gradio is imported when it is."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from jaxface.app import state
from jaxface.fitting import FitOptions
from jaxface.model.morphable import MorphableModel
from jaxface.pipelines.faces import Finder

PORTS = range(7860, 7960)
"""Of these the first that is free is taken where none is asked for."""
MAX_BYTES = 25_000_000
"""Of an uploaded file."""


def free_port(host: str, port: int | None = None) -> int:
    """The port, or the first free one of ``PORTS``.

    Raises:
      OSError: there is no such address here, or the port is taken.
    """
    for candidate in PORTS if port is None else [port]:
        family, kind, _, _, address = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(address)
            except OSError as error:
                problem = error
            else:
                return candidate
    raise problem  # pyright: ignore[reportGeneralTypeIssues] - there is a port that was tried


@contextmanager
def served(model: MorphableModel, finder: Finder, detector: str, host: str, port: int) -> Iterator[str]:
    """The page's address; it is served until the end of the block, and answers quickly from the first photograph on.

    What is uploaded and written lies in a temporary folder, which is gone afterwards.

    Args:
      finder: an open one.
      detector: its detector's name.
    """
    with tempfile.TemporaryDirectory(prefix="jaxface-app-") as name:
        folder = Path(name).resolve()
        # Gradio reads these when it is imported.
        os.environ |= {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
        from gradio import processing_utils

        from jaxface.app.page import CSS, THEME, build

        processing_utils.async_ssrf_protected_download = _refuse  # a request may name an address in place of an upload
        example = folder / "astronaut.png"
        with as_file(files("jaxface.assets").joinpath(example.name)) as photograph:
            shutil.copy(photograph, example)
        _warm_up(model, finder, example)
        page = build(model, finder, detector, folder, example)
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=False,
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=MAX_BYTES,
            run_history=False,
            footer_links=[],
            theme=THEME,
            css=CSS,
        )
        try:
            yield address
        finally:
            page.close(verbose=False)


async def _refuse(address: str, cache_dir: str) -> str:
    from gradio import Error

    raise Error("jaxface opens no connection: give the photograph itself.", print_exception=False)


def _warm_up(model: MorphableModel, finder: Finder, example: Path) -> None:
    """Compile and load what a photograph needs."""
    photograph = state.read_photograph(example, finder)
    face = state.fit_face(model, photograph, photograph.largest, FitOptions())
    state.draw_overlay(model, face)
    atlas = state.bake(model, face, state.SHOWN_ATLAS)
    changed = state.changed(face.result, (0.0, 0.0, 0.0), (0.0,), {0: 0.0})
    state.draw_head(model, changed, atlas)
    if face.options.variant == "calibrated":
        state.draw_unsure(model, face)
