"""The section of a report on the settings that no other one beats."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from backwater.errors import ScenarioError
from backwater.experiments.curves import value
from backwater.experiments.document import Section, Table, Text
from backwater.experiments.document.drawn import picture
from backwater.experiments.frontier import Frontier, Row, dimension, frontier
from backwater.experiments.frontier_figures import drawn
from backwater.experiments.sweep import Sweep
from backwater.units import human

SHOWN = 12  # settings in the table; the command tells of all
MOST = 1000  # settings that are compared with each other


def section(sweep: Sweep) -> Section | None:
    """Settings, table and figure; None where there is nothing to choose between."""
    sweep, held = _chosen(sweep)
    if sweep.experiment.replications < 2 or not sweep.axes or sweep.ends.size > MOST:
        return None
    try:
        found = frontier(sweep)
    except ScenarioError:  # nothing that could be weighed against anything was measured
        return None
    if len(found.objectives) < 2:
        return None
    kept = [row for row in found.rows if row.status == "frontier"]
    caption, figure = drawn(found)
    best = ", ".join(row.name for row in kept[:3])
    alt = f"Scatter of the settings by {found.objectives[0]} and {found.objectives[1]}; on the frontier: {best}."
    more = f" {len(kept) - SHOWN} more are on it." if len(kept) > SHOWN else ""
    text = Text(
        f"{held}{len(kept)} of {len(found.rows)} settings are on the frontier: no other one is as good in "
        f"{' and '.join(found.objectives)} and surely better in one of them.{more} "
        "backwater frontier weighs costs, too."
    )
    return Section("Frontier", (text, picture("frontier", alt, caption, figure), _table(found, kept[:SHOWN])))


def _chosen(sweep: Sweep) -> tuple[Sweep, str]:
    """The sweep along what can be chosen, at the highest of what cannot: the load; and words that say so."""
    given = [at for at, axis in enumerate(sweep.axes) if axis.name == "load" or axis.name.startswith("arrivals.")]
    held = ""
    for at in reversed(given):
        axis, last = sweep.axes[at], len(sweep.axes[at].values) - 1
        held = f"At {axis.name} = {value(axis, last)}: " + held
        axes = tuple(each for number, each in enumerate(sweep.axes) if number != at)
        sweep = replace(sweep, axes=axes, numbers=np.asarray(sweep.numbers.take(last, at)),
                        ends=np.asarray(sweep.ends.take(last, at)))  # fmt: skip
    return sweep, held


def _table(found: Frontier, rows: list[Row]) -> Table:
    head = ("setting", *found.objectives)
    cells = tuple((row.name, *(_shown(row, name) for name in found.objectives)) for row in rows)
    return Table("The settings that no other one beats", head, cells, right=tuple(range(1, len(head))))


def _shown(row: Row, name: str) -> str:
    value, low, high, _ = row.found[name]
    half = "" if math.isnan(low) or high <= low else f" ± {human((high - low) / 2, dimension(name))}"
    return f"{human(value, dimension(name))}{half}"
