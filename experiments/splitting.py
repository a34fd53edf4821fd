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

from backwater.engines.compiled.restart import Split, Splits, Tally, prepare
from backwater.engines.compiled.system import SLOTS
from backwater.errors import check
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import check_end, cores, in_threads
from backwater.statistics import NOTHING, Estimate, ratio_spread

Array = npt.NDArray[np.float64]
THIRD = 1 / 3  # of the visits to one threshold that reach the next one, at most
SEEN = 100  # visits from which a share is believed
MOST, PILOTS = 1000, 1001  # replications, at most; those of pilots begin here
LONGER = 40  # pilots of one threshold, at most
MOST_SLOTS = 2**18  # live jobs of a replication
BATCH = 10  # replications between two looks at the interval
EVENTFUL = 20  # replications that must have seen a rejection before an interval is believed


class Rare(NamedTuple):
    """A loss probability.

    found       the share of attempts that are rejected, with its 95 % interval; 0 without one where none was seen
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


def loss(
    scenario: Scenario, run: Run, *, precision: float = 0.3, most: int = MOST, parallel: int | None = None,
    halt: Event | None = None, progress: Callable[[int, float], None] | None = None,
) -> Rare:  # fmt: skip
    """The share of attempts that a bounded queue rejects, however small, on the compiled engine.

    precision  half of the 95 % interval over the estimate, at which it stops [1]
    most       replications, at most
    Raises ScenarioError where nothing bounds the queue, or arrivals are a trace or a closed population.
    """
    top = _check(scenario, run, precision, most)
    prepare()
    plan = run.model_copy(update={"windows": {}, "sample": None, "record": (), "replications": 1})
    runner = _Runner(scenario, plan, top)
    where, piloted = _pilot(runner, top, halt)
    tallies: list[Tally] = []
    found = Rare(NOTHING, where.thresholds, where.splits, 0, math.inf)
    while len(tallies) < most:
        numbers = range(len(tallies), min(len(tallies) + BATCH, most))
        done = dict(in_threads(lambda number, stop: runner(number, where, stop), numbers, parallel or cores(), halt))
        tallies += [done[number] for number in numbers]
        found = _estimate(tallies, piloted, found)
        if progress is not None:
            progress(len(tallies), found.precision)
        eventful = sum(tally.rejected > 0 for tally in tallies)
        if eventful >= EVENTFUL and found.precision <= precision:
            break
    return found


class _Runner:
    """Runs split replications, with as many slots as it takes."""

    def __init__(self, scenario: Scenario, run: Run, top: int) -> None:
        self.scenario, self.run, self.top, self.slots = scenario, run, top, SLOTS

    def __call__(self, number: int, where: Splits, halt: Event | None = None) -> Tally:
        while True:
            tally = Split(self.scenario, self.run, number, self.slots).tally(where, self.top, halt)
            if tally is not None:
                return tally
            check(self.slots < MOST_SLOTS, "run.horizon", self.run.horizon, "must be shorter: trials split without end")
            self.slots *= 4


def _check(scenario: Scenario, run: Run, precision: float, most: int) -> int:
    check(0 < precision < 1, "precision", precision, "must be between 0 and 1")
    check(BATCH <= most <= MOST, "budget", most, f"must be from {BATCH} to {MOST:,} replications")
    check(run.horizon is not None, "run.horizon", None, "must be given for runs to be split")
    check(scenario.broker is None, "broker", "a broker", "must not be given for runs to be split")
    leads = next((name for name, job in scenario.jobs.items() if job.then is not None), None)
    check(leads is None, f"jobs.{leads}.then", leads, "must not be given for runs to be split")
    room = scenario.queue.bounds[0]
    check(math.isfinite(room), "queue.capacity", None, "must bound the queue, or nothing is ever rejected")
    check_end(scenario, run)
    return int(room)


def _estimate(tallies: list[Tally], piloted: float, so_far: Rare) -> Rare:
    rejected, attempts = (np.array([getattr(tally, name) for tally in tallies]) for name in ("rejected", "attempts"))
    found = ratio_spread(rejected, attempts)
    seen = found.value > 0  # no rejection at all has no interval: nobody knows how far away the next one is
    estimate = found.interval() if seen else Estimate(0.0, math.nan, math.nan, len(tallies))
    needs = (1 - found.value) * found.value / found.error**2 if found.error > 0 else math.inf
    simulated = piloted + sum(tally.simulated for tally in tallies)
    return so_far._replace(found=estimate._replace(low=max(estimate.low, 0.0)), attempts=int(simulated), plain=needs)


def _pilot(runner: _Runner, top: int, halt: Event | None) -> tuple[Splits, float]:
    """Thresholds of which each is reached from the one before in a third of the trials or fewer, as pilots tell.

    Returns where to split, and the attempts that the pilots simulated.
    """
    where, simulated, numbers = Splits((), ()), 0.0, count(PILOTS)
    while True:
        visits, found = np.zeros(top + 2, np.int64), None
        for _ in range(LONGER):
            tally = runner(next(numbers), where, halt)
            simulated, visits = simulated + tally.simulated, visits + tally.visits
            found = _next(visits, where, top)
            if found is not None:
                break
        if found is None or found[0] > top:
            return where, simulated
        where = Splits((*where.thresholds, found[0]), (*where.splits, max(2, int(1 / found[1]))))


def _next(visits: npt.NDArray[np.int64], where: Splits, top: int) -> tuple[int, float] | None:
    """The next threshold, and the share of the trials from the one before that reach it.

    Beyond ``top`` where none is needed, None where it cannot be told yet. The first one lies as high as a plain
    simulation often gets.
    """
    if not where.thresholds:
        often = np.flatnonzero(visits[: top + 1] >= SEEN)
        return (int(often[-1]), THIRD) if len(often) and often[-1] > 0 else None
    start = where.thresholds[-1]
    trials = float(visits[start]) * where.splits[-1]
    if trials < SEEN:
        return None
    for place in range(start + 1, top + 1):
        share = float(visits[place]) / trials
        if share <= THIRD:
            return (place, share) if visits[place] >= SEEN else None
    return top + 1, 1.0
