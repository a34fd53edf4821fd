"""The section of a report on which of a sweep's axes matter, from the sweep's own points."""

from __future__ import annotations

import math

from backwater.experiments.document import Section, Table, Text
from backwater.experiments.document.drawn import picture
from backwater.experiments.influence import LEAST, TAKEN, Influence, influences
from backwater.experiments.sensitivity import NOISY
from backwater.experiments.sensitivity_figures import swept
from backwater.experiments.sweep import Sweep
from backwater.statistics import Estimate
from backwater.units import human


def section(sweep: Sweep) -> Section | None:
    """What matters most in words, then figure, table and method; None where there is nothing to compare."""
    every = influences(sweep)
    found = [one for one in every if one.factors]
    if not found:
        why = _why_not(sweep)
        return Section("Sensitivity", (Text(why),)) if why else None
    said = [Text(_words(one), strong=one is found[0]) for one in found]
    said += [
        Text(f"{one.metric} has no value at {one.missing:,} points, so nothing is said of it.")
        for one in every if one.missing
    ]  # fmt: skip
    alt = "Bars: the share of the variance that each axis makes. " + " ".join(_words(one) for one in found)
    caption = "What makes each metric vary over this sweep. Bars are 95 % intervals."
    drawn = picture("sensitivity", alt, caption, swept(found))
    return Section("Sensitivity", (*said, drawn, _table(found), Text(_method(sweep), note=True)))


def _why_not(sweep: Sweep) -> str:
    """Why points that lie in no grid tell nothing; "" where that needs no word."""
    design, axis = sweep.experiment.design, sweep.axes[0]
    if design is None or len(axis.along) < 2:
        return ""
    if design.kind == "points":
        return "These points were given, and their fields may go together: which of them matters cannot be told."
    few = f"must be {LEAST} or more, and there are {len(axis.values)}"
    return f"Which field matters cannot be told from so few points: they {few}." if len(axis.values) < LEAST else ""


def _words(one: Influence) -> str:
    first, name = one.found[0].first, one.factors[0]
    text = f"{one.metric}: {name} matters most; by itself it makes {_share(first)} of the variance over these points"
    rest = [f"{name} {human(each.first.value, 'share')}" for name, each in zip(one.factors, one.found, strict=True)]
    text += f" ({', '.join(rest[1:])})."
    if one.noise > NOISY:
        text += f" Noise of the runs is {human(one.noise, 'share')} of it: believe no smaller share."
    return text


def _share(one: Estimate) -> str:
    return f"{human(one.value, 'share')} ({human(one.low, 'share')} .. {human(one.high, 'share')})"


def _table(found: list[Influence]) -> Table:
    crossed = not math.isnan(found[0].found[0].total.value)
    head = ("metric", "axis", "by itself", *(["with others"] if crossed else []))
    rows = [
        (one.metric, name, _share(each.first), *([_share(each.total)] if crossed else []))
        for one in found for name, each in zip(one.factors, one.found, strict=True)
    ]  # fmt: skip
    caption = "Shares of each metric's variance over the points, with 95 % intervals"
    return Table(caption, head, tuple(rows), right=tuple(range(2, len(head))))


def _method(sweep: Sweep) -> str:
    asked = "Other ranges give other shares; backwater sensitivity asks how much uncertain inputs matter."
    if sweep.experiment.design is None:
        return (
            "Main effects and, with others, total indices of the full grid, each of its points counting the same "
            "(Sobol', Global sensitivity indices for nonlinear mathematical models, Mathematics and Computers in "
            "Simulation 55, 2001). The grid is all there is, so the intervals are for the noise of the runs alone: a "
            f"jackknife over replications. {asked}"
        )
    more = len(sweep.axes) > 1 or len(sweep.experiment.cases) > 1
    averaged = " Metrics are means over the other axes and cases." if more else ""
    few = f" The first {TAKEN:,} points were taken." if len(sweep.axes[0].values) > TAKEN else ""
    return (
        "Main effects: how much of the variance a curve through the points along one field explains (adjusted R "
        "squared; Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009). Intervals are a "
        "bootstrap over points, made wider by a jackknife over "
        f"replications.{averaged}{few} {asked}"
    )
