"""An exponential system in the steady state: shares of time, flows, and what our metrics make of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from backwater.experiments.theory.chain import MOST, Chain, States, Unsolved, solve
from backwater.experiments.theory.formulas import (
    TAIL,
    Array,
    birth_death,
    impatient_states,
    mmck_loss,
    retry_fixed_points,
)
from backwater.experiments.theory.system import ORBIT, N, System
from backwater.experiments.theory.waits import ErlangMixture, ImpatientWait, impatient_wait, wait_of

CUT = 1e-11  # probability of the states at which an unbounded chain may be cut off
LONGEST = 10_000_000  # states of a birth-death chain


@dataclass(frozen=True)
class Steady:
    """The long run of a system.

    states, shares  its states, as ``System`` numbers their columns, and the share of time in each [1]
    places          at most so many in the system
    cut             share of time in the states at which an unbounded part was cut off [1]: the error of the solution
    """

    system: System
    states: States
    shares: Array
    places: int
    cut: float

    def mean(self, values: npt.NDArray[Any]) -> float:
        """The mean over time of something known in every state."""
        return float(self.shares @ values)

    @cached_property
    def fresh(self) -> float:
        """New jobs per second [1/s]."""
        return self.mean(self.system.fresh(self.states)) * sum(size * share for size, share in self.system.batch)

    @cached_property
    def attempts(self) -> float:
        """Attempts per second [1/s]."""
        return self.fresh + self.mean(self.system.returns(self.states).sum(axis=1))

    @cached_property
    def accepted(self) -> Array:
        """Attempts accepted per second that find n in the system, shape (places,) [1/s]."""
        n, fresh = self.states[:, N], self.shares * self.system.fresh(self.states)
        back = self.shares * self.system.returns(self.states).sum(axis=1)
        out: Array = np.bincount(n, back, self.places + 1)[:-1].astype(float)
        for size, share in self.system.batch:
            for before in range(min(size, self.places)):  # who comes with others finds those before it, too
                out[before:] += share * np.bincount(n, fresh, self.places + 1)[: self.places - before]
        return out

    @cached_property
    def rejected(self) -> float:
        """Attempts turned away per second [1/s]."""
        room = self.system.places - self.states[:, N]
        fresh = self.system.fresh(self.states)
        back = self.system.returns(self.states).sum(axis=1) * (room == 0)
        return self.mean(back) + sum(
            share * self.mean(fresh * np.maximum(size - room, 0.0)) for size, share in self.system.batch
        )

    @cached_property
    def stopped(self) -> float:
        """Attempts taken from the queue or stopped, per second [1/s]."""
        return self.mean(self.system.leaves(self.states[:, N]))

    @cached_property
    def busy(self) -> float:
        """Attempts in service [1]."""
        return self.mean(np.minimum(self.states[:, N], self.system.c))

    @cached_property
    def inside(self) -> float:
        """Attempts in the system [1]."""
        return self.mean(self.states[:, N])

    @cached_property
    def backoff(self) -> float:
        """Clients in backoff [1]."""
        return self.mean(self.states[:, ORBIT:].sum(axis=1))

    @cached_property
    def wait(self) -> ErlangMixture | ImpatientWait | None:
        """The FIFO wait of those that are served; None where slowed services leave it unknown."""
        system, seen = self.system, self.accepted / self.accepted.sum()
        if system.at:
            return None
        rate = system.c * (1 / system.mean + (system.patience if system.stops else 0.0))
        return impatient_wait(seen, system.c, rate, system.patience)[1] if system.patience else wait_of(
            seen, system.c, rate)  # fmt: skip


def steady(system: System, most: int = MOST) -> Steady:
    """The long run of a system. Raises Unsolved where its chain has more than ``most`` states."""
    return _line(system) if system.simple else _grid(system, most)


def _line(system: System) -> Steady:
    """Of a system whose state is the number in it."""
    places = system.clients or _enough(system)
    cut_off = math.isinf(system.places) and not system.clients
    places = int(min(places, system.places))
    if places > LONGEST:
        raise Unsolved(f"its queue would be followed up to {places:,} places, at most {LONGEST:,} are")
    states = np.zeros((places + 1, ORBIT), dtype=np.int64)
    states[:, N] = np.arange(places + 1)
    n = states[1:, N]
    shares = birth_death(system.fresh(states[:-1]), system.ends(n) + system.leaves(n))
    return Steady(system, states, shares, places, float(shares[-1]) if cut_off else 0.0)


def _enough(system: System) -> float:
    """So many places that an unbounded system is hardly ever beyond them."""
    if not math.isinf(system.places):
        return system.places
    if system.patience:
        ends = 1 / system.mean + (system.patience if system.stops else 0.0)
        return impatient_states(system.c, system.rates[0] / ends, system.patience / ends)
    slowest = system.ends(np.array([system.c + system.above + 1]))[0]
    return float(system.c + system.above + math.ceil(math.log(TAIL) / math.log(system.rates[0] / slowest)))


def _grid(system: System, most: int) -> Steady:
    """Of any system: the chain is made larger until hardly any time is spent where it is cut off."""
    bounded = not math.isinf(system.places) or system.clients
    places = int(min(system.places, system.clients or math.inf)) if bounded else system.c + system.above + 64
    orbit = _orbits(system)
    while True:
        found = _chain(system, places, orbit, most)
        n, away = found.states[:, N], found.states[:, ORBIT:]
        full = 0.0 if bounded else float(found.shares[n == places].sum())
        far = [float(found.shares[away[:, k] == bound].sum()) for k, bound in enumerate(orbit)]
        if max(full, *far, 0.0) <= CUT:
            return Steady(system, found.states, found.shares, places, full + sum(far))
        places = _further(places, full)
        orbit = [_further(bound, cut) for bound, cut in zip(orbit, far, strict=True)]


def _further(bound: int, cut: float) -> int:
    """A bound at which less is cut off: shares fall about geometrically."""
    if cut <= CUT:
        return bound
    return math.ceil(bound * min(max(math.log(CUT) / math.log(cut), 1.25), 3.0))


def _orbits(system: System) -> list[int]:
    """About how many clients are in each backoff at most: from as many as there are if attempts come at random."""
    if not system.pauses:
        return []
    rate = float(np.dot(system.rates, system.sojourns) / sum(system.sojourns)) if len(system.rates) > 1 else max(
        system.rates)  # fmt: skip
    most = math.inf if system.forever else len(system.pauses) + 1.0

    def turned_away(attempts: float) -> float:
        return mmck_loss(system.c, system.places, attempts * system.mean)

    fails = retry_fixed_points(rate * max(system.clients, 1), turned_away, system.again, most)[0] * system.again
    flow = rate * max(system.clients, 1) * fails
    out = []
    for pause in system.pauses:
        here = flow / pause * (1 / max(1 - fails, 0.1) if system.forever else 1.0)
        out.append(max(8, math.ceil(here + 7 * math.sqrt(here))))
        flow *= fails
    return out


def _chain(system: System, places: int, orbit: list[int], most: int) -> Chain:
    slow = system.c + 1 if system.at == "start" else 1
    bounds = [places + 1, len(system.rates), slow, *(bound + 1 for bound in orbit)]
    return solve(bounds, system.moves(places, orbit), most)
