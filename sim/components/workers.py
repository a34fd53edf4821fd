"""Who does the work."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backwater.base import Model
from backwater.distributions import TimeLaw


class Workers(Model):
    """A pool of equal workers.

    count    how many
    service  time that a job takes a worker [s]; a class may have its own
    demand   "job": a job takes the same time at every attempt; "attempt": drawn anew
    """

    count: int = Field(default=1, ge=1, le=1_000_000)
    service: TimeLaw | None = None
    demand: Literal["job", "attempt"] = "job"
