"""A closed population: clients that think, send a job, wait until it has ended, and think again."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from backwater.components.source import Array, Source
from backwater.distributions import Linear, TimeLaw
from backwater.errors import check

CLIENTS = 1_000_000


class Closed(Source):
    """``clients`` that each ``think`` [s], send a job, wait until it has ended, however it ends, and think again.

    A client in async mode thinks again once its job is accepted. All think at time 0. ``scale``, and a fault of the
    load while it lasts, divide the times to think.
    """

    kind: Literal["closed"] = "closed"
    clients: int = Field(ge=1, le=CLIENTS)
    think: TimeLaw

    @model_validator(mode="after")
    def _thinks(self) -> Closed:
        check(not isinstance(self.think, Linear), "think", "linear", "must be a random law, not columns of a trace")
        check(0 < self.think.average < math.inf, "think", self.think.average, "must have a mean above 0")
        check(self.batch == 1, "batch", self.batch, "must be 1: each client sends one job at a time")
        return self

    def plan(self, scale: float) -> Array:
        raise NotImplementedError("a closed population has no plan of arrivals: its clients' answers decide")

    @property
    def may_end(self) -> bool:
        return True  # when all clients wait for ever

    @property
    def own_rate(self) -> float:
        """If jobs took no time [1/s]: the most that these clients can send."""
        return float(self.clients / self.think.average)
