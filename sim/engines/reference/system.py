"""A whole scenario as SimPy processes, and its run."""

from __future__ import annotations

import math

import numpy as np
import simpy
from simpy.core import StopSimulation

from backwater import order
from backwater.books import Fold
from backwater.components.faults import paces
from backwater.engines.reference.batch import BatchPool
from backwater.engines.reference.broker import BrokerQueue
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.client import Client
from backwater.engines.reference.clock import After, end_of_event
from backwater.engines.reference.consumers import ConsumerPool
from backwater.engines.reference.faults import Faults
from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.producer import Jobs, Producer
from backwater.engines.reference.queue import BoundedQueue
from backwater.engines.reference.staff import Staff
from backwater.engines.reference.workers import WorkerPool
from backwater.engines.reference.workflow import Workflows
from backwater.errors import LimitError
from backwater.outcome import DROPPED, LOST, UNFINISHED, Outcome, audit
from backwater.run import Run
from backwater.scenario import Producer as Part
from backwater.scenario import Scenario

LIVE_JOBS = 1_000_000  # a live job takes about 1.5 kB here


class System:
    """A scenario's processes in ``env``; beside them, processes of one's own may offer attempts to ``queue``.

    queue, workers, clients  the parts; one client per source
    """

    def __init__(self, env: simpy.Environment, scenario: Scenario, run: Run, replication: int = 0) -> None:
        self.env, self.scenario, self.run = env, scenario, run
        deadlines = [math.inf if job.deadline is None else job.deadline for job in scenario.jobs.values()]
        self.ledger = Ledger(env, Fold(self.run, np.array(deadlines), scenario.workers.at_first))
        self.chance = Chance(self.run.seed, replication)
        about = env, scenario.queue, self.ledger, self.chance, scenario.levels
        self.queue = BoundedQueue(*about) if scenario.broker is None else BrokerQueue(*about, scenario.broker)
        self.queue.skips = scenario.workers.abandoned == "skip"
        self.faults = Faults(env, scenario.faults)
        self.staff, batch = Staff(env, scenario.workers, self.ledger, self.faults, self.chance), scenario.workers.batch
        self.workers: WorkerPool | BatchPool
        if isinstance(self.queue, BrokerQueue):
            self.workers = ConsumerPool(env, self.queue, staff=self.staff, chance=self.chance)
        elif batch is None:
            self.workers = WorkerPool(env, self.queue, staff=self.staff, chance=self.chance)
        else:
            self.workers = BatchPool(env, self.queue, batch, staff=self.staff, chance=self.chance)
        self.arrived = 0
        followers = self._follow_up()
        self._backlog()
        self.clients = followers + [self._start(index) for index in range(len(scenario.producers))]

    def _jobs(self, part: Part, source: int) -> tuple[Jobs, Client]:
        jobs = Jobs(self.scenario, part, source, self.chance)
        return jobs, Client(self.env, self.queue, part.client, self.chance, None if jobs.once else jobs.demand)

    def _start(self, index: int) -> Client:
        part = self.scenario.producers[index]
        jobs, client = self._jobs(part, index)
        Producer(self.env, part, jobs, client, self._count, paces(self.scenario.faults))
        return client

    def _follow_up(self) -> list[Client]:
        """What sends the jobs that others lead to: a source of its own, after that of the backlog."""
        part = self.scenario.follow_up
        if part is None:
            return []
        jobs, client = self._jobs(part, len(self.scenario.producers) + 1)
        Workflows(self.env, jobs, client, list(self.scenario.jobs), self.chance, self._check_room)
        return [client]

    def _backlog(self) -> None:
        """Jobs that wait at time 0: the first source's kind, from a source of their own."""
        if self.scenario.queue.backlog:
            jobs, client = self._jobs(self.scenario.producers[0], len(self.scenario.producers))
            for number in range(self.scenario.queue.backlog):
                client.send(jobs.make(number, 0))

    def _count(self) -> None:
        """One more job has arrived; the last one that the run wants ends it."""
        self.arrived += 1
        self._check_room()
        if self.arrived == self.run.arrivals:
            end_of_event(self.env).callbacks.append(StopSimulation.callback)

    def _check_room(self) -> None:
        if len(self.ledger.alive) > LIVE_JOBS:
            waiting = len(self.queue)
            raise LimitError(
                f"at {self.env.now:g} s more than {LIVE_JOBS:,} jobs were alive, {waiting:,} of them waiting: it "
                "outgrows the memory allowed; bound queue.capacity, lower the load or shorten the horizon"
            )

    def finish(self) -> Outcome:
        """Close the books at the present time: what is in progress ends as unfinished."""
        live = {*self.queue.oldest, *self.queue.kept, *self.workers.held}
        live |= {job.attempt for job in self.ledger.alive if job.attempt is not None}
        live |= {attempt for job in self.ledger.alive for attempt in job.live}
        for attempt in sorted(live, key=_address):
            if attempt.outcome not in (DROPPED, LOST):
                attempt.ended, attempt.outcome = self.env.now, UNFINISHED
            self.ledger.close(attempt)
        for job in sorted(self.ledger.alive, key=lambda job: (job.source, job.number)):
            self.ledger.leave(job)
        self.ledger.close_workflows()
        self.ledger.flush()
        return self.ledger.fold.close(self.env.now)  # type: ignore[union-attr]


def _address(attempt: Attempt) -> tuple[int, int, int, int]:
    return attempt.job.source, attempt.job.number, attempt.number, attempt.delivery


def run(scenario: Scenario, run: Run, replication: int = 0) -> Outcome:
    """Run one replication of a scenario. Raises AuditError where the books do not balance, LimitError for memory."""
    env = simpy.Environment()
    system = System(env, scenario, run, replication)
    if run.horizon is not None:
        After(env, run.horizon, order.LAST).callbacks.append(StopSimulation.callback)
    env.run()
    outcome = system.finish()
    # What comes back to a broker is not turned away.
    audit(outcome, scenario.queue.bounds[0] if scenario.broker is None else math.inf)
    return outcome
