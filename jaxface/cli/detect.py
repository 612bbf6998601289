"""``jaxface detect``: photographs in, pictures and files of their faces' landmarks out."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from jaxface.cli.choices import DETECTION_FILES
from jaxface.cli.options import DetectorName, Images, MinScore, Output, WhichFaces, formats_of, some_of
from jaxface.cli.terminal import console, plain_table, print_table, printable, require_writable


def detect(
    images: Images,
    output: Output = Path("jaxface-landmarks"),
    formats: Annotated[str, formats_of(DETECTION_FILES)] = "picture,json",
    detector: DetectorName = "mediapipe",
    faces: WhichFaces = "all",
    min_score: MinScore = 0.0,
) -> None:
    """Find the faces in photographs.

    For each photograph it draws their boxes and points into NAME.faces.png, and writes them, in the same order, to
    NAME.json or NAME.npz, which jaxface fit --landmarks takes.

    \b
    Examples:
      jaxface detect photo.jpg
      jaxface detect *.jpg --output landmarks --formats json
      jaxface detect *.jpg --output landmarks --detector dlib+mediapipe
    """
    from jaxface.cli.session import names, open_finder, progress
    from jaxface.export.files import Inputs
    from jaxface.pipelines.landmarks import detect_image

    chosen = some_of(DETECTION_FILES, formats)
    require_writable(output, "--output")
    inputs, reports = Inputs(images), []
    results, errors = console(), console(stderr=True)
    with ExitStack() as held:
        finder = open_finder(held, detector, faces, min_score)
        for path, name in progress(list(zip(images, names(images), strict=True)), "detecting", errors):
            report = detect_image(path, output / name, finder, chosen, inputs)
            reports.append(report)
            if report.error:
                errors.failed(report.error)
    if any(report.faces for report in reports):
        print_table(results, _table(reports))
        results.written(output)
    raise typer.Exit(0 if all(report.error is None for report in reports) else 1)


def _table(reports) -> Table:
    from jaxface.detection.faces import box

    table = plain_table()
    table.add_column("file\n", overflow="fold", min_width=8)
    for heading in ("face\n", "score\n", "left\npx", "top\npx", "right\npx", "bottom\npx", "detect\nms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        name, time = printable(report.path.name), f"{1000 * report.detect_s:.0f}"
        for index, (face, score) in enumerate(zip(report.faces, report.scores, strict=True)):
            sides = (f"{side:.0f}" for side in box(face))
            first = index == 0
            table.add_row(name if first else "", str(index + 1), f"{score:.2f}", *sides, time if first else "")
    return table
