"""An exponential system: what a Markov chain needs to know of a scenario, and how its state moves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backwater.experiments.theory.chain import Moves, States
from backwater.experiments.theory.formulas import Array

N, PHASE, SLOW, ORBIT = range(4)  # columns of a state: in the system, of the arrivals, slowed in service, in backoff


@dataclass(frozen=True)
class System:
    """Exponential workers behind one queue.

    c, mean    workers, and the mean of a service [s]
    places     places in all, those in service included; infinite where nothing bounds the queue
    rates      of arrivals in each phase [1/s]
    sojourns   mean time in each phase, one after the other [s]
    batch      (jobs at once, share of the arrivals)
    clients    of a closed population, each of which sends at ``rates[0]`` when it waits for nothing; 0 where it is open
    patience   rate at which a client that waits loses it [1/s]; 0 where it never does
    stops      whether an attempt whose client left is stopped in service too
    pauses     rates at which clients return from backoff [1/s], by the number of failures; empty without retries
    again      the chance that a failed attempt is tried again while there are pauses left [1]
    forever    whether the last pause is that of all failures beyond
    above, factor, at   what slows services, and when, as ``queue.memory.slowdown`` says; at = "" for nothing
    """

    c: int
    mean: float
    places: float = math.inf
    rates: tuple[float, ...] = (1.0,)
    sojourns: tuple[float, ...] = (math.inf,)
    batch: tuple[tuple[int, float], ...] = ((1, 1.0),)
    clients: int = 0
    patience: float = 0.0
    stops: bool = False
    pauses: tuple[float, ...] = ()
    again: float = 1.0
    forever: bool = False
    above: int = 0
    factor: float = 1.0
    at: str = ""

    @property
    def simple(self) -> bool:
        """Whether the number in the system alone is a state, and changes by one."""
        return len(self.rates) == 1 and self.batch == ((1, 1.0),) and not self.pauses and self.at != "start"

    def fresh(self, states: States) -> Array:
        """Rate of arrivals, each of one batch, in every state [1/s]."""
        if self.clients:
            return self.rates[0] * (self.clients - states[:, N] - states[:, ORBIT:].sum(axis=1)).astype(float)
        return np.array(self.rates)[states[:, PHASE]]

    def returns(self, states: States) -> Array:
        """Rate at which clients return from backoff, in every state, shape (states, pauses) [1/s]."""
        return states[:, ORBIT:] * np.array(self.pauses)

    def ends(self, n: npt.NDArray[Any]) -> Array:
        """Rate at which services end where ``n`` are in the system, none of them slowed for good [1/s]."""
        slow = (n - self.c > self.above) & (self.at == "now")
        return np.minimum(n, self.c) / (self.mean * np.where(slow, self.factor, 1.0))

    def leaves(self, n: npt.NDArray[Any]) -> Array:
        """Rate at which attempts are taken from the queue or stopped where ``n`` are in the system [1/s]."""
        return self.patience * (n if self.stops else np.maximum(n - self.c, 0))

    def moves(self, places: int, orbit: list[int]) -> Moves:
        """How states change where at most so many places and clients in each backoff are looked at."""

        def all_of(states: States) -> Iterator[tuple[Array, States]]:
            yield from self._arrivals(states, places, orbit)
            yield from self._from_backoff(states, places, orbit)
            yield from self._endings(states, orbit)
            if len(self.rates) > 1:
                then = (states[:, PHASE] + 1) % len(self.rates)
                yield 1 / np.array(self.sojourns)[states[:, PHASE]], _with(states, PHASE, then - states[:, PHASE])

        return all_of

    def _arrivals(self, states: States, places: int, orbit: list[int]) -> Iterator[tuple[Array, States]]:
        fresh = self.fresh(states)
        for size, share in self.batch:
            come = np.minimum(size, places - states[:, N])
            yield fresh * share * (come > 0), _with(states, N, come)
        if self.pauses:
            turned = fresh * (states[:, N] == places) * (states[:, ORBIT] < orbit[0])
            yield turned * self.again, _with(states, ORBIT, 1)

    def _from_backoff(self, states: States, places: int, orbit: list[int]) -> Iterator[tuple[Array, States]]:
        returns, full = self.returns(states), states[:, N] == places
        for k in range(len(self.pauses)):
            back = _with(states, ORBIT + k, -1)
            yield returns[:, k] * ~full, _with(back, N, 1)
            last = k + 1 == len(self.pauses)
            if last:
                yield returns[:, k] * full * (1 - self.again if self.forever else 1.0), back
                continue
            room = states[:, ORBIT + k + 1] < orbit[k + 1]
            yield returns[:, k] * full * room * self.again, _with(back, ORBIT + k + 1, 1)
            yield returns[:, k] * full * (1 - self.again * room), back

    def _endings(self, states: States, orbit: list[int]) -> Iterator[tuple[Array, States]]:
        n, slow = states[:, N], states[:, SLOW]
        less = _with(states, N, -1)
        taken = ((n - self.c > self.above) & (self.at == "start")).astype(np.int64)  # the next to be taken is slowed
        yield self.ends(n) - slow / self.mean, _with(less, SLOW, taken)
        yield slow / (self.mean * self.factor), _with(less, SLOW, taken - 1)
        if self.patience:
            room = (states[:, ORBIT] < orbit[0]) if self.pauses else np.zeros(len(states), bool)
            back = self.again * room
            yield self.leaves(n) * (1 - back), less
            if self.pauses:
                yield self.leaves(n) * back, _with(less, ORBIT, 1)


def _with(states: States, column: int, more: States | int) -> States:
    """The states with so much more in one column."""
    out = states.copy()
    out[:, column] += more
    return out
