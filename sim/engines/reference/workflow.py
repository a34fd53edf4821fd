"""What jobs lead to: a worker sends jobs once it has served one, and what joins them once all are done."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

from backwater import order, random
from backwater.components.workflow import Then, how_many, join_delay
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.client import Client
from backwater.engines.reference.clock import After
from backwater.engines.reference.jobs import Group, LiveJob
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.producer import Jobs
from backwater.outcome import ALL_SERVED, NOT_OVER, ONE_FAILED, WORKFLOWS


class Workflows:
    """Sends the jobs that others lead to, through ``client``, and calls ``sent()`` after each.

    A group that has nothing left to wait for is done: its join is sent, or the group that it belongs to hears of it.
    """

    def __init__(
        self, env: simpy.Environment, jobs: Jobs, client: Client, names: list[str], chance: Chance,
        sent: Callable[[], None],
    ) -> None:  # fmt: skip
        self.env, self.jobs, self.client, self.names, self.chance, self.sent = env, jobs, client, names, chance, sent
        self.ledger: Ledger = client.ledger
        self.ledger.workflows = self
        self.number = 0
        self.under_way: set[Group] = set()  # workflows

    def begin(self, job: LiveJob) -> None:
        """A job arrives, now: its workflow begins if it is a source's and leads to others."""
        if job.part.then is not None and job.source != self.jobs.index:
            job.group = Group(None, job.origin, self.env.now, first=job)
            job.group.left = 1
            self.under_way.add(job.group)
            self.ledger.change((self.env.now, WORKFLOWS, job.job_class, 1.0))

    def served(self, job: LiveJob) -> None:
        """A service of a job has completed, now: what it leads to is sent, each time that it is."""
        group, job.group = job.group, None
        if job.part.then is not None:
            self._lead_on(job, job.part.then, Group(group, job.origin, self.env.now))
        elif group is not None:
            self._leave(group, failed=False)

    def ended(self, job: LiveJob) -> None:
        """A job has ended; where it was never served, its workflow has failed."""
        group, job.group = job.group, None
        if group is not None:
            self._leave(group, failed=True)

    def leave(self) -> None:
        """The run ends, and these workflows are not over."""
        for group in sorted(self.under_way, key=lambda group: group.origin):
            assert group.first is not None
            self.ledger.workflow(group.first, NOT_OVER)

    def _lead_on(self, job: LiveJob, then: Then, group: Group) -> None:
        sends = []
        for part, (name, law) in enumerate(then.send.items()):
            index = order.of_lead(job.served, part)
            count = how_many(self.chance.draw(law.table, job.source, job.number, random.LEAD, index))
            sends += [self.names.index(name)] * count
        group.left = len(sends)
        group.join = None if then.join is None else self.names.index(then.join)
        group.join_every = then.join_every
        if sends:
            self._send(group, sends, 0.0)
        else:
            self._over(group)

    def _send(self, group: Group, classes: list[int], delay: float) -> None:
        first, self.number = self.number, self.number + len(classes)
        self.env.process(self._sending(group, classes, first, delay))

    def _sending(
        self, group: Group, classes: list[int], first: int, delay: float
    ) -> Generator[simpy.Event, Any, None]:  # fmt: skip
        """Send a job of each of these classes, one after the other at the same instant."""
        for number, job_class in enumerate(classes, first):
            yield After(self.env, delay, order.key(order.ARRIVAL, self.jobs.index, number, 0))
            job, delay = self.jobs.make(number, 0, job_class), 0.0
            job.group, job.origin = group, group.origin
            self.client.send(job)
            self.sent()

    def _leave(self, group: Group, *, failed: bool) -> None:
        """One of those for whom a group waits is done."""
        group.left -= 1
        group.failed |= failed
        self._over(group)

    def _over(self, group: Group | None) -> None:
        """If a group has nothing left to wait for, its join is sent, or it is done."""
        while group is not None and group.left == 0:
            if group.join is not None and not group.failed:
                delay, joins = join_delay(group.began, group.join_every, self.env.now), [group.join]
                group.join, group.left = None, 1
                self._send(group, joins, delay)
                return
            if group.first is not None:
                self.under_way.remove(group)
                self.ledger.change((self.env.now, WORKFLOWS, group.first.job_class, -1.0))
                self.ledger.workflow(group.first, ONE_FAILED if group.failed else ALL_SERVED)
            above = group.above
            if above is not None:
                above.left -= 1
                above.failed |= group.failed
            group = above
