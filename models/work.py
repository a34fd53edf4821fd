"""The same jobs for every system behind a broker: who sends what, how many workers serve it, what fails."""

from __future__ import annotations

from typing import Any, NamedTuple

from backwater.components.arrivals import Poisson
from backwater.components.broker import Broker
from backwater.components.client import Client
from backwater.components.faults import Fault
from backwater.components.jobs import Job
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.distributions import LogNormal
from backwater.run import Run
from backwater.scenario import Scenario

RUN = Run(horizon="10 min", warmup="1 min", replications=10)


class Work(NamedTuple):
    """What every system behind a broker takes, under the same names. The defaults are an example, no system's own.

    rate        new jobs [1/s], or what arrivals may be: a source, or several by name
    service     time that a job takes a worker [s]
    workers     how many there are, on all nodes
    nodes       processes or machines on which they live: each has a connection of its own
    size        of a message [B]
    memory      of the broker's machine [B]; no bound unless given. SQS has none
    length      messages that may be ready; no bound unless given. SQS has none
    task_delay  how long after it was sent a job is due [s]: a countdown
    client      how its sender behaves; one that goes on once its message is accepted, unless given
    faults      what breaks, and when
    """

    rate: Any = "60/s"
    service: Any = LogNormal(mean="200 ms", cv=1.0)
    workers: int = 16
    nodes: int = 4
    size: Any = "2 kB"
    memory: Any = None
    length: int | None = None
    task_delay: Any = None
    client: Client | None = None
    faults: tuple[Fault, ...] = ()

    def behind(
        self, broker: Broker, name: str, *, queue: Queue | None = None, prefetch: Any = 1, client: Client | None = None
    ) -> Scenario:
        """These jobs behind a broker.

        queue     where they wait; ``length`` bounds it unless given
        prefetch  messages that a node holds per worker
        client    how a sender behaves unless ``self.client`` says it
        """
        quantity = isinstance(self.rate, str | int | float)
        return Scenario(
            name=name,
            arrivals=Poisson(rate=self.rate) if quantity else self.rate,
            jobs={"job": Job(size=self.size, delay=self.task_delay)},
            client=self.client or client or Client(mode="async"),
            queue=queue or Queue(capacity=self.length),
            workers=Workers(count=self.workers, nodes=self.nodes, prefetch=prefetch, service=self.service),
            broker=broker,
            faults=self.faults,
        )
