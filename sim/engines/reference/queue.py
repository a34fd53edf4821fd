"""Where attempts wait."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import simpy

from backwater.components.memory import fits, slowed
from backwater.components.queue import Queue, has_room
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.disk import Disk
from backwater.engines.reference.door import Door
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.lines import line_of
from backwater.outcome import CANCELLED, DISK, DROPPED, MEMORY, OUTSIDE, REJECTED, WAITING


class Pool(Protocol):
    """What a queue needs to know of the workers behind it."""

    idle: list[int]

    @property
    def busy(self) -> int:
        """How many attempts are in hand."""

    def takes_at_once(self, waiting: int) -> bool:
        """Whether an attempt that comes, beside so many that wait, is taken at once."""

    def linger(self) -> None:
        """An attempt waits though a worker rests."""

    def call(self, attempt: Attempt) -> None:
        """Hand an attempt to an idle worker."""

    def stop(self, attempt: Attempt) -> None:
        """Stop the service of an attempt."""

    def settle(self) -> None:
        """Let the speed of services follow the length of the queue."""


class BoundedQueue:
    """A queue of attempts in front of a ``WorkerPool``, with bounds, disciplines, memory and disk as ``part`` says."""

    def __init__(
        self, env: simpy.Environment, part: Queue | None = None, ledger: Ledger | None = None,
        chance: Chance | None = None, levels: Sequence[int] = (0,),
    ) -> None:  # fmt: skip
        self.env, self.part, self.ledger = env, part or Queue(), ledger or Ledger(env)
        self.capacity, self.capacity_bytes = self.part.bounds
        self.bounded = not math.isinf(min(self.capacity, self.capacity_bytes))
        self.blocks = self.bounded and self.part.overflow == "block"
        self.outside: OrderedDict[Attempt, simpy.Event] = OrderedDict()  # what fires when one is there no more
        memory = self.part.memory
        self.limit = math.inf if memory is None else memory.bound
        self.slowdown = None if memory is None else memory.slowdown
        self.slows_now = self.slowdown is not None and self.slowdown.at == "now"
        write, read, bandwidth = (0.0, 0.0, math.inf) if memory is None else memory.disk
        self.disk = Disk(env, write=write, read=read, bandwidth=bandwidth)
        self.resends = False  # whether what ended with an error is sent again at once, to be due later
        self.skips = False  # whether workers skip what nobody waits for
        self.workers: Pool | None = None
        self.oldest: OrderedDict[Attempt, None] = OrderedDict()  # all that wait, in the order of acceptance
        chance = chance or Chance()
        self.line = line_of(self.part, self.oldest, env, chance)
        admission = self.part.admission
        self.door = None if admission is None else Door(env, admission, chance, levels)
        self.used, self.in_memory = 0.0, 0.0

    def __len__(self) -> int:
        return len(self.oldest)

    @property
    def kept(self) -> Iterable[Attempt]:
        """Attempts that neither wait nor are in a worker's hands, but may come back."""
        return ()

    def offer(self, attempt: Attempt) -> bool:
        """Take an attempt in, or turn it away (False). An idle worker takes it at once."""
        workers, door = self.workers, self.door
        busy, idle = (0, 0) if workers is None else (workers.busy, len(workers.idle))
        if door is not None and not door.admits(attempt, len(self), busy, idle, self.capacity):
            self.ledger.reject(attempt)
            return False
        if workers is not None and workers.takes_at_once(len(self)):
            attempt.accepted = self.env.now
            if door is not None:
                door.at_once()
            workers.call(attempt)
            return True
        if not self.bounded or self._make_room(attempt.job.size):
            self._accept(attempt)
            if workers is not None and workers.idle:
                workers.linger()
            return True
        if self.blocks and attempt.job.size <= self.capacity_bytes:
            self.outside[attempt] = simpy.Event(self.env)
            self.ledger.change((self.env.now, OUTSIDE, attempt.job.job_class, 1.0))
            return True
        self.ledger.reject(attempt)
        return False

    def pending(self, attempt: Attempt) -> Any:
        """What fires with whether an attempt is accepted, where that is not known yet."""
        return self.outside.get(attempt)

    def _make_room(self, size: float) -> bool:
        """Whether there is room for ``size`` more bytes, after the oldest have yielded where the rule says so."""
        bounds = self.capacity, self.capacity_bytes
        if self.blocks and self.outside:
            return False
        if self.blocks or self.part.overflow == "reject":
            return bool(has_room(len(self.oldest), self.used, size, *bounds))
        return self._yield_oldest(size)

    def _yield_oldest(self, size: float) -> bool:
        """The oldest leave until there is room; False where not even an empty queue has room."""
        bounds = self.capacity, self.capacity_bytes
        if not has_room(0, 0.0, size, *bounds):
            return False
        while not has_room(len(self.oldest), self.used, size, *bounds):
            shed = self.part.overflow == "shed_oldest"
            self._evict(next(iter(self.oldest)), REJECTED if shed else DROPPED)
        return True

    def _evict(self, victim: Attempt, outcome: int) -> None:
        """A waiting attempt must leave: it gets the 503, or vanishes and nobody is told."""
        self._remove(victim)
        victim.ended, victim.outcome = self.env.now, outcome
        answer = victim.answer
        if answer is not None and victim.outcome == DROPPED and victim.expires:
            return  # its client does not know, waits until its timeout, and closes the row then
        self.ledger.close(victim)
        if answer is not None:
            answer.succeed(victim.outcome)

    def _accept(self, attempt: Attempt) -> None:
        job, ledger = attempt.job, self.ledger
        attempt.accepted = self.env.now
        self.oldest[attempt] = None
        self.line.join(attempt)
        if self.door is not None:
            self.door.joins(attempt, len(self.oldest) - 1)
        ledger.change((self.env.now, WAITING, job.job_class, 1.0))
        self._settle()
        if job.size > 0:
            self.used += job.size
            if fits(self.in_memory, self.limit, job.size):
                self.in_memory += job.size
                ledger.change((self.env.now, MEMORY, job.job_class, job.size))
            else:
                attempt.spilled = True
                attempt.disk += self.disk.write(job.size)
                ledger.change((self.env.now, DISK, job.job_class, job.size))
        if self.slowdown is not None and self.slowdown.at == "arrival":
            attempt.factor = slowed(len(self.oldest), self.slowdown.above, self.slowdown.factor)

    def take(self) -> Attempt | None:
        """The attempt that is next, taken out; None where nobody waits."""
        attempt = self._next()
        if attempt is None:
            return self._from_outside()
        if self.slowdown is not None and self.slowdown.at == "start":
            attempt.factor = slowed(len(self.oldest), self.slowdown.above, self.slowdown.factor)
        self.line.taken(attempt)
        self._remove(attempt, keep_on_disk=True)
        return attempt

    def _next(self) -> Attempt | None:
        """Who is next and may be taken; those leave who come before and are skipped or turned out."""
        while self.oldest:
            attempt = self.line.next()
            if attempt is None:
                return None
            if self.skips and attempt.answer is None:
                self.withdraw(attempt)
            elif self._is_too_old(attempt):
                self._evict(attempt, DROPPED)
            elif self.door is not None and not self.door.keeps(attempt, len(self) - 1):
                self._evict(attempt, REJECTED)
            else:
                return attempt
        if self.door is not None:
            self.door.finds_nobody()
        return None

    def _is_too_old(self, attempt: Attempt) -> bool:
        """Whether an attempt that is next has waited for longer than a message is kept."""
        return False

    def _remove(self, attempt: Attempt, *, keep_on_disk: bool = False) -> None:
        job, ledger = attempt.job, self.ledger
        del self.oldest[attempt]
        self.line.leave(attempt)
        ledger.change((self.env.now, WAITING, job.job_class, -1.0))
        self._settle()
        if job.size > 0:
            self.used -= job.size
            if not attempt.spilled:
                self.in_memory -= job.size
                ledger.change((self.env.now, MEMORY, job.job_class, -job.size))
            elif not keep_on_disk:
                self.leave_disk(attempt)
        self._let_in()

    def _let_in(self) -> None:
        """Those outside come in, one after the other, as long as there is room."""
        while self.outside:
            attempt = next(iter(self.outside))
            if not self._lets_in(attempt):
                return
            self._no_longer_outside(attempt, accepted=True)
            self._enter(attempt)

    def _lets_in(self, attempt: Attempt) -> bool:
        return bool(has_room(len(self.oldest), self.used, attempt.job.size, self.capacity, self.capacity_bytes))

    def _enter(self, attempt: Attempt) -> None:
        self._accept(attempt)

    def _from_outside(self) -> Attempt | None:
        """A worker takes the first one outside, where nobody may wait inside; None where nobody is."""
        if not self.outside:
            return None
        attempt = next(iter(self.outside))
        self._no_longer_outside(attempt, accepted=True)
        attempt.accepted = self.env.now
        if self.door is not None:
            self.door.at_once()
        return attempt

    def _no_longer_outside(self, attempt: Attempt, *, accepted: bool) -> None:
        self.outside.pop(attempt).succeed(accepted)
        self.ledger.change((self.env.now, OUTSIDE, attempt.job.job_class, -1.0))

    def leave_outside(self, attempt: Attempt) -> None:
        """Its client has waited outside for long enough."""
        self._no_longer_outside(attempt, accepted=False)
        attempt.ended, attempt.outcome = self.env.now, CANCELLED
        self.ledger.close(attempt)
        self._let_in()

    def _settle(self) -> None:
        if self.slows_now and self.workers is not None:
            self.workers.settle()

    def leave_disk(self, attempt: Attempt) -> None:
        """A spilled attempt's bytes on disk are free again."""
        self.ledger.change((self.env.now, DISK, attempt.job.job_class, -attempt.job.size))

    def withdraw(self, attempt: Attempt) -> None:
        """Its client takes a waiting attempt out of the queue."""
        if self.door is not None:
            self.door.served(attempt, len(self) + (0 if self.workers is None else self.workers.busy))
        self._remove(attempt)
        attempt.ended, attempt.outcome = self.env.now, CANCELLED
        self.ledger.close(attempt)
