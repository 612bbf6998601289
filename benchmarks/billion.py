"""What a billion photographs cost, from the processor time of each stage of ``jaxface dataset``.

``python -m benchmarks.billion [--images 1000] [--side 320]``. Crops and turns of the demo photograph, one face each, go
through the stages in this process, one after the other. What is done once a process is left out: loading and
fingerprinting the model, compiling the fit, opening the detector.
Processor time is that of all threads, which other programs disturb less than they do the clock.
"""

import argparse
import tempfile
from pathlib import Path
from time import process_time

from rich.console import Console
from rich.table import Table

from benchmarks.dataset import SIDE, make_images
from jaxface.detection.reading import read_image
from jaxface.pipelines import stages
from jaxface.pipelines.stages import Found, Part, Settings

BILLION = 10**9


def measured(paths: list[Path], output: Path) -> tuple[dict[str, float], int, int]:
    """Processor seconds of each stage, rows, and bytes of their file."""
    settings = Settings(part_images=len(paths))
    spent, found = dict.fromkeys(("decode", "detect", "fit", "write"), 0.0), []
    clock = process_time()

    def lap(stage: str) -> None:
        nonlocal clock
        now = process_time()
        spent[stage], clock = spent[stage] + now - clock, now

    with stages.open_finder(settings) as opened:
        stages.compile_fit(settings)
        opened.find_scored(read_image(paths[0]))
        clock = process_time()
        for path in paths:
            image = read_image(path)
            lap("decode")
            try:
                scored = opened.find_scored(image)
                found.append(Found(str(path), *zip(*scored, strict=True)))
            except ValueError as error:
                found.append(Found(str(path), error=str(error)))
            lap("detect")
        stages.fit_part(found[:1], settings)
        clock = process_time()
        rows = stages.fit_part(found, settings)
        lap("fit")
        part = Part(0, list(map(str, paths)))
        stages.write_part(output, part, rows)
        lap("write")
    return spent, rows.num_rows, (output / part.file).stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.billion", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=SIDE, help="of the square photographs, in pixels")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        paths = make_images(Path(temporary), asked.images, asked.side)
        spent, rows, size = measured(paths, Path(temporary))
        read = sum(path.stat().st_size for path in paths) / len(paths)
    title = f"{asked.images} photographs of {asked.side}x{asked.side}, {rows} rows"
    table = Table("stage", "ms of a processor", "share %", "hours of a processor for a billion", title=title)
    total = sum(spent.values())
    for stage, seconds in (spent | {"all": total}).items():
        each = seconds / len(paths)
        table.add_row(stage, f"{1e3 * each:.3g}", f"{100 * seconds / total:.1f}", f"{each * BILLION / 3600:,.0f}")
    console = Console()
    console.print(table)
    console.print(f"read: {read / 1e3:.1f} kB a photograph, {read * BILLION / 1e12:.1f} TB for a billion")
    console.print(f"written: {size / rows:.0f} bytes a row, {size / rows * BILLION / 1e12:.2f} TB for a billion")


if __name__ == "__main__":
    main()
