"""What a sweep's figures show, in words, for those who do not see them."""

from __future__ import annotations

from typing import Any

import numpy as np

from backwater.experiments.curves import MOST, Curve, curves, traded, value
from backwater.experiments.experiment import Experiment
from backwater.experiments.sweep import Sweep
from backwater.metrics import METRICS
from backwater.units import human

TOLD = {"rejection_ratio": "503 ratio", "failure_ratio": "jobs that failed", "latency_p99": "p99 latency",
        "workflow_failure_ratio": "workflows that failed", "workflow_p99": "p99 of whole workflows",
        "spill_ratio": "spilled"}  # fmt: skip


def alternatives(sweep: Sweep, series: list[dict[str, Any]]) -> dict[str, str]:
    """Name of a figure -> what it shows."""
    if not isinstance(sweep.experiment, Experiment):
        return {"metrics": f"Each metric over the points. {_ranges(sweep, sweep.metrics[:MOST])}"}
    found = curves(sweep)[:MOST]
    axis = sweep.axes[found[0].along]
    spread = _ranges(sweep, [name for name in TOLD if name in sweep.metrics])
    if axis.along:
        courses = f"Points of a design, each metric against each field. {spread}"
    else:
        first, last = value(axis, 0), value(axis, len(axis.values) - 1)
        told = " ".join(_course(curve) for curve in found)
        courses = f"Curves along {axis.name}, from {first} to {last}. {told}"
    knees = "; ".join(_knee(curve) for curve in found)
    return {
        "threshold": courses, "space": courses,
        "trade": f"503 ratio across, {TOLD[traded(sweep)]} up, one point per value of {axis.name}. Knees: {knees}.",
        "over_time": " ".join(_sampled(run) for run in series),
    }  # fmt: skip


def _at(curve: Curve, metric: str, index: int) -> str:
    return human(float(curve.estimates(metric)[index, 0]), METRICS[metric].dimension)


def _course(curve: Curve) -> str:
    last = len(curve.sweep.axes[curve.along].values) - 1
    said = ", ".join(f"{words} from {_at(curve, name, 0)} to {_at(curve, name, last)}"
                     for name, words in TOLD.items() if np.nan_to_num(curve.estimates(name)[:, 0]).any())  # fmt: skip
    held = f"With {curve.label}: " if curve.label else "From one end to the other: "
    return f"{held}{said or 'neither 503s nor failures'}."


def _knee(curve: Curve) -> str:
    at, held = curve.knee, f"{curve.label}: " if curve.label else ""
    place = value(curve.sweep.axes[curve.along], at)
    return f"{held}{place}, with {_at(curve, 'rejection_ratio', at)} 503s and {_at(curve, traded(curve.sweep), at)}"


def _ranges(sweep: Sweep, metrics: list[str]) -> str:
    said = []
    for name in metrics:
        found = sweep.estimates[name].sel(bound="estimate").values
        if not np.isnan(found).all():
            low, high = (human(float(each), METRICS[name].dimension if name in METRICS else "")
                         for each in (np.nanmin(found), np.nanmax(found)))  # fmt: skip
            said.append(f"{TOLD.get(name, name)} from {low} to {high}")
    return f"Over all points: {', '.join(said)}."


def _sampled(run: dict[str, Any]) -> str:
    text = f"{run['label'][:1].upper()}{run['label'][1:]}: at most {max(run['waiting']):,.0f} waiting and "
    text += f"{max(run['backoff']):,.0f} clients in backoff"
    if max(run["memory"]) + max(run["disk"]) > 0:
        text += f", {human(max(run['memory']), 'size')} in memory, {human(max(run['disk']), 'size')} on disk"
    return text + "."
