"""Draws a results file: ratio to each rival by case, fraction of the FMA peak over width.

``python -m fastmlp.bench.plot bench/results/<version>-<processor>.json docs`` writes ``ratios.svg``
and, if the sweep was measured, ``peak.svg`` there. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from fastmlp.bench.peers import PEERS

COLORS = {
    "pytorch": "#d1603d",
    "scikit-learn": "#e8b04a",
    "jax": "#4a7ebb",
    "onnxruntime": "#7a7a7a",
}
OWN_COLOR = "#1b7f5c"


def ratios(results: dict[str, Any]) -> Any:
    """Figure of each rival's time of an epoch over fastmlp's, one group of bars a case.

    Bars are medians over the rounds, whiskers ranges; a rival without rounds has no bar.
    """
    from matplotlib import pyplot

    rows = results["training"]
    rivals = [
        peer
        for peer in PEERS
        if any("ratio" in row["peers"].get(peer, {}) for row in rows.values())
    ]
    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    width = 0.8 / max(1, len(rivals))
    for place, rival in enumerate(rivals):
        found = [
            (number, row["peers"][rival]["ratio"])
            for number, row in enumerate(rows.values())
            if "ratio" in row["peers"].get(rival, {})
        ]
        centres = [number + (place + 0.5) * width - 0.4 for number, _ in found]
        medians = [ratio["median"] for _, ratio in found]
        below = [ratio["median"] - ratio["min"] for _, ratio in found]
        above = [ratio["max"] - ratio["median"] for _, ratio in found]
        bars = axes.bar(
            centres,
            medians,
            0.92 * width,
            yerr=[below, above],
            label=rival,
            color=COLORS[rival],
            error_kw={"linewidth": 0.8, "ecolor": "#444444"},
        )
        axes.bar_label(bars, [f"{value:.3g}" for value in medians], fontsize=7, padding=2)
    axes.axhline(1, color=OWN_COLOR, linewidth=1.5, label="fastmlp = 1")
    axes.set_yscale("log")
    axes.set_xticks(
        range(len(rows)), [f"{name}\n{_layers(row)}" for name, row in rows.items()], fontsize=8
    )
    axes.set_ylabel("time of an epoch / fastmlp's")
    axes.set_title(_title(results), fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    _bare(axes)
    return figure


def peak(results: dict[str, Any]) -> Any:
    """Figure of the fraction of the FMA peak over the width of two equal hidden layers."""
    from matplotlib import pyplot, ticker

    points = sorted(
        (row["case"]["sizes"][0], row["share_of_peak"])
        for name, row in results["sweep"].items()
        if name.startswith("width")
    )
    figure, axes = pyplot.subplots(figsize=(8, 3.5), layout="constrained")
    axes.plot(*zip(*points, strict=True), marker="o", markersize=4, color=OWN_COLOR)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(ticker.ScalarFormatter())
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
    axes.set_ylim(0, 1)
    axes.set_xlabel("width w of the network w-w-w-10")
    axes.set_ylabel("fraction of the FMA peak")
    axes.set_title(_title(results), fontsize=9)
    axes.grid(alpha=0.3)
    _bare(axes)
    return figure


def _layers(row: dict[str, Any]) -> str:
    sizes = row["case"]["sizes"]
    if len(set(sizes[:-1])) == 1 and len(sizes) > 4:
        return f"{len(sizes) - 1} × {sizes[0]}, {sizes[-1]}"
    return "-".join(map(str, sizes))


def _title(results: dict[str, Any]) -> str:
    machine = results["machine"]
    about = f"fastmlp {machine['fastmlp']}, {machine['processor']}, {machine['threads']} threads"
    return f"{about}, float32"


def _bare(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the results file and write the figures; see the top of this file."""
    import matplotlib

    parser = argparse.ArgumentParser(
        prog="python -m fastmlp.bench.plot", description="Draw a results file."
    )
    parser.add_argument("results", type=pathlib.Path, help="JSON file written by the benchmark")
    parser.add_argument("folder", type=pathlib.Path, help="where the figures go")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    options = parser.parse_args(arguments)
    results = json.loads(options.results.read_text())
    # The same results give the same file: no random ids, no date.
    matplotlib.rcParams["svg.hashsalt"] = "fastmlp"
    matplotlib.use("agg")
    for draw, section in ((ratios, "training"), (peak, "sweep")):
        if results.get(section):
            path = options.folder / f"{draw.__name__}.{options.format}"
            draw(results).savefig(
                path, dpi=150, metadata={"Date": None} if options.format == "svg" else None
            )
            print(path)


if __name__ == "__main__":
    main()
