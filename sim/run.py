"""How long a scenario runs, how often, and what is kept."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from backwater.base import Model
from backwater.errors import ScenarioError, check
from backwater.random import REPLICATIONS, SEEDS
from backwater.units import Time, parse, text

SAMPLES = 10_000_000  # at most, in one run


def _window(given: Any) -> tuple[float, float]:
    parts = re.split(r"\s*\.\.\s*", given) if isinstance(given, str) else given
    if not isinstance(parts, (list, tuple)) or len(parts) != 2:
        raise ScenarioError("", 'must be a start and an end such as "20 min..25 min"', given)
    start, end = (parse(part, "time") for part in parts)
    check(start < end, "", given, "must end after it starts")
    return start, end


Window = Annotated[
    tuple[float, float],
    BeforeValidator(_window),
    PlainSerializer(lambda w: f"{text(w[0], 'time')}..{text(w[1], 'time')}", return_type=str, when_used="json"),
]


class Run(Model):
    """How long and how often.

    horizon       time at which a run ends [s]
    arrivals      number of jobs after whose arrival it ends, if that is earlier
    warmup        time before which nothing counts [s]
    replications  independent repetitions
    seed          of all random numbers, 0 to 2**64 - 1
    windows       named windows "start..end" [s]; every metric is given again for the jobs that arrived in each
    sample        interval of the series [s]; none is kept unless given
    record        rows to keep: jobs, attempts, events
    """

    horizon: Time | None = None
    arrivals: Annotated[int, Field(ge=1, lt=2**36)] | None = None
    warmup: Time = 0.0
    replications: int = Field(default=10, ge=1, lt=REPLICATIONS)
    seed: int = Field(default=1, ge=0, lt=SEEDS)
    windows: dict[str, Window] = Field(default_factory=dict)
    sample: Time | None = None
    record: tuple[Literal["jobs", "attempts", "events"], ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Run:
        given = self.horizon is not None or self.arrivals is not None
        check(given, "horizon", None, "must be given, or a number of arrivals")
        check(self.end > 0, "horizon", self.horizon, "must be above 0")
        check(self.warmup < self.end, "warmup", self.warmup, f"must be before the horizon of {self.end:g} s")
        check(self.sample is None or self.sample > 0, "sample", self.sample, "must be above 0")
        fine = self.sample is not None and math.isfinite(self.end) and self.end / self.sample > SAMPLES
        check(not fine, "sample", self.sample, f"must be at least a {SAMPLES:,}th of the horizon")
        for name, (_, end) in self.windows.items():
            check(end <= self.end, f"windows.{name}", end, f"must end by the horizon of {self.end:g} s")
            check(
                re.fullmatch(r"[^\[\],]+", name) and name != "all",
                "windows",
                name,
                'must be names other than "all", without "[", "]", ","',
            )
        return self

    @property
    def end(self) -> float:
        """Time at which a run ends at the latest [s]; infinite where only arrivals end it."""
        return math.inf if self.horizon is None else self.horizon
