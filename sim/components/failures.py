"""Workers that fail by chance and are repaired."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import model_validator

from backwater.base import Model
from backwater.distributions import Linear, TimeLaw
from backwater.errors import check


class Failures(Model):
    """Each worker fails after a random time and is repaired after another one, again and again.

    up       time from the end of a repair, or from time 0, to the next failure [s]: its mean is the MTTF
    repair   time from a failure until the worker takes work again, its restart included [s]: its mean is the MTTR
    in_hand  what a worker that fails does with what it has in hand: pause it until it is repaired; finish it first
             (the repair goes on meanwhile); or restart it, from the beginning, when it is repaired
    The mean time between failures, MTBF, is MTTF + MTTR. Clocks never stop: a worker fails whether it works, rests or
    is off duty. A read from disk goes on; only what is served is paused or restarted, a batch as one and as
    long as when it began, whoever has left it.
    """

    up: TimeLaw
    repair: TimeLaw
    in_hand: Literal["pause", "finish", "restart"] = "pause"

    @model_validator(mode="after")
    def _lasts(self) -> Failures:
        for name, law in (("up", self.up), ("repair", self.repair)):
            check(not isinstance(law, Linear), name, "linear", "must be a random law, not columns of a trace")
            check(law.average < math.inf, name, law.average, "must have a finite mean")
        check(self.up.average > 0, "up", self.up.average, "must have a mean above 0")
        return self

    @property
    def availability(self) -> float:
        """The share of time in which a worker is not under repair, in the long run [1]."""
        return float(self.up.average / (self.up.average + self.repair.average))
