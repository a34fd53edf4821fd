"""Who does the work."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from backwater.base import Model
from backwater.components.autoscale import Autoscale
from backwater.components.batch import Batch
from backwater.components.failures import Failures
from backwater.components.shifts import WORKERS, Shifts
from backwater.distributions import Linear, TimeLaw
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Time


@compiled
def work_left(left, since, now, speed):  # type: ignore[no-untyped-def]
    """What is left of a service [s] of which ``left`` was left at ``since``, at a worker of this speed [1]."""
    return max(left - (now - since) * speed, 0.0)


@compiled
def service_end(now, left, speed):  # type: ignore[no-untyped-def]
    """When a service ends of which ``left`` is left now [s]; inf at a worker that stands still."""
    return now + left / speed if speed > 0.0 else math.inf


class Workers(Model):
    """A pool of equal workers.

    count    how many; with ``autoscale``, at time 0
    service  time that a job takes a worker [s]; a class may have its own
    demand   "job": a job takes the same time at every attempt; "attempt": drawn anew
    abandoned  what they do with an attempt for which nobody waits any more: serve it, or skip it at no cost, as they
               can where the deadline travels with the job
    failures   how they fail by chance
    shifts     how many are on duty by the time of day, instead of ``count``
    autoscale  how many are on duty by how busy they are
    start_up   time from when shifts or autoscaling call a worker on duty until it takes work [s]; those on duty at
               time 0 are ready, and so is one that is called back while it still finishes what it had in hand
    batch      how many each serves at once; one unless given
    nodes      on how many they live, each with as many neighbours as they go: a broker sees the nodes
    prefetch   messages that a broker pushes to a node, per worker of it, before it acknowledges one; those in service
               are among them, unless they are acknowledged as their service starts
    time_limit  a service that takes longer is ended then, with an error, beside a broker [s]
    """

    count: int = Field(default=1, ge=1, le=WORKERS)
    service: TimeLaw | None = None
    demand: Literal["job", "attempt"] = "job"
    abandoned: Literal["serve", "skip"] = "serve"
    failures: Failures | None = None
    shifts: Shifts | None = None
    autoscale: Autoscale | None = None
    start_up: TimeLaw | None = None
    batch: Batch | None = None
    nodes: int = Field(default=1, ge=1, le=WORKERS)
    time_limit: Time | None = None
    prefetch: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["unlimited"] = 1

    @model_validator(mode="after")
    def _fits(self) -> Workers:
        shifts, scale, law = self.shifts, self.autoscale, self.start_up
        check(shifts is None or scale is None, "shifts", "shifts and autoscale", "must not be given beside autoscale")
        check(shifts is None or self.count == 1, "count", self.count, "must not be given beside shifts, which say it")
        if scale is not None:
            fits = scale.min <= self.count <= scale.max
            check(fits, "count", self.count, f"must be from autoscale.min = {scale.min} to max = {scale.max}")
        if law is not None:
            called = shifts is not None or scale is not None
            check(called, "start_up", law.plain(), "has no meaning without shifts or autoscale")
            check(not isinstance(law, Linear), "start_up", "linear", "must be a random law, not columns of a trace")
            check(law.average < math.inf, "start_up", law.average, "must have a finite mean")
        check(self.nodes <= self.count, "nodes", self.nodes, f"must be at most the count of workers, {self.count}")
        limit = self.time_limit
        check(limit is None or limit > 0, "time_limit", limit, "must be above 0")
        return self

    @property
    def firsts(self) -> list[int]:
        """The first worker of each node, and how many workers there are."""
        return [node * self.count // self.nodes for node in range(self.nodes + 1)]

    @property
    def enough(self) -> int:
        """How many attempts a worker takes at least, if nobody has to wait for too long."""
        return 1 if self.batch is None else self.batch.least

    @property
    def at_first(self) -> int:
        """How many are on duty at time 0."""
        return self.count if self.shifts is None else self.shifts.points[0][1]

    @property
    def most(self) -> int:
        """How many there are: the most that may be on duty."""
        if self.shifts is not None:
            return self.shifts.most
        return self.count if self.autoscale is None else self.autoscale.max

    @property
    def least(self) -> int:
        """The fewest that may be on duty."""
        if self.shifts is not None:
            return min(workers for _, workers in self.shifts.points)
        return self.count if self.autoscale is None else self.autoscale.min

    @property
    def capacity(self) -> float:
        """How many can work in the long run [1]: by shift over time, the most that autoscaling allows, less repairs."""
        called = self.most if self.shifts is None else self.shifts.average
        return called * (1.0 if self.failures is None else self.failures.availability)

    @property
    def varies(self) -> bool:
        """Whether workers come and go."""
        return any(part is not None for part in (self.failures, self.shifts, self.autoscale))

    @property
    def never_ends(self) -> bool:
        """Whether they come and go for ever."""
        lasting = self.shifts is not None and self.shifts.every is not None
        return lasting or self.failures is not None or self.autoscale is not None
