"""The suite's pictures, from the curves in ``results.json``."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's, told apart by colour-blind readers too."""
MARKERS = "osD^vP*X"


def draw(series: dict[str, list], sgemm: float, folder: Path) -> None:
    """Write each picture whose curves were measured, as PNG."""
    pictures = {
        "batch": (_batch, "batch"),
        "peers": (_peers, "peers"),
        "sizes": (_sizes, "landmarks"),
        "roofline": (_roofline, "batch"),
        "cost": (_cost, "cost"),
        "million": (_million, "million"),
    }
    for name, (picture, needed) in pictures.items():
        if not series.get(needed):
            continue
        figure = picture(series, sgemm)
        figure.savefig(folder / f"{name}.png", dpi=130)
        plt.close(figure)


def _axes(columns: int = 1, **labels):
    figure, axes = plt.subplots(1, columns, figsize=(7 if columns == 1 else 4.2 * columns, 4.6), layout="constrained")
    for one in np.atleast_1d(axes):
        one.grid(True, which="major", alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
    if labels:
        axes.set(**labels)
    return figure, axes


def _values(points: list[dict], *names: str):
    return [np.array([point[name] for point in points]) for name in names]


def _batch(series, sgemm):
    figure, axes = _axes(xlabel="batch size", ylabel="fits a second", xscale="log", yscale="log")
    batch, seconds, flops = _values(series["batch"], "batch", "seconds_a_fit", "flops_a_fit")
    axes.plot(batch, 1 / seconds, marker=MARKERS[0], color=COLOURS[0], label="jaxface, 68 points")
    bound = sgemm / flops[0]
    axes.axhline(bound, color="black", linestyle="--", label=f"least FLOPs at sgemm rate: {bound:,.0f}")
    axes.set_title("Fits a second over batch size", fontsize=10)
    axes.legend(fontsize=8)
    return figure


def _peers(series, _):
    """A dot for each opponent at its own batch size, and ours, timed in turn with the last of them."""
    figure, axes = _axes(xlabel="fits a second", xscale="log")
    peers = series["peers"]
    rates = [1 / peers[-1]["ours"], *(1 / peer["seconds_a_fit"] for peer in peers)]
    names = ["jaxface, batch 4096", *(peer["name"] for peer in peers)]
    colours = [COLOURS[0], *[COLOURS[3]] * len(peers)]
    axes.scatter(rates, names, color=colours, s=60, zorder=3)
    for rate, name in zip(rates, names, strict=True):
        axes.annotate(f"{rate:,.0f}", (rate, name), (8, 0), textcoords="offset points", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(right=3 * max(rates))
    axes.tick_params(axis="y", labelsize=8)
    axes.set_title("The same method at matched rounds, and eos", fontsize=10)
    return figure


def _sizes(series, _):
    names = [name for name in ("components", "landmarks", "rounds") if series.get(name)]
    figure, axes = _axes(len(names))
    for one, name in zip(np.atleast_1d(axes), names, strict=True):
        (seconds,) = _values(series[name], "seconds_a_fit")
        if name == "landmarks":
            labels = [point["name"] for point in series[name]]
            bars = one.bar(labels, 1e6 * seconds, color=COLOURS[: len(labels)])
            one.bar_label(bars, fmt="%.0f")
            one.tick_params(axis="x", labelsize=8)
        else:
            (x,) = _values(series[name], name)
            one.plot(x, 1e6 * seconds, marker=MARKERS[0], color=COLOURS[0])
            one.set_xlim(left=0)
        one.set(xlabel=name, ylabel="µs a fit", ylim=(0, None))
    figure.suptitle("Time of a fit at batch 4096", fontsize=10)
    return figure


def _roofline(series, sgemm):
    figure, axes = _axes(xlabel="least FLOPs of a fit", ylabel="fits a second", xscale="log", yscale="log")
    groups = {
        "batch size": series["batch"],
        "landmarks": series["landmarks"],
        "components": series.get("components", []),
        "rounds": series.get("rounds", []),
    }
    every = [point["flops_a_fit"] for points in groups.values() for point in points]
    span = np.array([min(every) / 1.5, max(every) * 1.5])
    axes.plot(span, sgemm / span, "k--", label=f"sgemm, {sgemm / 1e9:.0f} GFLOP/s")
    for i, (name, points) in enumerate(groups.items()):
        if points:
            flops, seconds = _values(points, "flops_a_fit", "seconds_a_fit")
            axes.plot(flops, 1 / seconds, MARKERS[i], color=COLOURS[i], label=f"over {name}", alpha=0.85)
    axes.set_title("Fits a second against the method's bound", fontsize=10)
    axes.legend(fontsize=8)
    return figure


def _cost(series, _):
    figure, axes = _axes(xlabel="seconds a fit", ylabel="cost above the minimum, as a part of it")
    axes.set(xscale="log", yscale="log")
    for i, (name, points) in enumerate(series["cost"].items()):
        seconds, above = _values(points, "seconds_a_fit", "above")
        axes.plot(seconds, np.maximum(above, 1e-8), marker=MARKERS[i % 8], color=COLOURS[i % 8], label=name)
    axes.axhline(0.1, color="grey", linestyle=":", linewidth=1)
    axes.set_title("Cost over time, variant 2d+3d", fontsize=10)
    axes.legend(fontsize=8)
    return figure


def _million(series, _):
    figure, axes = _axes(2)
    run = series["million"][0]
    fits = np.array(run["fits"]) / 1e6
    axes[0].plot(fits, run["seconds"], color=COLOURS[0])
    axes[0].set(xlabel="million fits", ylabel="seconds", xlim=(0, None), ylim=(0, None))
    axes[1].plot(fits, run["memory_mb"], color=COLOURS[3])
    axes[1].set(
        xlabel="million fits", ylabel="resident memory, MB", xlim=(0, None), ylim=(0, 1.2 * max(run["memory_mb"]))
    )
    figure.suptitle("1,000,000 fits in chunks of 10,000", fontsize=10)
    return figure
