"""What jobs are: their classes, with share, size, priority, deadline and service."""

from __future__ import annotations

from pydantic import Field

from backwater.base import Model
from backwater.distributions import SizeLaw, TimeLaw
from backwater.units import Time


class Job(Model):
    """One class of jobs.

    share     its weight among the classes that a source sends [1]
    size      bytes while it waits [B]
    priority  0 is served first under ``discipline = "priority"``
    deadline  the time from its first attempt within which it is on time [s]; the earliest goes first under ``edf``
    weight    its part of the turns under ``discipline = "fair"`` [1]
    service   its own service time [s]; the workers' one unless given
    delay     how long after it was sent it is due, where there is a broker [s]: a countdown or an ETA
    """

    share: float = Field(default=1.0, gt=0)
    size: SizeLaw | None = None
    priority: int = Field(default=0, ge=0, le=1_000_000)
    deadline: Time | None = None
    weight: float = Field(default=1.0, gt=0, le=1e9)
    service: TimeLaw | None = None
    delay: TimeLaw | None = None
