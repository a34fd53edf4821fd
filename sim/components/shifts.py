"""How many workers are on duty by the time of day."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from backwater.base import Model
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Time

WORKERS = 1_000_000  # at most


@compiled
def shift_time(table, number):  # type: ignore[no-untyped-def]
    """When the number on duty changes for the ``number``-th time, 0 at time 0 [s]; inf where it never does."""
    points = len(table) // 2
    turn = number // points
    if turn == 0:
        return table[1 + 2 * number]
    return turn * table[0] + table[1 + 2 * (number % points)] if table[0] > 0.0 else math.inf


@compiled
def shift_workers(table, number):  # type: ignore[no-untyped-def]
    """How many workers are on duty from that time on."""
    return int(table[2 + 2 * (number % (len(table) // 2))])


class Shifts(Model):
    """How many workers are on duty, in ``points`` of (time [s], workers): each holds until the next.

    every  begin again after so long, such as "24 h"; otherwise the last number holds for good
    Those of the lowest numbers are on duty. A worker that goes off duty finishes what it has in hand.
    """

    points: tuple[tuple[Time, int], ...]
    every: Time | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Shifts:
        times = [time for time, _ in self.points]
        check(times and times[0] == 0, "points", times[:1], "must be one or more, the first at time 0")
        for before, after in pairwise(times):
            check(before < after, "points", [before, after], "must go forward in time")
        for _, workers in self.points:
            check(0 <= workers <= WORKERS, "points", workers, f"must have 0 to {WORKERS:,} workers")
        check(self.most > 0, "points", 0, "must have some worker on duty at some time")
        late = self.every is None or self.every > times[-1]
        check(late, "every", self.every, f"must be after the last point at {times[-1]:g} s")
        return self

    @property
    def table(self) -> npt.NDArray[np.float64]:
        """What the rules read: the period [s], 0 where there is none, and then (time [s], workers) of each point."""
        return np.array([self.every or 0.0, *(float(number) for point in self.points for number in point)])

    @property
    def most(self) -> int:
        """How many are on duty at most."""
        return max(workers for _, workers in self.points)

    @property
    def average(self) -> float:
        """How many are on duty in the long run, over time [1]."""
        if self.every is None:
            return float(self.points[-1][1])
        times = [*(time for time, _ in self.points), self.every]
        return sum(n * (times[at + 1] - times[at]) for at, (_, n) in enumerate(self.points)) / self.every
