"""The page's layout, and which event calls what."""

from pathlib import Path
from typing import Any, get_args

import gradio as gr
from gradio import themes

from jaxface.app.actions import HELLO, IDENTITY_LIMIT, Actions
from jaxface.app.session import Sessions
from jaxface.fitting.options import FitOptions, Loss, Variant, settled
from jaxface.model.morphable import MorphableModel
from jaxface.pipelines.faces import Finder
from jaxface.solvers import NAMES

FONT = [themes.Font(name) for name in ("system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")]
MONO = [themes.Font(name) for name in ("ui-monospace", "Consolas", "monospace")]
THEME = themes.Soft(primary_hue="sky", secondary_hue="sky", neutral_hue="slate", font=FONT, font_mono=MONO)
CSS = """
.gradio-container {width: 100%; max-width: 1240px !important; margin: 0 auto !important}
#title h1 {margin: 0 0 .1em; font-size: 1.7rem; letter-spacing: -.01em}
#title p {margin: 0; opacity: .75}
#figures, #table {contain: inline-size; overflow-x: auto}
#figures table, #table table {width: 100%; font-size: .9em}
#figures th, #figures td, #table th, #table td {padding: .3em .5em; white-space: nowrap}
#gallery .grid-container button {aspect-ratio: 2}
#glb, #obj, #json {padding-inline: 0; white-space: nowrap}
@media (max-width: 640px) {
#gallery .grid-container {grid-template-columns: 1fr !important}
#unsure {height: auto !important; padding-top: 2.5rem !important}
}
"""
CHOSEN = ("mouthSmileLeft", "mouthSmileRight")
"""The shapes that are chosen at first."""


