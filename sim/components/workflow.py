"""What jobs lead to: the jobs that a worker sends once it has served one, and what waits for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, model_validator

from backwater.base import Also, Model
from backwater.distributions import CountLaw, Law
from backwater.errors import check
from backwater.jit import compiled
from backwater.quantile import CONSTANT, quantile
from backwater.units import Time

MOST = 1_000_000  # jobs of one class that one job leads to
STEPS = 2000  # in which a law is seen where the mean of its whole numbers is asked for
PARTS = 3  # where the classes begin in a plan: before them how many there are, the one that joins them, ``join_every``


@compiled
def how_many(x):  # type: ignore[no-untyped-def]
    """The whole number of jobs that a variate stands for."""
    return int(min(max(np.rint(x), 0.0), MOST))


@compiled
def join_delay(began, every, now):  # type: ignore[no-untyped-def]
    """How long after now [s] it is found that all are done, by one who has looked since ``began``."""
    if every <= 0.0:
        return 0.0
    turn = max(math.ceil((now - began) / every), 1.0)
    while began + turn * every < now:
        turn += 1.0
    return began + turn * every - now


def _one_of_each(given: Any) -> Any:
    must = "must be a class of jobs, or a table of how many jobs of each, as in { part = 8 }"
    check(isinstance(given, (str, Mapping)), "", given, must)
    return {given: 1} if isinstance(given, str) else given


def _short(given: Any) -> Any:
    must = 'must be a class of jobs, or a table, as in { send = { part = 8 }, join = "body" }'
    check(given is None or isinstance(given, (str, Mapping, Then)), "", given, must)
    return {"send": given} if isinstance(given, str) else given


class Then(Model):
    """What a worker sends once it has served a job, there and then: Celery's chains, groups and chords.

    send        classes, and how many jobs of each: a number or a distribution of one; a name alone is one job
    join        class of the job that is sent once all of these, and all that they led to, have been served; it is not,
                where one of them failed
    join_every  how often it is looked whether they have, from the time on at which they were sent [s]; each that is
                done looks unless given
    """

    send: Annotated[dict[str, CountLaw], BeforeValidator(_one_of_each), Also("string")]
    join: str | None = None
    join_every: Time = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Then:
        check(len(self.send) > 0, "send", {}, "must name at least one class")
        joined = self.join is not None or self.join_every == 0
        check(joined, "join_every", self.join_every, "must come with a join")
        for name, law in self.send.items():
            if law.table[0] == CONSTANT:
                count, whole = law.average, law.average % 1 == 0
                must = f"must be a whole number from 1 to {MOST:,}"
                check(whole and 1 <= count <= MOST, f"send.{name}", int(count) if whole else count, must)
        return self

    @property
    def names(self) -> list[str]:
        """Every class that it names, each once."""
        return list(dict.fromkeys([*self.send, *([] if self.join is None else [self.join])]))

    @cached_property
    def means(self) -> dict[str, float]:
        """How many jobs of each class it sends on average, if all are served [1]."""
        out = {name: _mean(law) for name, law in self.send.items()}
        return out if self.join is None else {**out, self.join: out.get(self.join, 0.0) + 1.0}


def _mean(law: Law) -> float:
    """The mean of a law's whole numbers: that of the law, and what rounding adds or takes."""
    if law.table[0] == CONSTANT:
        return law.average
    drawn = np.array([quantile(law.table, (step + 0.5) / STEPS) for step in range(STEPS)])
    return law.average + float((np.rint(drawn) - drawn).mean())


AnyThen = Annotated[Then, BeforeValidator(_short), Also("string")]
