"""How a sender behaves: how long it waits for an answer, and when it tries again."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, model_validator

from backwater.base import Model
from backwater.components.breaker import Breaker, Throttle
from backwater.components.budget import Budget
from backwater.components.hedge import Hedge
from backwater.components.notify import Notify, Push
from backwater.distributions import TimeLaw
from backwater.errors import ScenarioError, check
from backwater.jit import compiled
from backwater.units import Share, Time, parse

Array = npt.NDArray[np.float64]
EXPONENTIAL, DECORRELATED = range(2)  # constant is exponential with factor 1
NONE, FULL, EQUAL, SPREAD, EXPONENTIAL_JITTER = range(5)
HEAD, STEPS = 8, 16  # numbers of a policy; then its first pauses before jitter, which save a power each
JITTERS = ("full", "none", "equal", "exponential")


@compiled
def backoff(policy, failed, previous, u):  # type: ignore[no-untyped-def]
    """Pause after the ``failed``-th failed attempt (1, 2, ...) [s]; ``previous`` is the pause before it, or the base.

    ``policy`` is ``Retry.policy``. Source: Brooker, "Exponential backoff and jitter", AWS Architecture Blog 2015.
    """
    kind, base, factor, cap, jitter, spread = policy[0], policy[1], policy[2], policy[3], policy[4], policy[5]
    if kind == DECORRELATED:
        return min(cap, base + u * (3.0 * previous - base))
    b = policy[HEAD + int(failed) - 1] if failed <= STEPS else min(cap, base * math.pow(factor, failed - 1.0))
    if jitter == NONE:
        return b
    if jitter == FULL:
        return u * b
    if jitter == EQUAL:
        return b / 2 + u * (b / 2)
    if jitter == SPREAD:
        return b * (1.0 - spread + 2.0 * spread * u)
    return -b * math.log1p(-u)


@compiled
def tries_again(policy, failed, u):  # type: ignore[no-untyped-def]
    """Whether a client whose ``failed``-th attempt has failed sends another one."""
    return failed < policy[6] and u < policy[7]


def _jitter(given: Any) -> str | float:
    if isinstance(given, str) and given in JITTERS:
        return given
    try:
        share = parse(re.sub(r"^\s*(±|\+/-)\s*", "", given) if isinstance(given, str) else given, "share", most=1.0)
    except ScenarioError:
        kinds = ", ".join(f'"{jitter}"' for jitter in JITTERS)
        raise ScenarioError("", f'must be one of {kinds}, or a fraction such as "±20 %"', given) from None
    return share


class Retry(Model):
    """When a failed attempt is tried again.

    kind               constant, exponential or decorrelated
    base, cap          first and largest pause before jitter [s]; no cap unless given
    factor             growth of the pause from one attempt to the next [1]
    jitter             full, none, equal, exponential, or a fraction x for U(1 - x, 1 + x)
    max_attempts       attempts in all, the first included, or "forever"
    retry_probability  chance that a client whose attempt failed tries again at all [1]
    """

    kind: Literal["constant", "exponential", "decorrelated"] = "exponential"
    base: Time
    factor: float = Field(default=2.0, ge=1.0, le=1e6)
    cap: Time | None = None
    jitter: Annotated[str | float, BeforeValidator(_jitter)] = "full"
    max_attempts: Annotated[int, Field(ge=1, le=10**9)] | Literal["forever"] = 3
    retry_probability: Share = 1.0

    @model_validator(mode="after")
    def _fits(self) -> Retry:
        if self.cap is not None:
            check(self.cap >= self.base, "cap", self.cap, f"must be at least base = {self.base:g} s")
        if self.kind == "decorrelated":
            check(
                "jitter" not in self.model_fields_set,
                "jitter",
                self.jitter,
                "must be left out: decorrelated is random",
            )
        grows = self.kind == "decorrelated" or (self.kind == "exponential" and self.factor > 1)
        endless = grows and self.max_attempts == "forever" and self.cap is None
        check(not endless, "cap", None, 'must be given where max_attempts is "forever" and the pause grows')
        return self

    @property
    def most(self) -> float:
        """Attempts in all; infinite for "forever"."""
        return math.inf if self.max_attempts == "forever" else float(self.max_attempts)

    @property
    def pauses(self) -> bool:
        """Whether there is any pause between attempts."""
        return bool(self.policy[HEAD:].max() > 0)

    @property
    def policy(self) -> Array:
        """The flat array that ``backoff`` and ``tries_again`` read."""
        named = {"none": NONE, "full": FULL, "equal": EQUAL, "exponential": EXPONENTIAL_JITTER}
        jitter = named[self.jitter] if isinstance(self.jitter, str) else SPREAD
        spread = 0.0 if isinstance(self.jitter, str) else self.jitter
        kind = DECORRELATED if self.kind == "decorrelated" else EXPONENTIAL
        factor = 1.0 if self.kind == "constant" else self.factor
        cap = math.inf if self.cap is None else self.cap
        head = [kind, self.base, factor, cap, jitter, spread, self.most, self.retry_probability]
        return np.array([*head, *(min(cap, self.base * factor**n) for n in range(STEPS))])


class Proxy(Model):
    """What stands between a client and the queue and tries again before the client hears of it: attempts multiply.

    retry         when it tries again
    retry_budget  what all its retries may spend, for the jobs of one source
    """

    retry: Retry
    retry_budget: Budget | None = None


class Client(Model):
    """A sender of jobs.

    attempt_timeout  patience with each attempt, waiting and service included [s]; drawn anew at each attempt
    total_timeout    patience with all attempts and pauses together [s]
    on_timeout       what happens to an attempt that timed out: leave it, take it from the queue (cancel_waiting), or
                     take it from the queue or stop its service (cancel)
    retry            when it tries again; never unless given
    retry_budget     what the retries and the hedges of all its jobs may spend
    breaker          stops sending while too many attempts fail
    throttle         sends only a share of the attempts while too many fail
    proxy            what tries again before the client hears of a failure; timeouts are those of its attempts
    hedge            when it sends another attempt while it still waits for one
    honours_retry_after  whether it waits at least as long as a 503 asks
    mode             sync: its caller is blocked until the answer; async: until the job is accepted. Then timeouts cover
                     only that, and nobody gives up afterwards. To budgets, breakers, throttles and proxies acceptance
                     is the success of the call; an error that is heard of later may be tried again like any other
    notify           how the result of an accepted job arrives in async mode: push, or poll every so often
    """

    attempt_timeout: TimeLaw | None = None
    total_timeout: Time | None = None
    on_timeout: Literal["leave", "cancel_waiting", "cancel"] = "leave"
    retry: Retry | None = None
    retry_budget: Budget | None = None
    breaker: Breaker | None = None
    throttle: Throttle | None = None
    proxy: Proxy | None = None
    hedge: Hedge | None = None
    honours_retry_after: bool = True
    mode: Literal["sync", "async"] = "sync"
    notify: Notify = Push()

    @model_validator(mode="after")
    def _fits(self) -> Client:
        has = self.retry is not None or self.hedge is not None or self.retry_budget is None
        check(has, "retry_budget", "a budget", "must come with a retry policy or hedges that spend it")
        check(
            self.total_timeout is None or self.total_timeout > 0,
            "total_timeout",
            self.total_timeout,
            "must be above 0",
        )
        alone = self.proxy is None and self.mode == "sync"
        must = 'must stand without a proxy and with mode = "sync": it is the client that waits for an answer'
        check(alone or self.hedge is None, "hedge", "a hedge", must)
        waits = self.mode == "sync" and self.notify != Push()
        check(not waits, "notify", "poll", 'must come with mode = "async": in sync the caller waits for the answer')
        return self
