"""Attempts that wait for a token before they are sent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from typing import Any

import simpy

from backwater import order
from backwater.components.limiter import RateLimiter, limiter_hears, take_token, token_due
from backwater.engines.reference.clock import After, at
from backwater.engines.reference.jobs import LiveJob
from backwater.engines.reference.ledger import Ledger
from backwater.outcome import BACKOFF, IN_LINE


class Limiter:
    """A rate limiter of the clients of one source, and the line of jobs that wait for its tokens."""

    def __init__(self, env: simpy.Environment, part: RateLimiter, ledger: Ledger) -> None:
        self.env, self.ledger = env, ledger
        self.params, self.memory = part.params, part.memory
        self.line: OrderedDict[LiveJob, simpy.Event] = OrderedDict()
        self.timer: simpy.Event | None = None  # rings when the first of them may have a token
        self.due = 0.0  # when that is [s]

    def takes(self) -> bool:
        """Whether an attempt may be sent now; then it has taken its token."""
        return not self.line and bool(take_token(self.memory, self.env.now))

    def turn(self, job: LiveJob) -> Generator[simpy.Event, Any, None]:
        """Wait until the job's next attempt may be sent."""
        if self.takes():
            return
        granted = self.line[job] = simpy.Event(self.env)
        self.ledger.change((self.env.now, BACKOFF, job.job_class, 1.0))
        self.ledger.note(IN_LINE, job)
        if len(self.line) == 1:
            self._put_down()
        try:
            yield granted
        finally:
            if job in self.line:  # it ran out of patience
                self._leave(job)

    def hear(self, *, rejected: bool) -> None:
        """An attempt has been answered."""
        now = self.env.now
        limiter_hears(self.params, self.memory, now, rejected)
        if self.line and now + token_due(self.memory, now) < self.due:
            self._put_down()

    def _put_down(self) -> None:
        """When the first of those that wait may have a token."""
        first, now = next(iter(self.line)), self.env.now
        wait = token_due(self.memory, now)
        self.due, self.timer = now + wait, After(self.env, wait, at(order.TURN, first, first.attempts))
        self.timer.callbacks.append(self._ring)

    def _ring(self, timer: simpy.Event) -> None:
        if timer is not self.timer:
            return
        if not take_token(self.memory, self.env.now):
            self._put_down()
            return
        job, granted = next(iter(self.line.items()))
        self._leave(job)
        granted.succeed()

    def _leave(self, job: LiveJob) -> None:
        was_first = next(iter(self.line)) is job
        del self.line[job]
        self.ledger.change((self.env.now, BACKOFF, job.job_class, -1.0))
        if was_first:
            self.timer = None
            if self.line:
                self._put_down()
