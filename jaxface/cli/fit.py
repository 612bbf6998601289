"""``jaxface fit``: photographs in, 3D faces out."""

from pathlib import Path
from typing import Annotated

import typer

from jaxface.cli.choices import FACE_FILES, LANDMARK_SUFFIXES, USUAL_FACE_FILES
from jaxface.cli.interrupts import loading
from jaxface.cli.options import (
    CalibrationSource,
    ContourName,
    DetectorName,
    Images,
    LossName,
    MinScore,
    Model,
    Output,
    Report,
    SolverName,
    VariantName,
    WhichFaces,
    fit_options,
    formats_of,
    require_calibration,
    require_joint,
    some_of,
)


def fit(
    images: Images,
    output: Output = Path("jaxface-output"),
    formats: Annotated[str, formats_of(FACE_FILES)] = ",".join(USUAL_FACE_FILES),
    report: Report = False,
    variant: VariantName = "auto",
    calibration: CalibrationSource = None,
    contour: ContourName = "replace",
    loss: LossName = "squared",
    solver: SolverName = "structured",
    iterations: Annotated[int, typer.Option(help="Rounds of shape and pose.")] = 4,
    model: Model = None,
    detector: DetectorName = "mediapipe",
    landmarks: Annotated[
        Path | None,
        typer.Option(
            help=f"Take the faces from this file ({', '.join(LANDMARK_SUFFIXES)}), or from a folder with one for each "
            "photograph. Where it holds 2D points only, the detector gives the 3D ones."
        ),
    ] = None,
    faces: WhichFaces = "all",
    min_score: MinScore = 0.0,
    same_person: Annotated[
        bool,
        typer.Option(
            "--same-person",
            help="The photographs show one person: one identity for all of them, from the largest face of each.",
        ),
    ] = False,
) -> None:
    """Fit the faces in photographs.

    One photograph's files go into the output folder itself, those of several into a folder each, named as the
    photograph is. The second and further faces of a photograph get folders face-2, face-3, ... within.
    With --same-person the output folder also gets the person's face at rest: neutral.glb, neutral.obj, neutral.ply.

    \b
    Examples:
      jaxface fit photo.jpg --report
      jaxface fit *.jpg --output faces --formats glb,overlay
      jaxface fit photo.jpg --detector mediapipe-averaged
      jaxface fit photo.jpg --landmarks photo.json --variant 2d
      jaxface fit anna-1.jpg anna-2.jpg --same-person
    """
    with loading():
        from jaxface.cli.session import run

    chosen = some_of(FACE_FILES, formats) + (("report",) if report else ())
    asked = {"variant": variant, "calibration": calibration, "contour": contour, "loss": loss}
    options = fit_options(**asked, solver=solver, iterations=iterations)
    if landmarks is None:  # whose files may say their detector
        require_calibration(variant, detector, model, calibration)
    if same_person:
        require_joint(options.variant, contour)
    raise typer.Exit(run(images, output, options, chosen, model, detector, faces, min_score, landmarks, same_person))
