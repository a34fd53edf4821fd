"""Who sends new jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from backwater import order, random
from backwater.components.closed import Closed
from backwater.components.flow import FLOW, next_unsteady, pace_at
from backwater.components.source import Listed
from backwater.components.steady import MODULATED, draw_gaps, next_arrival
from backwater.components.trace import Trace
from backwater.distributions import Law, Linear
from backwater.engines.reference.chance import Chance, draw
from backwater.engines.reference.client import Client
from backwater.engines.reference.clock import After
from backwater.engines.reference.jobs import LiveJob
from backwater.jit import allocating
from backwater.scenario import Producer as Part
from backwater.scenario import Scenario


@allocating
def _arrival(plan, now, number, seed, replication, source):  # type: ignore[no-untyped-def]
    gap = np.full(1, random.uniform(seed, replication, source, number, random.GAP, 0))
    draw_gaps(plan, 0, gap, gap)
    return next_arrival(plan, now, number, gap[0])


@allocating
def _unsteady(plan, batch, paces, flow, now, number, seed, replication, source):  # type: ignore[no-untyped-def]
    gap = np.full(1, random.uniform(seed, replication, source, number, random.GAP, 0))
    draw_gaps(plan, 0, gap, gap)
    return next_unsteady(plan, batch, paces, flow[0], now, number, gap[0], seed, replication, source)


class Jobs:
    """Draws the jobs that a source sends: class, size and service time of each, by its number."""

    def __init__(self, scenario: Scenario, part: Part, index: int, chance: Chance) -> None:
        self.part, self.index, self.chance = part, index, chance
        classes = list(scenario.jobs.values())
        self.services = [self._drawer(scenario.service_law(i), random.SERVICE) for i in range(len(classes))]
        self.sizes = [None if job.size is None else self._drawer(job.size, random.SIZE) for job in classes]
        self.classes = classes
        self.once = scenario.workers.demand == "job"

    def _drawer(self, law: Law, purpose: int) -> Callable[[int, int, int], float]:
        """(job, row, index) -> variate."""
        if isinstance(law, Linear):
            source = self.part.source
            values = law.of(source.values) if isinstance(source, Trace) else ()
            return lambda job, row, index: float(values[row])
        table, seed, replication, source_index = law.table, self.chance.seed, self.chance.replication, self.index
        return lambda job, row, index: draw(table, seed, replication, source_index, job, purpose, index)

    def make(self, number: int, row: int, job_class: int | None = None) -> LiveJob:
        """Job ``number`` of the source, from this row of its trace; of a class by chance unless given."""
        classes = self.part.classes
        if job_class is None and len(classes) == 1:
            job_class = classes[0]
        elif job_class is None:
            u = self.chance.uniform(self.index, number, random.CLASS, 0)
            job_class = classes[next(i for i, share in enumerate(self.part.shares) if u < share)]
        size, its = self.sizes[job_class], self.classes[job_class]
        return LiveJob(
            number, source=self.index, job_class=job_class, row=row, part=its,
            size=0.0 if size is None else float(round(size(number, row, 0))),
            demand=self.services[job_class](number, row, 0) if self.once else math.nan,
        )  # fmt: skip

    def demand(self, job: LiveJob) -> float:
        """The service time of the job's present attempt, where it is drawn anew at each [s]."""
        return self.services[job.job_class](job.number, job.row, job.attempts)


class Producer:
    """A source of jobs: sends each through ``client`` when its time comes, and then calls ``sent()``.

    Where the queue blocks, an open source sends nothing while the first attempt of its last job is outside or in line
    for a token; what its timetable had for that time comes at once then.
    """

    def __init__(
        self, env: simpy.Environment, part: Part, jobs: Jobs, client: Client, sent: Callable[[], None] | None = None,
        paces: npt.NDArray[np.float64] | None = None,
    ) -> None:  # fmt: skip
        self.env, self.part, self.jobs, self.client, self.sent = env, part, jobs, client, sent
        self.paces = np.empty(0) if paces is None else paces
        self.numbers = count()
        if isinstance(part.source, Closed):
            self.processes = [env.process(self._think(each, part.source)) for each in range(part.source.clients)]
        else:
            self.processes = [env.process(self._run())]

    def _run(self) -> Generator[simpy.Event, Any, None]:
        """The source's story: wait for the next arrival, send the job, and again."""
        env, source = self.env, self.jobs.index
        for number, (when, row) in zip(self.numbers, self._moments(), strict=False):
            delay = max(when - env.now, 0.0) if self.client.queue.blocks else when - env.now
            yield After(env, delay, order.key(order.ARRIVAL, source, number, 0))
            job = self.jobs.make(number, row)
            goes_on = self._send(job)
            if self.client.queue.blocks:
                yield from self._until_inside(job, goes_on)

    def _send(self, job: LiveJob) -> simpy.Event:
        """Send a job; what is returned fires when its caller is no longer blocked."""
        life = self.client.send(job)
        if self.sent is not None:
            self.sent()
        return life if job.unblocked is None else job.unblocked

    def _until_inside(self, job: LiveJob, goes_on: simpy.Event) -> Generator[simpy.Event, Any, None]:
        """Wait for as long as the job's first attempt waits for a token, and is outside."""
        yield self.env.timeout(0)  # it is about to be sent
        limiter = self.client.gates.limiter
        if limiter is not None and job in limiter.line:
            yield limiter.line[job] | goes_on  # unless its client gives up before
        first = job.live[0] if job.live else job.attempt
        outside = None if first is None else self.client.queue.outside.get(first)
        if outside is not None:
            yield outside

    def _think(self, client: int, part: Closed) -> Generator[simpy.Event, Any, None]:
        """A closed population's client: think, send a job, wait until it may go on, and again."""
        env, chance, source, job, index = self.env, self.jobs.chance, self.jobs.index, client, 1
        while True:
            pace, _ = pace_at(self.paces, env.now)
            pause = chance.draw(part.think.table, source, job, random.THINK, index) / (self.part.scale * pace)
            yield After(env, pause, order.key(order.ARRIVAL, source, client, 0))
            job, index = next(self.numbers), 0
            yield self._send(self.jobs.make(job, client))

    def _moments(self) -> Iterator[tuple[float, int]]:
        """When each job comes [s], and its row in a trace; asked for only when the previous job has come."""
        if isinstance(self.part.source, Listed):
            yield from self._trace(self.part.source)
            return
        chance, source, env, part = self.jobs.chance, self.jobs.index, self.env, self.part.source
        plan, batches, flow, number = part.plan(self.part.scale), part.batches, np.zeros(1, FLOW), 0
        steady = plan[0] != MODULATED and not len(batches) and not len(self.paces)
        address = chance.seed, chance.replication, source
        while True:
            when = (
                _arrival(plan, env.now, number, *address) if steady
                else _unsteady(plan, batches, self.paces, flow, env.now, number, *address)
            )  # fmt: skip
            if math.isinf(when):
                return
            if self.client.queue.blocks:
                flow["due"] = when if when < env.now else 0.0
            yield when, 0
            number += 1

    def _trace(self, trace: Listed) -> Iterator[tuple[float, int]]:
        turn, address = 0, (self.jobs.chance.seed, self.jobs.chance.replication, self.jobs.index)
        while turn == 0 or not trace.may_end:
            times, rows = trace.pass_through(turn, self.part.scale, address)
            yield from zip(times.tolist(), rows.tolist(), strict=True)
            turn += 1
