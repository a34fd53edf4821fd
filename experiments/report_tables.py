"""A sweep's answer: in sentences, the failures first, and in tables."""

from __future__ import annotations

import math
from typing import Any

from backwater.experiments.curves import Curve, curves, leads, shown, value
from backwater.experiments.document import Part, Table, Text
from backwater.experiments.experiment import Experiment
from backwater.experiments.sweep import Sweep
from backwater.metrics import CUT_OFF, METRICS, unfinished
from backwater.units import human

COLUMNS = {
    "rejection_ratio": "503 ratio", "failure_ratio": "jobs failed", "attempts_per_job": "attempts per job",
    "wait_mean": "mean wait", "latency_p50": "p50 latency", "latency_p99": "p99 latency", "goodput": "goodput",
    "workflow_failure_ratio": "workflows failed", "workflow_p50": "p50 workflow", "workflow_p99": "p99 workflow",
    "utilization": "utilization", "wasted_ratio": "wasted work", "queue_max": "longest queue", "spill_ratio": "spilled",
}  # fmt: skip
GLANCE = ("rejection_ratio", "failure_ratio", "latency_p99", "workflow_failure_ratio", "workflow_p99", "goodput",
          "spill_ratio")  # fmt: skip
ROWS, GLANCED = 2000, 12  # points, and curves, that a table shows
CUT = "† more than 1 % of the jobs were unfinished at the end, so the latency is cut off."
CUT_OF_WORKFLOWS = "† more than 1 % of the jobs, or of the workflows, were unfinished at the end, so it is cut off."


def answer(curve: Curve) -> str:
    """One curve at its knee in words; the failures come first."""
    axis, knee = curve.sweep.axes[curve.along], curve.knee

    def at(name: str) -> str:
        return human(float(curve.estimates(name)[knee, 0]), METRICS[name].dimension)

    said = f"{at('rejection_ratio')} of attempts got a 503"
    withheld = float(curve.estimates("withheld_ratio")[knee, 0])
    if withheld > 0:
        unsent = human(withheld, "share")
        said = f"{at('rejection_ratio')} of attempts were turned away ({unsent} unsent, by their own client)"
    held = f"With {curve.label}: at" if curve.label else "At"
    place = value(axis, knee) if axis.along else f"{axis.name} = {value(axis, knee)}"
    text = f"{held} the knee, {place}, {said} and {at('failure_ratio')} of jobs failed; "
    text += f"of the jobs served in time, 99 % took at most {at('latency_p99')}"
    if curve.estimates("unfinished_ratio")[knee, 0] > CUT_OFF:
        text += " (cut off: many jobs were unfinished at the end)"
    if leads(curve.sweep):
        text += f"; {at('workflow_failure_ratio')} of workflows failed, and of the others 99 % took at most "
        text += at("workflow_p99")
        if curve.estimates("workflow_unfinished_ratio")[knee, 0] > CUT_OFF:
            text += " (cut off: many workflows were unfinished at the end)"
    if curve.estimates("spill_ratio")[knee, 0] > 0:
        text += f", and {at('spill_ratio')} of accepted attempts were spilled to disk"
    return f"{text}."


def at_a_glance(sweep: Sweep) -> Table:
    """Each curve at its ends and its knee; of a design, at the knee alone."""
    names, rows, found = [name for name in GLANCE if _tells(sweep, name)], [], curves(sweep)
    if leads(sweep):
        names.remove("goodput")  # of parts of workflows; and a page is only so wide
    axis, held = sweep.axes[found[0].along], any(curve.label for curve in found)
    for curve in found[:GLANCED]:
        ends = {curve.knee} if axis.along else {0, curve.knee, len(axis.values) - 1}
        for index in sorted(ends):
            place = (*curve.place[: curve.along], index, *curve.place[curve.along + 1 :])
            where = f"{value(axis, index)}{' (knee)' if index == curve.knee else ''}"
            told = [where, *([curve.label] if held else [])]
            rows.append((*told, *(_cell(sweep, place, "all", name) for name in names)))
    more = f"; {len(found) - GLANCED:,} more curves are among all points" if len(found) > GLANCED else ""
    head = (axis.name, *(["with"] if held else []), *(COLUMNS[name] for name in names))
    cut = f". {_cut(sweep)}" if any("†" in cell for row in rows for cell in row) else ""
    caption = f"The ends and the knee of each curve, ± half of the 95 % interval{more}{cut}"
    return Table(caption, head, tuple(rows), right=tuple(range(len(head) - len(names), len(head))))


def points(sweep: Sweep) -> tuple[Part, ...]:
    """One row per point and window, each cell an estimate with half its interval; and what the signs mean."""
    titles = COLUMNS if isinstance(sweep.experiment, Experiment) else {name: name for name in sweep.metrics}
    names = [name for name in titles if name in sweep.metrics and _tells(sweep, name)]
    windows, cases = sweep.windows, len(sweep.experiment.cases) > 1
    head = [title for axis in sweep.axes for title in (axis.name, *axis.along)]
    head += ["case"] * cases + ["window"] * (len(windows) > 1)
    every = sweep.experiment.points()
    rows = [
        (*labels(sweep, point.place), *[window] * (len(windows) > 1),
         *(_cell(sweep, point.place, window, name) for name in names))
        for point in every[:ROWS] for window in windows
    ]  # fmt: skip
    note = "± is half of the 95 % interval."
    if isinstance(sweep.experiment, Experiment):
        note += f" Latencies are those of jobs served in time; failed jobs have none. {_cut(sweep)}"
    if len(every) > ROWS:
        note += f" {len(every) - ROWS:,} more points are in the sweep's data."
    columns = (*head, *(titles[name] for name in names))
    table = Table("Every point of the sweep", columns, tuple(rows), right=tuple(range(len(columns))))
    return table, Text(note, note=True)


def labels(sweep: Sweep, place: tuple[int, ...]) -> list[str]:
    """Where a point lies, as tables say it: its coordinates, then its case where there are several."""
    told = []
    for axis, index in zip(sweep.axes, place, strict=False):
        told.append(shown(axis.values[index], axis.unit))
        told += [shown(values[index], unit) for unit, values in axis.along.values()]
    cases = list(sweep.experiment.cases)
    return told + [cases[place[len(sweep.axes)]]] * (len(cases) > 1)


def _cut(sweep: Sweep) -> str:
    return CUT_OF_WORKFLOWS if leads(sweep) else CUT


def _tells(sweep: Sweep, name: str) -> bool:
    """Whether a column holds anything but zeros; 503s and failures always stand, where there are any."""
    if name.startswith("workflow_"):
        return leads(sweep)
    always = name in ("rejection_ratio", "failure_ratio")
    return always or bool((sweep.estimates[name].sel(bound="estimate") != 0).any())


def _cell(sweep: Sweep, place: tuple[Any, ...], window: str, name: str) -> str:
    cell = sweep.cell(place)
    estimate, low, high, _ = cell.estimate(name, window=window)
    if math.isnan(estimate):
        return "n/a"
    kind = METRICS[name].dimension if isinstance(sweep.experiment, Experiment) else ""
    cut = "†" if kind == "time" and cell.estimate(unfinished(name), window=window).value > CUT_OFF else ""
    half = "" if math.isnan(low) or high == low else f" ± {human((high - low) / 2, kind)}"
    return f"{human(estimate, kind)}{half}{cut}"
