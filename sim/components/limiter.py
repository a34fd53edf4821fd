"""A client's own limit on how often it sends: after a 503 its attempts wait for tokens, which come as CUBIC says.

The rules read the part's ``params`` and keep what they remember in a copy of its ``memory``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from backwater.base import Model
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Rate, Share, Time

Array = npt.NDArray[np.float64]
PARAMS, MEMORY = 6, 10
# What is remembered: whether tokens are needed; how many there are, and when that was [s]; how many come per second and
# how many there may be; the measured rate [1/s], when its slice began [s] and what has been counted in it; the rate at
# which the last 503 came [1/s], and when [s].
ON, TOKENS, FILLED, FILL, CAPACITY, MEASURED, SLICE, COUNT, W_MAX, FAILED = range(MEMORY)


@compiled
def token_due(memory, now):  # type: ignore[no-untyped-def]
    """How long until there is a token, as of now [s]."""
    memory[TOKENS] = min(memory[CAPACITY], memory[TOKENS] + (now - memory[FILLED]) * memory[FILL])
    memory[FILLED] = now
    return max(0.0, (1.0 - memory[TOKENS]) / memory[FILL])


@compiled
def take_token(memory, now):  # type: ignore[no-untyped-def]
    """Whether an attempt may be sent, now [s]; it takes a token where tokens are needed."""
    if memory[ON] == 0.0:
        return True
    # What is too short for the clock is no wait.
    if now + token_due(memory, now) > now:
        return False
    memory[TOKENS] -= 1.0
    return True


@compiled
def _measured(params, memory, now):  # type: ignore[no-untyped-def]
    """The rate of answers [1/s], this one included."""
    part = math.floor(now / params[3]) * params[3]
    memory[COUNT] += 1.0
    if part > memory[SLICE]:
        rate = memory[COUNT] / (part - memory[SLICE])
        memory[MEASURED] = params[2] * rate + (1.0 - params[2]) * memory[MEASURED]
        memory[COUNT], memory[SLICE] = 0.0, part
    return memory[MEASURED]


@compiled
def limiter_hears(params, memory, now, rejected):  # type: ignore[no-untyped-def]
    """An attempt has been answered, now [s]; ``params`` are beta, scale, smoothing, slice, least, headroom."""
    measured = _measured(params, memory, now)
    if rejected:
        memory[W_MAX] = min(measured, memory[FILL]) if memory[ON] else measured
        memory[FAILED], memory[ON] = now, 1.0
        rate = params[0] * memory[W_MAX]
    else:
        back = math.pow(memory[W_MAX] * (1.0 - params[0]) / params[1], 1.0 / 3.0)
        since = now - memory[FAILED] - back
        rate = params[1] * since * since * since + memory[W_MAX]
    token_due(memory, now)
    rate = min(rate, params[5] * measured)
    memory[FILL], memory[CAPACITY] = max(rate, params[4]), max(rate, 1.0)
    memory[TOKENS] = min(memory[TOKENS], memory[CAPACITY])


class RateLimiter(Model):
    """AWS SDKs' adaptive mode: from the first 503 on, every attempt of a source's clients waits for a token.

    They wait in order, and that counts as backoff. A 503 at the rate w makes the rate ``beta`` w; at any other answer,
    a time dt after it, the rate is w + ``scale`` (dt - K)^3 with K = (w (1 - beta) / scale)^(1/3). Between them the
    measured rate decides: w is at most that and at most the present rate, and no rate is above ``headroom`` times it.
    At most as many tokens are kept as come in a second, or one. What a proxy tries again needs none; a hedge waits
    for none, and is not sent where there is none.

    beta       what is left of the rate after a 503 [1]
    scale      of the cubic curve [1/s^4]
    slice      how long answers are counted for the measured rate [s]
    smoothing  weight of the newest count in it [1]
    least      lowest rate [1/s]
    headroom   highest rate over the measured one [1]

    Source: botocore 1.44.5, retries/adaptive.py, throttling.py and bucket.py. There waiting threads are woken in no
    order.
    """

    beta: Share = 0.7
    scale: float = Field(default=0.4, gt=0, le=1e6)
    slice: Time = 0.5
    smoothing: Share = 0.8
    least: Rate = 0.5
    headroom: float = Field(default=2.0, ge=1, le=1e6)

    @model_validator(mode="after")
    def _moves(self) -> RateLimiter:
        for name in ("slice", "smoothing", "least"):
            check(getattr(self, name) > 0, name, getattr(self, name), "must be above 0")
        return self

    @property
    def params(self) -> Array:
        """What the rules read, shape (PARAMS,)."""
        return np.array([self.beta, self.scale, self.smoothing, self.slice, self.least, self.headroom])

    @property
    def memory(self) -> Array:
        """What the rules remember at time 0, shape (MEMORY,)."""
        memory = np.zeros(MEMORY)
        memory[FILL] = memory[CAPACITY] = 1.0
        return memory
