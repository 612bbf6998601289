"""``jaxface fit``: photographs in, 3D faces out."""

from pathlib import Path
from typing import Annotated, get_args

import typer

from jaxface.cli.options import DetectorName, MinScore, WhichFaces, fit_options, require_calibration, some_of
from jaxface.cli.session import run
from jaxface.detection.landmark_files import SUFFIXES
from jaxface.fitting.options import Variant
from jaxface.pipelines.image import FILES
from jaxface.solvers import NAMES


def fit(
    images: Annotated[list[Path], typer.Argument(help="Photographs.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("jaxface-output"),
    formats: Annotated[
        str, typer.Option("--formats", "-f", help=f"What to write, comma separated: {', '.join(FILES)}.")
    ] = ",".join(FILES),
    variant: Annotated[str, typer.Option(help=f"Variant of the method: {', '.join(get_args(Variant))}.")] = "2d+3d+p+w",
    solver: Annotated[str, typer.Option(help=f"Solver: {', '.join(NAMES)}.")] = "structured",
    iterations: Annotated[int, typer.Option(help="Rounds of shape and pose.")] = 4,
    model: Annotated[
        str | None, typer.Option(help="A face model's file or registered name, in place of the embedded one.")
    ] = None,
    detector: DetectorName = "mediapipe",
    landmarks: Annotated[
        Path | None,
        typer.Option(
            help=f"Take the faces from this file ({', '.join(SUFFIXES)}), or from a folder with one for each "
            "photograph. Where it holds 2D points only, the detector gives the 3D ones."
        ),
    ] = None,
    faces: WhichFaces = "all",
    min_score: MinScore = 0.0,
) -> None:
    """Fit the faces in photographs.

    One photograph's files go into the output folder itself, those of several into a folder each, named as the
    photograph is. The second and further faces of a photograph get folders face-2, face-3, ... within.

    Examples: jaxface fit photo.jpg; jaxface fit *.jpg --output faces -f glb,overlay
    """
    chosen = some_of(FILES, formats)
    options = fit_options(variant=variant, solver=solver, iterations=iterations)
    require_calibration(variant, detector, model, landmarks)
    raise typer.Exit(run(images, output, options, chosen, model, detector, faces, min_score, landmarks))
