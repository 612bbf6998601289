"""The options that several commands have."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from jaxface.cli.choices import CALIBRATED, CONTOURS, DETECTORS, LOSSES, SOLVERS, VARIANTS, Which


def one_of(names: Iterable[str], flag: str, words: str, usual: bool | str = True):
    """An option that takes a name and completes it: ``words`` say what for, with the names in place of ``{}``;
    ``usual`` what it is by default, where that depends."""
    words = words.format(", ".join(names))
    return typer.Option(flag, help=words, autocompletion=lambda: list(names), show_default=usual)


def _folder(given: str | Path) -> Path:
    if given == "":
        raise typer.BadParameter("'': takes a folder; . is the one that you are in")
    return Path(given)


Images = Annotated[
    list[Path],
    typer.Argument(metavar="IMAGES", help="Photographs.", show_default=False, readable=False),  # one may fail by itself
]
Output = Annotated[Path, typer.Option("--output", "-o", parser=_folder, metavar="PATH", help="Folder to write to.")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="A face model's file or registered name, in place of the embedded one."),
]
VariantName = Annotated[str, one_of(VARIANTS, "--variant", "Variant of the method: {}.")]
UsualVariant = Annotated[
    str | None,
    one_of(
        VARIANTS,
        "--variant",
        "Variant of the method: {}.",
        "calibrated; 2d+3d+p+w, the paper's, with --model, --contour, --loss, --landmarks, --same-person, or another "
        "--detector than MediaPipe's",
    ),
]
ContourName = Annotated[
    str, one_of(CONTOURS, "--contour", "What becomes of the 2D contour where the face hides its jaw: {}.")
]
LossName = Annotated[
    str, one_of(LOSSES, "--loss", "How landmarks count that are far from any likely face, as behind a hand: {}.")
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


def usual_variant(detector: str, model: str | None, contour: str, loss: str, landmarks: Path | None = None) -> str:
    """What ``--variant`` is where it is not given: ``calibrated`` where the detector's errors are known."""
    usual = (model, contour, loss, landmarks) == (None, "replace", "squared", None)
    return "calibrated" if usual and detector in CALIBRATED else "2d+3d+p+w"


def fit_options(detector: str = "mediapipe", **chosen):
    """The ``FitOptions``, each by the name of its command line option; ``calibrated`` uses the detector's own."""
    from jaxface.fitting import FitOptions

    if chosen.get("variant") == "calibrated":
        chosen["calibration"] = detector
    try:
        return FitOptions(**chosen)
    except ValueError as error:
        name, sentence = str(error).split("=", 1)
        raise typer.BadParameter(sentence, param_hint=f"--{name}") from None


def require_calibration(variant: str, detector: str, model: str | None, landmarks: Path | None = None) -> None:
    """Refuse ``calibrated`` where no calibration comes along: some do for MediaPipe with the embedded model."""
    if variant != "calibrated":
        return
    for option, given in (
        ("--detector", None if detector in CALIBRATED else detector),
        ("--model", model),
        ("--landmarks", landmarks),
    ):
        if given is not None:
            known = " or ".join(CALIBRATED)
            said = f"calibrated takes {known} and the embedded model, whose errors are known, not {option} {given}"
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
