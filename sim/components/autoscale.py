"""An autoscaler: how many workers are on duty follows how busy they are, or how many attempts wait.

Memory: up to when time is accounted for [s], busy time and time on duty since the last look [s], and when the number
last changed [s].
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from backwater.base import Model
from backwater.components.shifts import WORKERS
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Ratio, Time

UTILIZATION, QUEUE = range(2)
SIGNALS = {"utilization": UTILIZATION, "queue": QUEUE}
PARAMS, MEMORY = 10, 4
SLACK = 1e-9  # of a worker, or of a time [s]: what rounding may do


@compiled
def spend(memory, now, busy, on_duty):  # type: ignore[no-untyped-def]
    """Account for the time up to now, in which so many workers were busy and on duty: before either changes."""
    memory[1] += busy * (now - memory[0])
    memory[2] += on_duty * (now - memory[0])
    memory[0] = now


@compiled
def look(params, memory, waiting):  # type: ignore[no-untyped-def]
    """What the autoscaler sees, after ``spend``: the utilization since it last looked [1], or how many wait now."""
    seen = memory[1] / memory[2] if params[0] == UTILIZATION else float(waiting)
    memory[1] = memory[2] = 0.0
    return seen


@compiled
def decide(params, memory, now, called, seen):  # type: ignore[no-untyped-def]
    """How many workers shall be on duty, where so many are called now and this is what was seen."""
    wanted = seen / params[1] * (called if params[0] == UTILIZATION else 1.0)
    if abs(wanted - called) <= params[7] * called:
        wanted = float(called)
    wanted = min(max(math.ceil(wanted - SLACK), called - params[4]), called + params[4])
    wanted = min(max(wanted, params[2]), params[3])
    cooldown = params[5] if wanted > called else params[6]
    if wanted == called or now - memory[3] < cooldown - SLACK:
        return called
    memory[3] = now
    return int(wanted)


class Autoscale(Model):
    """From ``min`` to ``max`` workers, as many as keep a signal at its ``target``.

    on           utilization: busy share of those on duty, over the time since the last look; the target is a share
                 queue: attempts waiting at the look; the target is how many per worker
    every        time between looks [s], the first after one of them
    lag          time from a look to the decision that it leads to: how old a metric is [s]
    step         workers that one decision adds or takes away, at most
    tolerance    share by which the wanted number must differ from the present one for any change [1]
    cooldown     time after a change before the number may rise [s]
    cooldown_in  the same before it may fall; as ``cooldown`` unless given
    A decision wants ceil(workers * utilization / target), or ceil(waiting / target), where ``workers`` are those called
    on duty then, not at the look; those that start up count. Those of the lowest numbers are on duty; one that is
    called off finishes what it has in hand. A look sees what was just before its instant.
    Source: Kubernetes, "Horizontal Pod Autoscaling", algorithm details.
    """

    min: int = Field(default=1, ge=0, le=WORKERS)
    max: int = Field(ge=1, le=WORKERS)
    on: Literal["utilization", "queue"] = "utilization"
    target: Ratio = Field(gt=0, le=1e9)
    every: Time = 15.0
    lag: Time = 0.0
    step: int | None = Field(default=None, ge=1, le=WORKERS)
    tolerance: float = Field(default=0.0, ge=0, lt=1)
    cooldown: Time = 0.0
    cooldown_in: Time | None = None

    @model_validator(mode="after")
    def _fits(self) -> Autoscale:
        by_use = self.on == "utilization"
        check(self.min <= self.max, "min", self.min, f"must be at most max = {self.max}")
        check(not by_use or self.min > 0, "min", 0, "must be above 0 where the signal is utilization: nobody is busy")
        check(not by_use or self.target <= 1, "target", self.target, "must be at most 1: it is a share of the workers")
        check(self.every > 0, "every", self.every, "must be above 0")
        return self

    @property
    def params(self) -> npt.NDArray[np.float64]:
        """What the rules read, shape (PARAMS,)."""
        slow = self.cooldown if self.cooldown_in is None else self.cooldown_in
        step = self.step or WORKERS
        return np.array([
            SIGNALS[self.on], self.target, self.min, self.max, step, self.cooldown, slow, self.tolerance, self.every,
            self.lag,
        ])  # fmt: skip

    @property
    def memory(self) -> npt.NDArray[np.float64]:
        """What the rules remember at time 0."""
        return np.array([0.0, 0.0, 0.0, -math.inf])
