"""Who does the work."""

from __future__ import annotations

from collections.abc import Generator
from heapq import heapify, heappop, heappush
from typing import Any

import simpy

from backwater import order, random
from backwater.components.faults import fails
from backwater.components.memory import slowed
from backwater.components.workers import Workers, work_left
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.clock import After, at, end_of_event
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.queue import BoundedQueue
from backwater.engines.reference.staff import Staff
from backwater.outcome import ABANDONED_COMPLETED, BUSY, CANCELLED, COMPLETED, FAILED

RETIMED = "retimed"  # why a service is interrupted that goes on at another speed


class WorkerPool:
    """``count`` equal workers behind a queue, or those of a ``staff``. The idle one of the lowest number is called."""

    def __init__(
        self, env: simpy.Environment, queue: BoundedQueue, count: int = 1, ledger: Ledger | None = None,
        staff: Staff | None = None, chance: Chance | None = None,
    ) -> None:  # fmt: skip
        self.env, self.queue, self.ledger = env, queue, ledger or queue.ledger
        self.staff, self.chance = staff or Staff(env, Workers(count=count), self.ledger), chance or Chance()
        count, self.faults, self.in_hand = self.staff.part.most, self.staff.faults, self.staff.in_hand
        self.off = [self.staff.off(number) for number in range(count)]  # whether one takes no work
        self.idle = [number for number, off in enumerate(self.off) if not off]  # a heap
        self.pace = [1.0] * count  # as the staff says; 0 where one stands still
        self.speed = [1.0] * count  # at which what is in service goes
        self.settles = False  # whether speeds will be settled at the end of this event
        self.stories: dict[int, simpy.Process] = {}
        queue.workers = self
        self.staff.waiting = queue.__len__
        self.staff.changed.append(self._judge)

    @property
    def held(self) -> list[Attempt]:
        """What they have in hand."""
        return list(self.in_hand.values())

    @property
    def busy(self) -> int:
        """How many attempts are in hand."""
        return len(self.in_hand)

    def takes_at_once(self, waiting: int) -> bool:
        """Whether an attempt that comes, beside so many that wait, is taken at once."""
        return bool(self.idle)

    def linger(self) -> None:
        """An attempt waits though a worker rests, as those that serve in batches do."""

    def call(self, attempt: Attempt) -> None:
        """Hand an attempt to an idle worker."""
        self._begin(heappop(self.idle), attempt)

    def _begin(self, number: int, attempt: Attempt) -> None:
        self._hold(number, attempt)
        self.stories[number] = self.env.process(self._work(number, attempt))

    def _hold(self, number: int, attempt: Attempt) -> None:
        attempt.taken, attempt.worker = self.env.now, number
        self.staff.hold(number, attempt)
        self.ledger.change((self.env.now, BUSY, attempt.job.job_class, 1.0))
        if attempt.spilled:
            attempt.read = self.queue.disk.read(attempt.job.size)
            attempt.disk += attempt.read

    def _work(self, number: int, attempt: Attempt | None) -> Generator[simpy.Event, Any, None]:
        """A worker's story: serve, take whoever is next, rest when nobody waits."""
        while attempt is not None:
            try:
                if attempt.spilled:
                    yield After(self.env, attempt.read, at(order.DISK, attempt.job, attempt.number))
                    self.queue.leave_disk(attempt)
                attempt.started = self.env.now
                place = at(order.COMPLETION, attempt.job, attempt.number)
                yield from self._serve(number, attempt.demand * attempt.factor, place)
                self._complete(attempt)
            except simpy.Interrupt:
                pass  # the client stopped it, and has written that down
            self.staff.put_down(number)
            attempt = None if self.off[number] else self.queue.take()
            if attempt is not None:
                self._hold(number, attempt)
        if not self.off[number]:
            heappush(self.idle, number)

    def _serve(self, number: int, whole: float, place: int) -> Generator[simpy.Event, Any, None]:
        """A service of ``whole`` [s], which goes on at another speed whenever that changes."""
        left = whole
        while True:
            since, speed = self.env.now, self.speed[number]
            try:
                if speed > 0:
                    yield After(self.env, left / speed, place)
                    return
                yield simpy.Event(self.env)  # until somebody interrupts
            except simpy.Interrupt as why:
                if why.cause != RETIMED:
                    raise
                held = self.in_hand[number]
                left = whole if held.again else work_left(left, since, self.env.now, speed)
                held.again = False

    def _judge(self) -> None:
        """The staff has changed: workers that are back take whoever is next."""
        self.queue.disk.factor = self.faults.disk_factor
        before, count = self.off, len(self.off)
        self.pace = [self.staff.pace(number) for number in range(count)]
        self.off = [self.staff.off(number) for number in range(count)]
        for number, (was, now) in enumerate(zip(before, self.off, strict=True)):
            if number in self.in_hand or was == now:
                continue
            if now:
                self._leave_idle(number)
            else:
                self._return(number)
        self.settle()

    def _leave_idle(self, number: int) -> None:
        self.idle.remove(number)
        heapify(self.idle)

    def _return(self, number: int) -> None:
        """A worker takes whoever is next, or rests."""
        attempt = self.queue.take()
        if attempt is None:
            heappush(self.idle, number)
        else:
            self._begin(number, attempt)

    def settle(self) -> None:
        """At the end of this event, services may go on at another speed: staff or the length of the queue changed."""
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
                    self.stories[number].interrupt(RETIMED)

    def _complete(self, attempt: Attempt) -> None:
        job, answer = attempt.job, attempt.answer
        job.served += 1
        attempt.ended = self.env.now
        attempt.outcome = ABANDONED_COMPLETED if answer is None else FAILED if self._fails(attempt) else COMPLETED
        if self.queue.door is not None:
            self.queue.door.served(attempt, len(self.queue) + self.busy)
        self.ledger.close(attempt)
        self.ledger.change((self.env.now, BUSY, job.job_class, -1.0))
        if attempt.outcome != FAILED:
            self.ledger.served(job)
        if answer is not None:
            answer.succeed(attempt.outcome)

    def _fails(self, attempt: Attempt) -> bool:
        """Whether a fault turns the answer into an error."""
        share, job = self.faults.error_share, attempt.job
        return share > 0 and fails(self.chance.uniform(job.source, job.number, random.FAIL, attempt.number), share)

    def stop(self, attempt: Attempt) -> None:
        """Its client stops an attempt in service; the worker takes the next one."""
        self._write_off(attempt)
        self.stories[attempt.worker].interrupt()

    def _write_off(self, attempt: Attempt) -> None:
        if attempt.spilled and attempt.started != attempt.started:
            self.queue.leave_disk(attempt)
        if self.queue.door is not None:
            self.queue.door.served(attempt, len(self.queue) + self.busy)
        attempt.ended, attempt.outcome = self.env.now, CANCELLED
        self.ledger.close(attempt)
        self.ledger.change((self.env.now, BUSY, attempt.job.job_class, -1.0))
