"""Figures of a finished sweep. Each function returns a matplotlib Figure; no global state is touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from backwater.experiments.against import Theories, theories, told
from backwater.experiments.curves import MOST, Curve, around, curves, leads, main_axis, middle, numeric, traded, value
from backwater.experiments.experiment import Experiment
from backwater.experiments.sweep import Sweep
from backwater.experiments.theory_figures import COLOURS, THEORY, by_theory, simplifications
from backwater.metrics import METRICS
from backwater.units import human

Numbers = np.ndarray[Any, Any]
FIELDS = 6  # of a design, that a figure shows
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
LATENCIES = {"latency_p99": "p99 latency\n(jobs served in time)", "workflow_p99": "p99 workflow\n(all jobs served)"}
AXIS_LABELS = {"queue.capacity": "queue capacity [attempts that may wait]", "workers.count": "workers", "load": "load"}


def seconds(axis: Axes, which: str = "y") -> None:
    """Ticks of times in fitting units; on a straight scale at whole minutes, seconds or milliseconds."""
    part = axis.yaxis if which == "y" else axis.xaxis
    part.set_major_formatter(FuncFormatter(lambda x, _: human(x, "time") if x else "0 s"))
    part.set_minor_formatter(FuncFormatter(lambda x, _: ""))
    if part.get_scale() == "linear":
        low, high = part.get_view_interval()
        part.set_major_locator(MultipleLocator(_step((high - low) / 7)))


def _step(least: float) -> float:
    """The smallest step of a clock that is at least ``least`` [s]."""
    if least > 12 * 3600:
        return 86400.0 * np.ceil(least / 86400)
    whole = [unit * n for unit in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0) for n in (1, 2, 5)]
    whole += [10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200]
    return next(step for step in whole if step >= least)


def shares(axis: Axes, which: str = "y") -> None:
    """Ticks of shares in per cent."""
    part = axis.yaxis if which == "y" else axis.xaxis
    part.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.3g} %"))


def style(axis: Axes) -> None:
    """What all axes have in common."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(True, color="#e6e6e6", linewidth=0.7)
    axis.set_axisbelow(True)


def _positions(sweep: Sweep) -> np.ndarray[Any, Any]:
    axis = sweep.axes[main_axis(sweep)]
    return np.array(axis.values if numeric(axis) else range(len(axis.values)), dtype=np.float64)


def _x(axis: Axes, sweep: Sweep) -> None:
    """Scale, ticks and label of the main axis."""
    along = sweep.axes[main_axis(sweep)]
    x = _positions(sweep)
    if not numeric(along):
        axis.set_xticks(x, [str(v) for v in along.values])
    elif x.min() > 0 and x.max() / x.min() >= 20:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(
            FuncFormatter(lambda v, _: human(v) if not along.unit else value_label(v, along.unit))
        )
    elif (x == x.round()).all():
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel(AXIS_LABELS.get(along.name, along.name + (f" [{along.unit}]" if along.unit else "")))


def value_label(number: float, unit: str) -> str:
    """A coordinate with its unit."""
    return human(number, {"s": "time", "B": "size", "1/s": "rate", "B/s": "bandwidth"}.get(unit, ""))


def _panels(sweep: Sweep) -> list[tuple[str, str, Callable[[Axes], None]]]:
    """What is drawn against the axis: metric, label, ticks."""
    if not isinstance(sweep.experiment, Experiment):
        return [(name, name, lambda axis: None) for name in sweep.metrics[:MOST]]
    spills = bool(np.nan_to_num(sweep.estimates["spill_ratio"].values).any())
    panels: list[tuple[str, str, Callable[[Axes], None]]]
    panels = [("rejection_ratio", "503 ratio\n(rejected / attempts)", shares),
              ("failure_ratio", "jobs that failed", shares),
              ("latency_p99", LATENCIES["latency_p99"], seconds)]  # fmt: skip
    panels += [("workflow_p99", LATENCIES["workflow_p99"], seconds)] * leads(sweep)
    return panels + [("spill_ratio", "spilled to disk\n(/ accepted)", shares)] * spills


