"""Figures of where a queue stops paying."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from backwater.experiments.figures import COLOURS, MARKS, shares
from backwater.experiments.inline_or_queue import Handover, Lateness
from backwater.units import human

WATER = LinearSegmentedColormap.from_list("blocked", ["#f4f9fb", "#bfe3f0", "#4da3c7", "#0b6e99", "#10243a"])
BOTH = LinearSegmentedColormap.from_list("who", ["#d9730d", "#f6d9bd", "#fafafa", "#bfe0ee", "#0b6e99"])
NAMES = {"redis": "Redis", "rabbitmq": "RabbitMQ, quorum queue", "sqs": "SQS"}


def _times(axis: Axes, low: float, high: float) -> None:
    """Decades of time along x."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator([10.0**n for n in range(first, last + 1)]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: human(x, "time")))


def handed(found: Handover) -> tuple[str, Figure]:
    """Caption and figure: how long the work blocks its caller, and from where on handing it over is shorter."""
    figure = Figure(figsize=(7.4, 4.4), layout="constrained")
    axis = figure.subplots()
    norm = LogNorm(found.inline.min(), found.inline.max())
    mesh = axis.pcolormesh(found.service, found.load, found.inline.T, norm=norm, cmap=WATER, shading="gouraud",
                           rasterized=True)  # fmt: skip
    for number, (name, blocked) in enumerate(found.brokers.items()):
        line = found.frontier(name)
        axis.plot(line, found.load, color="white", linewidth=4.5, zorder=2)
        axis.plot(line, found.load, color=("#d9730d", "#ad1a72", "#1a1a1a")[number], marker=MARKS[number],
                  markersize=5, linewidth=2, label=f"{NAMES[name]}: {human(blocked, 'time')}", zorder=3)  # fmt: skip
    _times(axis, found.service[0], found.service[-1])
    axis.set(xlabel="mean time of the work", ylabel="load", ylim=(found.load[0], found.load[-1]))
    axis.text(0.02, 0.03, "inline is shorter", transform=axis.transAxes, fontsize=10, color="#1a1a1a")
    axis.text(0.98, 0.03, "handing over is shorter", transform=axis.transAxes, fontsize=10, color="white", ha="right")
    axis.legend(title="frontier; handing over takes", loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False,
                fontsize=8.5, title_fontsize=8.5, alignment="left", borderaxespad=0.2)  # fmt: skip
    bar = figure.colorbar(mesh, ax=axis, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.set_label("inline: the caller is blocked, on average")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: human(x, "time")))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    caption = (
        "A caller that does not need the result. Left of a broker's line, doing the work within the request blocks it "
        "for less time than handing the work over; a higher load moves the line to the left, as inline work waits."
    )
    return caption, figure


def late(found: Lateness) -> tuple[str, Figure]:
    """Caption and figure: who serves more in time, by the peak and by how late a result is of use."""
    figure = Figure(figsize=(7.4, 4.4), layout="constrained")
    axis = figure.subplots()
    most = max(float(abs(found.gain).max()), 0.01)
    mesh = axis.pcolormesh(found.limit, found.peak, found.gain, norm=TwoSlopeNorm(0, -most, most), cmap=BOTH,
                           shading="gouraud", rasterized=True)  # fmt: skip
    told, asking = "frontier, the caller is told", f"frontier, it asks every {human(found.asks, 'time')}"
    axis.plot(found.frontier(), found.peak, color="#1a1a1a", marker="o", markersize=4, linewidth=1.8, label=told)
    axis.plot(found.frontier(polled=True), found.peak, color="#6940a5", marker="s", markersize=4, linewidth=1.4,
              linestyle="--", label=asking)  # fmt: skip
    _times(axis, found.limit[0], found.limit[-1])
    axis.set(xlabel="a result is of use for", ylabel="load at the peak (30 s of every 5 min)",
             ylim=(found.peak[0], found.peak[-1]))  # fmt: skip
    axis.text(0.02, 0.94, "inline serves more", transform=axis.transAxes, fontsize=10)
    axis.text(0.98, 0.2, "the queue serves more", transform=axis.transAxes, fontsize=10, ha="right")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8.5, borderaxespad=0.2)
    bar = figure.colorbar(mesh, ax=axis, pad=0.02, aspect=30)
    bar.outline.set_visible(False)
    bar.set_label("served in time: queue minus inline [points of 100]")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:+.0f}" if x else "0"))
    sure = np.count_nonzero(found.sure)
    caption = (
        "A caller that needs the result. The colour is the share of jobs served in time through the queue minus that "
        f"inline; at {sure} of {found.gain.size} settings the difference is sure (95 %, all limits of a peak together)."
    )
    return caption, figure


def curves(found: Lateness, peak: float) -> tuple[str, Figure]:
    """Caption and figure: the gain of the queue at one peak with its interval, told and asking."""
    at = int(abs(found.peak - peak).argmin())
    figure = Figure(figsize=(7.4, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.axhline(0, color="#9aa5b1", linewidth=1)
    axis.fill_between(found.limit, found.low[at], found.high[at], color=COLOURS[0], alpha=0.2, linewidth=0)
    axis.plot(found.limit, found.gain[at], color=COLOURS[0], label="the broker tells the caller")
    axis.plot(found.limit, found.polled[at], color=COLOURS[1], linestyle="--",
              label=f"the caller asks every {human(found.asks, 'time')}")  # fmt: skip
    _times(axis, found.limit[0], found.limit[-1])
    shares(axis)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set(xlabel="a result is of use for", ylabel="served in time:\nqueue minus inline")
    axis.legend(frameon=False, fontsize=8.5)
    caption = f"The same at a peak of {found.peak[at]:g} times what the workers can do, with its 95 % band."
    return caption, figure
