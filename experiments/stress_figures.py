"""Figures of a stress test. Each function returns a matplotlib Figure; no global state is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from backwater.experiments.figures import COLOURS, seconds, shares, style
from backwater.experiments.recovery import SIZES, Array, Plan
from backwater.experiments.safe_load import Bound
from backwater.experiments.stress import Drift, Hit, Map, Ramp, Stuck
from backwater.experiments.theory import Theory
from backwater.experiments.theory_figures import curve
from backwater.units import human

STATES = ("recovers", "recovers slowly", "never", "down without a trigger")
SHADES = ("#cfe8dc", "#f3d9a4", "#a4453a", "#55565a")  # told apart in grey too
GROWS, SHRINKS = SHADES[2], COLOURS[0]
SIZE_LABELS = {"duration": "how long the trigger lasts", "share": "share that is struck", "factor": "factor [1]"}
POINTS = 100  # of a line of counts: finer ones are noise


def sized(found: Map, size: float) -> str:
    """The size of a trigger with its unit."""
    return human(size, SIZES[found.axis].dimension)


def _coarse(found: dict[str, Array], name: str) -> tuple[Array, Array]:
    """A count as a rate [1/s] at about POINTS times; a count stands at the end of its interval."""
    time = found["time"]
    group = max(len(time) // POINTS, 1)
    n = (len(time) - 1) // group * group + 1  # the sample of time 0 counts nothing
    rates = found[name][:, 1:n].reshape(len(found[name]), -1, group).mean(axis=2) / time[1]
    return time[1:n].reshape(-1, group)[:, -1], np.asarray(rates)


def medians(found: Hit) -> dict[str, list[float]]:
    """The lines of the trigger's figure: medians over the replications, by name; rates [1/s], time [s]."""
    time, goodput = _coarse(found.series, "completed")
    lines = {"goodput": goodput, "goodput_without_trigger": _coarse(found.twin, "completed")[1]}
    lines["attempt_rate"] = _coarse(found.series, "attempts")[1]
    places = np.searchsorted(found.series["time"], time)
    lines |= {name: found.series[name][:, places] for name in ("waiting", "backoff")}
    lines["waiting_without_trigger"] = found.twin["waiting"][:, places]
    return {"time": time.tolist(), **{name: np.median(line, axis=0).tolist() for name, line in lines.items()}}


def _band(axis: Axes, time: Array, values: Array, colour: str, label: str, line: str = "-") -> None:
    """The median of the replications, and the range of all of them."""
    axis.plot(time, np.median(values, axis=0), color=colour, label=label, linestyle=line, linewidth=1.4)
    axis.fill_between(time, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)


def trigger(found: Hit, plan: Plan, known: Theory | None = None) -> Figure:
    """Goodput, and the queue with the clients in backoff, over time; the trigger shaded; beside the twin without it.

    known  of the system without the trigger
    """
    figure = Figure(figsize=(8.4, 5.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    _band(top, *_coarse(found.series, "attempts"), COLOURS[1], "attempts")
    _band(top, *_coarse(found.series, "completed"), COLOURS[0], "goodput")
    _band(top, *_coarse(found.twin, "completed"), COLOURS[2], "goodput without the trigger", "--")
    top.set_ylabel("per second")
    _band(bottom, found.series["time"], found.series["waiting"], COLOURS[0], "attempts waiting")
    _band(bottom, found.series["time"], found.twin["waiting"], COLOURS[2], "without the trigger", "--")
    if found.series["backoff"].any():
        _band(bottom, found.series["time"], found.series["backoff"], COLOURS[1], "clients in backoff")
    bottom.set_ylabel("attempts, clients" if found.series["backoff"].any() else "attempts waiting")
    bottom.set_xlabel("time")
    for axis in (top, bottom):
        axis.axvspan(plan.fault.start, plan.fault.stop, color="#999999", alpha=0.3, linewidth=0, label="the trigger")
        axis.set_ylim(bottom=0)
        axis.set_xlim(0, plan.horizon)
        answer = None if known is None else known.of("goodput" if axis is top else "queue_mean")
        curve(axis, [0, plan.horizon], [answer, answer], COLOURS[2])
        axis.yaxis.set_major_formatter(_number)
        style(axis)
        axis.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    seconds(bottom, "x")
    return figure


def _number(x: float, _: Any) -> str:
    return f"{x:,.0f}" if abs(x) >= 10 or x == round(x) else f"{x:g}"


def trigger_map(found: Map, plan: Plan, known: Bound | None) -> Figure:
    """What becomes of each load and trigger, with the boundary found by bisection and the analytic bound."""
    figure = Figure(figsize=(8.4, 5.0), layout="constrained")
    axis, state = figure.subplots(), found.state()
    axis.pcolormesh(_edges(found.loads), _edges(found.sizes), state, cmap=ListedColormap(SHADES), vmin=0, vmax=3)
    handles: list[Any] = [
        Patch(color=shade, label=f"{name} within {human(plan.observe, 'time')}" if name == "never" else name)
        for n, (name, shade) in enumerate(zip(STATES, SHADES, strict=True)) if (state == n).any()
    ]  # fmt: skip
    shown = np.isfinite(found.boundary) & (found.down <= 0.5)
    if shown.any():
        label = f"largest {found.axis} survived, by bisection"
        axis.plot(found.loads[shown], found.boundary[shown], color="black", marker=".", linewidth=1.5)
        handles += axis.plot([], [], color="black", marker=".", label=label)
    axis.set_xlabel("load of first attempts")
    axis.set_ylabel(SIZE_LABELS[found.axis])
    axis.set_ylim(*_edges(found.sizes)[[0, -1]])
    axis.set_xlim(*_edges(found.loads)[[0, -1]])
    if known is not None and found.loads[0] < known.load < found.loads[-1]:
        handles.append(_bound(axis, known))
    if found.axis == "duration":
        seconds(axis)
    elif found.axis == "share":
        shares(axis)
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _bound(axis: Axes, known: Bound) -> Any:
    """The analytic bound as a line; returns it for a legend."""
    label = f"derived: safe below a load of {known.load:.3g}"
    return axis.axvline(known.load, color=COLOURS[4], linestyle="--", linewidth=1.4, label=label)


def _edges(centres: Array) -> Array:
    if len(centres) == 1:
        return np.array([0.5, 1.5]) * centres[0]
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[max(2 * centres[0] - middle[0], 0.0)], middle, [2 * centres[-1] - middle[-1]]])


