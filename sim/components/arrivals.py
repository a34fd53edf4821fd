"""When new jobs come: the kinds of source."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from backwater import random
from backwater.base import Model, one_of, part_table
from backwater.components.closed import Closed
from backwater.components.cron import Cron
from backwater.components.flow import MMPP
from backwater.components.source import Array, Source
from backwater.components.steady import PERIODIC, PROFILE, RENEWAL
from backwater.components.trace import Trace
from backwater.distributions import Exponential, Linear, TimeLaw
from backwater.errors import ScenarioError, below, check
from backwater.tables import read_columns
from backwater.units import Rate, Time

FOREVER = 2.0**40  # [s]; where the last rate of a profile ends


class Poisson(Source):
    """Independent arrivals at a constant ``rate`` [1/s]."""

    kind: Literal["poisson"] = "poisson"
    rate: Rate

    @model_validator(mode="after")
    def _positive(self) -> Poisson:
        check(self.rate > 0, "rate", self.rate, "must be above 0")
        return self

    def plan(self, scale: float) -> Array:
        return np.array([RENEWAL, scale, *Exponential(mean=1 / self.rate).table])

    @property
    def own_rate(self) -> float:
        return self.rate


class Renewal(Source):
    """Independent gaps between arrivals, each drawn from ``gap`` [s]."""

    kind: Literal["renewal"] = "renewal"
    gap: TimeLaw

    @model_validator(mode="after")
    def _positive(self) -> Renewal:
        check(not isinstance(self.gap, Linear), "gap", "linear", "must be a random law, not columns of a trace")
        check(0 < self.gap.average < math.inf, "gap", self.gap.average, "must have a mean above 0")
        return self

    def plan(self, scale: float) -> Array:
        return np.array([RENEWAL, scale, *self.gap.table])

    @property
    def own_rate(self) -> float:
        return float(1 / self.gap.average)


class Periodic(Source):
    """One arrival per ``interval`` [s], the first after one interval; each late by U(0, ``jitter``) [s]."""

    kind: Literal["periodic"] = "periodic"
    interval: Time
    jitter: Time = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Periodic:
        check(self.interval > 0, "interval", self.interval, "must be above 0")
        check(self.jitter <= self.interval, "jitter", self.jitter, f"must be at most interval = {self.interval:g} s")
        return self

    def plan(self, scale: float) -> Array:
        return np.array([PERIODIC, self.interval / scale, self.jitter / scale])

    @property
    def own_rate(self) -> float:
        return 1 / self.interval


class _Varying(Source):
    """A Poisson process whose rate follows knots in time, exact by inversion of the cumulative rate."""

    def _knots(self) -> tuple[Array, Array, Array, float]:
        """Times [s], rates before and after each [1/s], and the period [s] (0 where it does not repeat)."""
        raise NotImplementedError

    def plan(self, scale: float) -> Array:
        times, before, after, period = self._knots()
        if not period:
            times, before, after = np.append(times, FOREVER), np.append(before, after[-1]), np.append(after, after[-1])
        sums = np.concatenate([[0.0], np.cumsum(np.diff(times) * (after[:-1] + before[1:]) / 2)]) * scale
        head = [PROFILE, len(times), period, sums[-1], 0.0]
        return np.concatenate([head, times, after * scale, sums, before * scale])

    @property
    def own_rate(self) -> float:
        """That of one period; without one, the last rate, which stays for good, or the mean before where that is 0."""
        times, before, after, period = self._knots()
        if not period and after[-1] > 0:
            return float(after[-1])
        return float((np.diff(times) * (after[:-1] + before[1:]) / 2).sum() / times[-1])

    @property
    def own_peak(self) -> float:
        _, before, after, period = self._knots()
        return float(max(before.max(), after[: -1 if period else None].max()))


class Bursts(_Varying):
    """Poisson at rate ``base`` [1/s], and at rate ``peak`` in the last ``length`` of ``every`` period [s]."""

    kind: Literal["bursts"] = "bursts"
    base: Rate
    peak: Rate
    every: Time
    length: Time

    @model_validator(mode="after")
    def _ordered(self) -> Bursts:
        check(0 < self.length < self.every, "length", self.length, f"must be between 0 and every = {self.every:g} s")
        check(self.peak > 0, "peak", self.peak, "must be above 0")
        return self

    def _knots(self) -> tuple[Array, Array, Array, float]:
        times = np.array([0.0, self.every - self.length, self.every])
        return times, np.array([self.base, self.base, self.peak]), np.array([self.base, self.peak, 0.0]), self.every


class Profile(_Varying):
    """Poisson with a rate over time: ``points`` of (time [s], rate [1/s]), or a ``file`` with columns time and rate.

    shape   step: a rate holds until the next point; linear: straight lines between points
    repeat  start again at the last point, whose own rate then is not used; otherwise the last rate holds for good
    """

    kind: Literal["profile"] = "profile"
    points: tuple[tuple[Time, Rate], ...] | None = None
    file: str | None = None
    shape: Literal["step", "linear"] = "step"
    repeat: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Profile:
        check((self.points is None) != (self.file is None), "points", self.points, "must be given, or a file")
        times, before, after, _ = self._knots()
        check(
            len(times) >= 2 and times[0] == 0, "points", times[:2].tolist(), "must be two or more, the first at time 0"
        )
        back = np.flatnonzero(np.diff(times) <= 0)
        ok = not len(back)
        check(ok, "points", times[back[0] : back[0] + 2].tolist() if len(back) else None, "must go forward in time")
        check(min(before.min(), after.min()) >= 0, "points", before.min(), "must have rates not below 0")
        check(self.own_rate > 0, "points", 0, "must have some rate above 0")
        return self

    def _knots(self) -> tuple[Array, Array, Array, float]:
        if self.points is not None:
            times, rates = np.array([p[0] for p in self.points]), np.array([p[1] for p in self.points])
        else:
            columns = read_columns(str(self.file), ["time", "rate"])
            times, rates = columns["time"], columns["rate"]
        before = np.concatenate([rates[:1], rates[:-1]]) if self.shape == "step" else rates
        return times, before, rates, float(times[-1]) if self.repeat else 0.0

    @property
    def may_end(self) -> bool:
        return not self.repeat and self._knots()[2][-1] == 0


SOURCES = (Poisson, Periodic, Renewal, MMPP, Profile, Bursts, Trace, Cron, Closed)
if TYPE_CHECKING:
    AnySource = Source
else:
    AnySource = one_of(*SOURCES, what="a source of arrivals")


class Sources(Model):
    """Several sources by name; ``scale`` multiplies all their rates."""

    scale: float = Field(default=1.0, gt=0, le=1e9)
    sources: dict[str, AnySource]

    @model_validator(mode="after")
    def _some(self) -> Sources:
        check(self.sources, "", {}, "must hold at least one source")
        check(len(self.sources) < random.SOURCES, "", len(self.sources), f"must be fewer than {random.SOURCES} sources")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        """Named sources stand beside ``scale``, not in a table of their own."""
        own = handler.resolve_ref_schema(handler(core))["properties"]
        return {
            "type": "object",
            "properties": {"scale": own["scale"]},
            "additionalProperties": own["sources"]["additionalProperties"],
        }

    def plain(self) -> dict[str, Any]:
        scale = {} if self.scale == 1.0 else {"scale": self.scale}
        return {**scale, **{name: part_table(source) for name, source in self.sources.items()}}


def _read_arrivals(given: Any) -> Any:
    if isinstance(given, (*SOURCES, Sources)):
        return given
    if not isinstance(given, dict):
        raise ScenarioError("", "must be a source of arrivals, or several by name", given)
    if "kind" in given or not any(isinstance(part, (dict, *SOURCES)) for part in given.values()):
        with below("source"):
            return _Holder(source=given).source
    named = {name: part for name, part in given.items() if name != "scale"}
    with below("sources"):
        return Sources(**({"scale": given["scale"]} if "scale" in given else {}), sources=named)


class _Holder(Model):
    source: AnySource


def _plain_arrivals(arrivals: Any) -> dict[str, Any]:
    return arrivals.plain() if isinstance(arrivals, Sources) else part_table(arrivals)


if TYPE_CHECKING:
    Arrivals = Source | Sources
else:
    Arrivals = Annotated[
        Union[(*SOURCES, Sources)],
        BeforeValidator(_read_arrivals),
        PlainSerializer(_plain_arrivals, return_type=Any),
    ]
