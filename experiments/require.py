"""Requirements: ``"served_within(2 s) >= 99 %"``; whether a result meets one, and how sure that is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from backwater.errors import check, nearest
from backwater.metrics import METRICS, QUANTILES, TIMED, Cells, Metric, advice, metric, named, within
from backwater.outcome import LATENCIES
from backwater.result import Result
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.statistics import Estimate, confidence_below, rare_confidence_below, ratio_spread, t_factor
from backwater.units import human, parse, units_required

# What only serving can meet: a plan must ask for one of these, or turning everybody away would be its answer.
SERVING = {
    *("success_ratio", "on_time_ratio", "goodput", "throughput", "accepted_rate"),  # at least
    *("failure_ratio", "rejection_ratio", "give_up_ratio", "workflow_failure_ratio"),  # at most
}
FEW = 30  # events up to which a share's confidence is also that of counting them
MOST = 3.0  # margin of what is not only met but without a blemish


class Requirement(NamedTuple):
    """What a metric must be, in one class and window.

    most   whether ``limit`` is the highest that it may be, not the lowest
    limit  in base units
    text   as it was written
    """

    name: str
    job_class: str
    window: str
    most: bool
    limit: float
    text: str

    @property
    def metric(self) -> Metric:
        """The metric."""
        return metric(self.name)

    @property
    def serves(self) -> bool:
        """Whether turning everybody away would break it."""
        return self.name in SERVING or self.name.startswith(tuple(TIMED))

    def cells(self, result: Result) -> Cells:
        """The outcomes that it is judged by."""
        return result.cells(self.job_class, self.window)

    def estimate(self, result: Result, level: float = 0.95) -> Estimate:
        """The metric's estimate."""
        return self.metric.estimate(self.cells(result), level)

    def holds(self, value: float) -> bool:
        """Whether a value meets it; nothing to estimate from does not."""
        return value <= self.limit if self.most else value >= self.limit

    def margin(self, value: float) -> float:
        """How far a value is on the good side, on a scale on which requirements can be compared; below 0 if it is not.

        The logarithm of limit over value, or of the shares that are missing where it is a share that must be large.
        """
        if math.isnan(value):
            return -MOST
        share = not self.most and self.metric.dimension == "share"
        limit, is_ = (1 - self.limit, 1 - value) if share else (self.limit, value)
        at_most = self.most or share
        if limit <= 0 or is_ <= 0:
            good = is_ <= limit if at_most else is_ >= limit
            return MOST if good and at_most and limit > 0 else 0.0 if good else -MOST
        return max(-MOST, min(MOST, math.log(limit / is_) if at_most else math.log(is_ / limit)))

    def confidence(self, result: Result) -> float:
        """How sure it is that it is met; NaN where one replication alone cannot say.

        A limit of a quantile is one of the share that stays within it. Few events are counted, besides.
        """
        cells, found = self.cells(result), self.metric
        latency, _, word = self.name.partition("_")
        if latency in LATENCIES and word in QUANTILES:
            n = cells.bins(LATENCIES.index(latency)).sum(axis=1).astype(np.float64)
            beyond = n - within(cells, latency, self.limit)
            sure = _share_below(beyond, n, 1 - QUANTILES[word])
            return sure if self.most else 1 - sure
        if found.dimension == "share" and found.pair is not None:
            top, bottom = found.pair(cells)
            return _share_below(top, bottom, self.limit) if self.most else _share_below(bottom - top, bottom,
                                                                                        1 - self.limit)  # fmt: skip
        sure = confidence_below(found.spread(cells), self.limit)
        return sure if self.most else 1 - sure

    def sureness(self, found: Estimate) -> float:
        """How sure it is that it is met, by an estimate with its 95 % t interval alone.

        NaN where that cannot say: without an interval, or where all replications gave the same.
        """
        from scipy.special import stdtr

        # The side that was not cut off at the end of what is possible tells the width.
        error = max(found.high - found.value, found.value - found.low) / t_factor(found.n, 0.95)
        if math.isnan(error) or error == 0.0:
            return math.nan
        sure = float(stdtr(found.n - 1, (self.limit - found.value) / error))
        return sure if self.most else 1 - sure

    def shown(self, value: float) -> str:
        """A value of its metric as people read it."""
        return human(value, self.metric.dimension)


def _share_below(events: np.ndarray, trials: np.ndarray, limit: float) -> float:
    """How sure it is that a share is at most ``limit``; the less sure of two ways where few events decide."""
    sure = confidence_below(ratio_spread(events, trials), limit)
    seen = float(events.sum())
    if seen <= FEW and not math.isnan(sure):
        return min(sure, rare_confidence_below(math.ceil(seen), int(trials.sum()), limit))
    return sure


def sure(confidence: float) -> str:
    """A confidence in words, never rounded up to certainty."""
    if math.isnan(confidence):
        return "-"
    return ">99.9 %" if confidence > 0.999 else "<0.1 %" if confidence < 0.001 else human(confidence, "share")


def requirement(text: str, where: str = "--require") -> Requirement:
    """A requirement from ``"latency_p99[invoice, spike] <= 2 s"``; ScenarioError for anything else."""
    match = re.fullmatch(r"\s*(.+?)\s*(<=|>=)\s*(.+?)\s*", text)
    check(match, where, text, 'must be METRIC <= VALUE or METRIC >= VALUE, such as "latency_p99 <= 2 s"')
    assert match is not None
    name, job_class, window = named(match[1])
    word = metric(name) if name in METRICS or "(" in name else None
    check(word, where, name, f"must name a metric{advice(name)}")
    assert word is not None
    limit = _number(match[3], word.dimension, where)
    check(word.dimension != "share" or limit <= 1, where, match[3], "must be at most 100 %")
    return Requirement(name, job_class, window, match[2] == "<=", limit, f"{match[1]} {match[2]} {match[3]}")


def _number(text: str, dimension: str, where: str) -> float:
    from backwater.errors import ScenarioError

    if not dimension:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        check(math.isfinite(value), where, text, "must end with a number")
        return value
    try:
        with units_required():
            return parse(text, dimension)
    except ScenarioError as error:
        raise error.under(where) from None


def check_fits(wanted: Iterable[Requirement], scenario: Scenario, run: Run, where: str = "--require") -> None:
    """Refuse requirements of a class or a window that is not there."""
    classes, windows = ["all", *scenario.jobs], ["all", *run.windows]
    for one in wanted:
        check(one.job_class in classes, where, one.job_class, f"must name a class{nearest(one.job_class, classes)}")
        check(one.window in windows, where, one.window, f"must name a window{nearest(one.window, windows)}")


def check_serving(wanted: Iterable[Requirement], where: str = "--require") -> None:
    """Refuse requirements that turning everybody away would meet."""
    wanted = list(wanted)
    check(wanted, where, None, 'must be given, such as "latency_p99 <= 2 s"')
    must = (
        "must hold one that turning everybody away would break, such as failure_ratio <= 0.1 % or served_within(2 s) "
        ">= 99 %: a latency is of served jobs only"
    )
    check(any(one.serves for one in wanted), where, [one.text for one in wanted], must)
