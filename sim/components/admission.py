"""Who is let into the queue, and who is turned out of it again: admission control.

A part has ``params`` that the rules read and ``memory`` that they keep, both flat. The rules are asked when an attempt
comes (``admits``), when a worker is about to take it (``keeps``), when one finds nobody (``finds_nobody``) and when a
service ends or is given up (``served``). An attempt turned out when it would have been taken gets the 503 then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, model_validator

from backwater.base import Model, one_of
from backwater.components import codel, dagor, limits
from backwater.components.own import Own, in_place
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Rate, Share, Time

Array = npt.NDArray[np.float64]
TOKENS, RED, CODEL, LIMIT, DAGOR, OWN = range(6)
PARAMS = 12  # numbers of any kind


@compiled
def _token(params, memory, now):  # type: ignore[no-untyped-def]
    memory[0] = min(params[2], memory[0] + (now - memory[1]) * params[1])
    memory[1] = now
    if memory[0] < 1.0 - 1e-9:  # a stream of exactly this rate is let in, however its times are rounded
        return False
    memory[0] = max(memory[0] - 1.0, 0.0)
    return True


@compiled
def _red(params, memory, u, waiting):  # type: ignore[no-untyped-def]
    """Floyd and Jacobson's gateway: average, then a chance that grows with it and with those let in since the last."""
    low, high, most, weight = params[1], params[2], params[3], params[4]
    memory[0] += weight * (waiting - memory[0])
    if memory[0] < low:
        memory[1] = 0.0
        return True
    chance = 1.0
    if memory[0] < high:
        base = most * (memory[0] - low) / (high - low)
        chance = base / max(1.0 - memory[1] * base, 1e-12)
    memory[1] = 0.0 if u < chance else memory[1] + 1.0
    return u >= chance


@compiled
def admits(params, memory, now, u, waiting, busy, level):  # type: ignore[no-untyped-def]
    """Whether an attempt is let in, now [s], beside those that wait and are served; ``level``: its priority's."""
    kind = params[0]
    if kind == TOKENS:
        return _token(params, memory, now)
    if kind == RED:
        return _red(params, memory, u, waiting)
    if kind == LIMIT:
        return waiting + busy < math.floor(memory[0])
    return dagor.admits(params, memory, now, u, level) if kind == DAGOR else True


@compiled
def patience(params, now, emptied):  # type: ignore[no-untyped-def]
    """How long an attempt that comes now may wait [s]; the queue was last empty at ``emptied``."""
    return codel.patience(params, now, emptied) if params[0] == CODEL else np.inf


@compiled
def keeps(params, memory, now, accepted, most, left):  # type: ignore[no-untyped-def]
    """Whether a worker may take an attempt that may wait ``most`` [s]; ``left`` others wait."""
    kind = params[0]
    if kind == CODEL:
        return codel.keeps(params, memory, now, now - accepted, most, left)
    if kind == DAGOR:
        dagor.waited(memory, now - accepted)
    return True


@compiled
def finds_nobody(params, memory):  # type: ignore[no-untyped-def]
    """A worker finds nobody who waits."""
    if params[0] == CODEL:
        codel.finds_nobody(memory)


@compiled
def served(params, memory, now, accepted, inside, late):  # type: ignore[no-untyped-def]
    """One of ``inside`` attempts in all has ended, now [s]; ``late``: nobody waits for it any more."""
    if params[0] == LIMIT:
        limits.adapt(params, memory, now - accepted, inside, late)


def params_of(part: Admission) -> Array:
    """What the rules read, shape (PARAMS,): the kind first. A rule of one's own is asked at the door only."""
    return _flat(OWN) if isinstance(part, Own) else part.params


def memory_of(part: Admission, levels: int) -> Array:
    """What the rules remember at time 0, for so many levels of priority."""
    return part.frame if isinstance(part, Own) else part.memory(levels)


def _flat(*numbers: float) -> Array:
    return np.array([*numbers, *[0.0] * (PARAMS - len(numbers))])


class RateLimit(Model):
    """A token bucket: ``rate`` attempts a second are let in [1/s], ``burst`` at once after a rest."""

    kind: Literal["token_bucket"] = "token_bucket"
    rate: Rate
    burst: float = Field(default=1.0, ge=1, le=1e9)

    @model_validator(mode="after")
    def _positive(self) -> RateLimit:
        check(self.rate > 0, "rate", self.rate, "must be above 0")
        return self

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        return _flat(TOKENS, self.rate, self.burst)

    def memory(self, levels: int) -> Array:
        """What the rules remember at time 0."""
        return np.array([self.burst, 0.0])


