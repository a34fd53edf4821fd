"""The figure of a sensitivity study: how much each input matters, and where it moves the metric."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from backwater.experiments.figures import COLOURS, shares, style
from backwater.experiments.influence import Influence
from backwater.experiments.sensitivity import Input, Response, Sensitivity
from backwater.metrics import metric, named
from backwater.statistics import Estimate
from backwater.units import human

MOST = 20  # inputs that a figure shows
LETTERS = 28  # of their names, where there are several panels
LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 9, "loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2,
                          "borderaxespad": 0}  # fmt: skip


def influence(found: Sensitivity, name: str) -> tuple[str, Figure]:
    """Caption and figure of one metric: its indices with their intervals, and a tornado beside."""
    response = found[name]
    rows = len(response.effects[:MOST])
    figure = Figure(figsize=(11, 1.5 + 0.55 * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    places = np.arange(rows)[::-1]
    (_shares if found.method == "sobol" else _screening)(left, response, places)
    left.set_yticks(places, [f"{one.input.path}\n{_range(one.input)}" for one in response.effects[:MOST]])
    _tornado(right, response, places)
    for axis in (left, right):
        style(axis)
        axis.set_ylim(-0.6, rows - 0.4)
        axis.grid(False, axis="y")
        axis.tick_params(axis="y", length=0)
    sure = human(found.confidence, "share")
    caption = (
        f"What makes {name} vary when each input may be anywhere in its range. "
        + ("Left: the share of the variance that an input makes by itself, and with all it does together with others. "
           if found.method == "sobol" else
           "Left: by how much it changes, on average, as an input goes through its range; thin: how much that differs "
           "from place to place. ")
        + f"Right: {name} at the two ends of each input, the others in the middle; shaded: from 5 to 95 % of all "
        f"settings. Bars are {sure} intervals."
    )  # fmt: skip
    return caption, figure


def swept(found: list[Influence]) -> Figure:
    """A panel per metric: what each axis of a sweep makes of its variance, by itself and together with others."""
    most, rows = max(len(one.factors[:MOST]) for one in found), -(-len(found) // 2)
    figure = Figure(figsize=(8.4, 0.8 + rows * (0.7 + 0.42 * most)), layout="constrained")
    panels = figure.subplots(rows, min(len(found), 2), squeeze=False).flat
    for axis in panels[len(found) :]:
        axis.set_visible(False)
    for axis, one in zip(panels, found, strict=False):
        names = one.factors[:MOST]
        places = np.arange(len(names))[::-1]
        for place, part in zip(places, one.found, strict=False):
            alone = math.isnan(part.total.value)
            first = None if place != places[0] else "by itself"
            _bar(axis, place + (0.0 if alone else 0.19), part.first, 0.34, COLOURS[1], first)
            _bar(axis, place - 0.19, part.total, 0.34, COLOURS[0], first and "with others")
        style(axis)
        axis.grid(False, axis="y")
        axis.tick_params(axis="y", length=0)
        axis.set_yticks(places, [name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…" for name in names])
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.set_xlim(0, 1.02)
        shares(axis, "x")
        axis.set_title(one.metric, loc="left", fontsize=10)
    figure.supxlabel("share of the variance over the points of the sweep", fontsize=10)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _range(one: Input) -> str:
    return f"{one.shown(one.low)} .. {one.shown(one.high)}{', log' if one.log else ''}"


def _bar(axis: Axes, place: float, found: Estimate, height: float, colour: str, label: str | None) -> None:
    if math.isnan(found.value):
        return
    axis.barh(place, found.value, height, color=colour, label=label)
    half = [[found.value - found.low], [found.high - found.value]]
    axis.errorbar([found.value], [place], xerr=half, color="#1f2933", capsize=3, linestyle="none", linewidth=1.1)


def _shares(axis: Axes, response: Response, places: np.ndarray) -> None:
    for at, (place, one) in enumerate(zip(places, response.effects, strict=False)):
        _bar(axis, place + 0.19, one.found.total, 0.34, COLOURS[0], None if at else "with others: total index")
        _bar(axis, place - 0.19, one.found.first, 0.34, COLOURS[1], None if at else "by itself: first-order index")
    axis.set_xlim(0, 1.02)
    shares(axis, "x")
    axis.set_xlabel(f"share of the variance of {response.metric}")
    if axis.get_legend_handles_labels()[1]:
        axis.legend(**LEGEND)


def _screening(axis: Axes, response: Response, places: np.ndarray) -> None:
    kind = metric(named(response.metric)[0]).dimension
    for at, (place, one) in enumerate(zip(places, response.effects, strict=False)):
        _bar(axis, place, one.found.effect, 0.5, COLOURS[0], None if at else "mean change")
        if not math.isnan(one.found.bend):
            axis.plot([0, one.found.bend], [place - 0.36] * 2, color=COLOURS[1], linewidth=2.5, solid_capstyle="butt",
                      label=None if at else "how much that differs")  # fmt: skip
    if axis.get_legend_handles_labels()[1]:
        axis.legend(**LEGEND)
    axis.set_xlim(left=0)
    _ticks(axis, kind)
    axis.set_xlabel(f"mean change of {response.metric} over the range")


def _tornado(axis: Axes, response: Response, places: np.ndarray) -> None:
    kind = metric(named(response.metric)[0]).dimension
    low, half, high = response.spread
    if not math.isnan(low):
        axis.axvspan(low, high, color="#eef2f5", zorder=0)
        axis.axvline(half, color="#9aa5b1", linewidth=1, zorder=0.5)
    for place, one in zip(places, response.effects, strict=False):
        if math.isnan(one.low.value) or math.isnan(one.high.value):
            continue
        axis.plot([one.low.value, one.high.value], [place, place], color="#c3ccd5", linewidth=5, zorder=1)
        for end, colour, mark in ((one.low, COLOURS[6], "o"), (one.high, COLOURS[3], "s")):
            bars = None if math.isnan(end.low) else [[end.value - end.low], [end.high - end.value]]
            axis.errorbar([end.value], [place], xerr=bars, color=colour, marker=mark, markersize=6, capsize=3)
    axis.plot([], [], color=COLOURS[6], marker="o", linestyle="none", label="at the low end")
    axis.plot([], [], color=COLOURS[3], marker="s", linestyle="none", label="at the high end")
    axis.set_yticks(places, [])
    _ticks(axis, kind)
    axis.set_xlabel(response.metric)
    axis.legend(**LEGEND)


def _ticks(axis: Axes, kind: str) -> None:
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: human(x, kind) if x else "0"))