def build(model: MorphableModel, finder: Finder, detector: str, folder: Path, example: Path) -> gr.Blocks:
    """The page, not yet served.

    Args:
      finder: an open one.
      detector: its detector's name. Where no calibration comes along for it and the model there is no calibrated
        variant and no uncertainty.
      folder: where sessions keep their files.
      example: a photograph to try, in a folder that Gradio serves.
    """
    default = settled(FitOptions(), model, "ibug68", detector)
    measured = default.variant == "calibrated"
    variants = [name for name in get_args(Variant) if name != "auto" and (measured or name != "calibrated")]
    picture: dict[str, Any] = {"interactive": False, "buttons": ["download", "fullscreen"]}
    actions = Actions(model, finder, Sessions(folder), example)
    names = model.expression_names or tuple(map(str, range(model.expression.shape[-1])))
    shapes = list(zip(names, range(len(names)), strict=True))

    with gr.Blocks(title="jaxface", analytics_enabled=False) as page:
        gr.Markdown(
            "# jaxface\nOne photograph becomes a 3D face. Nothing leaves the machine that serves this page.",
            elem_id="title",
        )
        with gr.Row():
            with gr.Column(min_width=330):
                photo = gr.Image(
                    label="Photograph",
                    type="filepath",
                    sources=["upload", "webcam", "clipboard"],
                    webcam_options=gr.WebcamOptions(mirror=False),  # or the face would be its mirror image
                    height=300,
                    elem_id="photo",
                )
                gr.Examples([[str(example)]], photo, label="Example")
                with gr.Column(visible=False) as several:
                    boxes = gr.Image(label="Faces", height=240, elem_id="boxes", **picture)
                    which = gr.Radio([], label="Which face", elem_id="which")
                overlay = gr.Image(label="Overlay", elem_id="overlay", **picture)
            with gr.Column(min_width=330):
                head = gr.Model3D(label="Head: drag to turn it", interactive=False, height=430, elem_id="head")
                said = gr.Markdown(HELLO, elem_id="figures")
                with gr.Row():
                    files = [
                        gr.DownloadButton(
                            f"Download {kind}", interactive=False, size="sm", min_width=90, elem_id=kind.lower()
                        )
                        for kind in ("GLB", "OBJ", "JSON")
                    ]
                with gr.Accordion("Method", open=False):
                    variant = gr.Dropdown(variants, value=default.variant, label="Variant")
                    loss = gr.Dropdown(
                        list(get_args(Loss)), value=default.loss, label="Loss, robust if points lie elsewhere"
                    )
                    solver = gr.Dropdown(list(NAMES), value=default.solver, label="Solver")
                    iterations = gr.Slider(1, 20, value=default.iterations, step=1, label="Rounds of shape and pose")
        with gr.Tabs() as tabs:
            with gr.Tab("Change", id=0), gr.Row():
                with gr.Column(min_width=330):
                    drawn = gr.Image(label="Changed face", elem_id="drawn", **picture)
                with gr.Column(min_width=330):
                    pose = [
                        gr.Slider(-limit, limit, value=0, step=0.1, label=label, elem_id=label.split()[0].lower())
                        for label, limit in (("Yaw °", 90), ("Pitch °", 90), ("Roll °", 180))
                    ]
                    with gr.Group():
                        chosen = gr.Dropdown(
                            shapes,
                            value=[names.index(name) for name in CHOSEN if name in names] or [*range(len(names))][:1],
                            multiselect=True,
                            label="Expression",
                        )
                        amount = gr.Slider(-1, 1.5, value=0, step=0.01, label="0 at rest, 1 the whole shape")
                    with gr.Accordion("Identity, in standard deviations", open=False):
                        identity = [
                            gr.Slider(
                                -IDENTITY_LIMIT, IDENTITY_LIMIT, value=0, step=0.01, label=f"Component {number + 1}"
                            )
                            for number in range(actions.identities)
                        ]
                    with gr.Row():
                        back = gr.Button("Back to the fit", size="sm")
                        changed = gr.DownloadButton("Download this GLB", interactive=False, size="sm")
            with gr.Tab("How sure", visible=measured) as how_sure:
                gr.Markdown("How far each part of the face may lie from its true place: one standard deviation.")
                unsure = gr.Image(label="Uncertainty", height=560, elem_id="unsure", **picture)
            with gr.Tab("Compare"):
                with gr.Row():
                    some = gr.CheckboxGroup(variants, value=["2d", default.variant], label="Variants")
                    by = gr.CheckboxGroup(list(NAMES), value=[default.solver], label="Solvers")
                compare = gr.Button("Compare", variant="primary", elem_id="compare")
                gallery = gr.Gallery(label="Overlays", columns=2, object_fit="contain", elem_id="gallery", **picture)
                table = gr.Markdown(elem_id="table")

        method = [variant, loss, solver, iterations]
        turned = [*pose, *identity]
        private: dict[str, Any] = {"api_visibility": "private"}
        last: dict[str, Any] = private | {"trigger_mode": "always_last"}  # of those that come meanwhile the last counts
        quiet: dict[str, Any] = last | {"show_progress": "hidden"}
        old = [*files, changed, tabs, unsure, gallery, table]  # what is of no use after another fit
        no_old = lambda: [*[gr.update(value=None, interactive=False)] * 4, gr.update(selected=0), None, None, None]

        def put_back(event):
            """The sliders at the fit's values, and the head drawn with them."""
            placed = event(actions.back, chosen, [*pose, amount, *identity], **last)
            return placed.then(actions.turn, turned, drawn, **quiet)

        def follow(fitted):
            """What comes after a fit: the head, the sliders, the files."""
            fitted.then(no_old, None, old, **quiet)
            put_back(fitted.then(actions.head, None, head, **last).then).then(actions.files, None, files, **quiet)

        taken = photo.change(
            actions.take, [photo, *method], [several, boxes, which, overlay, said], preprocess=False, **last
        )
        follow(taken)
        for field in (which, *method):
            follow(field.input(actions.choose, [which, *method], [overlay, said], **last))
        for slider in turned:
            slider.input(actions.turn, turned, drawn, **quiet)
        amount.input(actions.express, [chosen, amount, *turned], drawn, **quiet)
        for slider in (amount, *identity):
            slider.release(actions.changed_file, turned, [head, changed], **quiet)
        chosen.input(actions.shape, chosen, amount, **quiet)
        put_back(back.click).then(actions.changed_file, turned, [head, changed], **quiet)
        how_sure.select(actions.unsure, None, unsure, **last)
        compare.click(actions.compare, [some, by], [gallery, table], **private)
        page.unload(actions.leave)
    return page
