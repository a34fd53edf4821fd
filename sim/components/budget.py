"""Retry budgets: what the clients of one source may spend on retries, together.

The rules read ``budget.params`` and keep what they remember in a copy of ``budget.memory``. Tokens are counted in
millionths, whole numbers, so that no sum is rounded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from backwater.base import Model, one_of
from backwater.components.window import WINDOW, note, total
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Rate, Share, Time

Array = npt.NDArray[np.float64]
TOKENS, GRPC, RATIO, CONCURRENT = range(4)
MICRO = 1e6
ERROR, TIMEOUT, REJECTION = range(3)  # why a retry is needed
PARAMS, MEMORY = 9, WINDOW  # numbers of any budget


@compiled
def job_sent(params, memory, now):  # type: ignore[no-untyped-def]
    """A job is sent for the first time, now [s]."""
    if params[0] == TOKENS:
        memory[0] = min(memory[0] + params[2], params[1])
    elif params[0] == RATIO:
        note(memory, 0, now, params[3], 1.0, 0.0)


@compiled
def pay(params, memory, now, why):  # type: ignore[no-untyped-def]
    """Pay for a retry, now [s]: what it cost, or below 0 where it is not allowed."""
    if params[0] == TOKENS:
        cost = params[5] if why == TIMEOUT else params[8] if why == REJECTION else params[4]
        if memory[0] - cost < params[7]:
            return -1.0
        memory[0] -= cost
        return cost
    if params[0] == GRPC:
        return 0.0 if memory[0] > params[1] / 2 else -1.0
    if params[0] == CONCURRENT:
        if memory[0] >= max(params[1], math.floor(params[2] * memory[1])):
            return -1.0
        memory[0] += 1.0
        return 1.0
    note(memory, 0, now, params[3], 0.0, 0.0)
    if total(memory, 0, 1) + 1.0 > params[1] * total(memory, 0, 0) + params[2] * params[3]:
        return -1.0
    note(memory, 0, now, params[3], 0.0, 1.0)
    return 0.0


@compiled
def hear(params, memory, ok, paid):  # type: ignore[no-untyped-def]
    """An attempt for which so much was paid has succeeded or failed."""
    if params[0] == TOKENS and ok:
        memory[0] = min(memory[0] + (paid if params[6] > 0 and paid > 0 else params[3]), params[1])
    elif params[0] == GRPC:
        memory[0] = min(memory[0] + params[2], params[1]) if ok else max(memory[0] - MICRO, 0.0)
    else:
        release(params, memory, paid)


@compiled
def release(params, memory, paid):  # type: ignore[no-untyped-def]
    """A retry for which so much was paid is over, or is not made after all."""
    if params[0] == CONCURRENT:
        memory[0] -= paid


@compiled
def under_way(params, memory, by):  # type: ignore[no-untyped-def]
    """So many more attempts (1), or fewer (-1), are under way: sent, and their client waits for the answer."""
    if params[0] == CONCURRENT:
        memory[1] += by


def _micro(*tokens: float) -> list[float]:
    return [float(round(MICRO * each)) for each in tokens]


class TokenBucket(Model):
    """Tokens that retries take and jobs or successes put back.

    capacity     most tokens, and how many there are at time 0
    per_request  put back by each job that is sent
    per_success  put back by each success; by a success after a retry, only without ``refund``
    cost         of a retry
    timeout_cost of a retry after a timeout; as ``cost`` unless given
    rejection_cost of a retry after a 503; as ``cost`` unless given
    refund       whether a success after a retry puts back what that retry cost
    reserve      tokens that no retry may take
    """

    kind: Literal["token_bucket"] = "token_bucket"
    capacity: float = Field(gt=0, le=1e9)
    per_request: float = Field(default=0.0, ge=0, le=1e6)
    per_success: float = Field(default=0.0, ge=0, le=1e6)
    cost: float = Field(default=1.0, ge=1e-6, le=1e6)
    timeout_cost: float | None = Field(default=None, ge=1e-6, le=1e6)
    rejection_cost: float | None = Field(default=None, ge=1e-6, le=1e6)
    refund: bool = False
    reserve: float = Field(default=0.0, ge=0, le=1e9)

    @model_validator(mode="after")
    def _ordered(self) -> TokenBucket:
        spare = self.capacity - self.reserve
        check(spare > 0, "reserve", self.reserve, f"must be below capacity = {self.capacity:g}")
        for name in ("cost", "timeout_cost", "rejection_cost"):
            cost = getattr(self, name)
            fits = cost is None or cost <= spare
            check(fits, name, cost, f"must be at most capacity - reserve = {spare:g}: no retry could ever be paid for")
        return self

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        timeout = self.cost if self.timeout_cost is None else self.timeout_cost
        rejection = self.cost if self.rejection_cost is None else self.rejection_cost
        tokens = _micro(self.capacity, self.per_request, self.per_success, self.cost, timeout)
        return np.array([TOKENS, *tokens, float(self.refund), *_micro(self.reserve, rejection)])

    @property
    def memory(self) -> Array:
        """What the rules remember at time 0, shape (MEMORY,)."""
        return np.array(_micro(self.capacity) + [0.0] * (MEMORY - 1))


class GrpcThrottle(Model):
    """gRPC's throttle: each failure takes a token, each success puts ``token_ratio`` back; retries need more than half.

    Source: gRFC A6, client retries.
    """

    kind: Literal["grpc"] = "grpc"
    max_tokens: float = Field(default=10.0, gt=0, le=1000)
    token_ratio: float = Field(default=0.1, gt=0, le=1000)

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        return np.array([GRPC, *_micro(self.max_tokens, self.token_ratio), *[0.0] * (PARAMS - 3)])

    @property
    def memory(self) -> Array:
        """What the rules remember at time 0, shape (MEMORY,)."""
        return np.array(_micro(self.max_tokens) + [0.0] * (MEMORY - 1))


class Ratio(Model):
    """Retries are at most this ``share`` of the jobs sent in a ``window`` [s], and ``min_rate`` [1/s] besides.

    Source: Beyer et al., "Site Reliability Engineering", ch. 21 (share 10 %); Finagle's RetryBudget (20 %, 10/s, 10 s).
    """

    kind: Literal["ratio"] = "ratio"
    share: Share = 0.1
    min_rate: Rate = 0.0
    window: Time = 10.0

    @model_validator(mode="after")
    def _lasts(self) -> Ratio:
        check(self.window > 0, "window", self.window, "must be above 0")
        return self

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        return np.array([RATIO, self.share, self.min_rate, self.window, *[0.0] * (PARAMS - 4)])

    @property
    def memory(self) -> Array:
        """What the rules remember at time 0, shape (MEMORY,)."""
        return np.zeros(MEMORY)


class Concurrent(Model):
    """At most so many retries are under way at a time, from the failure before on: in backoff, waiting or in service.

    most   how many, whatever else is under way
    share  of the attempts that are sent and not answered, rounded down, where that is more [1]; the one that has just
           failed is answered, and a hedge is part of its call
    Source: Envoy's circuit breakers, max_retries (``most`` alone), retry_budget (``share`` is its budget_percent and
    ``most`` its min_retry_concurrency).
    """

    kind: Literal["concurrent"] = "concurrent"
    most: int = Field(default=3, ge=0, le=10**9)
    share: Share = 0.0

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        return np.array([CONCURRENT, self.most, self.share, *[0.0] * (PARAMS - 3)])

    @property
    def memory(self) -> Array:
        """What the rules remember at time 0, shape (MEMORY,)."""
        return np.zeros(MEMORY)


if TYPE_CHECKING:
    Budget = TokenBucket | GrpcThrottle | Ratio | Concurrent
else:
    Budget = one_of(TokenBucket, GrpcThrottle, Ratio, Concurrent, what="a retry budget")
