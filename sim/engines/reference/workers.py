"""Who does the work."""

from __future__ import annotations

from collections.abc import Generator
from heapq import heapify, heappop, heappush
from typing import Any

import simpy

from backwater import order, random
from backwater.components.faults import fails
from backwater.components.memory import slowed
from backwater.components.workers import work_left
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.clock import After, at, end_of_event
from backwater.engines.reference.faults import Faults
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.queue import BoundedQueue
from backwater.outcome import ABANDONED_COMPLETED, BUSY, CANCELLED, COMPLETED, FAILED

RETIMED = "retimed"  # why a service is interrupted that goes on at another speed


class WorkerPool:
    """``count`` equal workers behind a queue. The idle worker of the lowest number is called first."""

    def __init__(
        self, env: simpy.Environment, queue: BoundedQueue, count: int = 1, ledger: Ledger | None = None,
        faults: Faults | None = None, chance: Chance | None = None,
    ) -> None:  # fmt: skip
        self.env, self.queue, self.ledger = env, queue, ledger or queue.ledger
        self.faults, self.chance = faults or Faults(env), chance or Chance()
        self.idle = list(range(count))  # a heap
        self.pace = [1.0] * count  # as faults allow; 0 where one stands still
        self.off = [False] * count  # whether one takes no work
        self.speed = [1.0] * count  # at which what is in service goes
        self.settles = False  # whether speeds will be settled at the end of this event
        self.shifts: dict[int, simpy.Process] = {}
        self.in_hand: dict[int, Attempt] = {}
        queue.workers = self
        self.faults.changed.append(self._struck)

    def call(self, attempt: Attempt) -> None:
        """Hand an attempt to an idle worker."""
        self._begin(heappop(self.idle), attempt)

    def _begin(self, number: int, attempt: Attempt) -> None:
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
                yield from self._serve(number, attempt)
                self._complete(attempt)
            except simpy.Interrupt:
                pass  # the client stopped it, and has written that down
            del self.in_hand[number]
            attempt = None if self.off[number] else self.queue.take()
            if attempt is not None:
                self._hold(number, attempt)
        if not self.off[number]:
            heappush(self.idle, number)

    def _read(self, attempt: Attempt) -> simpy.Event:
        wait = self.queue.disk.read(attempt.job.size)
        attempt.disk += wait
        return After(self.env, wait, at(order.DISK, attempt.job, attempt.number))

    def _serve(self, number: int, attempt: Attempt) -> Generator[simpy.Event, Any, None]:
        """A service, which goes on at another speed whenever that changes."""
        left = attempt.demand * attempt.factor
        while True:
            since, speed = self.env.now, self.speed[number]
            try:
                if speed > 0:
                    yield After(self.env, left / speed, at(order.COMPLETION, attempt.job, attempt.number))
                    return
                yield simpy.Event(self.env)  # until somebody interrupts
            except simpy.Interrupt as why:
                if why.cause != RETIMED:
                    raise
                left = work_left(left, since, self.env.now, speed)

    def _struck(self) -> None:
        """A fault has begun or ended: workers that are back take whoever is next."""
        self.queue.disk.factor = self.faults.disk_factor
        before, count = self.off, len(self.off)
        self.pace = [self.faults.pace(number, count) for number in range(count)]
        self.off = [self.faults.off(number, count) for number in range(count)]
        for number, (was, now) in enumerate(zip(before, self.off, strict=True)):
            if number in self.in_hand or was == now:
                continue
            if now:
                self.idle.remove(number)
                heapify(self.idle)
            else:
                attempt = self.queue.take()
                if attempt is None:
                    heappush(self.idle, number)
                else:
                    self._begin(number, attempt)
        self.settle()

    def settle(self) -> None:
        """At the end of this event, services may go on at another speed: faults or the length of the queue changed."""
        if not self.settles:
            self.settles = True
            end_of_event(self.env).callbacks.append(self._settle)

    def _settle(self, _: simpy.Event) -> None:
        self.settles, slowdown = False, self.queue.slowdown
        now = slowdown is not None and slowdown.at == "now"
        slow = slowed(len(self.queue), slowdown.above, slowdown.factor) if slowdown is not None and now else 1.0
        for number, pace in enumerate(self.pace):
            speed = pace / slow
            if speed != self.speed[number]:
                self.speed[number] = speed
                attempt = self.in_hand.get(number)
                if attempt is not None and attempt.in_service:
                    self.shifts[number].interrupt(RETIMED)

    def _complete(self, attempt: Attempt) -> None:
        job, answer = attempt.job, attempt.answer
        job.served += 1
        attempt.ended = self.env.now
        attempt.outcome = ABANDONED_COMPLETED if answer is None else FAILED if self._fails(attempt) else COMPLETED
        if self.queue.door is not None:
            self.queue.door.served(attempt, len(self.queue) + len(self.in_hand))
        self.ledger.close(attempt)
        self.ledger.change((self.env.now, BUSY, job.job_class, -1.0))
        if answer is not None:
            answer.succeed(attempt.outcome)

    def _fails(self, attempt: Attempt) -> bool:
        """Whether a fault turns the answer into an error."""
        share, job = self.faults.error_share, attempt.job
        return share > 0 and fails(self.chance.uniform(job.source, job.number, random.FAIL, attempt.number), share)

    def stop(self, attempt: Attempt) -> None:
        """Its client stops an attempt in service; the worker takes the next one."""
        if attempt.spilled and attempt.started != attempt.started:
            self.queue.leave_disk(attempt)
        if self.queue.door is not None:
            self.queue.door.served(attempt, len(self.queue) + len(self.in_hand))
        attempt.ended, attempt.outcome = self.env.now, CANCELLED
        self.ledger.close(attempt)
        self.ledger.change((self.env.now, BUSY, attempt.job.job_class, -1.0))
        self.shifts[attempt.worker].interrupt()
