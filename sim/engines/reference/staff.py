"""Which workers take work now: faults, failures, shifts, autoscaling and start-ups, in one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from backwater import order, random
from backwater.components import autoscale as rules
from backwater.components.autoscale import Autoscale
from backwater.components.failures import Failures
from backwater.components.shifts import Shifts, shift_time, shift_workers
from backwater.components.workers import Workers
from backwater.distributions import Law
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.clock import After
from backwater.engines.reference.faults import Faults
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.ledger import Ledger
from backwater.outcome import SCALED, SHIFT, WORKER_FAILED, WORKER_REPAIRED, WORKER_STARTED, WORKERS

Story = Generator[simpy.Event, Any, None]


class Staff:
    """The workers that ``part`` describes. ``changed()`` is called whenever it may be others that take work.

    called   how many are on duty: those of the lowest numbers
    ready    whether each is on duty and has started up
    broken   whether each is under repair
    in_hand  what each holds
    on_duty  how many there are with those that finish what they had in hand when they went off duty
    waiting  how many attempts wait, as the queue says
    """

    def __init__(
        self, env: simpy.Environment, part: Workers | None = None, ledger: Ledger | None = None,
        faults: Faults | None = None, chance: Chance | None = None,
    ) -> None:  # fmt: skip
        self.env, self.part, self.ledger = env, part or Workers(), ledger or Ledger(env)
        self.faults, self.chance = faults or Faults(env), chance or Chance()
        self.called = self.on_duty = self.part.at_first
        self.ready = [worker < self.called for worker in range(self.part.most)]
        self.broken = [False] * self.part.most
        self.starts, self.starting = [0] * self.part.most, [0] * self.part.most  # how often; which lasts, or 0
        self.in_hand: dict[int, Attempt] = {}
        self.waiting: Callable[[], int] = int
        self.changed: list[Callable[[], None]] = []
        self.faults.changed.append(self._tell)
        self.memory: npt.NDArray[np.float64] | None = None  # the autoscaler's
        if self.part.failures is not None:
            for worker in range(self.part.most):
                env.process(self._fail(worker, self.part.failures))
        if self.part.shifts is not None:
            env.process(self._follow(self.part.shifts))
        if self.part.autoscale is not None:
            self.memory = self.part.autoscale.memory
            env.process(self._watch(self.part.autoscale))

    def off(self, worker: int) -> bool:
        """Whether a worker takes no work now."""
        return not self.ready[worker] or self.broken[worker] or self.faults.off(worker, self.called)

    def pace(self, worker: int) -> float:
        """How fast a worker does what it has in hand now [1]; 0 where it stands still."""
        failures = self.part.failures
        stands = self.broken[worker] and failures is not None and failures.in_hand != "finish"
        return 0.0 if stands else self.faults.pace(worker, self.called)

    def hold(self, worker: int, attempt: Attempt) -> None:
        """A worker takes an attempt in hand."""
        self._spend()
        self.in_hand[worker] = attempt

    def put_down(self, worker: int) -> None:
        """A worker is done with what it held; it may go, if it was only finishing that."""
        self._spend()
        del self.in_hand[worker]
        if worker >= self.called:
            self._count(-1)

    def _tell(self) -> None:
        for tell in self.changed:
            tell()

    def _count(self, by: int) -> None:
        self._spend()
        self.on_duty += by
        self.ledger.change((self.env.now, WORKERS, -1, float(by)))

    def _spend(self) -> None:
        if self.memory is not None:
            rules.spend(self.memory, self.env.now, float(len(self.in_hand)), float(self.on_duty))

    def _draw(self, law: Law, worker: int, purpose: int, index: int) -> float:
        return self.chance.draw(law.table, 0, worker, purpose, index)

    def _fail(self, worker: int, part: Failures) -> Story:
        """A worker's story: it works until it fails, and is repaired."""
        for failure in count():
            up = self._draw(part.up, worker, random.UP, failure)
            yield After(self.env, up, order.key(order.STAFF, order.FAILED, worker, 0))
            self.broken[worker] = True
            self.ledger.note(WORKER_FAILED, number=worker)
            attempt = self.in_hand.get(worker)
            if attempt is not None and attempt.in_service and part.in_hand == "restart":
                attempt.again = True
            self._tell()
            repair = self._draw(part.repair, worker, random.REPAIR, failure)
            yield After(self.env, repair, order.key(order.STAFF, order.REPAIRED, worker, 0))
            self.broken[worker] = False
            self.ledger.note(WORKER_REPAIRED, number=worker)
            self._tell()

    def _follow(self, part: Shifts) -> Story:
        """The shifts' story: another number of workers from each point on."""
        for number in count(1):
            when = shift_time(part.table, number)
            if math.isinf(when):
                return
            yield After(self.env, when - self.env.now, order.key(order.STAFF, order.SHIFT, 0, 0))
            self.call(shift_workers(part.table, number), SHIFT)

    def _watch(self, part: Autoscale) -> Story:
        """The autoscaler's story: look, and decide some time later."""
        assert self.memory is not None
        for number in count(1):
            yield After(self.env, number * part.every - self.env.now, order.key(order.STAFF, order.LOOK, 0, 0))
            self._spend()
            self.env.process(self._decide(part, number, rules.look(part.params, self.memory, self.waiting())))

    def _decide(self, part: Autoscale, number: int, seen: float) -> Story:
        yield After(self.env, part.lag, order.key(order.STAFF, order.DECISION, number, 0))
        self.call(rules.decide(part.params, self.memory, self.env.now, self.called, seen), SCALED)

    def call(self, called: int, why: int = SCALED) -> None:
        """So many workers are on duty from now on: others start up, or finish what they have in hand."""
        before, self.called = self.called, called
        if called == before:
            return
        self.ledger.note(why, number=called, before=before)
        for worker in range(before, called):
            self._come(worker)
        for worker in range(called, before):
            self.ready[worker], self.starting[worker] = False, 0
            if worker not in self.in_hand:
                self._count(-1)
        self._tell()

    def _come(self, worker: int) -> None:
        """A worker is called on duty: it starts up, unless it has not even gone."""
        if worker in self.in_hand or self.part.start_up is None:
            self.ready[worker] = True
        else:
            self.env.process(self._start_up(worker, self.part.start_up))
        if worker not in self.in_hand:
            self._count(+1)

    def _start_up(self, worker: int, law: Law) -> Story:
        start = self.starts[worker] = self.starting[worker] = self.starts[worker] + 1
        took = self._draw(law, worker, random.START_UP, start - 1)
        yield After(self.env, took, order.key(order.STAFF, order.STARTED, worker, 0))
        if self.starting[worker] == start:  # otherwise it has been called off again
            self.ready[worker], self.starting[worker] = True, 0
            self.ledger.note(WORKER_STARTED, number=worker)
            self._tell()
