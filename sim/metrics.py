"""What is measured: each metric's name, unit and definition, over the outcomes of a scenario's replications."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backwater import outcome as o
from backwater.errors import ScenarioError, nearest
from backwater.measure import edges
from backwater.outcome import COUNTER, LATENCIES, Outcome
from backwater.scenario import Scenario
from backwater.statistics import (
    NOTHING,
    Estimate,
    Spread,
    histogram_quantiles,
    histogram_share,
    mean_spread,
    pooled_quantile,
    ratio_spread,
)
from backwater.units import parse

Array = npt.NDArray[np.float64]
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
bin_edges = cache(edges)
CUT_OFF = 0.01  # share of unfinished jobs above which a latency is marked as cut off


class Cells:
    """The outcomes of all replications in one view and class: arrays of shape (replications,)."""

    def __init__(self, outcomes: list[Outcome], scenario: Scenario, view: int, job_class: int) -> None:
        self.outcomes, self.scenario, self.view, self.job_class = outcomes, scenario, view, job_class
        self.length = np.array([done.ends[view, 1] - done.ends[view, 0] for done in outcomes])
        self._bins: dict[int, npt.NDArray[np.int64]] = {}
        self._filled: dict[int, tuple[npt.NDArray[np.int64], Array]] = {}
        self._quantiles: dict[int, dict[float, Array]] = {}

    def count(self, name: str) -> Array:
        """One counter."""
        return np.array([done.counters[self.view, self.job_class, COUNTER[name]] for done in self.outcomes])

    def area(self, gauge: int) -> Array:
        """Time integral of a gauge."""
        return np.array([done.areas[self.view, gauge, self._of(gauge)] for done in self.outcomes])

    def peak(self, gauge: int) -> Array:
        """Highest value of a gauge."""
        return np.array([done.peaks[self.view, gauge, self._of(gauge)] for done in self.outcomes])

    def _of(self, gauge: int) -> int:
        return 0 if gauge == o.WORKERS else self.job_class  # all classes share the workers

    def total(self, latency: int) -> Array:
        """Sum of a latency [s]."""
        return np.array([done.sums[self.view, self.job_class, latency] for done in self.outcomes])

    def top(self, latency: int) -> Array:
        """Highest value of a latency [s]; NaN where there is none."""
        tops = np.array([done.tops[self.view, self.job_class, latency] for done in self.outcomes])
        return np.where(self.seen(latency) > 0, tops, math.nan)

    def bins(self, latency: int) -> npt.NDArray[np.int64]:
        """Histogram of a latency, shape (replications, BINS)."""
        if latency not in self._bins:
            parts = [done.histograms[self.view, self.job_class, latency] for done in self.outcomes]
            self._bins[latency] = np.stack(parts)
        return self._bins[latency]

    def seen(self, latency: int) -> npt.NDArray[np.int64]:
        """How many values of a latency there are."""
        return self.filled(latency)[0].sum(axis=1)

    def filled(self, latency: int) -> tuple[npt.NDArray[np.int64], Array]:
        """Histogram and edges of a latency from below the first to above the last bin with any value, and bin 0."""
        if latency not in self._filled:
            parts = [done.histograms[self.view, self.job_class, latency] for done in self.outcomes]
            some = [np.flatnonzero(part[1:]) + 1 for part in parts]
            first = max(min((int(found[0]) for found in some if len(found)), default=1) - 1, 1)
            stop = min(max((int(found[-1]) for found in some if len(found)), default=1) + 2, len(parts[0]))
            edges = np.append(bin_edges()[:1], bin_edges()[first : stop + 1])
            self._filled[latency] = np.stack([np.append(part[:1], part[first:stop]) for part in parts]), edges
        return self._filled[latency]

    def quantiles(self, latency: int) -> dict[float, Array]:
        """QUANTILES of a latency in each replication, shape (replications,)."""
        if latency not in self._quantiles:
            found = histogram_quantiles(*self.filled(latency), [*QUANTILES.values()])
            self._quantiles[latency] = dict(zip(QUANTILES.values(), found.T, strict=True))
        return self._quantiles[latency]


Pair = Callable[[Cells], tuple[Array, Array]]


class Metric(NamedTuple):
    """A metric: its ``spread`` over replications, and ``each`` per replication (NaN where undefined).

    interval   where it is not the spread's t interval
    pair       of a ratio: numerators and denominators by replication
    dimension  "share", "rate", "time", "size" or "" (a count), as ``units.human`` shows it
    """

    name: str
    dimension: str
    meaning: str
    spread: Callable[[Cells], Spread]
    each: Callable[[Cells], Array]
    interval: Callable[[Cells, float], Estimate] | None = None
    pair: Pair | None = None

    def estimate(self, cells: Cells, level: float) -> Estimate:
        """The estimate with its interval, which leaves neither 0 nor, for a share, 1."""
        return self.within(self.spread(cells).interval(level) if self.interval is None else self.interval(cells, level))

    def within(self, found: Estimate) -> Estimate:
        """An estimate whose interval stays where the metric can be."""
        most = 1.0 if self.dimension == "share" else math.inf
        return found._replace(low=max(found.low, 0.0), high=min(found.high, most)) if found.n > 1 else found

    @property
    def unit(self) -> str:
        """Base unit: "s", "B", "1/s" or "1"."""
        return {"time": "s", "size": "B", "rate": "1/s"}.get(self.dimension, "1")


def _ratio(name: str, dimension: str, meaning: str, pair: Pair) -> Metric:
    def each(cells: Cells) -> Array:
        top, bottom = pair(cells)
        return np.divide(top, bottom, out=np.full(len(top), math.nan), where=bottom != 0)

    return Metric(name, dimension, meaning, lambda cells: ratio_spread(*pair(cells)), each, pair=pair)


def _mean(name: str, dimension: str, meaning: str, each: Callable[[Cells], Array]) -> Metric:
    return Metric(name, dimension, meaning, lambda cells: mean_spread(each(cells)), each)


def _counts(name: str, meaning: str, top: str, bottom: str, dimension: str = "share") -> Metric:
    return _ratio(name, dimension, meaning, lambda cells: (cells.count(top), cells.count(bottom)))


def _rate(name: str, meaning: str, counter: str) -> Metric:
    return _ratio(name, "rate", meaning, lambda cells: (cells.count(counter), cells.length))


def _gauge(name: str, meaning: str, gauge: int, dimension: str = "") -> list[Metric]:
    return [
        _ratio(f"{name}_mean", dimension, f"{meaning}, over time", lambda cells: (cells.area(gauge), cells.length)),
        _mean(f"{name}_max", dimension, f"{meaning}, at most", lambda cells: cells.peak(gauge)),
    ]


def _latency(name: str, meaning: str) -> list[Metric]:
    index = LATENCIES.index(name)

    def quantile(word: str, q: float) -> Metric:
        return Metric(
            f"{name}_{word}", "time", f"{meaning}, {100 * q:g} % of them at most",
            lambda cells: pooled_quantile(*cells.filled(index), q)[1],
            lambda cells: cells.quantiles(index)[q],
            lambda cells, level: pooled_quantile(*cells.filled(index), q, level)[0],
        )  # fmt: skip

    average = _ratio(
        f"{name}_mean", "time", f"{meaning}, on average",
        lambda cells: (cells.total(index), cells.seen(index).astype(np.float64)),
    )  # fmt: skip
    highest = _mean(f"{name}_max", "time", f"{meaning}, at most", lambda cells: cells.top(index))
    return [average, *[quantile(word, q) for word, q in QUANTILES.items()], highest]


def _failed(cells: Cells) -> tuple[Array, Array]:
    return cells.count("resolved") - cells.count("completed"), cells.count("resolved")


def _busy_workers(cells: Cells) -> int:
    """The gauge of busy workers: without batches, that of the attempts that they serve."""
    return o.BUSY if cells.scenario.workers.batch is None else o.WORKING


def _drained(cells: Cells) -> Array:
    none = not cells.scenario.queue.backlog
    return np.array([math.nan if none else done.drained for done in cells.outcomes])


def _oldest(cells: Cells) -> Array:
    return np.array([done.oldest[cells.view, cells.job_class] for done in cells.outcomes])


METRICS: dict[str, Metric] = {metric.name: metric for metric in [
    _rate("arrival_rate", "new jobs", "arrived"),
    _rate("attempt_rate", "attempts sent", "attempts"),
    _rate("accepted_rate", "attempts accepted", "accepted"),
    _rate("throughput", "services completed", "served"),
    _rate("goodput", "services completed that a client still waited for", "useful"),
    _counts("rejection_ratio", "rejected attempts / attempts: the 503 ratio", "rejected", "attempts"),
    _counts("withheld_ratio", "attempts that their own client did not let go / attempts", "withheld", "attempts"),
    _counts("success_ratio", "jobs completed while the client still waited / jobs resolved", "completed", "resolved"),
    _ratio("failure_ratio", "share", "jobs resolved without success / jobs resolved", _failed),
    _counts("give_up_ratio", "jobs whose client gave up / jobs resolved", "gave_up", "resolved"),
    _counts("dropped_ratio", "jobs that vanished from the queue / jobs resolved", "dropped", "resolved"),
    _counts("lost_ratio", "jobs of which a crash left nothing / jobs resolved", "lost", "resolved"),
    _counts("dead_letter_ratio", "jobs in the dead-letter queue / jobs resolved", "dead_lettered", "resolved"),
    _counts("on_time_ratio", "jobs completed within their deadline / jobs resolved that have one", "on_time", "due"),
    _counts("unfinished_ratio", "jobs alive at the end / jobs arrived", "unfinished", "arrived"),
    _counts("attempts_per_job", "attempts / jobs resolved", "job_attempts", "resolved", ""),
    _counts("hedge_ratio", "attempts sent while another of their job was awaited / attempts", "hedges", "attempts"),
    _counts("timeout_ratio", "attempts that timed out / attempts", "timed_out", "attempts"),
    _counts("error_ratio", "services that ended with an error / services completed", "failed", "served"),
    _counts("cancelled_ratio", "attempts given up outside, taken from the queue or stopped / attempts", "cancelled",
            "attempts"),
    _ratio("utilization", "share", "busy share of the workers on duty, disk reads included",
           lambda cells: (cells.area(_busy_workers(cells)), cells.area(o.WORKERS))),
    _ratio("batch_mean", "", "attempts in the hands of a busy worker, over time",
           lambda cells: (cells.area(o.BUSY), cells.area(_busy_workers(cells)))),
    _counts("wasted_ratio", "share of busy time on work that nobody wants", "wasted_time", "busy_time"),
    *_gauge("queue", "attempts waiting", o.WAITING),
    _ratio("busy_mean", "", "attempts in service, over time", lambda cells: (cells.area(o.BUSY), cells.length)),
    _ratio("system_mean", "", "attempts waiting or in service, over time",
           lambda cells: (cells.area(o.WAITING) + cells.area(o.BUSY), cells.length)),
    *_gauge("workers", "workers on duty, those included that start up, are under repair or finish their last work",
            o.WORKERS),
    *_gauge("outside", "attempts held outside a full queue", o.OUTSIDE),
    *_gauge("backoff", "clients between attempts", o.BACKOFF),
    _mean("oldest_max", "time", "age of the oldest waiting attempt, at most", _oldest),
    *_latency("wait", "accepted to start of service"),
    *_latency("sojourn", "accepted to completed, the client still waiting or not"),
    *_latency("latency", "first attempt to completed in time, as its client learns it, backoff included"),
    *_latency("blocked", "first attempt to answer (in async mode to acceptance) or to giving up"),
    *_latency("workflow", "arrival of a job that leads to others until all that it led to has been served"),
    _counts("workflow_failure_ratio", "workflows in which a job was never served / workflows that ended",
            "workflows_failed", "workflows"),
    _ratio("workflow_unfinished_ratio", "share", "workflows that were not over at the end / those and the ended ones",
           lambda cells: (cells.count("workflows_unfinished"),
                          cells.count("workflows") + cells.count("workflows_unfinished"))),
    *_gauge("workflows", "workflows of which not all has been done", o.WORKFLOWS),
    *_gauge("memory", "bytes waiting in memory", o.MEMORY, "size"),
    *_gauge("disk", "bytes waiting on disk", o.DISK, "size"),
    _counts("spill_ratio", "spilled attempts / accepted attempts", "spilled", "accepted"),
    _counts("disk_wait_mean", "disk time per spilled attempt, turns included", "disk_time", "spilled", "time"),
    _counts("duplicate_ratio", "jobs served more than once / jobs resolved", "duplicates", "resolved"),
    _counts("redelivery_ratio", "deliveries of a broker beyond the first of a message / jobs resolved", "redelivered",
            "resolved", ""),
    *_gauge("prefetched", "messages at a node that no worker serves yet", o.PREFETCHED),
    *_gauge("unacked", "messages handed out and not acknowledged", o.UNACKED),
    *_gauge("stored", "bytes of messages that a broker holds, unacknowledged ones included", o.STORED, "size"),
    _mean("drain_time", "time", "until nothing waits or is served, for the first time", _drained),
]}  # fmt: skip
#: Shares of what was done within a time T, ``served_within(2 s)``: of which latency, among what, and what that means.
TIMED = {
    "served_within": ("latency", "resolved", "jobs completed within {} of their first attempt / jobs resolved"),
    "workflow_within": ("workflow", "workflows", "workflows whose jobs were all served within {} of the first one's "
                        "arrival / workflows that ended"),
}  # fmt: skip
# Of the run as a whole: not given again for classes and named windows.
WHOLE_RUN = {"drain_time"}


def unfinished(name: str) -> str:
    """The metric that tells whether a latency is cut off: of its jobs or workflows, how many remain at the end."""
    return "workflow_unfinished_ratio" if name.startswith("workflow_") else "unfinished_ratio"


def metric(name: str) -> Metric:
    """The metric of this name, those of a time T included (see TIMED); ScenarioError naming the nearest."""
    if name in METRICS:
        return METRICS[name]
    if match := re.fullmatch(rf"({'|'.join(TIMED)})\((.+)\)", name):
        return _within(name, match[1], _time(match[1], match[2]))
    raise ScenarioError("metric", f"must be a metric{advice(name)}", name)


def _time(word: str, text: str) -> float:
    try:
        return parse(text, "time")
    except ScenarioError as error:
        raise error.under(word) from None


def advice(name: str) -> str:
    """What follows "must name a metric" where this name is of none."""
    if name == "recovery_time":
        return " of one run, and this compares one with its twins: backwater stress tells it, bw.recovery sweeps it"
    return nearest(name, [*METRICS, *(f"{word}(30 s)" for word in TIMED)])


def within(cells: Cells, latency: str, limit: float) -> Array:
    """How many of a latency (see LATENCIES) were at most ``limit`` [s]."""
    return np.array([histogram_share(part, bin_edges(), limit) for part in cells.bins(LATENCIES.index(latency))])


def _within(name: str, word: str, limit: float) -> Metric:
    latency, among, meaning = TIMED[word]

    def pair(cells: Cells) -> tuple[Array, Array]:
        return within(cells, latency, limit), cells.count(among)

    return _ratio(name, "share", meaning.format(f"{limit:g} s"), pair)


def named(text: str) -> tuple[str, str, str]:
    """``"latency_p99[invoice, spike]"`` -> metric, class, window; "all" where not named."""
    match = re.fullmatch(r"\s*([^\[\]]+?)\s*(?:\[([^\[\],]*)(?:,([^\[\],]*))?\])?\s*", text)
    if not match:
        raise ScenarioError("metric", "must be a metric such as latency_p99[invoice, spike]", text)
    return match[1], (match[2] or "").strip() or "all", (match[3] or "").strip() or "all"


__all__ = ["METRICS", "NOTHING", "Cells", "Metric", "advice", "metric", "named"]
