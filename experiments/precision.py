"""As many replications as it takes: ``{"latency_p99": "2 %", "rejection_ratio": "5 % or ± 0.1 %"}``.

What stops when it is precise was looked at more than once, so its intervals hold a little less often than they say
(Chow and Robbins 1965; Law and Kelton 1982): counted on an M/M/1 in tests/test_precision.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any, NamedTuple

import numpy as np

from backwater.errors import ScenarioError, check, nearest
from backwater.experiments.require import FEW
from backwater.metrics import METRICS, advice, metric, named
from backwater.result import Result
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import extend, simulate
from backwater.statistics import rare_interval
from backwater.units import human, parse, units_required

LEAST, MOST = 5, 1000  # replications of a point: before a width is believed, and unless a budget says otherwise
GROWTH = 4  # times as many replications at a step, at most: the first widths are themselves uncertain


class Goal(NamedTuple):
    """How wide half of a metric's 95 % interval may be.

    relative  of the estimate [1]; infinite where only the absolute one counts
    absolute  in base units; 0 where only the relative one counts. The wider of the two is enough
    """

    name: str
    relative: float
    absolute: float
    text: str

    def width(self, result: Result) -> float:
        """Half of the interval [base units]; of a share with few events that of counting them, if it is wider."""
        word, job_class, window = named(self.name)
        found, cells = metric(word), result.cells(job_class, window)
        value, low, high, n = found.estimate(cells, 0.95)
        if n < 2 or math.isnan(low):
            return math.inf
        half = max(high - value, value - low)
        if found.dimension == "share" and found.pair is not None:
            top, bottom = (float(part.sum()) for part in found.pair(cells))
            few = min(top, bottom - top)
            if few <= FEW:
                low, high = rare_interval(math.floor(few), int(bottom))
                half = max(half, high - few / bottom, few / bottom - low)
        return half

    def shortfall(self, result: Result) -> float:
        """How many times too wide the interval is; at most 1 where it is precise."""
        allowed = self.absolute
        if math.isfinite(self.relative):
            allowed = max(allowed, self.relative * result[self.name])
        width = self.width(result)
        return width / allowed if allowed > 0 else math.inf

    def told(self, result: Result) -> str:
        """How precise it is, in words."""
        kind, width, value = metric(named(self.name)[0]).dimension, self.width(result), result[self.name]
        of = f", {human(width / value, 'share')} of it" if value > 0 and math.isfinite(width) else ""
        return f"{self.name} {human(value, kind)} ± {human(width, kind)}{of} (asked: {self.text})"


def goals(table: Mapping[str, str], where: str = "precision") -> tuple[Goal, ...]:
    """Goals from metric -> ``"2 %"`` of the estimate, ``"± 20 ms"``, or ``"2 % or ± 20 ms"``."""
    check(table, where, {}, 'must name at least one metric, such as { latency_p99 = "2 %" }')
    return tuple(
        _goal(name, said, f"{where} {name}" if where.startswith("--") else f"{where}.{name}")
        for name, said in table.items()
    )


def _goal(name: str, said: Any, where: str) -> Goal:
    word = named(name)[0]
    check(word in METRICS or "(" in word, where, word, f"must name a metric{advice(word)}")
    kind = metric(word).dimension
    must = 'must be a share of the estimate such as "2 %", a width such as "± 20 ms", or one "or" the other'
    check(isinstance(said, str) and said.strip(), where, said, must)
    relative, absolute = math.inf, 0.0
    for part in re.split(r"\s+or\s+", said.strip()):
        wide = part.removeprefix("±").strip()
        try:
            with units_required():
                if part.startswith("±"):
                    absolute = parse(wide, kind) if kind else float(wide)
                else:
                    relative = parse(part, "share")
                    check(0 < relative < 1, where, said, must)
        except (ScenarioError, ValueError):
            raise ScenarioError(where, must, said) from None
    check(absolute > 0 or 0 < relative < 1, where, said, must)
    return Goal(name, relative, absolute, said.strip())


def check_goals(wanted: Sequence[Goal], scenario: Scenario, run: Run, where: str = "precision") -> None:
    """Refuse goals of a class or a window that is not there."""
    classes, windows = ["all", *scenario.jobs], ["all", *run.windows]
    for one in wanted:
        _, job_class, window = named(one.name)
        check(job_class in classes, where, job_class, f"must name a class{nearest(job_class, classes)}")
        check(window in windows, where, window, f"must name a window{nearest(window, windows)}")


def shortfall(result: Result, wanted: Sequence[Goal]) -> float:
    """How many times too wide the worst of the intervals is; at most 1 where all are precise."""
    return max(one.shortfall(result) for one in wanted)


def needed(replications: int, short: float) -> int:
    """About how many replications would be precise, when so many are so many times too wide."""
    if short <= 1:
        return replications
    more = replications * min(short * short * 1.1, 1e9)
    return max(replications + 2, math.ceil(more))


def precise(
    scenario: Scenario, run: Run, wanted: Sequence[Goal], most: int = MOST, *, parallel: int | None = None,
    halt: Event | None = None, progress: Callable[[int, float], None] | None = None,
) -> Result:  # fmt: skip
    """Run a scenario until all goals are met, or ``most`` replications are done: ``shortfall`` tells.

    The result is that of ``simulate`` with as many replications. ``progress(replications, shortfall)`` after each step.
    """
    check_goals(wanted, scenario, run)
    check(most >= LEAST, "budget", most, f"must be at least {LEAST} replications")
    start = min(max(run.replications, LEAST), most)
    result = simulate(scenario, run.model_copy(update={"replications": start}), parallel=parallel, halt=halt)
    while True:
        n, short = len(result.outcomes), shortfall(result, wanted)
        if progress is not None:
            progress(n, short)
        if short <= 1 or n >= most:
            return result
        result = extend(result, min(needed(n, short), GROWTH * n, most), parallel=parallel, halt=halt)


def allocate(needs: Sequence[int], done: Sequence[int], budget: int) -> list[int]:
    """How many replications each point gets of a budget for all of them: what it needs, or an equal part of it.

    Equal parts of each need leave every point equally far from its goal: effort goes where the noise is.
    """
    needs_, done_ = np.asarray(needs), np.asarray(done)
    if int(np.maximum(needs_, done_).sum()) <= budget:
        return [int(n) for n in np.maximum(needs_, done_)]
    low, high = 0.0, 1.0
    for _ in range(60):
        part = (low + high) / 2
        low, high = (part, high) if np.maximum(np.floor(needs_ * part), done_).sum() <= budget else (low, part)
    return [int(n) for n in np.maximum(np.floor(needs_ * low), done_)]
