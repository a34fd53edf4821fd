"""Hedged requests: another attempt of a job while the client still waits for the first."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from backwater.base import Model
from backwater.distributions import Linear, TimeLaw
from backwater.errors import check

MOST = 16


class Hedge(Model):
    """While no answer comes, the same job is sent again; the first success wins, and the last failure fails the call.

    It answers slowness, a retry answers failure: an attempt that fails while another is live brings no hedge forward,
    and a retry, with hedges of its own, comes when all have failed. A retry budget pays for each hedge, and where it
    does not, the call has no more of them; nor has it where a rate limiter has no token, or others wait for one. To
    breakers, throttles and rate limiters all of them are one call. Each is an attempt with its own timeout; it asks
    for the same service unless ``workers.demand`` is "attempt", and only then, or against a worker that is slow or
    down, does it help with long services. Beside a proxy each of its tries is hedged, and fails when all its attempts
    have. Where producers wait for room, a hedge waits outside in its turn; whoever has lost there leaves.

    after   how long after an attempt without an answer the next one is sent [s]; drawn anew for each
    most    hedges of one call
    losers  what happens to the others when one has won: taken from the queue or stopped (cancel), only taken from the
            queue (cancel_waiting), or left
    Sources: Dean & Barroso, "The tail at scale", CACM 56(2), 2013; gRFC A6, hedging.
    """

    after: TimeLaw
    most: int = Field(default=1, ge=1, le=MOST)
    losers: Literal["leave", "cancel_waiting", "cancel"] = "cancel"

    @model_validator(mode="after")
    def _fits(self) -> Hedge:
        check(not isinstance(self.after, Linear), "after", "linear", "must be a random law, not columns of a trace")
        return self
