"""A sweep beside what is required of it, and beside what was observed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from backwater.experiments.curves import curves
from backwater.experiments.document import Table
from backwater.experiments.experiment import Experiment
from backwater.experiments.report_tables import labels
from backwater.experiments.require import Requirement, sure
from backwater.experiments.sweep import Cell, Sweep
from backwater.metrics import metric, named
from backwater.statistics import Estimate
from backwater.units import human

SURE = 0.95  # from which a requirement counts as met, and below the rest of which as missed
ROWS = 200  # points that the table shows


class Verdicts(NamedTuple):
    """Requirements at every point: in a sentence, and in a table."""

    summary: str
    table: Table


def verdicts(sweep: Sweep, experiment: Experiment) -> Verdicts | None:
    """Whether each requirement is met at each point; None where nothing is required."""
    wanted, points = experiment.requirements, experiment.points()
    if not wanted:
        return None
    found = {point.place: [_judged(sweep.cell(point.place), one) for one in wanted] for point in points}
    good = [place for place, judged in found.items() if all(word == "met" for word, _ in judged)]
    texts = " and ".join(one.text for one in wanted)
    met = f"at {len(good):,} of {len(points):,} points"
    summary = f"Required: {texts}. All of it is met {met}" if good else f"Required: {texts}. No point meets all of it"
    summary += f", the first being {_where(sweep, good[0])}." if good else "."
    rows = [(_where(sweep, place), *(text for _, text in judged)) for place, judged in list(found.items())[:ROWS]]
    left = f"; {len(points) - ROWS:,} more points are not shown" if len(points) > ROWS else ""
    caption = f"Estimate, verdict and how sure it is that each requirement is met{left}"
    return Verdicts(summary, Table(caption, ("at", *(one.text for one in wanted)), tuple(rows)))


def _judged(cell: Cell, one: Requirement) -> tuple[str, str]:
    """met, missed or unsure; and that with the estimate and how sure it is."""
    found = cell.estimate(one.name, one.job_class, one.window)
    if math.isnan(found.value):
        return "missed", "n/a: nothing to estimate from"
    confidence = one.sureness(found)
    if math.isnan(confidence):
        word = "met" if one.holds(found.value) else "missed"
    else:
        word = "met" if confidence >= SURE else "missed" if confidence <= 1 - SURE else "unsure"
    return word, f"{one.shown(found.value)}: {word} ({sure(confidence)})"


def beside_observed(sweep: Sweep, experiment: Experiment) -> Table | None:
    """Observed values beside predicted ones: where the scenario is as it stands, or at the knees where it never is."""
    if not experiment.observed:
        return None
    rows, marked = list[tuple[str, ...]](), list[int]()
    places = list(_compared(sweep, experiment))
    for (text, given), seen in zip(experiment.observed.items(), experiment.seen, strict=True):
        name, job_class, window, value = seen
        for place, where in places:
            found = sweep.cell(place).estimate(name, job_class, window)
            off = _off(found, value)
            if off.startswith("outside"):
                marked.append(len(rows))
            kind = metric(named(text)[0]).dimension
            interval = f"{human(found.low, kind)} .. {human(found.high, kind)}"
            said = given if isinstance(given, str) else human(value, kind)
            rows.append((text, said, human(found.value, kind), interval, off, where))
    head = ("metric", "observed", "predicted", "95 % interval", "observed lies", "predicted at")
    return Table("Predicted beside observed", head, tuple(rows), right=(1, 2, 3), marked=tuple(marked))


def _off(found: Estimate, value: float) -> str:
    """Where an observed value lies."""
    if math.isnan(found.low):
        return "n/a: no interval"
    if found.low <= value <= found.high:
        return "inside"
    return f"outside, {'above' if value > found.high else 'below'}"


def _compared(sweep: Sweep, experiment: Experiment) -> Iterator[tuple[tuple[int, ...], str]]:
    """Where predictions are taken: the points at which nothing was changed; or else the knees."""
    digest = experiment.scenario.digest
    same = [point.place for point in experiment.points() if point.scenario.digest == digest]
    for place in same:
        yield place, f"{_where(sweep, place)}, the scenario as it stands"
    for curve in () if same else curves(sweep):
        place = (*curve.place[: curve.along], curve.knee, *curve.place[curve.along + 1 :])
        yield place, f"{_where(sweep, place)}, the knee"


def _where(sweep: Sweep, place: tuple[int, ...]) -> str:
    """A point in words."""
    names = [title for axis in sweep.axes for title in (axis.name, *axis.along)]
    told = labels(sweep, place)
    said = [f"{name} = {value}" for name, value in zip(names, told, strict=False)]
    return ", ".join(said + told[len(names) :])