class Red(Model):
    """Random early detection: the chance of a 503 grows with the average number waiting.

    low, high    average below which none is turned away, and from which all are
    probability  of a 503 just below ``high`` [1]
    weight       of the present number in the average, which changes when an attempt comes and at no other time [1]
    Source: Floyd and Jacobson, "Random early detection gateways", IEEE/ACM ToN 1993.
    """

    kind: Literal["red"] = "red"
    low: float = Field(ge=0, le=1e9)
    high: float = Field(gt=0, le=1e9)
    probability: Share = 0.1
    weight: Share = 0.002

    @model_validator(mode="after")
    def _ordered(self) -> Red:
        check(self.high > self.low, "high", self.high, f"must be above low = {self.low:g}")
        check(self.weight > 0, "weight", self.weight, "must be above 0")
        return self

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        return _flat(RED, self.low, self.high, self.probability, self.weight)

    def memory(self, levels: int) -> Array:
        """What the rules remember at time 0."""
        return np.zeros(2)


class CoDel(Model):
    """Controlled delay: attempts that have waited too long are turned out when a worker would take them.

    variant  rfc: RFC 8289, one after the other, ever faster, while waits stay above ``target``
             folly: while the least wait of an ``interval`` was above ``target``, all that waited more than twice that
             facebook: all that waited more than ``interval``; more than ``target``, if the queue had not been empty for
             an ``interval`` when they came
    target, interval  [s]
    Sources: RFC 8289; folly/executors/Codel.cpp; Maurer, "Fail at scale", ACM Queue 2015.
    """

    kind: Literal["codel"] = "codel"
    variant: Literal["rfc", "folly", "facebook"] = "rfc"
    target: Time = 0.005
    interval: Time = 0.1

    @model_validator(mode="after")
    def _ordered(self) -> CoDel:
        check(self.target > 0, "target", self.target, "must be above 0")
        check(self.interval >= self.target, "interval", self.interval, f"must be at least target = {self.target:g} s")
        return self

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        return _flat(CODEL, codel.VARIANTS[self.variant], self.target, self.interval)

    def memory(self, levels: int) -> Array:
        """What the rules remember at time 0."""
        return np.zeros(codel.MEMORY)


class ConcurrencyLimit(Model):
    """A limit on attempts waiting and in service that follows how long they take.

    algorithm  aimd: times ``backoff``, rounded down, after a time above ``timeout`` [s] or one for which nobody waits,
               else one more
               gradient2: the limit times the ratio of the long-run time, over about ``window`` of them, to the present
               one, never below a half, and ``room`` more; ``smoothing`` of the way there at each time. Recent versions
               have ``tolerance`` 1.5
               vegas: follows how many seem to wait, by the least time ever seen; it never probes for another one
    initial, least, most  the limit at time 0, and its bounds
    It grows only while at least half of it is used. Source: Netflix, concurrency-limits.
    """

    kind: Literal["limit"] = "limit"
    algorithm: Literal["aimd", "gradient2", "vegas"] = "gradient2"
    initial: float = Field(default=20.0, ge=1, le=1e6)
    least: float = Field(default=1.0, ge=1, le=1e6)
    most: float = Field(default=200.0, ge=1, le=1e6)
    backoff: float = Field(default=0.9, gt=0, lt=1)
    timeout: Time = 5.0
    smoothing: Share = 0.2
    room: float = Field(default=4.0, ge=0, le=1e6)
    window: float = Field(default=600.0, ge=1, le=1e9)
    tolerance: float = Field(default=1.0, ge=1, le=1e3)

    @model_validator(mode="after")
    def _ordered(self) -> ConcurrencyLimit:
        check(self.least <= self.initial <= self.most, "initial", self.initial, "must be from least to most")
        return self

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        return _flat(
            LIMIT, limits.ALGORITHMS[self.algorithm], self.least, self.most, self.backoff, self.timeout,
            self.smoothing, self.room, self.window, self.tolerance,
        )  # fmt: skip

    def memory(self, levels: int) -> Array:
        """What the rules remember at time 0."""
        return np.array([self.initial, 0.0, 0.0])


class Dagor(Model):
    """Overload control by priority: while waits are long, jobs of the last priorities and users get the 503.

    target    mean wait above which a window was overloaded [s]
    window, requests  a window ends after so long [s] or so many attempts
    alpha     share by which fewer are let in after an overloaded window [1]
    beta      share of those that came by which more are let in after another one [1]
    Within a priority, each job has one of 128 users' levels by chance, the same at every attempt.
    Source: Zhou et al., "Overload control for scaling WeChat microservices", SoCC'18.
    """

    kind: Literal["dagor"] = "dagor"
    target: Time = 0.02
    window: Time = 1.0
    requests: int = Field(default=2000, ge=1, le=10**9)
    alpha: Share = 0.05
    beta: Share = 0.01

    @model_validator(mode="after")
    def _lasts(self) -> Dagor:
        check(self.window > 0, "window", self.window, "must be above 0")
        return self

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        return _flat(DAGOR, self.target, self.window, self.requests, self.alpha, self.beta)

    def memory(self, levels: int) -> Array:
        """What the rules remember at time 0, for so many levels of priority."""
        return dagor.memory(levels)


if TYPE_CHECKING:
    Admission = RateLimit | Red | CoDel | ConcurrencyLimit | Dagor | Own
else:
    Admission = Annotated[
        one_of(RateLimit, Red, CoDel, ConcurrencyLimit, Dagor, Own, what="a kind of admission"),
        BeforeValidator(in_place("admission")),
    ]
