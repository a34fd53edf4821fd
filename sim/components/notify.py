"""How a client that did not wait for it learns the result of a job."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from backwater.base import Model, one_of
from backwater.errors import ScenarioError, check
from backwater.jit import compiled
from backwater.units import Time


@compiled
def poll_delay(accepted, every, now):  # type: ignore[no-untyped-def]
    """How long a result of now [s] waits for a poll; polls come ``every`` [s] from acceptance on, the first after one.

    A poll at the very moment of the result finds it.
    """
    turn = max(1.0, math.floor((now - accepted) / every + 0.5))
    when = accepted + turn * every
    return when - now if when >= now else accepted + (turn + 1.0) * every - now


class Push(Model):
    """The client is told at once."""

    kind: Literal["push"] = "push"


class Poll(Model):
    """The client asks ``every`` so often [s], from acceptance on. Asking loads nothing."""

    kind: Literal["poll"] = "poll"
    every: Time

    @model_validator(mode="after")
    def _asks(self) -> Poll:
        check(self.every > 0, "every", self.every, "must be above 0")
        return self


_WORDS = 'push, or poll with a time, as in { kind = "poll", every = "5 s" }'


def _word(given: Any) -> Model:
    if given != "push":
        raise ScenarioError("", f"must be {_WORDS}", given)
    return Push()


if TYPE_CHECKING:
    Notify = Push | Poll
else:
    Notify = one_of(Push, Poll, what=_WORDS, shorthand=_word)
