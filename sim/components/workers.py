"""Who does the work."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from backwater.base import Model
from backwater.distributions import TimeLaw
from backwater.jit import compiled


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

    count    how many
    service  time that a job takes a worker [s]; a class may have its own
    demand   "job": a job takes the same time at every attempt; "attempt": drawn anew
    abandoned  what they do with an attempt for which nobody waits any more: serve it, or skip it at no cost, as they
               can where the deadline travels with the job
    """

    count: int = Field(default=1, ge=1, le=1_000_000)
    service: TimeLaw | None = None
    demand: Literal["job", "attempt"] = "job"
    abandoned: Literal["serve", "skip"] = "serve"
