"""A queue's memory: what fits waits in it, what does not is spilled to one disk; long queues may slow the work."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from backwater.base import Model
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Bandwidth, Size, Time


@compiled
def fits(used, limit, size):  # type: ignore[no-untyped-def]
    """Whether an attempt of ``size`` bytes fits in what is left of the memory."""
    return used + size <= limit


@compiled
def disk_wait(free, now, latency, bandwidth, size, factor):  # type: ignore[no-untyped-def]
    """Time until a disk operation asked for now ends [s]; the disk is taken until ``free`` (FIFO, one server)."""
    return max(free - now, 0.0) + (latency + size / bandwidth) * factor


@compiled
def slowed(waiting, above, factor):  # type: ignore[no-untyped-def]
    """What multiplies the service time of an attempt that, counted with itself, found ``waiting`` attempts [1]."""
    return factor if waiting > above else 1.0


class Slowdown(Model):
    """Cache misses, paging: service takes ``factor`` times as long [1] for an attempt that found more than ``above``
    attempts waiting, itself included, when it was taken (``at = "start"``) or when it joined (``at = "arrival"``);
    with ``at = "now"``, all that is in service goes so much more slowly as long as more than ``above`` wait."""

    above: int = Field(ge=0)
    factor: float = Field(gt=0, le=1e9)
    at: Literal["start", "arrival", "now"] = "start"


class Memory(Model):
    """What the waiting attempts may occupy.

    limit        bytes that fit in memory [B]; what does not fit is spilled; no limit unless given
    write, read  latency of one disk operation [s]
    bandwidth    of the disk [B/s]; infinite unless given
    slowdown     how a long queue slows the work
    """

    limit: Size | None = None
    write: Time = 0.0
    read: Time = 0.0
    bandwidth: Bandwidth | None = None
    slowdown: Slowdown | None = None

    @model_validator(mode="after")
    def _fits(self) -> Memory:
        check(self.bandwidth is None or self.bandwidth > 0, "bandwidth", self.bandwidth, "must be above 0")
        disk = {"write", "read", "bandwidth"} & self.model_fields_set
        check(
            self.limit is not None or not disk,
            "limit",
            None,
            "must be given: without it nothing is spilled to disk",
        )
        check(self.limit is not None or self.slowdown is not None, "limit", None, "must be given, or a slowdown")
        return self

    @property
    def disk(self) -> tuple[float, float, float]:
        """Latency of a write and of a read [s], and bandwidth [B/s]."""
        return self.write, self.read, math.inf if self.bandwidth is None else self.bandwidth

    @property
    def bound(self) -> float:
        """Bytes that fit [B]; infinite where there is no limit."""
        return np.inf if self.limit is None else self.limit
