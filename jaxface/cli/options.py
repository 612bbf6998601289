"""The options that several commands have."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from jaxface.detection.registry import NAMES
from jaxface.fitting import FitOptions
from jaxface.pipelines.faces import Which

DetectorName = Annotated[
    str, typer.Option("--detector", help=f"Detector: {', '.join(NAMES)}, or one that another package registers.")
]
WhichFaces = Annotated[Which, typer.Option("--faces", help="Every face, or the largest of a photograph.")]
MinScore = Annotated[
    float, typer.Option("--min-score", min=0, max=1, help="Leave out faces that are less likely to be one, 0 to 1.")
]


def some_of(formats: Iterable[str], chosen: str) -> tuple[str, ...]:
    """The formats of a list with commas; another one is wrong usage of ``--formats``."""
    names = tuple(name.strip().lower() for name in chosen.split(","))
    for name in names:
        if name not in formats:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(formats)}", param_hint="--formats")
    return names


def fit_options(**chosen) -> FitOptions:
    """The options of a fit, each by the name of its command line option."""
    try:
        return FitOptions(**chosen)
    except ValueError as error:
        name, sentence = str(error).split("=", 1)
        raise typer.BadParameter(sentence, param_hint=f"--{name}") from None


def require_calibration(variant: str, detector: str, model: str | None, landmarks: Path | None = None) -> None:
    """Refuse ``calibrated`` where no calibration comes along: one does for MediaPipe with the embedded model."""
    if variant != "calibrated":
        return
    for option, given in (
        ("--detector", None if detector == "mediapipe" else detector),
        ("--model", model),
        ("--landmarks", landmarks),
    ):
        if given is not None:
            said = f"calibrated takes mediapipe and the embedded model, whose errors are known, not {option} {given}"
            raise typer.BadParameter(said, param_hint="--variant")
