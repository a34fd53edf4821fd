"""The figure of a comparison: a panel per metric, each system with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from backwater.experiments.against import STATES
from backwater.experiments.compare import Comparison
from backwater.experiments.figures import COLOURS, MARKS, style
from backwater.experiments.theory import Answer, theory
from backwater.experiments.theory_figures import answered, left_out, mark
from backwater.metrics import metric, named
from backwater.units import human

ACROSS = 3  # panels


def compared(found: Comparison) -> tuple[str, Figure]:
    """Caption and figure."""
    names = [name for name in found.moving if not all(math.isnan(found.estimate(name, at).value)
                                                      for at in range(len(found.names)))]  # fmt: skip
    rows = -(-len(names) // ACROSS)
    height = 0.85 + 0.28 * len(found.names)
    figure = Figure(figsize=(11, rows * height + 0.3), layout="constrained")
    axes = figure.subplots(rows, ACROSS, squeeze=False)
    places = np.arange(len(found.names))[::-1]
    known, said = [theory(result.scenario, most=STATES) for result in found.results], list[Answer | None]()
    for number, name in enumerate(names):
        axis, kind = axes[number // ACROSS][number % ACROSS], metric(named(name)[0]).dimension
        style(axis)
        for at, place in enumerate(places):
            value, low, high, _ = found.estimate(name, at)
            ends = [[value - low], [high - value]] if not math.isnan(low) else None
            axis.errorbar([value], [place], xerr=ends, color=COLOURS[at % 8], marker=MARKS[at % 8], markersize=6,
                          capsize=3, linestyle="none")  # fmt: skip
        word, job_class, window = named(name)
        axis.margins(x=0.12)
        for at, place in enumerate(places):
            said.append(answered(known[at], word, job_class) if window == "all" else None)
            mark(axis, said[-1], place, COLOURS[at % 8])
        axis.set_title(name, loc="left", fontsize=10)
        axis.set_yticks(places, found.names if number % ACROSS == 0 else [])
        axis.set_ylim(-0.6, len(found.names) - 0.4)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _, kind=kind: human(x, kind) if x else "0"))
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    keys = {name: line for axis in axes.flat for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    if keys:
        figure.legend(keys.values(), keys, loc="outside upper center", ncols=len(keys), frameon=False, fontsize=9)
    run = found.results[0].run
    caption = (
        f"The same jobs through {len(found.names)} systems: estimates with 95 % intervals of {run.replications} "
        "replications. Systems may differ for sure although their intervals overlap: the table tells by pairs."
        f"{left_out(said)}"
    )
    return caption, figure


def cases_compared(found: Mapping[str, Comparison], names: Sequence[str]) -> tuple[str, Figure]:
    """Caption and figure: a panel per metric, a line per system, in it a mark per case with its interval."""
    one, across = next(iter(found.values())), min(ACROSS, len(names))
    rows, lanes = -(-len(names) // across), len(found)
    figure = Figure(figsize=(11, rows * (0.9 + 0.34 * len(one.names)) + 0.5), layout="constrained")
    axes = figure.subplots(rows, across, squeeze=False)
    places = np.arange(len(one.names))[::-1]
    for number, name in enumerate(names):
        axis, kind = axes.flat[number], metric(named(name)[0]).dimension
        style(axis)
        for lane, (case, comparison) in enumerate(found.items()):
            rest = 0.8 * (0.5 - (lane + 0.5) / lanes)
            value, low, high, _ = np.array([comparison.estimate(name, at) for at in range(len(places))]).T
            ends = np.nan_to_num(np.maximum([value - low, high - value], 0))
            axis.errorbar(value, places + rest, xerr=ends, color=COLOURS[lane % 8], marker=MARKS[lane % 8],
                          markersize=5, elinewidth=1, linestyle="none", label=case)  # fmt: skip
        axis.set_title(name, loc="left", fontsize=10)
        axis.set_yticks(places, one.names if number % across == 0 else [])
        axis.set_ylim(-0.6, len(places) - 0.4)
        axis.grid(visible=False, axis="y")
        for place in places[:-1]:
            axis.axhline(place - 0.5, color="#eeeeee", linewidth=0.7)
        axis.margins(x=0.1)
        most = axis.get_xlim()[1]
        whole = MultipleLocator(2.0 ** math.ceil(math.log2(most / 4))) if kind == "size" and most > 0 else None
        axis.xaxis.set_major_locator(whole or MaxNLocator(4))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _, kind=kind: human(x, kind) if x else "0"))
        axis.set_xlim(left=min(0.0, axis.get_xlim()[0]))
        if not any(np.nan_to_num(line.get_xdata()).any() for line in axis.lines[:lanes]):
            axis.set_xticks([0.0])
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(lanes, 6), frameon=False, fontsize=9)
    run = one.results[0].run
    caption = (
        f"The same jobs through {len(one.names)} systems, in each case: estimates with 95 % intervals of "
        f"{run.replications} replications. Systems may differ for sure although their intervals overlap: the tables "
        "tell by pairs."
    )
    return caption, figure
