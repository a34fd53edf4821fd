"""What breaks, and when: workers that stop or slow down, a slow disk, answers that are errors, more load."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from backwater.base import Model
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Share, Time

SHARED = {"workers_down", "workers_slow", "workers_crash", "errors"}
FACTORED = {"workers_slow", "disk_slow", "load"}


@compiled
def struck(worker, count, share):  # type: ignore[no-untyped-def]
    """Whether a fault that strikes this share of ``count`` workers strikes the one of this number: the last ones."""
    return worker >= count - math.ceil(share * count - 1e-9)


@compiled
def fails(u, share):  # type: ignore[no-untyped-def]
    """Whether an answer is an error where this share of the answers is."""
    return u < share


def paces(faults: tuple[Fault, ...]) -> npt.NDArray[np.float64]:
    """What faults multiply the load by: (start [s], factor), one after the other; empty where none does."""
    loads = [fault for fault in faults if fault.kind == "load"]
    starts = sorted({0.0, *(fault.start for fault in loads), *(fault.stop for fault in loads)} - {math.inf})
    rows = [(at, math.prod(each.times for each in loads if each.start <= at < each.stop)) for at in starts]
    return np.array(rows).ravel() if loads else np.empty(0)


class Fault(Model):
    """Something that breaks at ``start`` for ``duration`` [s]; for good unless a duration is given.

    kind    workers_down: they take no work; see ``in_hand``
            workers_slow: their work takes ``factor`` times as long, what is in service included
            workers_crash: what they hold is gone, and they take no work; a broker says what becomes of it. A node of
            which all crash loses what waits there, too
            broker_down: it crashes, and is back after ``duration``; see ``broker.durability``
            disk_slow: a disk operation asked for takes ``factor`` times as long
            errors: this share of the services ends with an error; the client may try again
            load: sources send ``factor`` times as much; a trace cannot
    share   of the workers on duty (those of the highest numbers, rounded up) or of the answers [1]; all unless given
    factor  [1]
    in_hand what workers that go down do with what they have in hand: pause it, or finish it and take nothing more
    """

    kind: Literal["workers_down", "workers_slow", "workers_crash", "broker_down", "disk_slow", "errors", "load"]
    start: Time = 0.0
    duration: Time | None = None
    share: Share | None = None
    factor: float | None = Field(default=None, gt=0, le=1e6)
    in_hand: Literal["pause", "finish"] = "pause"

    @model_validator(mode="after")
    def _fits(self) -> Fault:
        share, factor = self.share is not None, self.factor is not None
        check(self.kind in SHARED or not share, "share", self.share, f"has no meaning for {self.kind}")
        check(self.kind in FACTORED or not factor, "factor", self.factor, f"has no meaning for {self.kind}")
        check(self.kind not in FACTORED or factor, "factor", None, f"must be given for {self.kind}")
        check(self.kind != "errors" or share, "share", None, "must be given for errors")
        finishes = self.in_hand == "finish"
        check(not finishes or self.kind == "workers_down", "in_hand", self.in_hand, f"has no meaning for {self.kind}")
        check(self.duration is None or self.duration > 0, "duration", self.duration, "must be above 0")
        return self

    @property
    def portion(self) -> float:
        """The share that is struck [1]."""
        return 1.0 if self.share is None else self.share

    @property
    def times(self) -> float:
        """How many times as long, or as much [1]."""
        return 1.0 if self.factor is None else self.factor

    @property
    def stop(self) -> float:
        """When it is over [s]; infinite where it is for good."""
        return math.inf if self.duration is None else self.start + self.duration
