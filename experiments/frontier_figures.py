"""The figure of a frontier: the settings by their first two objectives, the ones that no other beats joined."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from backwater.experiments.figures import LATENCIES, seconds, shares, style
from backwater.experiments.frontier import BEATEN, COST, ON, PERHAPS, Frontier, Row, dimension, worse
from backwater.units import human

NAMES = {
    "rejection_ratio": "503 ratio (rejected / attempts)", "failure_ratio": "jobs that failed",
    **{name: label.replace("\n", " ") for name, label in LATENCIES.items()},
    "spill_ratio": "spilled to disk (/ accepted)", "workers_mean": "workers", COST: "cost per hour",
}  # fmt: skip
SHADES = LinearSegmentedColormap.from_list("water", ["#bfe3f0", "#0b6e99", "#10243a"])
FEW = 8  # whole numbers that a colour bar names one by one
APART = (38, 13)  # how far labels must be from each other [points]
ROOM = 0.35  # beyond the settings that are not beaten, as a share of what they span, in which beaten ones are shown


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
    kept = [row for row in rows if row.status != BEATEN]
    for name, which in ((x, "x"), (y, "y")):
        _scale(axis, kept, name, which)
    _note(axis, best, size)
    _labels(axis, best, x, y)
    axis.set_xlabel(NAMES.get(x, x))
    axis.set_ylabel(NAMES.get(y, y))
    style(axis)
    axis.legend(frameon=False, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2)
    words = [f"{NAMES.get(colour, colour)} as colour"] if colour else []
    words += [f"{NAMES.get(size, size)} as size"] if size else []
    beaten = sum(row.status == BEATEN for row in found.rows)
    far = " Beaten ones far away are not shown." if beaten else ""
    caption = (
        f"Of {len(found.rows)} settings {beaten} are surely beaten (grey): another one is as good in "
        f"{_list([NAMES.get(name, name) for name in found.objectives])}, and surely better in one of them. "
        f"{'Bars are 95 % intervals' + ''.join(f', {word}' for word in words)}.{far}"
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
                      label="perhaps beaten", zorder=2)  # fmt: skip


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
    values = np.unique(shade)
    if len(values) <= FEW and (values == np.round(values)).all():
        bar.set_ticks(values.tolist())


def _scale(axis: Axes, rows: list[Row], name: str, which: str) -> None:
    """Scale, limits and ticks for the settings that are not beaten; logarithmic where they span decades."""
    values = _coordinates(rows, name)
    part = axis.xaxis if which == "x" else axis.yaxis
    limits = axis.set_xlim if which == "x" else axis.set_ylim
    ends = np.abs(_bars(rows, name)) if rows else np.zeros((2, 0))
    low, high = ((values - ends[0]).min(), (values + ends[1]).max()) if len(values) else (0.0, 0.0)
    if low > 0 and high / low > 30:
        (axis.set_xscale if which == "x" else axis.set_yscale)("log")
        limits(low / 1.5, high * (high / low) ** ROOM)
    elif high > low:
        limits(low - 0.05 * (high - low), high + ROOM * (high - low))
    kind = dimension(name)
    if kind == "time":
        seconds(axis, which)
    elif kind == "share":
        shares(axis, which)
    else:
        part.set_major_formatter(FuncFormatter(lambda v, _: human(v, kind) if v else "0"))


def _labels(axis: Axes, rows: list[Row], x: str, y: str) -> None:
    """Names of the settings that are not beaten; where they crowd, of some of them."""
    told = sorted(rows, key=lambda row: row.found[x].value)
    varying = _varying(rows)
    places: list[np.ndarray] = []
    for row in told:
        at = (row.found[x].value, row.found[y].value)
        place = axis.transData.transform(at) * 72 / axis.figure.dpi
        if any((np.abs(place - other) < APART).all() for other in places):
            continue
        places.append(place)
        text = ", ".join(row.label[name] for name in varying)
        axis.annotate(text, at, xytext=(7, 6), textcoords="offset points", fontsize=8, color="#1f2933", zorder=4)


def _varying(rows: list[Row]) -> list[str]:
    """The axes that tell these settings apart; all where none does."""
    axes = list(rows[0].label) if rows else []
    return [name for name in axes if len({row.label[name] for row in rows}) > 1] or axes


def _note(axis: Axes, rows: list[Row], size: str | None) -> None:
    """What the numbers at the points and their sizes are."""
    said = [f"numbers: {', '.join(_varying(rows))}"] if rows else []
    said += [f"size: {NAMES.get(size, size)}"] if size is not None and rows else []
    axis.set_title("; ".join(said), loc="right", fontsize=8, color="#52606d", pad=24)
