"""What a fit can be asked for."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from jax.core import Tracer

from jaxface import solvers
from jaxface.calibration import CALIBRATED, EMBEDDED, Calibration, load_calibration
from jaxface.model.morphable import MorphableModel
from jaxface.types import PAPER, Scheme

Variant = Literal["auto", "2d", "2d+3d", "2d+3d+w", "2d+3d+p+w", "calibrated"]
Contour = Literal["replace", "march"]
Loss = Literal["squared", "robust"]


@dataclass(frozen=True)
class FitOptions:
    """Options of a fit; hashable, so static under ``jax.jit``.

    ``variant`` names the paper's ablation (Fig. 3): 2D landmarks alone; both kinds at equal weights; both at the
    adaptive weights of Eqs 7-9 (w); and with the refined pose (p), the paper's method. ``"calibrated"`` goes beyond it:
    landmarks less the detector's mean offsets and the errors that go together, each weighted by how sure it is
    (``jaxface.calibration``). ``"auto"`` is ``"calibrated"`` where a ``calibration`` is named or one comes along for
    the 68 landmarks, which it does for MediaPipe's with the embedded model; elsewhere, and with another ``contour`` or
    ``loss``, it is the paper's method, ``"2d+3d+p+w"``.
    ``calibration`` says where these errors are measured: a detector's name, for the embedded model, or the file that
    ``jaxface model calibrate`` wrote; ``None`` is the landmarks' own detector. The paper's variants make no use of it.
    ``contour`` says what becomes of the 2D contour, which follows the outline that is seen and not the jaw behind it.
    ``"replace"`` is the paper's: p replaces the hidden points by the 3D ones, once. ``"march"``: in every round each
    point pulls what is the model's own outline there by then. It takes the paper's variants and the 68 points.
    ``loss`` says what landmarks cost that are far from any likely face: ``"squared"``, the paper's, takes them as they
    are; ``"robust"`` lets them count for little, as behind a hand or hair (``jaxface.fitting.robust``).
    ``solver`` is ``"structured"`` (the default), ``"jaxopt"`` (the stock Levenberg-Marquardt, the reference) or
    ``"optax"`` (L-BFGS).
    ``iterations`` counts the rounds of shape and pose.
    ``identity_prior`` and ``expression_prior`` are λα and λβ of Eq. 10 in mm²: about the variance of a landmark's
    error. ``docs/method.md`` records how they were chosen.

    Raises:
      ValueError: an option has a value that it does not take.
    """

    variant: str = "auto"
    solver: str = "structured"
    iterations: int = 4
    calibration: str | None = None
    contour: str = "replace"
    loss: str = "squared"
    identity_prior: float = 5.0
    expression_prior: float = 30.0

    def __post_init__(self):
        choices = {"variant": get_args(Variant), "contour": get_args(Contour), "loss": get_args(Loss)}
        choices |= {"solver": tuple(solvers.NAMES)}
        for name, taken in choices.items():
            if getattr(self, name) not in taken:
                raise ValueError(f"{name}={getattr(self, name)!r}: takes one of {', '.join(taken)}")
        if self.contour == "march" and self.variant == "calibrated":
            raise ValueError(
                "contour='march': takes the paper's variants; calibrated takes the outline's mean offset off already"
            )
        if self.calibration is not None:
            if not isinstance(self.calibration, str | Path) or not str(self.calibration):
                raise ValueError(f"calibration={self.calibration!r}: takes a detector's name, or the path of a file")
            object.__setattr__(self, "calibration", str(self.calibration))
        self._require("iterations", operator.index, range(1, 1001).__contains__, "a whole number from 1 to 1000")
        for name in ("identity_prior", "expression_prior"):
            self._require(name, float, lambda value: 1e-12 <= value <= 1e12, "a number from 1e-12 to 1e12 (mm²)")

    def _require(self, name: str, kind: Callable, fits: Callable, taken: str) -> None:
        """Keep a number as Python's own, which has a hash, whatever array library it is of."""
        value = getattr(self, name)
        if isinstance(value, Tracer):
            raise ValueError(
                f"{name}: got a traced value, takes {taken}, known when a function is compiled; to learn a prior scale "
                "the model's basis, as docs/jax.md says"
            )
        try:
            number = kind(value)
        except (TypeError, ValueError):
            number = None
        if number is None or not fits(number):
            raise ValueError(f"{name}={value!r}: takes {taken}")
        object.__setattr__(self, name, number)


def settled(options: FitOptions, model: MorphableModel, scheme: Scheme, detector: str | None) -> FitOptions:
    """The options with the variant that a detector's landmarks are fitted with, and its calibration, None for the
    paper's.

    Raises:
      ValueError: it is ``"calibrated"``, and no calibration is named or comes along for this detector and model.
    """
    comes_along = detector in CALIBRATED and model.name == EMBEDDED
    variant, calibration = options.variant, options.calibration
    if variant == "auto":
        measured = calibration is not None or comes_along and scheme == "ibug68"
        plain = options.contour == "replace" and options.loss == "squared"
        variant = "calibrated" if measured and plain else PAPER
    if variant != "calibrated":
        return replace(options, variant=variant, calibration=None)
    if calibration is None and not comes_along:
        raise ValueError(
            f"calibrated: nothing is known of the errors of {detector or 'an unknown detector'} with the model "
            f"{model.name!r}; takes landmarks of {' or '.join(CALIBRATED)} with the embedded model, or a "
            "calibration, which jaxface model calibrate measures"
        )
    return replace(options, variant=variant, calibration=calibration or detector)


def table_of(options: FitOptions, model: MorphableModel, scheme: Scheme) -> Calibration | None:
    """The calibration that options name, if they do.

    Raises:
      ValueError: there is none, or a file's is of another model. One that comes along may be named for any, such as a
        part of the embedded model.
    """
    if options.calibration is None:
        return None
    table = load_calibration(options.calibration, scheme)
    if options.calibration not in CALIBRATED and table.model not in (None, model.name):
        raise ValueError(
            f"calibration={options.calibration!r}: is of the model {table.model!r}, and {model.name!r} is fitted; "
            "jaxface model calibrate measures that one's"
        )
    return table


def joint(options: FitOptions) -> FitOptions:
    """The options with the variant that several pictures of one person are fitted with, by default the paper's method.

    Raises:
      ValueError: they fit one picture alone.
    """
    if options.variant == "calibrated":
        raise ValueError("options.variant='calibrated': takes the paper's variants; a single fit can be calibrated")
    if options.contour == "march":
        raise ValueError("options.contour='march': takes replace; a single fit can march")
    return replace(options, variant=PAPER if options.variant == "auto" else options.variant, calibration=None)
