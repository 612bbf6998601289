"""What a detector makes of drawn people, and the calibration that is measured on them."""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Bool

from jaxface.calibration import CALIBRATED, Calibration
from jaxface.detection.faces import stacked
from jaxface.detection.mediapipe import sparse_landmarks
from jaxface.detection.registry import opened
from jaxface.evaluation.noise import measured
from jaxface.evaluation.subjects import NODDING_DEG, Subjects, subjects
from jaxface.model.morphable import MorphableModel
from jaxface.rendering.people import PIXELS_A_MM, Painter
from jaxface.types import POINTS, Landmarks, Scheme


def detected(
    people: Subjects, detector: str, scheme: Scheme = "ibug68", watched: Callable[[range], Iterable[int]] = iter
) -> tuple[Landmarks, Bool[np.ndarray, "n"]]:
    """The landmarks that a detector gives of subjects' photographs, a batch of those found, and which these are (n,).

    Args:
      watched: is given the people's indices, and goes through them as the photographs are looked at.

    Raises:
      ValueError: it finds none, or there is no such detector.
    """
    faces = []
    with opened(detector, scheme) as looking:
        painter = Painter(people)
        for index in watched(range(len(people))):
            found = looking.detect(painter.photograph(index))
            faces.append(found[0] if found else None)
    kept = [face for face in faces if face is not None]
    if not kept:
        raise ValueError(f"detector={detector!r}: finds none of {len(people)} people of {people.model.name}")
    return stacked(kept), np.array([face is not None for face in faces])


def of_scheme(landmarks: Landmarks, scheme: Scheme) -> Landmarks:
    """A batch of landmarks as it is, or of MediaPipe's 478 the 68 points."""
    if scheme == landmarks.scheme:
        return landmarks
    return stacked([sparse_landmarks(points, landmarks.detector) for points in np.asarray(landmarks.xyz)])


def schemes_of(model: MorphableModel, detector: str) -> tuple[Scheme, ...]:
    """The schemes that a detector and a model have both: MediaPipe's has all."""
    return tuple(scheme for scheme in POINTS if scheme in model.landmarks) if detector in CALIBRATED else ("ibug68",)


def calibrate(
    model: MorphableModel,
    detector: str,
    count: int,
    *schemes: Scheme,
    fewest: int = 1,
    watched: Callable[[range], Iterable[int]] = iter,
) -> dict[Scheme, Calibration]:
    """The calibrations of a detector and a model, by scheme, measured on the model's own people of even seed.

    Args:
      count: how many people are drawn.
      schemes: some of ``schemes_of``.
      fewest: how many of them must be found.
      watched: as for ``detected``.

    Raises:
      ValueError: too few are found, the model lacks a scheme, or there is no such detector.
    """
    people = subjects(model, count, tilt_deg=NODDING_DEG)
    landmarks, found = detected(people, detector, max(schemes, key=POINTS.__getitem__), watched)
    if found.sum() < fewest:
        raise ValueError(
            f"detector={detector!r}: finds {found.sum()} of {count} people of {model.name}; a calibration takes "
            f"{fewest} or more"
        )
    true = lambda scheme: PIXELS_A_MM * people.seen(people.points(scheme))[found]
    return {scheme: measured(model, of_scheme(landmarks, scheme), true(scheme)) for scheme in schemes}
