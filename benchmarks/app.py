"""How quickly the page answers: ``python -m benchmarks.app``.

Two photographs are given in turn to the page of ``jaxface app`` in Debian's Chromium, which Playwright drives; it needs
``jaxface[app]``, ``playwright`` and ``/usr/bin/chromium``. ``overlay`` is the time from giving the file until the
browser has loaded the new overlay, ``head`` until it has loaded the head's file too. The page's 3D view is drawn in
software and taxes the same processor.
"""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import jaxface
from jaxface.app.server import free_port, served
from jaxface.pipelines.faces import finder

HOST, BROWSER = "127.0.0.1", "/usr/bin/chromium"
SWITCHES = (
    "--no-sandbox --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
)
REPEATS = 11
"""The first is not counted."""


def photographs(folder: Path) -> list[Path]:
    """The demo photograph and its mirror image, as JPEG files."""
    image = Image.open(jaxface.__path__[0] + "/assets/astronaut.png").convert("RGB")
    paths = [folder / "left.jpg", folder / "right.jpg"]
    image.save(paths[0])
    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(paths[1])
    return paths


def give(page: Page, path: Path) -> tuple[float, float]:
    """Seconds until the overlay and the head of a photograph are there."""
    times = {}
    loaded = lambda kind: lambda response: f"/{kind}-" in response.url and response.finished() is None
    with page.expect_response(loaded("head"), timeout=120_000) as head:
        with page.expect_response(loaded("overlay"), timeout=120_000) as overlay:
            started = perf_counter()
            page.set_input_files("#photo input[type=file]", path)
        overlay.value.finished()
        times["overlay"] = perf_counter() - started
    head.value.finished()
    return times["overlay"], perf_counter() - started


def main() -> None:
    with ExitStack() as held:
        folder = Path(held.enter_context(TemporaryDirectory()))
        found = held.enter_context(finder())
        address = held.enter_context(served(jaxface.load_model(), found, "mediapipe", HOST, free_port(HOST)))
        browser = held.enter_context(sync_playwright()).chromium.launch(executable_path=BROWSER, args=SWITCHES.split())
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("#photo input[type=file]", state="attached")
        paths = photographs(folder)
        times = []
        for number in range(REPEATS):
            times.append(give(page, paths[number % 2]))
            page.wait_for_timeout(4000)  # until the files are written
        browser.close()
    for name, seconds in zip(("overlay", "head"), np.array(times[1:]).T, strict=True):
        print(f"{name}: median {np.median(seconds):.2f} s, slowest of {len(seconds)} {seconds.max():.2f} s")


if __name__ == "__main__":
    main()
