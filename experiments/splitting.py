"""Loss probabilities too small to see: trials that come closer to a full queue are split into several (RESTART).

While so many attempts wait that plain simulation hardly gets there, a run goes on as several branches with futures of
their own, each counting for a part; a branch ends where it falls back below the threshold at which it began. Sums of
parts are unbiased however the thresholds were chosen; a good choice (pilots) only makes them precise.
Source: Villen-Altamirano and Villen-Altamirano, "RESTART: a method for accelerating rare event simulations", 1991;
Garvels, "The splitting method in rare event simulation", 2000.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from threading import Event
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.engines.compiled.branch import Branch, prepare
from backwater.errors import ScenarioError, check
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import check_end, cores, in_threads
from backwater.statistics import Estimate, ratio_spread

Array = npt.NDArray[np.float64]
THIRD = 1 / 3  # of the visits to one threshold that reach the next one, at most
SEEN = 100  # visits from which a share is believed
PILOTS, LONGER = 2**31, 40  # replications of pilots begin here; how often they may double
BRANCHES = 2**20  # of one replication, at most
BATCH = 10  # replications between two looks at the interval
EVENTFUL = 10  # replications that must have seen a rejection before an interval is believed


class Rare(NamedTuple):
    """A loss probability.

    found       the share of attempts that are rejected, with its 95 % interval
    thresholds  numbers waiting at which trials are split
    splits      into how many, at each
    attempts    how many were simulated in all, those of the pilots and branches included
    plain       how many independent attempts a plain simulation as precise would need, at least
    """

    found: Estimate
    thresholds: tuple[int, ...]
    splits: tuple[int, ...]
    attempts: int
    plain: float

    @property
    def precision(self) -> float:
        """Half of the interval over the estimate [1]."""
        return (self.found.high - self.found.low) / 2 / self.found.value if self.found.value > 0 else math.inf


class _Tally:
    """What a replication's branches have counted: attempts of the trial that came first, weighted rejections of all,
    and how many attempts were simulated."""

    def __init__(self) -> None:
        self.attempts, self.rejected, self.simulated = 0.0, 0.0, 0.0


class _Splitter:
    """Runs trials with given thresholds."""

    def __init__(self, scenario: Scenario, run: Run, thresholds: list[int], splits: list[int], top: int) -> None:
        self.scenario, self.run, self.thresholds, self.splits = scenario, run, thresholds, splits
        self.weights = [1.0, *np.cumprod(1.0 / np.array(splits, dtype=float))]
        self.visits = np.zeros(top + 2, np.int64)

    def replication(self, number: int, halt: Event | None = None) -> _Tally:
        """One replication with all its branches."""
        tally, numbers = _Tally(), count(1)
        first = Branch(self.scenario, self.run, number)

        def name() -> int:
            at = next(numbers)
            if at >= BRANCHES:
                raise ScenarioError("run.horizon", "must be shorter: trials split without end", self.run.horizon)
            return (number * BRANCHES + at) % 2**32

        self._trial(first, 0, tally, name, halt)
        tally.attempts = first.counts[0]
        return tally

    def _trial(self, branch: Branch, base: int, tally: _Tally, name: Callable[[], int], halt: Event | None) -> None:
        """Follow a branch until it falls below the threshold of region ``base``, splitting at those above."""
        region, alive = base, True
        while alive:
            low = self.thresholds[region - 1] if region else 0
            high = self.thresholds[region] if region < len(self.thresholds) else 2**40
            before = branch.counts
            alive = branch.climb(low, high, self.visits, halt)
            after = branch.counts
            tally.rejected += self.weights[region] * (after[1] - before[1])
            tally.simulated += after[0] - before[0]
            while region and branch.waiting < self.thresholds[region - 1]:
                region -= 1
            if region < base:
                return
            while alive and region < len(self.thresholds) and branch.waiting >= self.thresholds[region]:
                others = [branch.split(name()) for _ in range(self.splits[region] - 1)]
                region += 1
                for other in others:
                    self._trial(other, region, tally, name, halt)


def loss(
    scenario: Scenario, run: Run, *, precision: float = 0.3, most: int = 1000, parallel: int | None = None,
    halt: Event | None = None, progress: Callable[[int, float], None] | None = None,
) -> Rare:  # fmt: skip
    """The share of attempts that a bounded queue rejects, however small, on the compiled engine.

    precision  half of the 95 % interval over the estimate, at which it stops [1]
    most       replications, at most
    Raises ScenarioError where nothing bounds the queue, or arrivals are a trace or a closed population.
    """
    top = _check(scenario, run, precision)
    prepare()
    plan = run.model_copy(update={"windows": {}, "sample": None, "record": (), "replications": 1})
    thresholds, splits, piloted = _pilot(scenario, plan, top, halt)
    splitter = _Splitter(scenario, plan, thresholds, splits, top)
    tallies: list[_Tally] = []
    found = Rare(Estimate(math.nan, math.nan, math.nan, 0), tuple(thresholds), tuple(splits), 0, math.inf)
    while len(tallies) < most:
        numbers = range(len(tallies), min(len(tallies) + BATCH, most))
        done = dict(in_threads(splitter.replication, numbers, parallel or cores(), halt))
        tallies += [done[number] for number in numbers]
        found = _estimate(tallies, piloted, found)
        if progress is not None:
            progress(len(tallies), found.precision)
        eventful = sum(tally.rejected > 0 for tally in tallies)
        if len(tallies) >= 2 * BATCH and eventful >= EVENTFUL and found.precision <= precision:
            break
    return found


def _check(scenario: Scenario, run: Run, precision: float) -> int:
    check(0 < precision < 1, "precision", precision, "must be between 0 and 1")
    check(run.horizon is not None, "run.horizon", None, "must be given for runs to be split")
    room = scenario.queue.bounds[0]
    check(math.isfinite(room), "queue.capacity", None, "must bound the queue, or nothing is ever rejected")
    check_end(scenario, run)
    return int(room)


def _estimate(tallies: list[_Tally], piloted: float, so_far: Rare) -> Rare:
    rejected, attempts = (np.array([getattr(tally, name) for tally in tallies]) for name in ("rejected", "attempts"))
    found = ratio_spread(rejected, attempts)
    estimate = found.interval()
    needs = (1 - found.value) * found.value / found.error**2 if found.error > 0 else math.inf
    simulated = piloted + sum(tally.simulated for tally in tallies)
    return so_far._replace(found=estimate._replace(low=max(estimate.low, 0.0)), attempts=int(simulated), plain=needs)


def _pilot(scenario: Scenario, run: Run, top: int, halt: Event | None) -> tuple[list[int], list[int], float]:
    """Thresholds of which each is reached from the one before in a third of visits or fewer, as pilots tell.

    Returns them, how often to split at each, and the attempts that the pilots simulated.
    """
    thresholds: list[int] = []
    splits: list[int] = []
    simulated, numbers = 0.0, count(PILOTS // BRANCHES)
    while True:
        splitter = _Splitter(scenario, run, thresholds, splits, top)
        at = None
        for _ in range(LONGER):
            simulated += splitter.replication(next(numbers), halt).simulated
            at, share = _next(splitter.visits, thresholds, splits, top)
            if at is not None:
                break
        if at is None or at > top:
            return thresholds, splits, simulated
        thresholds.append(at)
        splits.append(max(2, int(1 / share)))


def _next(
    visits: npt.NDArray[np.int64], thresholds: list[int], splits: list[int], top: int
) -> tuple[int | None, float]:
    """The next threshold, and the share of visits to the one before that reach it.

    Beyond ``top`` where none is needed, None where it cannot be told yet. The first one lies as high as a plain
    simulation often gets.
    """
    if not thresholds:
        often = np.flatnonzero(visits[: top + 1] >= SEEN)
        return (int(often[-1]), THIRD) if len(often) and often[-1] > 0 else (None, math.nan)
    start = thresholds[-1]
    trials = float(visits[start]) * splits[-1]
    if trials < SEEN:
        return None, math.nan
    for place in range(start + 1, top + 1):
        share = visits[place] / trials
        if share <= THIRD:
            return (place, float(share)) if visits[place] >= SEEN else (None, math.nan)
    return top + 1, 1.0
