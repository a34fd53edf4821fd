"""Quick looks at one result: its series, its bytes, its latencies."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backwater.errors import check, nearest
from backwater.metrics import bin_edges
from backwater.outcome import LATENCIES
from backwater.units import human

KINDS = ("series", "bytes", "latency")


def draw(result: Any, kind: str, axis: Axes | None = None) -> Axes:
    """Draw one kind of plot of a ``Result`` into ``axis``, or into a figure of its own; returns the axis."""
    check(kind in KINDS, "kind", kind, f"must be a kind of plot{nearest(kind, KINDS)}")
    if axis is None:
        axis = Figure(figsize=(7.5, 3.6), layout="constrained").subplots()
    {"series": _series, "bytes": _bytes, "latency": _latency}[kind](result, axis)
    axis.spines[["top", "right"]].set_visible(False)
    return axis


def _series(result: Any, axis: Axes) -> None:
    first = result.series[result.series["replication"] == 0]
    for name, label in (("waiting", "waiting"), ("busy", "in service"), ("backoff", "clients in backoff")):
        axis.plot(first["time"], first[name], label=label, linewidth=1.1)
    axis.set(xlabel="time [s]", ylabel="attempts, clients", ylim=(0, None))
    axis.legend(frameon=False)


def _bytes(result: Any, axis: Axes) -> None:
    first = result.series[result.series["replication"] == 0]
    axis.stackplot(first["time"], first["memory"] / 2**20, first["disk"] / 2**20, labels=["in memory", "on disk"])
    axis.set(xlabel="time [s]", ylabel="bytes waiting [MiB]", ylim=(0, None))
    axis.legend(frameon=False)


def _latency(result: Any, axis: Axes) -> None:
    """The share of each latency above a value, both on log scales: tails show as they are."""
    edges = bin_edges()
    for index, name in enumerate(LATENCIES):
        counts = result.cells().bins(index).sum(axis=0)
        if counts.sum():
            above = 1 - np.cumsum(counts) / counts.sum()
            shown = (above > 0) & (edges[1:] > 1e-6)
            axis.plot(edges[1:][shown], above[shown], label=name, linewidth=1.2)
    axis.set(xscale="log", yscale="log", ylabel="share above")
    axis.xaxis.set_major_formatter(lambda x, _: human(x, "time"))
    axis.yaxis.set_major_formatter(lambda y, _: human(y, "share"))
    axis.legend(frameon=False)
