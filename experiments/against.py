"""A finished sweep against theory: what is known at each point, and whether the intervals hold what is exact."""

from __future__ import annotations

import math
from typing import NamedTuple

from backwater.experiments.curves import Curve, value
from backwater.experiments.experiment import Experiment
from backwater.experiments.sweep import Cell, Sweep
from backwater.experiments.theory import Answer, Theory, theory
from backwater.experiments.theory.settling import LENGTH, WARMUP, relaxation
from backwater.run import Run
from backwater.statistics import at_level, simultaneous

COMPARED = (
    "rejection_ratio", "failure_ratio", "attempts_per_job", "cancelled_ratio", "timeout_ratio", "utilization",
    "queue_mean", "wait_mean", "wait_p99", "latency_mean", "latency_p99",
)  # fmt: skip
RARE = {"rejection_ratio", "failure_ratio", "attempts_per_job", "cancelled_ratio", "timeout_ratio"}
EVENTS = 30  # times that a system must forget and fail anew for the t interval of a rare event's share to hold
LEVEL = 0.999  # that no interval of a page misses its exact value by chance
POINTS, STATES = 200, 20_000  # of a page, and of a chain of one of them, at most
RESOLUTION = 1 / 512  # half a bin of the histograms, of a quantile

Theories = dict[tuple[int, ...], Theory]


class Comparison(NamedTuple):
    """One metric at one point: what theory says, and what the runs do, with the interval that holds all at once."""

    place: tuple[int, ...]
    where: str
    metric: str
    model: str
    exact: float
    estimate: float
    low: float
    high: float

    @property
    def agrees(self) -> bool:
        """Whether the interval holds the exact value, but for the resolution of quantiles and rounding."""
        slack = abs(self.exact) * (RESOLUTION if self.metric.endswith("_p99") else 1e-9)
        return self.low - slack <= self.exact <= self.high + slack


class Against(NamedTuple):
    """Every comparison of a sweep with exact theory, and why others were not made: words -> how many points."""

    compared: list[Comparison]
    left: dict[str, int]

    @property
    def missed(self) -> list[Comparison]:
        """Those in which exact theory lies outside."""
        return [each for each in self.compared if not each.agrees]


def theories(sweep: Sweep) -> Theories:
    """What is known at each point, by its place; of the first ``POINTS`` points, and of no model of one's own."""
    if not isinstance(sweep.experiment, Experiment):
        return {}
    return {point.place: theory(point.scenario, most=STATES) for point in sweep.experiment.points()[:POINTS]}


def sort_of(answer: Answer) -> str:
    """exact; approximate; or simplified: approximate because something was left out of the scenario."""
    return "simplified" if answer.simplification else answer.kind


def told(curve: Curve, known: Theories, metric: str, kind: str) -> list[float]:
    """The values of a metric by theory at the points of a curve; NaN where there is none of this kind.

    kind  as ``sort_of`` tells it
    """
    out = []
    for index in range(len(curve.sweep.axes[curve.along].values)):
        place = (*curve.place[: curve.along], index, *curve.place[curve.along + 1 :])
        answer = known[place].of(metric) if place in known else None
        fits = answer is not None and sort_of(answer) == kind
        out.append(answer.value if answer is not None and fits else math.nan)
    return out


def against(sweep: Sweep, known: Theories) -> Against:
    """All points of a sweep that have an exact answer, in runs long enough to be steady, against it.

    All intervals together hold with a chance of ``LEVEL``: Bonferroni.
    """
    assert isinstance(sweep.experiment, Experiment)
    run, left, chosen = sweep.experiment.run, dict[str, int](), []
    for point in sweep.experiment.points():
        cell, found = sweep.cell(point.place), known.get(point.place)
        exact = {answer.metric: answer for answer in found.exact} if found is not None else {}
        if not exact:
            why = "have no exact answer" if found is not None else f"are beyond the first {POINTS}"
            left[why] = left.get(why, 0) + 1
            continue
        rate = exact["attempt_rate"].value if "attempt_rate" in exact else None
        settles = relaxation(point.scenario, rate)
        why = _unsteady(run, cell, settles)
        if why:
            left[why] = left.get(why, 0) + 1
            continue
        times = run.replications * (cell.end - run.warmup) / settles
        where = ", ".join(
            f"{axis.name} = {value(axis, index)}" for axis, index in zip(sweep.axes, point.place, strict=False)
        ) + (f", {point.label['case']}" if len(sweep.experiment.cases) > 1 else "")
        chosen += [(point.place, where, cell, exact[name]) for name in COMPARED if name in exact and _often(
            name, exact[name].value, times)]  # fmt: skip
    level = simultaneous(LEVEL, len(chosen))
    made = [_compare(place, where, cell, answer, level) for place, where, cell, answer in chosen]
    return Against([each for each in made if each is not None], left)


def _unsteady(run: Run, cell: Cell, settles: float) -> str:
    """Why a run cannot be held against a steady state; "" where it can."""
    if run.replications < 2:
        return "have one replication, so no interval"
    if not run.warmup:
        return "have no warm-up, and start empty"
    short = run.warmup < WARMUP * settles or cell.end - run.warmup < LENGTH * settles
    return "are too short, or their warm-up is, for the steady state" if short else ""


def _often(name: str, exact: float, times: float) -> bool:
    """Whether what is counted happens often enough in these runs for its interval to mean anything; never will do."""
    share = exact - 1 if name == "attempts_per_job" else exact
    return name not in RARE or share == 0 or min(share, abs(1 - share)) * times >= EVENTS


def _compare(place: tuple[int, ...], where: str, cell: Cell, answer: Answer, level: float) -> Comparison | None:
    """One comparison; None where the runs have no such value, or nothing is left to chance and both say the same."""
    found = cell.estimate(answer.metric)
    if math.isnan(found.value + found.low + found.high):
        return None
    if found.n < 2 or (found.low == found.high == answer.value):
        return None
    wide = at_level(found, level)
    return Comparison(place, where, answer.metric, answer.model, answer.value, wide.value, wide.low, wide.high)