def loop(found: Ramp, known: Bound | None, steady: Sequence[Theory] = ()) -> Figure:
    """Goodput and queue against the load, up and down again; ``steady`` by theory at each load going up."""
    figure = Figure(figsize=(8.4, 4.1), layout="constrained")
    panels = figure.subplots(1, 2)
    n = (len(found.load) + 1) // 2
    shown = ((found.goodput, "goodput [1/s]", "goodput"), (found.queue, "attempts waiting", "queue_mean"))
    handles: list[Any] = []
    for axis, (values, label, metric) in zip(panels, shown, strict=True):
        axis.plot(found.load[:n], values[:n], color=COLOURS[0], marker="^", markersize=5, label="load going up")
        axis.plot(found.load[n - 1 :], values[n - 1 :], color=COLOURS[1], marker="v", markersize=5,
                  label="coming down")  # fmt: skip
        if steady:
            curve(axis, found.load[:n].tolist(), [each.of(metric) for each in steady], COLOURS[2])
        handles = axis.get_legend_handles_labels()[0]
        axis.set_xlabel("load of first attempts")
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.set_xlim(0, None)
        axis.yaxis.set_major_formatter(_number)
        style(axis)
        if known is not None and found.load[0] < known.load < found.load[n - 1]:
            handles.append(_bound(axis, known))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


def stuck(found: Stuck, known: Bound | None, watched: str) -> Figure:
    """The time that a stuck system takes to recover at each load that was tried."""
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    axis = figure.subplots()
    back = np.isfinite(found.times)
    top = (float(found.times[back].max()) if back.any() else 0.0) or 1.0
    handles: list[Any] = []
    if back.any():
        handles += axis.plot(found.loads[back], found.times[back], color=COLOURS[0], marker="o", label="recovers")
    if not back.all():
        lost = found.loads[~back]
        handles += axis.plot(lost, np.full(len(lost), 1.2 * top), color=SHADES[2], marker="X", markersize=8,
                             linestyle="", label=f"does not within {watched}")  # fmt: skip
    axis.set_xlabel("load to which it is lowered after the trigger")
    axis.set_ylabel("recovery time")
    axis.set_ylim(0, top * 1.35)
    axis.set_xlim(0, found.loads.max() * 1.08)
    if known is not None and 0 < known.load < found.loads.max() * 1.08:
        handles.append(_bound(axis, known))
    seconds(axis)
    style(axis)
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


def phases(found: Drift) -> Figure:
    """From each state of queue and backoff that runs have been in, how they went on from there on average.

    Cells get wider to the upper right, so that small and large queues are both seen.
    """
    alone = len(found.backoff) == 2  # nobody backs off: one dimension is enough
    figure = Figure(figsize=(8.4, 3.9 if alone else 5.2), layout="constrained")
    axis = figure.subplots()
    (_bars if alone else _arrows)(axis, found)
    axis.set_xlabel("attempts waiting (cells get wider)")
    axis.set_xlim(0, len(found.waiting) - 1)
    axis.set_xticks(range(len(found.waiting)), [f"{edge:,.0f}" for edge in found.waiting], rotation=45, fontsize=9)
    style(axis)
    handles: list[Any] = [Patch(color=GROWS, label="the queue grows"), Patch(color=SHRINKS, label="the queue shrinks")]
    if np.isfinite(found.tip):
        place = float(np.searchsorted(found.waiting, found.tip))
        label = f"grows by itself from about {found.tip:,.0f} on"
        handles.append(axis.axvline(place, color="black", linestyle=":", label=label))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _bars(axis: Axes, found: Drift) -> None:
    change, x = found.change, np.arange(len(found.waiting) - 1) + 0.5
    colours = np.where(np.nan_to_num(change) > 0, GROWS, SHRINKS)
    axis.bar(x, np.nan_to_num(change), width=0.9, color=colours, yerr=np.nan_to_num(found.error), ecolor="#555555")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_ylabel("mean change of the queue [1/s]")


def _arrows(axis: Axes, found: Drift) -> None:
    """Arrows of one length: where each state leads, in cells."""
    seen = np.isfinite(found.to_waiting)
    u, v = found.to_waiting / np.diff(found.waiting), found.to_backoff / np.diff(found.backoff)[:, None]
    length = np.maximum(np.hypot(u, v), 1e-12)
    mesh = np.meshgrid(np.arange(len(found.waiting) - 1) + 0.5, np.arange(len(found.backoff) - 1) + 0.5)
    colours = np.where(np.nan_to_num(found.to_waiting) > 0, GROWS, SHRINKS)
    axis.quiver(mesh[0][seen], mesh[1][seen], (u / length)[seen], (v / length)[seen], color=colours[seen],
                angles="xy", pivot="mid", scale=20, width=0.004)  # fmt: skip
    axis.set_ylabel("clients in backoff (cells get wider)")
    axis.set_ylim(0, len(found.backoff) - 1)
    axis.set_yticks(range(len(found.backoff)), [f"{edge:,.0f}" for edge in found.backoff], fontsize=9)
