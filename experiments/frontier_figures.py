"""The figure of a frontier: the settings by their first two objectives, the ones that no other beats joined."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from backwater.experiments.figures import seconds, shares, style
from backwater.experiments.frontier import BEATEN, COST, ON, PERHAPS, Frontier, Row, dimension, worse
from backwater.units import human

NAMES = {
    "rejection_ratio": "503 ratio (rejected / attempts)", "failure_ratio": "jobs that failed",
    "latency_p99": "p99 latency (jobs served in time)", "spill_ratio": "spilled to disk (/ accepted)",
    "workers_mean": "workers", COST: "cost per hour",
}  # fmt: skip
SHADES = LinearSegmentedColormap.from_list("water", ["#bfe3f0", "#0b6e99", "#10243a"])
LABELS = 14  # settings that are named, at most


def drawn(found: Frontier) -> tuple[str, Figure]:
    """Caption and figure: first objective against second, the last of the others as colour, one before it as size."""
    x, *rest = found.objectives
    y = rest[0] if rest else x
    more = found.objectives[2:]
    colour, size = (more[-1] if more else None), (more[0] if len(more) > 1 else None)
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    axis = figure.subplots()
    rows = [row for row in found.rows if all(math.isfinite(row.found[name].value) for name in (x, y))]
    _beaten(axis, [row for row in rows if row.status == BEATEN], x, y)
    _perhaps(axis, [row for row in rows if row.status == PERHAPS], x, y)
    best = [row for row in rows if row.status == ON]
    _joined(axis, best, x, y)
    _points(figure, axis, best, (x, y, colour, size))
    for name, which in ((x, "x"), (y, "y")):
        _scale(axis, rows, name, which)
    _labels(axis, best, x, y)
    axis.set_xlabel(NAMES.get(x, x))
    axis.set_ylabel(NAMES.get(y, y))
    style(axis)
    axis.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2)
    words = [f"{NAMES.get(colour, colour)} as colour"] if colour else []
    words += [f"{NAMES.get(size, size)} as size"] if size else []
    beaten = sum(row.status == BEATEN for row in found.rows)
    caption = (
        f"Of {len(found.rows)} settings {beaten} are surely beaten (grey): another one is as good in "
        f"{_list([NAMES.get(name, name) for name in found.objectives])}, and surely better in one of them. "
        f"{'Bars are 95 % intervals' + ''.join(f', {word}' for word in words)}."
        + (f" Each setting counts in {found.case}." if found.case.startswith("the worst") else "")
    )
    return caption, figure


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _coordinates(rows: list[Row], name: str) -> np.ndarray:
    return np.array([row.found[name].value for row in rows])


def _bars(rows: list[Row], name: str) -> np.ndarray:
    ends = np.array([[row.found[name].value - row.found[name].low, row.found[name].high - row.found[name].value]
                     for row in rows])  # fmt: skip
    return np.maximum(np.nan_to_num(ends), 0).T


def _beaten(axis: Axes, rows: list[Row], x: str, y: str) -> None:
    if rows:
        axis.plot(_coordinates(rows, x), _coordinates(rows, y), color="#b8bec4", marker="o", markersize=4.5,
                  linestyle="none", label="surely beaten", zorder=1)  # fmt: skip


def _perhaps(axis: Axes, rows: list[Row], x: str, y: str) -> None:
    if rows:
        axis.errorbar(_coordinates(rows, x), _coordinates(rows, y), _bars(rows, y), _bars(rows, x), color="#7b8794",
                      marker="o", markerfacecolor="white", markersize=6, linestyle="none", elinewidth=0.8,
                      label="perhaps beaten: too close to tell", zorder=2)  # fmt: skip


def _joined(axis: Axes, rows: list[Row], x: str, y: str) -> None:
    """The steps of the frontier of the two objectives that are drawn."""
    ranked = sorted(rows, key=lambda row: (worse(x, row.found[x].value), worse(y, row.found[y].value)))
    line: list[Row] = []
    for row in ranked:
        if not line or worse(y, row.found[y].value) < worse(y, line[-1].found[y].value):
            line.append(row)
    if len(line) > 1:
        axis.plot(_coordinates(line, x), _coordinates(line, y), color="#9aa5b1", linewidth=1.3, zorder=2,
                  label="best for these two")  # fmt: skip


def _points(figure: Figure, axis: Axes, rows: list[Row], names: tuple[str, str, str | None, str | None]) -> None:
    x, y, colour, size = names
    if not rows:
        return
    xs, ys = _coordinates(rows, x), _coordinates(rows, y)
    axis.errorbar(xs, ys, _bars(rows, y), _bars(rows, x), color="#52606d", linestyle="none", elinewidth=0.8, zorder=2.5)
    sizes = np.full(len(rows), 55.0)
    if size is not None:
        values = np.nan_to_num(_coordinates(rows, size))
        sizes = 40 + 200 * values / (values.max() or 1.0)
    if colour is None:
        axis.scatter(xs, ys, s=sizes, color="#0b6e99", edgecolor="white", label="not beaten", zorder=3)
        return
    shade = _coordinates(rows, colour)
    dots = axis.scatter(xs, ys, s=sizes, c=shade, cmap=SHADES, edgecolor="white", zorder=3)
    axis.plot([], [], marker="o", linestyle="none", color="#0b6e99", markersize=7, label="not beaten")
    bar = figure.colorbar(dots, ax=axis, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.set_label(NAMES.get(colour, colour))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: human(v, dimension(colour)) if v else "0"))


def _scale(axis: Axes, rows: list[Row], name: str, which: str) -> None:
    """Scale and ticks: logarithmic where all values are above 0 and span decades."""
    values = _coordinates(rows, name)
    part = axis.xaxis if which == "x" else axis.yaxis
    if len(values) and values.min() > 0 and values.max() / values.min() > 30:
        (axis.set_xscale if which == "x" else axis.set_yscale)("log")
    elif len(values) and values.min() >= 0:
        top = values.max() * 1.08 or 1.0
        (axis.set_xlim if which == "x" else axis.set_ylim)(-0.03 * top, top)
    kind = dimension(name)
    if kind == "time":
        seconds(axis, which)
    elif kind == "share":
        shares(axis, which)
    else:
        part.set_major_formatter(FuncFormatter(lambda v, _: human(v, kind) if v else "0"))


def _labels(axis: Axes, rows: list[Row], x: str, y: str) -> None:
    """Names of the settings that are not beaten; of many, of some that lie apart."""
    told = sorted(rows, key=lambda row: row.found[x].value)
    step = max(1, math.ceil(len(told) / LABELS))
    varying = [name for name in (rows[0].label if rows else {}) if len({row.label[name] for row in rows}) > 1]
    for row in told[::step]:
        text = ", ".join(row.label[name] for name in varying or row.label)
        axis.annotate(text, (row.found[x].value, row.found[y].value), xytext=(7, 6), textcoords="offset points",
                      fontsize=8, color="#1f2933", zorder=4)  # fmt: skip
    if told:
        axis.text(1, 1.01, f"numbers: {', '.join(varying or told[0].label)}", transform=axis.transAxes, ha="right",
                  va="bottom", fontsize=8, color="#52606d")  # fmt: skip
