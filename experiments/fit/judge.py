"""Whether a fitted scenario is like its log: the log has to look like one more replication of the scenario.

What is compared: counts over time, quantiles of the gaps, how counts scatter in bins of many lengths, quantiles of the
service times. Each with the interval in which one more replication would lie.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backwater import random
from backwater.components.source import Listed, Source
from backwater.components.trace import Trace
from backwater.components.workers import Workers
from backwater.distributions import Constant, Law, Linear
from backwater.experiments.fit.arrivals import STEPS, dispersion, scales
from backwater.outcome import JOB
from backwater.quantile import fill
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import replicate, resolve
from backwater.statistics import t_factor

Array = npt.NDArray[np.float64]
LEVELS = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])
JOBS = 2_000_000  # that are simulated to judge a scenario, about
CHANCE = 0.01  # of refusing a scenario that is right, for each thing compared


class Band(NamedTuple):
    """One thing compared.

    x          what it is told of: bins [s], levels, lengths [s], shape (n,)
    data       of the log, shape (n,)
    simulated  of each replication, shape (replications, n)
    root       whether it is a count, which scatters evenly as its root; else as its logarithm
    """

    x: Array
    data: Array
    simulated: Array
    root: bool = False

    def _even(self, values: Array) -> Array:
        return np.sqrt(values) if self.root else np.log(np.maximum(values, 1e-12))

    def interval(self, chance: float) -> tuple[Array, Array, Array]:
        """Low, middle and high: one more replication lies outside with this chance, at each x."""
        even = self._even(self.simulated)
        middle, half = even.mean(axis=0), self._half(even, chance)
        bounds = (
            [np.maximum(middle - half, 0.0), middle, middle + half]
            if self.root
            else [middle - half, middle, middle + half]
        )
        low, mid, high = (part**2 if self.root else np.exp(part) for part in bounds)
        return low, mid, high

    @staticmethod
    def _half(even: Array, chance: float) -> Array:
        n = len(even)
        return np.asarray(t_factor(n, 1 - chance) * even.std(axis=0, ddof=1) * math.sqrt(1 + 1 / n))

    def off(self, chance: float = CHANCE) -> float:
        """How far the log is outside at the worst place, in half widths of the interval for all x at once [1].

        At most 1 is within. Source of all at once: Bonferroni.
        """
        even = self._even(self.simulated)
        half, miss = self._half(even, chance / len(self.x)), np.abs(self._even(self.data) - even.mean(axis=0))
        same = miss <= 1e-9 * np.maximum(np.abs(even.mean(axis=0)), 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.where(same, 0.0, miss / half).max())


class Judgement(NamedTuple):
    """The bands by name: counts, gaps, dispersion, service; and how many replications they rest on."""

    bands: dict[str, Band]
    replications: int

    @property
    def worst(self) -> float:
        """How far off it is at the worst place of all [1]; at most 1 is like the log."""
        return max(band.off() for band in self.bands.values())


def replications(requests: int) -> int:
    """How many replications judge a scenario of so many requests."""
    return int(np.clip(JOBS // requests, 6, 40))


def judge_arrivals(times: Array, span: float, source: Source, seed: int) -> Judgement:
    """Compare the times of a log [s] with what a source sends in as long a time."""
    edges = bins(len(times), span)
    lengths = scales(times, span)
    rows = [_numbers(each, span, edges, lengths) for each in _logs(source, span, len(times), seed)]
    data = _numbers(times, span, edges, lengths)
    together = [np.array(part) for part in zip(*rows, strict=True)]
    middles = (edges[1:] + edges[:-1]) / 2
    return Judgement({
        "counts": Band(middles, data[0], together[0], root=True),
        "gaps": Band(LEVELS, data[1], together[1]),
        "dispersion": Band(lengths, data[2], together[2]),
    }, len(rows))  # fmt: skip


def bins(requests: int, span: float) -> Array:
    """Edges of the bins in which counts are compared [s]: steps of a clock, about 60, of 20 requests or more."""
    least = max(span / 90, 20 * span / requests)
    step = next((step for step in STEPS if step >= least), span)
    n = int(span / step + 1e-9)
    return np.asarray(np.arange(n + 1) * step if n >= 4 else np.linspace(0.0, span, 5), np.float64)


def _numbers(times: Array, span: float, edges: Array, lengths: Array) -> tuple[Array, Array, Array]:
    gaps = np.diff(times) if len(times) > 1 else np.array([span])
    return np.histogram(times, edges)[0].astype(float), np.quantile(gaps, LEVELS), dispersion(times, span, lengths)


def _logs(source: Source, span: float, requests: int, seed: int) -> Iterator[Array]:
    """Times at which a source sends, one log after the other [s]."""
    count = replications(requests)
    if isinstance(source, Listed):
        for replication in range(count):
            times, _ = source.pass_through(0, source.scale, (random.seed_word(seed), replication, 0))
            yield times
        return
    # Arrivals do not depend on what is done with them, so one fast worker will do.
    scenario = Scenario(arrivals=source, workers=Workers(service=Constant(value=1e-9)))
    run = Run(horizon=span, seed=seed, replications=count, record=("jobs",))
    engine, arrived = resolve("auto", scenario, run), [column.name for column in JOB].index("arrived")
    for replication in range(count):
        rows = replicate(scenario, run, replication, engine).jobs
        assert rows is not None
        yield np.sort(rows[:, arrived])


def judge_service(service: Array, law: Law, source: Source, seed: int) -> Band:
    """Compare quantiles of the durations of a log [s] with those that a law draws."""
    count, rng = replications(len(service)), np.random.default_rng(seed)
    drawn = [np.quantile(_durations(law, source, len(service), (seed, n), rng), LEVELS) for n in range(count)]
    return Band(LEVELS, np.quantile(service, LEVELS), np.array(drawn))


def _durations(law: Law, source: Source, n: int, address: tuple[int, int], rng: np.random.Generator) -> Array:
    if isinstance(law, Linear):
        assert isinstance(source, Trace)  # a scenario refuses anything else
        rows = source.pass_through(0, source.scale, (random.seed_word(address[0]), address[1], 0))[1]
        return law.of(source.values)[rows]
    out = np.empty(n)
    fill(law.table, 0, out, np.maximum(rng.random(n), 2.0**-53))
    return out
