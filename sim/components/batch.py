"""Workers that serve several attempts at once."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from backwater.base import Model
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Time

Array = npt.NDArray[np.float64]
LONGEST, SUM, FIRST = range(3)
TIMES = {"longest": LONGEST, "sum": SUM, "first": FIRST}
LARGEST = 10_000  # attempts at once, at most


@compiled
def ready(waiting, least, oldest, wait, now):  # type: ignore[no-untyped-def]
    """Whether a batch may begin: so many wait, or the oldest, accepted at ``oldest`` [s], has waited ``wait`` [s]."""
    return waiting >= least or (waiting > 0 and oldest + wait <= now)


@compiled
def together(so_far, others, time, rule):  # type: ignore[no-untyped-def]
    """How long a batch of so many others takes with one more member, which takes ``time`` [s] alone."""
    if rule == SUM:
        return so_far + time
    if rule == LONGEST:
        return max(so_far, time)
    return time if others == 0 else so_far


def longest(times: Array, weights: Array, size: int) -> float:
    """The longest of so many independent times on average [s]; each takes these values with these weights."""
    order = np.argsort(times, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    return float((times[order] * np.diff(below**size, prepend=0.0)).sum())


class Batch(Model):
    """A free worker takes several waiting attempts, in the order of the discipline, and serves them together.

    size      so many at most
    least     it rests until so many wait: Neuts's general bulk service rule (least, size)
    wait      once the oldest has waited so long, fewer will do [s]; they wait for ever unless given
    time      of the service: the longest of the members' own, their sum, or that of the first one taken
    overhead  what each batch takes on top of that [s]

    Members end together, each with an answer of its own. What was spilled is read before the service of all starts.
    Whoever is stopped leaves the batch, which takes as long as before; one that all have left is over. A worker that
    fails or goes off duty has its batch in hand like a single attempt: it is paused, finished or restarted as one.
    Where two members are attempts of one hedged call, the one taken first answers it.
    """

    size: int = Field(ge=1, le=LARGEST)
    least: int = Field(default=1, ge=1)
    wait: Time | None = None
    time: Literal["longest", "sum", "first"] = "longest"
    overhead: Time = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Batch:
        check(self.least <= self.size, "least", self.least, f"must be at most size = {self.size}")
        check(self.wait is None or self.least > 1, "wait", self.wait, "has no meaning where least is 1: one is enough")
        return self

    @property
    def patience(self) -> float:
        """How long fewer than ``least`` wait [s]; infinite where that is for ever."""
        return math.inf if self.wait is None else self.wait
