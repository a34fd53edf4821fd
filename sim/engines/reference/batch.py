"""Workers that serve several attempts at once."""

from __future__ import annotations

import math
from collections.abc import Generator
from heapq import heappop, heappush
from typing import Any

import simpy

from backwater import order
from backwater.components.batch import TIMES, Batch, ready, together
from backwater.engines.reference.clock import After
from backwater.engines.reference.hedges import Share
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.queue import BoundedQueue
from backwater.engines.reference.workers import WorkerPool
from backwater.outcome import WORKING


class BatchPool(WorkerPool):
    """Workers that each take several attempts, as ``batch`` says, and give all their answers together.

    ``in_hand`` holds the first member of each batch, for all stand at the same point.
    """

    def __init__(self, env: simpy.Environment, queue: BoundedQueue, batch: Batch, count: int = 1, **parts: Any) -> None:
        super().__init__(env, queue, count, **parts)
        self.batch, self.rule = batch, TIMES[batch.time]
        self.members: dict[int, list[Attempt]] = {}
        self.job_class: dict[int, int] = {}  # for which a worker counts: that of its first member
        self.lingers = False  # whether somebody will look whether the oldest has waited for long enough

    @property
    def held(self) -> list[Attempt]:
        return [attempt for members in self.members.values() for attempt in members]

    @property
    def busy(self) -> int:
        return sum(len(members) for members in self.members.values())

    def takes_at_once(self, waiting: int) -> bool:
        return bool(self.idle) and waiting + 1 >= self.batch.least

    def call(self, attempt: Attempt) -> None:
        """Hand those that wait and one that comes to an idle worker."""
        number = heappop(self.idle)
        self._gather(number, attempt)
        self.stories[number] = self.env.process(self._batches(number))

    def _return(self, number: int) -> None:
        if self._goes_on(number):
            self.stories[number] = self.env.process(self._batches(number))
        else:
            self._rest(number)

    def _rest(self, number: int) -> None:
        heappush(self.idle, number)
        self.linger()

    def _ready(self) -> bool:
        waiting = self.queue.oldest
        oldest, inside = next(iter(waiting)).accepted if waiting else math.inf, len(waiting)
        least, patience = self.batch.least, self.batch.patience
        return bool(ready(inside + len(self.queue.outside), least, oldest, patience, self.env.now))

    def _goes_on(self, number: int) -> bool:
        """Whether a worker takes the next batch."""
        return (not self.queue.oldest or self._ready()) and self._gather(number)

    def _gather(self, number: int, last: Attempt | None = None) -> bool:
        """A worker takes those that wait, as many as it may, and ``last``; False where there is nobody."""
        members = self.members[number] = []
        while len(members) < self.batch.size - (last is not None) and (last is None or self.queue.oldest):
            attempt = self.queue.take()
            if attempt is None:
                break
            self._hold(number, attempt)
            members.append(attempt)
        if last is not None:
            self._hold(number, last)
            members.append(last)
        if not members:
            del self.members[number]
            return False
        self.staff.hold(number, members[0])
        self.job_class[number] = members[0].job.job_class
        self.ledger.change((self.env.now, WORKING, self.job_class[number], 1.0))
        return True

    def _batches(self, number: int) -> Generator[simpy.Event, Any, None]:
        """A worker's story: read what was spilled, serve all together, take the next ones, rest when too few wait."""
        goes_on = True
        while goes_on:
            try:
                reads = [attempt.read for attempt in self.members[number] if attempt.spilled]
                if reads:
                    yield After(self.env, reads[-1], order.key(order.DISK, 0, number, 0))
                yield from self._serve(number, self._start(number), order.key(order.BATCH, 0, number, 0))
                members = self.members[number]
                while members:
                    self._complete(members[0])
                    del members[0]
                self._end(number)
            except simpy.Interrupt:
                pass  # the last client has stopped its attempt, and written that down
            goes_on = not self.off[number] and self._goes_on(number)
        if not self.off[number]:
            self._rest(number)

    def _start(self, number: int) -> float:
        """The service of a batch starts, now; returns how long it takes [s]."""
        total = 0.0
        for others, attempt in enumerate(self.members[number]):
            if attempt.spilled:
                self.queue.leave_disk(attempt)
            attempt.started = self.env.now
            total = together(total, others, attempt.demand * attempt.factor, self.rule)
        return total + self.batch.overhead

    def _complete(self, attempt: Attempt) -> None:
        answer = attempt.answer
        if isinstance(answer, Share) and answer.triggered:  # another one of its call has won, in this batch
            answer.leave()
            attempt.superseded = True
        super()._complete(attempt)

    def _end(self, number: int) -> None:
        del self.members[number]
        self.staff.put_down(number)
        self.ledger.change((self.env.now, WORKING, self.job_class[number], -1.0))

    def stop(self, attempt: Attempt) -> None:
        """Its client stops an attempt in service; a batch that all have left is over."""
        self._write_off(attempt)
        number = attempt.worker
        members = self.members[number]
        members.remove(attempt)
        if members:
            members[0].again = members[0].again or attempt.again
            self.staff.hold(number, members[0])
        else:
            self._end(number)
            self.stories[number].interrupt()

    def linger(self) -> None:
        """An attempt waits though a worker rests: not for longer than the batch may."""
        if self.lingers or not self.idle or not self.queue.oldest or math.isinf(self.batch.patience):
            return
        self.lingers = True
        until = next(iter(self.queue.oldest)).accepted + self.batch.patience
        After(self.env, until - self.env.now, order.key(order.LINGER, 0, 0, 0)).callbacks.append(self._has_lingered)

    def _has_lingered(self, _: simpy.Event) -> None:
        self.lingers = False
        if self.idle and self.queue.oldest and self._ready():
            self._return(heappop(self.idle))
        self.linger()
