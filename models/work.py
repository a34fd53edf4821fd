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
from backwater.components.workflow import MOST, Then
from backwater.distributions import LogNormal
from backwater.errors import check, nearest
from backwater.run import Run
from backwater.scenario import Scenario

CANVASES = "chain", "group", "chord"
LINKS = 60  # of a chain, each of which is a class of its own
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
    canvas      what each job leads to, in Celery's words: {"chain": 3}, {"group": 8} or {"chord": 8} others like it;
                the load is that much higher, as ``rate`` counts those that begin one
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
    canvas: dict[str, int] | None = None
    client: Client | None = None
    faults: tuple[Fault, ...] = ()

    def behind(
        self, broker: Broker, name: str, *, queue: Queue | None = None, prefetch: Any = 1,
        client: Client | None = None, looks: Any = "0 s",
    ) -> Scenario:  # fmt: skip
        """These jobs behind a broker.

        queue     where they wait; ``length`` bounds it unless given
        prefetch  messages that a node holds per worker
        client    how a sender behaves unless ``self.client`` says it
        looks     how often it is looked whether the header of a chord is done [s]; each that ends looks unless given
        """
        quantity = isinstance(self.rate, str | int | float)
        return Scenario(
            name=name,
            arrivals=Poisson(rate=self.rate) if quantity else self.rate,
            jobs=drawn(Job(size=self.size, delay=self.task_delay), self.canvas, looks),
            client=self.client or client or Client(mode="async"),
            queue=queue or Queue(capacity=self.length),
            workers=Workers(count=self.workers, nodes=self.nodes, prefetch=prefetch, service=self.service),
            broker=broker,
            faults=self.faults,
        )


def drawn(task: Job, canvas: dict[str, int] | None, looks: Any) -> dict[str, Job]:
    """The classes of a task that begins a canvas: a chain, a group or a chord of so many others like it."""
    if canvas is None:
        return {"job": task}
    known = len(canvas) == 1 and set(canvas) <= set(CANVASES)
    word = nearest(str(next(iter(canvas), "")), CANVASES)
    check(known, "canvas", canvas, f'must be one of {", ".join(CANVASES)} and a number, such as {{"chord": 8}}{word}')
    [(kind, tasks)] = canvas.items()
    most = LINKS if kind == "chain" else MOST
    whole = isinstance(tasks, int) and 1 <= tasks <= most
    check(whole, f"canvas.{kind}", tasks, f"must be a whole number from 1 to {most:,}")
    if kind == "chain":
        links = ["job", *(f"link {n}" for n in range(1, tasks + 1))]
        thens = [*(Then(send=name) for name in links[1:]), None]
        return {name: task.model_copy(update={"then": then}) for name, then in zip(links, thens, strict=True)}
    if kind == "group":
        return {"job": task.model_copy(update={"then": Then(send={"part": tasks})}), "part": task}
    then = Then(send={"header": tasks}, join="body", join_every=looks)
    return {"job": task.model_copy(update={"then": then}), "header": task, "body": task}
