"""Circuit breakers and client-side throttles: attempts that a client does not even send.

The rules read the part's ``params`` and keep what they remember in a copy of its ``memory``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from backwater.base import Model
from backwater.components.window import WINDOW, forget, note, total
from backwater.errors import check
from backwater.jit import compiled
from backwater.units import Share, Time

Array = npt.NDArray[np.float64]
CLOSED, OPEN, HALF_OPEN = range(3)
HEAD = 5  # state, when it opened [s], probes sent, probes that came back well, how often it changed; then the window
CHANGES = 4
BREAKER, THROTTLE = 5, 2  # numbers of their parameters


@compiled
def _turn(memory, state):  # type: ignore[no-untyped-def]
    memory[0] = state
    memory[CHANGES] += 1.0


@compiled
def breaker_lets(params, memory, now):  # type: ignore[no-untyped-def]
    """Whether the breaker lets an attempt go, now [s]; ``params`` are share, min_attempts, window, open_for, probes."""
    if memory[0] == OPEN and now >= memory[1] + params[3]:
        memory[2], memory[3] = 0.0, 0.0
        _turn(memory, HALF_OPEN)
    if memory[0] == HALF_OPEN and memory[2] < params[4]:
        memory[2] += 1.0
        return True
    return memory[0] == CLOSED


@compiled
def breaker_unsent(memory):  # type: ignore[no-untyped-def]
    """An attempt that the breaker has just let go is not sent after all."""
    if memory[0] == HALF_OPEN:
        memory[2] -= 1.0


@compiled
def breaker_hears(params, memory, now, ok, changes):  # type: ignore[no-untyped-def]
    """An attempt has succeeded or failed, now [s], that was let go when the breaker had changed so often.

    What was sent before the last change says nothing of what has been since.
    """
    if memory[CHANGES] != changes:
        return
    if memory[0] == CLOSED:
        note(memory, HEAD, now, params[2], 1.0, 0.0 if ok else 1.0)
        attempts = total(memory, HEAD, 0)
        if attempts >= params[1] and total(memory, HEAD, 1) >= params[0] * attempts and not ok:
            memory[1] = now
            _turn(memory, OPEN)
    elif memory[0] == HALF_OPEN:
        memory[3] += 1.0 if ok else 0.0
        if not ok:
            memory[1] = now
            _turn(memory, OPEN)
        elif memory[3] >= params[4]:
            _turn(memory, CLOSED)
            forget(memory, HEAD)


@compiled
def throttle_lets(params, memory, now, u):  # type: ignore[no-untyped-def]
    """Whether the throttle lets an attempt go, now [s]; ``params`` are k, window."""
    note(memory, 0, now, params[1], 0.0, 0.0)
    sent, accepted = total(memory, 0, 0), total(memory, 0, 1)
    note(memory, 0, now, params[1], 1.0, 0.0)
    return u >= max(0.0, (sent - params[0] * accepted) / (sent + 1.0))


@compiled
def throttle_hears(params, memory, now, ok):  # type: ignore[no-untyped-def]
    """An attempt has succeeded or failed, now [s]."""
    if ok:
        note(memory, 0, now, params[1], 0.0, 1.0)


class Breaker(Model):
    """A circuit breaker of one source's clients: while it is open, attempts fail at once, unsent.

    share         of failures over the window from which it opens [1]
    min_attempts  that the window must hold
    window        over which failures are counted [s]
    open_for      how long it stays open before it lets probes go [s]
    probes        that it lets go then: all must succeed to close it, one failure opens it again
    An answer to what was sent before the breaker last opened, half opened or closed counts for nothing.
    """

    share: Share = 0.5
    min_attempts: int = Field(default=10, ge=1, le=10**9)
    window: Time = 10.0
    open_for: Time = 5.0
    probes: int = Field(default=1, ge=1, le=10**6)

    @model_validator(mode="after")
    def _lasts(self) -> Breaker:
        check(self.share > 0, "share", self.share, "must be above 0")
        check(self.window > 0, "window", self.window, "must be above 0")
        return self

    @property
    def params(self) -> Array:
        """What the rules read."""
        return np.array([self.share, self.min_attempts, self.window, self.open_for, self.probes])

    @property
    def memory(self) -> Array:
        """What the rules remember at time 0."""
        return np.zeros(HEAD + WINDOW)


class Throttle(Model):
    """Adaptive throttling: a client sends with probability 1 - max(0, (sent - k * accepted) / (sent + 1)).

    Counts are of one source's clients, over ``window`` [s]; what is withheld counts as sent, a success as accepted.
    Source: Beyer et al., "Site Reliability Engineering", ch. 21.
    """

    k: float = Field(default=2.0, ge=1, le=1e6)
    window: Time = 120.0

    @model_validator(mode="after")
    def _lasts(self) -> Throttle:
        check(self.window > 0, "window", self.window, "must be above 0")
        return self

    @property
    def params(self) -> Array:
        """What the rules read."""
        return np.array([self.k, self.window])

    @property
    def memory(self) -> Array:
        """What the rules remember at time 0."""
        return np.zeros(WINDOW)