def threshold(sweep: Sweep, known: Theories | None = None) -> Figure:
    """503 ratio, p99 latency and spill against the main axis, with 95 % bands, and what theory says.

    known  by theory at its points, as in ``trade``; asked for unless given
    """
    known = theories(sweep) if known is None else known
    panels = _panels(sweep)
    figure = Figure(figsize=(8.4, 2.25 * len(panels) + 0.7), layout="constrained")
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    x, found = _positions(sweep), curves(sweep)[:MOST]
    for axis, (metric, label, ticks) in zip(rows, panels, strict=True):
        for index, curve in enumerate(found):
            y = curve.estimates(metric)
            axis.plot(x, y[:, 0], color=COLOURS[index], marker=MARKS[index], markersize=4, label=curve.label or None)
            axis.fill_between(x, y[:, 1], y[:, 2], color=COLOURS[index], alpha=0.2, linewidth=0)
        by_theory(axis, found, known, metric, x)
        axis.set_ylabel(label)
        if metric in METRICS:
            axis.set_ylim(bottom=0)
        ticks(axis)
        style(axis)
    _x(rows[-1], sweep)
    named = {name: line for axis in rows for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    if named:
        figure.legend(named.values(), named, loc="outside upper center", ncols=min(len(named), 4), frameon=False)
    return figure


def space(sweep: Sweep, known: Theories | None = None) -> Figure:
    """The points of a design: each metric against each field that it varies, the other fields as they fall.

    known  as in ``threshold``
    """
    known = theories(sweep) if known is None else known
    panels, fields = _panels(sweep), list(sweep.axes[0].along.items())[:FIELDS]
    size = 1.3 + 2.5 * max(len(fields), 2), 2.25 * len(panels) + 0.9
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(panels), len(fields), sharex="col", sharey="row", squeeze=False)
    found = curves(sweep)[:MOST]
    for row, (metric, label, ticks) in zip(grid, panels, strict=True):
        for axis, (path, (unit, values)) in zip(row, fields, strict=True):
            names = list(dict.fromkeys(values))
            numbers = all(isinstance(value, float) for value in names)
            x = np.array(values if numbers else [names.index(value) for value in values], dtype=np.float64)
            for index, curve in enumerate(found):
                axis.plot(x, curve.estimates(metric)[:, 0], linestyle="none", marker=MARKS[index], alpha=0.7,
                          markersize=4 if len(x) < 500 else 2, markeredgewidth=0, color=COLOURS[index],
                          label=curve.label or None, rasterized=len(x) > 2000)  # fmt: skip
            by_theory(axis, found, known, metric, x)
            style(axis)
            if not numbers:
                axis.set_xticks(range(len(names)), [str(name) for name in names])
            elif x.min() > 0 and x.max() / x.min() >= 20:
                axis.set_xscale("log", base=2 if unit == "B" else 10)
            if numbers:
                axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _, unit=unit: value_label(v, unit)))
                axis.xaxis.set_minor_formatter(FuncFormatter(lambda v, _: ""))
            axis.set_xlabel(path)
        if metric in METRICS:
            row[0].set_ylim(bottom=0)
        row[0].set_ylabel(label)
        ticks(row[0])
    for axis in grid[:-1].flat:
        axis.set_xlabel("")
    keys = {name: line for axis in grid.flat for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    if keys:
        figure.legend(keys.values(), keys, loc="outside upper center", ncols=min(len(keys), 4), frameon=False)
    return figure


def trade(sweep: Sweep, known: Theories | None = None) -> Figure:
    """The trade itself: 503 ratio against p99 latency, one point per value of the main axis, the knees marked.

    The latency is that of whole workflows where jobs lead to others.
    """
    known = theories(sweep) if known is None else known
    figure = Figure(figsize=(8.4, 5.2), layout="constrained")
    axis = figure.subplots()
    along = sweep.axes[main_axis(sweep)]
    apart = bool(along.along)  # points of a design have no order
    tops, latency = [], traded(sweep)
    for index, curve in enumerate(curves(sweep)[:MOST]):
        x, y = curve.estimates("rejection_ratio"), curve.estimates(latency)
        colour = COLOURS[index]
        error: dict[str, Any] = {"xerr": _bars(x), "yerr": _bars(y), "ecolor": colour, "elinewidth": 0.8}
        axis.errorbar(x[:, 0], y[:, 0], color=colour, marker=MARKS[index], markersize=4, linewidth=0 if apart else 1.2,
                      label=curve.label or None, **error)  # fmt: skip
        knee = curve.knee
        axis.plot(x[knee, 0], y[knee, 0], marker="o", markersize=13, markerfacecolor="none", markeredgecolor=colour,
                  markeredgewidth=1.8)  # fmt: skip
        told = f"point {knee}" if apart else value(along, knee)
        axis.annotate(told, (x[knee, 0], y[knee, 0]), xytext=(0, 11), textcoords="offset points",
                      color=colour, fontweight="bold", ha="center", va="bottom")  # fmt: skip
        for end in (0, len(x) - 1):
            if end != knee and not apart:
                axis.annotate(value(along, end), (x[end, 0], y[end, 0]), xytext=(5, 5), textcoords="offset points",
                              color=colour, fontsize=8)  # fmt: skip
        tops.append(y[:, 0])
    by_theory(axis, curves(sweep)[:MOST], known, latency, "rejection_ratio")
    every = np.concatenate(tops)
    every = every[np.isfinite(every) & (every > 0)]
    if len(every) and every.max() / every.min() > 30:
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    shares(axis, "x")
    seconds(axis)
    axis.set_xlabel("503 ratio (rejected / attempts)")
    axis.set_ylabel(LATENCIES[latency].replace("\n", " "))
    said = "" if apart else f"numbers: {AXIS_LABELS.get(along.name, along.name)}; "
    axis.set_title(f"{said}circles: the knees", fontsize=9, loc="left")
    style(axis)
    named = sorted(zip(*axis.get_legend_handles_labels(), strict=True), key=lambda pair: "theory" in pair[1])
    if named:
        axis.legend(*zip(*named, strict=True), frameon=False)
    return figure


def _bars(y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.nan_to_num(np.stack([np.maximum(y[:, 0] - y[:, 1], 0), np.maximum(y[:, 2] - y[:, 0], 0)]))


def over_time(series: list[dict[str, Any]], means: list[float] | None = None) -> Figure:
    """Queue, memory and disk over time: one column per sampled run; ``means`` of the queue by exact theory, or NaN."""
    sizes = any(max(run["memory"]) + max(run["disk"]) > 0 for run in series)
    figure = Figure(figsize=(3.4 * len(series) + 0.8, 5.4 if sizes else 3.1), layout="constrained")
    grid = figure.subplots(2 if sizes else 1, len(series), sharex=True, sharey="row", squeeze=False)
    for column, run in enumerate(series):
        top = grid[0, column]
        top.plot(run["time"], run["waiting"], color=COLOURS[0], linewidth=1.2, label="waiting in the queue")
        top.plot(run["time"], run["backoff"], color=COLOURS[1], linewidth=1.0, label="clients in backoff")
        if means is not None and np.isfinite(means[column]):
            top.axhline(means[column], label="waiting, long-run mean by exact theory", **THEORY["exact"][1])
        top.set_title(run["label"], fontsize=10)
        if sizes:
            low = grid[1, column]
            parts = [np.array(run["memory"]) / 2**20, np.array(run["disk"]) / 2**20]
            low.stackplot(
                run["time"], parts, colors=[COLOURS[6], COLOURS[3]], alpha=0.8, labels=["in memory", "on disk"]
            )
            if run.get("limit"):
                low.axhline(run["limit"] / 2**20, color="#333333", linewidth=0.9, linestyle="--", label="memory limit")
        for axis in grid[:, column]:
            style(axis)
        grid[-1, column].set_xlabel("time [s]")
    for axis in grid[:, 0]:  # the rows share their scale, so only once all is drawn
        axis.set_ylim(bottom=0)
    grid[0, 0].set_ylabel("attempts, clients")
    grid[0, 0].legend(frameon=False, fontsize=8)
    if sizes:
        grid[1, 0].set_ylabel("bytes waiting [MiB]")
        grid[1, 0].legend(frameon=False, fontsize=8)
    return figure


def draw_all(sweep: Sweep, series: list[dict[str, Any]], known: Theories) -> list[tuple[str, str, Figure]]:
    """(file name, caption, figure) of every figure that the sweep has data for; ``known`` by theory at its points."""
    along = sweep.axes[main_axis(sweep)]
    more = len(curves(sweep)) - MOST
    left = f" {more} more curves are in the table." if more > 0 else ""
    left += simplifications(known.values())
    served = "the latency of those served" + ", that of whole workflows" * leads(sweep)
    if not isinstance(sweep.experiment, Experiment):
        more = len(sweep.metrics) - MOST
        left += f" {more} more metrics are in the table." if more > 0 else ""
        drawn = space(sweep, known) if along.along else threshold(sweep, known)
        return [("metrics", f"The model's metrics against {along.name}. Bands are 95 % intervals.{left}", drawn)]
    if along.along:
        few = f" {len(along.along) - FIELDS} more fields are in the table." if len(along.along) > FIELDS else ""
        caption = (
            f"Each point of the design: the 503 ratio, the jobs that fail, {served}, and what is "
            f"spilled, if anything is, against each field; the other fields lie as they fall.{few}{left}"
        )
        out = [("space", caption, space(sweep, known))]
    else:
        caption = (
            f"What {along.name} does to the 503 ratio, the jobs that fail, {served}, and to what is "
            f"spilled, if anything is. Bands are 95 % intervals.{left}"
        )
        out = [("threshold", caption, threshold(sweep, known))]
    out += [
        ("trade", "The trade: fewer 503s against more latency, one point per value. The knee is nearest to no "
         "503s and no latency, both scaled to 0..1 over the curve.", trade(sweep, known)),
    ]  # fmt: skip
    if series:
        curve = middle(sweep)
        means = np.array(told(curve, known, "queue_mean", "exact"))[around(curve)]
        fits = len(means) == len(series)
        drawn = over_time(series, means.tolist() if fits else None)
        places = "below, at and above" if len(series) > 1 else "at"
        out.append(("over_time", f"One run {places} the knee.", drawn))
    return out


__all__ = ["COLOURS", "Curve", "draw_all", "over_time", "space", "threshold", "trade"]
