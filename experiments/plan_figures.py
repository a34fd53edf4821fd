"""Figures of a plan: each requirement along what was minimized, and as the load grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from backwater.errors import ScenarioError
from backwater.experiments.against import STATES
from backwater.experiments.figures import AXIS_LABELS, COLOURS, MARKS, style
from backwater.experiments.plan import COST, Planned
from backwater.experiments.require import Requirement
from backwater.experiments.theory import Answer, Theory, theory
from backwater.experiments.theory_figures import answered, curve, left_out
from backwater.experiments.trials import Question, Trial
from backwater.units import human

FLAT = 1e-6  # share of its limit below which a metric is drawn as this, on a logarithmic scale


Known = Callable[[Requirement, str, Trial, float], Answer | None]


def known_of(question: Question) -> Known:
    """What theory says of a requirement's metric in a case, at a setting and so many times its load."""
    shares = tuple(dict.fromkeys(one.name for one in question.require if "(" in one.name))

    @cache
    def at(setting: tuple[tuple[str, Any], ...], case: str, load: float) -> Theory | None:
        try:
            return theory(question.at(dict(setting), case, load), shares, STATES)
        except ScenarioError:  # what cannot be run has no steady state either
            return None

    def told(require: Requirement, case: str, trial: Trial, load: float) -> Answer | None:
        found = at(tuple(trial.setting.items()), case, load) if require.window == "all" else None
        return None if found is None else answered(found, require.name, require.job_class)

    return told


def plan_figures(found: Planned) -> list[tuple[str, str, Figure]]:
    """(name, caption, figure) of a plan."""
    known, said = known_of(found.question), list[Answer | None]()

    def told(*asked: Any) -> Answer | None:
        said.append(known(*asked))
        return said[-1]

    aim = found.minimize[0] if found.minimize[0] != COST else found.find[0].path
    columns = 2 if found.loads else 1
    wanted = found.question.require
    figure = Figure(figsize=(5.4 * columns, 2.9 * len(wanted) + 0.5), layout="constrained")
    axes = figure.subplots(len(wanted), columns, squeeze=False)
    best = along(found.tried, aim)
    chosen = found.answer or found.closest
    assert chosen is not None
    for number, require in enumerate(wanted):
        left = axes[number][0]
        points = [(trial.setting[aim], 1.0, trial) for trial in best]
        _curves(left, require, points, list(found.question.cases), told)
        left.axvline(chosen.setting[aim], color="#9aa5b1", linewidth=1, zorder=0)
        if best[-1].setting[aim] > 2 * chosen.setting[aim] > 0:  # far beyond nothing happens
            left.set_xlim(right=2 * chosen.setting[aim])
        left.set_title(require.text, loc="left", fontsize=10)
        left.set_ylabel(require.name)
        if columns == 2 and found.answer is not None:
            grown = [(load, load, trial) for load, trial in ((1.0, found.answer), *found.loads)]
            _curves(axes[number][1], require, grown, list(found.question.cases), told)
            axes[number][1].xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * (x - 1):+.0f} %"))
    if next(one for one in found.find if one.path == aim).whole:
        for axis in axes[:, 0]:
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1][0].set_xlabel(AXIS_LABELS.get(aim, aim))
    if columns == 2:
        axes[-1][1].set_xlabel("load, against the planned one")
    named = {name: line for axis in axes.flat for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named, loc="outside upper center", ncols=min(len(named), 4), frameon=False,
                  fontsize=9)  # fmt: skip
    caption = (
        f"Each requirement along {aim}, at the best of the rest (left; the answer is at the upright line)"
        + (", and at the answer as the load grows (right)" if columns == 2 else "")
        + ". Level: the limit. Bars: 95 % intervals; few runs far from the limit make them wide."
        + left_out(said)
    )
    return [("plan", caption, figure)]


def along(tried: Iterable[Trial], aim: str) -> list[Trial]:
    """Of all settings with the same value of ``aim`` the one that comes closest to meeting all, in order."""
    best: dict[float, Trial] = {}
    for trial in tried:
        value = trial.setting[aim]
        if value not in best or trial.worst.margin > best[value].worst.margin:
            best[value] = trial
    return [best[value] for value in sorted(best)]


def _curves(
    axis: Axes, require: Requirement, trials: list[tuple[float, float, Trial]], cases: list[str], known: Known
) -> None:
    """A requirement's metric over settings, a curve per case: (place, load, trial)."""
    style(axis)
    kind = require.metric.dimension
    small = require.most and require.limit > 0  # what must be small spans decades
    floor = require.limit * FLAT
    for number, case in enumerate(cases):
        points = [(x, one.found) for x, _, trial in trials for one in trial.judged
                  if one.require == require and one.case == case and not one.refused]  # fmt: skip
        points = [(x, found) for x, found in points if not np.isnan(found.value)]
        if not points:
            continue
        x = [at for at, _ in points]
        y = np.array([found.value for _, found in points])
        ends = np.array([[found.low, found.high] for _, found in points])
        half = np.nan_to_num(np.abs(ends - y[:, None])).T
        if small:
            y = np.maximum(y, floor)
            half[0] = np.minimum(half[0], y - floor)
        label = case if len(cases) > 1 else None
        axis.errorbar(x, y, half, color=COLOURS[number % 8], marker=MARKS[number % 8], markersize=4, linewidth=1.2,
                      elinewidth=1, label=label)  # fmt: skip
    axis.axhline(require.limit, color="#a4453a", linewidth=1, label="limit")
    if small:
        axis.set_yscale("log")
        axis.set_ylim(bottom=require.limit / 300)
    for number, case in enumerate(cases):
        answers = [known(require, case, trial, load) for _, load, trial in trials]
        curve(axis, [x for x, _, _ in trials], answers, COLOURS[number % 8])
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: human(y, kind)))
    axis.yaxis.set_minor_formatter(FuncFormatter(lambda y, _: ""))
