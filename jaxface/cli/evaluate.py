"""``jaxface evaluate``: how far reconstructions are from ground truth."""

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from jaxface.cli.choices import PROTOCOLS
from jaxface.cli.options import Output
from jaxface.cli.terminal import console, face_model, plain_table, print_table, printable, require_writable


def evaluate(
    predicted: Annotated[
        Path,
        typer.Argument(metavar="PRED", help="A mesh, a folder of predictions, or a CSV of pairs.", show_default=False),
    ],
    true: Annotated[
        Path | None, typer.Argument(metavar="GT", help="The true mesh, or a folder or data set.", show_default=False)
    ] = None,
    protocol: Annotated[str, typer.Option("--protocol", "-p", help=f"One of {', '.join(PROTOCOLS)}.")] = "micc85",
    output: Output = Path("jaxface-evaluation"),
    model: Annotated[
        str | None, typer.Option(help="The face model that fits were made with, in place of the embedded one.")
    ] = None,
) -> None:
    """Measure reconstructions against ground truth.

    A mesh's landmarks lie beside it (same name, ending in .npy, .txt or .pp): the 68 iBUG points or NoW's 7. Meshes
    that jaxface wrote need none. Ground truth is in millimetres.

    \b
    Examples:
      jaxface evaluate face.ply scan.obj
      jaxface evaluate predictions NoW_Dataset --protocol now
      jaxface evaluate pairs.csv --protocol nonrigid
      jaxface evaluate faces AFLW2000 --protocol aflw2000
    """
    if protocol not in PROTOCOLS:
        raise typer.BadParameter(f"{protocol!r} is not one of {', '.join(PROTOCOLS)}", param_hint="--protocol")
    require_writable(output, "--output")
    run = _aflw2000 if protocol == "aflw2000" else _meshes
    raise typer.Exit(run(predicted, true, protocol, output, model))


def _meshes(predicted: Path, true: Path | None, protocol: str, output: Path, source: str | None) -> int:
    from jaxface.cli.session import numbered, progress
    from jaxface.evaluation.datasets import find_pairs, without_truth
    from jaxface.export.files import Inputs
    from jaxface.model.store import source_file
    from jaxface.pipelines.evaluation import JSON, evaluate_pair, write_report

    model = face_model(source, "--model")
    try:
        pairs = find_pairs(predicted, true)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="PRED GT") from None
    pairs = [replace(pair, name=name) for pair, name in zip(pairs, numbered([p.name for p in pairs]), strict=True)]
    results, errors = console(), console(stderr=True)
    given = chain.from_iterable((p.predicted, p.true, p.predicted_landmarks, p.true_landmarks) for p in pairs)
    inputs, reports = Inputs([*given, source_file(source)]), []
    if predicted.is_dir():
        for path in without_truth(predicted, pairs):
            errors.print(printable(f"{path}: has no truth, and is not measured"), soft_wrap=True)
    for pair in progress(pairs, "measuring", errors):
        reports.append(evaluate_pair(pair, protocol, output if len(pairs) == 1 else output / pair.name, model, inputs))
        if reports[-1].error:
            errors.failed(reports[-1].error)
    write_report(output / JSON, protocol, reports)
    if any(report.error is None for report in reports):
        print_table(results, _table(reports, protocol))
    results.written(output)
    return 0 if all(report.error is None for report in reports) else 1


def _table(reports, protocol: str) -> Table:
    from jaxface.evaluation.protocols import PROTOCOLS
    from jaxface.pipelines.evaluation import summary

    table = plain_table()
    table.add_column(f"{protocol}\n", overflow="fold", min_width=8)
    names = ("rmse", "mean", "std", "median")
    for name in names:
        style = "bold" if name == PROTOCOLS[protocol].headline else None
        table.add_column(f"{name}\nmm", justify="right", no_wrap=True, style=style)
    for heading in ("vertices\n", "scale\n", "time\ns"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        name = printable(report.pair.name)
        if report.error:
            table.add_row(name, "failed")
            continue
        found = [f"{report.statistics[name]:.3f}" for name in names]
        table.add_row(name, *found, str(len(report.distances)), f"{report.scale:.4g}", f"{report.seconds:.2f}")
    if len(reports) > 1:
        table.add_section()
        for group, found in summary(reports, protocol).items():
            table.add_row(printable(group), *(f"{found[name]:.3f}" for name in names))
    return table


def _aflw2000(predicted: Path, true: Path | None, protocol: str, output: Path, source: str | None) -> int:
    from jaxface.evaluation.aflw2000 import BINS
    from jaxface.pipelines.evaluation import JSON, evaluate_aflw2000, write_aflw2000

    model = face_model(source, "--model")
    if true is None:
        raise typer.BadParameter("takes AFLW2000-3D's folder of imageNNNNN.mat as GT", param_hint="GT")
    try:
        report = evaluate_aflw2000(predicted, true, model)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="PRED GT") from None
    for error in report.errors:
        console(stderr=True).failed(error)
    write_aflw2000(output / JSON, report)
    table = plain_table()
    table.add_column(protocol)
    for heading in (*BINS, "mean", "faces"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = [("NME %", report.nme, "nme"), *((f"{name} °", found, "pose") for name, found in report.pose.items())]
    for heading, found, kind in rows:
        values = [f"{found[name]:.2f}" if name in found else "" for name in (*BINS, "mean")]
        table.add_row(heading, *values, str(report.faces[kind]))
    print_table(console(), table)
    console().written(output)
    return 0 if not report.errors else 1
