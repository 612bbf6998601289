"""What the page's events do: each takes the values of the page's fields and gives back what the page then shows."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from html import escape
from itertools import product
from pathlib import Path
from typing import cast

import gradio as gr
import numpy as np

from jaxface.app import state
from jaxface.app.session import Session, Sessions
from jaxface.fitting import FitOptions
from jaxface.model.morphable import MorphableModel
from jaxface.pipelines.faces import Finder

IDENTITIES, IDENTITY_LIMIT = 5, 3.0
"""How many identity coefficients can be changed at most, and how far from 0."""
HELLO = "Drop a photograph, take one with the camera, or try the example."


def spoken(handler: Callable) -> Callable:
    """A handler whose errors are sentences on the page."""

    @wraps(handler)
    def handle(*values):
        try:
            return handler(*values)
        except (ValueError, RuntimeError, MemoryError, OSError) as error:
            sentence = str(error) or "There is not enough memory for it."
        except TypeError:
            sentence = "A field is empty, or holds what it does not take."
        raise gr.Error(escape(sentence), title="This did not work", print_exception=False) from None

    return handle


class Actions:
    """The handlers. ``example`` is the photograph that comes with the page."""

    def __init__(self, model: MorphableModel, finder: Finder, sessions: Sessions, example: Path):
        self._model, self._finder, self._sessions, self._example = model, finder, sessions, example
        self.identities = min(IDENTITIES, model.identity.shape[-1])

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self._sessions.close(request.session_hash)

    @spoken
    def take(self, request: gr.Request, photo: dict | None, *method) -> list:
        """A photograph came or was removed: the faces to choose from, the overlay, what is said of it."""
        session = self._session(request)
        session.photograph = None
        session.show(None)
        if photo is None:
            return [*_choice(session), None, HELLO]
        path = Path(photo["path"]).resolve()
        if path != self._example:
            self._sessions.upload(session, path)
        try:
            photograph = session.photograph = state.read_photograph(path, self._finder)
        except ValueError as error:
            sentence = escape(str(error))
            gr.Warning(sentence, title="No face was fitted")
            return [*_choice(session), None, f"**No face was fitted.** {sentence}"]
        shown = self._fit(session, photograph, photograph.largest, _options(*method))
        return [*_choice(session), *shown]

    @spoken
    def choose(self, request: gr.Request, index: int | None, *method) -> list:
        """Another face of the photograph, or other options: the overlay, what is said of it."""
        session = self._session(request)
        photograph = session.photograph
        if photograph is None:
            return [None, HELLO]
        if index is None or index not in range(len(photograph.faces)):  # there is nothing to choose, or not yet
            index = photograph.largest
        return self._fit(session, photograph, index, _options(*method))

    def _fit(self, session: Session, photograph: state.Photograph, index: int, options: FitOptions) -> list:
        face = state.fit_face(self._model, photograph, index, options)
        session.show(face)
        return [session.jpeg("overlay", state.draw_overlay(self._model, face)), _said(face)]

    @spoken
    def head(self, request: gr.Request) -> Path | dict | None:
        """The textured head of the face that was fitted."""
        session = self._session(request)
        face = session.face
        if face is None:
            return None
        atlas = state.bake(self._model, face, state.SHOWN_ATLAS)
        if session.face is not face:  # meanwhile another one was chosen
            return gr.skip()
        session.atlas = atlas
        return state.write_head(session.path("head", ".glb"), self._model, face.result, atlas)

    @spoken
    def unsure(self, request: gr.Request) -> Path | None:
        """Where the face that was fitted is a guess."""
        session = self._session(request)
        face = session.face
        return None if face is None else session.jpeg("unsure", state.draw_unsure(self._model, face))

    @spoken
    def files(self, request: gr.Request) -> list:
        """The downloads of the face that was fitted."""
        session = self._session(request)
        face = session.face
        if face is None:
            return [gr.skip()] * 3
        folder = session.path("files")
        folder.mkdir()
        paths = state.write_files(folder, self._model, face)
        return [gr.update(value=path, interactive=True) if session.face is face else gr.skip() for path in paths]

    @spoken
    def back(self, request: gr.Request, shapes: list[int]) -> list:
        """As the face was fitted: pose, how far the first of the chosen shapes goes, identity coefficients."""
        session = self._session(request)
        session.expression = {}
        if session.face is None:
            return [gr.skip()] * (4 + self.identities)
        result = session.face.result
        pitch, yaw, roll = result.pose.euler_deg
        amount = result.expression[shapes[0]] if shapes else 0
        identity = np.clip(result.identity[: self.identities], -IDENTITY_LIMIT, IDENTITY_LIMIT)
        angles = [round(float(angle), 1) for angle in (yaw, pitch, roll)]
        return angles + [round(float(value), 2) for value in (amount, *identity)]

    @spoken
    def shape(self, request: gr.Request, shapes: list[int]) -> float:
        """How far the first of the chosen shapes goes now."""
        session = self._session(request)
        if session.face is None or not shapes:
            return 0.0
        return round(session.expression.get(shapes[0], float(session.face.result.expression[shapes[0]])), 2)

    @spoken
    def express(self, request: gr.Request, shapes: list[int], amount: float, *turned: float) -> Path | None:
        """The chosen shapes go so far: the changed head."""
        self._session(request).expression |= dict.fromkeys(shapes, amount)
        return self.turn(request, *turned)

    @spoken
    def turn(self, request: gr.Request, *turned: float) -> Path | None:
        """The changed head, drawn: yaw, pitch and roll in degrees, then identity coefficients."""
        session = self._session(request)
        if session.face is None:
            return None
        changed = _changed(session.face, session.expression, *turned)
        return session.jpeg("drawn", state.draw_head(self._model, changed, session.atlas))

    @spoken
    def changed_file(self, request: gr.Request, *turned: float) -> list:
        """The changed head, as the turning head and as a file."""
        session = self._session(request)
        if session.face is None:
            return [gr.skip()] * 2
        changed = _changed(session.face, session.expression, *turned)
        path = state.write_head(session.path("changed", ".glb"), self._model, changed, session.atlas)
        return [path, gr.update(value=path, interactive=True)]

    @spoken
    def compare(self, request: gr.Request, variants: list[str], solvers: list[str], progress=gr.Progress()) -> list:
        """The same face by several variants and solvers, else as it was fitted: overlays with captions, and a table."""
        session = self._session(request)
        if session.face is None:
            raise ValueError("There is no face yet: give a photograph first.")
        pairs = list(product(variants, solvers))
        if not pairs:
            raise ValueError("Choose at least one variant and one solver.")
        faces = []
        shown = cast(list[tuple[str, str]], progress.tqdm(pairs, desc="fitting", unit="fits"))
        for variant, solver in shown:
            options = replace(session.face.options, variant=variant, solver=solver)
            faces.append(state.timed(self._model, session.face, options))
        names = [f"{face.options.variant} · {face.options.solver}" for face in faces]
        pictures = [session.jpeg("compared", state.draw_overlay(self._model, face)) for face in faces]
        return [list(zip(pictures, names, strict=True)), _table(names, faces)]

    def _session(self, request: gr.Request) -> Session:
        return self._sessions.of(request.session_hash)


def _options(variant: str, loss: str, solver: str, iterations: float) -> FitOptions:
    return FitOptions(variant, solver, int(iterations), loss=loss)


def _changed(face: state.Face, expression: dict[int, float], yaw: float, pitch: float, roll: float, *identity: float):
    return state.changed(face.result, (pitch, yaw, roll), identity, expression)


def _choice(session: Session) -> list:
    """Which of several faces: hidden where there is one, or none."""
    photograph = session.photograph
    if photograph is None or len(photograph.faces) < 2:
        return [gr.update(visible=False), None, gr.update(choices=[], value=None)]
    numbers = [(f"face {number + 1}", number) for number in range(len(photograph.faces))]
    boxes = session.jpeg("boxes", photograph.boxes())
    return [gr.update(visible=True), boxes, gr.update(choices=numbers, value=photograph.largest)]


def _said(face: state.Face) -> str:
    told = state.figures(face)
    return f"**{state.in_words(face)}**\n\n{_rows([list(told), list(told.values())])}"


def _table(names: list[str], faces: list[state.Face]) -> str:
    told = [state.figures(face) for face in faces]
    columns = list(max(told, key=len))
    rows = [[name, *(each.get(column, "–") for column in columns)] for name, each in zip(names, told, strict=True)]
    return _rows([["fit", *columns], *rows])


def _rows(rows: list[list[str]]) -> str:
    """A table in Markdown; the first row is its head."""
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])
