"""Who does the work."""

from __future__ import annotations

from collections.abc import Generator
from heapq import heappop, heappush
from typing import Any

import simpy

from backwater import order
from backwater.engines.reference.clock import After, at
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.queue import BoundedQueue
from backwater.outcome import ABANDONED_COMPLETED, BUSY, CANCELLED, COMPLETED


class WorkerPool:
    """``count`` equal workers behind a queue. The idle worker of the lowest number is called first."""

    def __init__(
        self, env: simpy.Environment, queue: BoundedQueue, count: int = 1, ledger: Ledger | None = None
    ) -> None:
        self.env, self.queue, self.ledger = env, queue, ledger or queue.ledger
        self.idle = list(range(count))  # a heap
        self.shifts: dict[int, simpy.Process] = {}
        self.in_hand: dict[int, Attempt] = {}
        queue.workers = self

    def call(self, attempt: Attempt) -> None:
        """Hand an attempt to an idle worker."""
        number = heappop(self.idle)
        self._hold(number, attempt)
        self.shifts[number] = self.env.process(self._shift(number, attempt))

    def _hold(self, number: int, attempt: Attempt) -> None:
        attempt.taken, attempt.worker = self.env.now, number
        self.in_hand[number] = attempt
        self.ledger.change((self.env.now, BUSY, attempt.job.job_class, 1.0))

    def _shift(self, number: int, attempt: Attempt | None) -> Generator[simpy.Event, Any, None]:
        """A worker's story: serve, take whoever is next, rest when nobody waits."""
        while attempt is not None:
            try:
                if attempt.spilled:
                    yield self._read(attempt)
                    self.queue.leave_disk(attempt)
                attempt.started = self.env.now
                yield After(
                    self.env, attempt.demand * attempt.factor, at(order.COMPLETION, attempt.job, attempt.number)
                )
                self._complete(attempt)
            except simpy.Interrupt:
                pass  # the client stopped it, and has written that down
            del self.in_hand[number]
            attempt = self.queue.take()
            if attempt is not None:
                self._hold(number, attempt)
        heappush(self.idle, number)

    def _read(self, attempt: Attempt) -> simpy.Event:
        wait = self.queue.disk.read(attempt.job.size)
        attempt.disk += wait
        return After(self.env, wait, at(order.DISK, attempt.job, attempt.number))

    def _complete(self, attempt: Attempt) -> None:
        job, answer = attempt.job, attempt.answer
        job.served += 1
        attempt.ended = self.env.now
        attempt.outcome = ABANDONED_COMPLETED if answer is None else COMPLETED
        self.ledger.close(attempt)
        self.ledger.change((self.env.now, BUSY, job.job_class, -1.0))
        if answer is not None:
            answer.succeed(COMPLETED)

    def stop(self, attempt: Attempt) -> None:
        """Its client stops an attempt in service; the worker takes the next one."""
        if attempt.spilled and attempt.started != attempt.started:
            self.queue.leave_disk(attempt)
        attempt.ended, attempt.outcome = self.env.now, CANCELLED
        self.ledger.close(attempt)
        self.ledger.change((self.env.now, BUSY, attempt.job.job_class, -1.0))
        self.shifts[attempt.worker].interrupt()
