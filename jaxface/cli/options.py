"""The options that several commands have."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from jaxface.cli.choices import CALIBRATED, CONTOURS, DETECTORS, LOSSES, SOLVERS, VARIANTS, Which


def one_of(names: Iterable[str], flag: str, words: str):
    """An option that takes a name and completes it: ``words`` say what for, with the names in place of ``{}``."""
    words = words.format(", ".join(names))
    return typer.Option(flag, help=words, autocompletion=lambda: list(names))


Images = Annotated[
    list[Path],
    typer.Argument(metavar="IMAGES", help="Photographs.", show_default=False, readable=False),  # one may fail by itself
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="A face model's file or registered name, in place of the embedded one."),
]
VariantName = Annotated[
    str,
    one_of(
        VARIANTS,
        "--variant",
        "Variant of the method: {}. auto is calibrated for points that MediaPipe found, and the paper's, 2d+3d+p+w, "
        "for others, with another model, contour or loss, and where several pictures are fitted together.",
    ),
]
ContourName = Annotated[
    str, one_of(CONTOURS, "--contour", "What becomes of the 2D contour where the face hides its jaw: {}.")
]
LossName = Annotated[
    str, one_of(LOSSES, "--loss", "How landmarks count that are far from any likely face, as behind a hand: {}.")
]
CalibrationSource = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        help="Fit as calibrated, with this file of jaxface model calibrate: how the detector errs on the model.",
    ),
]
SolverName = Annotated[str, one_of(SOLVERS, "--solver", "Solver: {}.")]
DetectorName = Annotated[str, one_of(DETECTORS, "--detector", "Detector: {}, or one that another package registers.")]
WhichFaces = Annotated[Which, typer.Option("--faces", help="Every face, or the largest of a photograph.")]
MinScore = Annotated[
    float, typer.Option("--min-score", min=0, max=1, help="Leave out faces that are less likely to be one, 0 to 1.")
]
Report = Annotated[
    bool,
    typer.Option("--report", help="Write report.html too: pictures, numbers and a head to turn, for any browser."),
]


def formats_of(names: Iterable[str]):
    """The option ``--formats`` of a command that writes these."""
    return typer.Option("--formats", "-f", help=f"What to write, comma separated: {', '.join(names)}.")


def some_of(formats: Iterable[str], chosen: str) -> tuple[str, ...]:
    """The formats of a list with commas; another one is wrong usage of ``--formats``."""
    names = tuple(name.strip().lower() for name in chosen.split(","))
    for name in names:
        if name not in formats:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(formats)}", param_hint="--formats")
    return names


def fit_options(**chosen):
    """The ``FitOptions``, each by the name of its command line option."""
    from jaxface.fitting import FitOptions

    if chosen.get("calibration") is not None:
        if (variant := chosen["variant"]) not in ("auto", "calibrated"):
            raise typer.BadParameter(f"calibrated makes use of it, {variant} does not", param_hint="--calibration")
        chosen["variant"] = "calibrated"
    try:
        return FitOptions(**chosen)
    except ValueError as error:
        name, sentence = str(error).split("=", 1)
        raise typer.BadParameter(sentence, param_hint=f"--{name}") from None


def require_calibration(variant: str, detector: str, model: str | None, calibration: str | None) -> None:
    """Refuse ``calibrated`` where no calibration is given or comes along: some do for MediaPipe with the embedded
    model."""
    if calibration is not None:
        return
    for option, given in (("--detector", None if detector in CALIBRATED else detector), ("--model", model)):
        if variant == "calibrated" and given is not None:
            known = " or ".join(CALIBRATED)
            said = f"calibrated takes {known} and the embedded model, whose errors are known, or --calibration, "
            said += f"not {option} {given}"
            raise typer.BadParameter(said, param_hint="--variant")


def require_joint(variant: str, contour: str = "replace") -> None:
    """Refuse a variant, or a contour, that fits one photograph alone."""
    if contour == "march":
        said = "march fits one photograph alone; several pictures of one person take replace"
        raise typer.BadParameter(said, param_hint="--contour")
    if variant == "calibrated":
        taken = ", ".join(name for name in VARIANTS if name != variant)
        said = f"calibrated fits one photograph alone; several pictures of one person take {taken}"
        raise typer.BadParameter(said, param_hint="--variant")
