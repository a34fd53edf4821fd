"""What queueing theory needs to know of a scenario, and what in it no argument here knows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from backwater.base import Model
from backwater.components.arrivals import Periodic, Poisson, Renewal
from backwater.components.client import Client, Retry
from backwater.components.memory import Slowdown
from backwater.components.workers import Workers
from backwater.distributions import Constant, Exponential, Law, Linear
from backwater.scenario import Producer, Scenario

# The fields that the arguments know. Any besides these, set to anything but its default, stands in the way.
SCENARIO = {"name", "arrivals", "jobs", "client", "queue", "workers", "notes"}
QUEUE = {"capacity", "discipline", "overflow", "standing", "retry_after", "memory"}
WORKERS = {"count", "service", "demand", "abandoned"}
CLIENT = {"attempt_timeout", "on_timeout", "retry", "honours_retry_after"}
UNUSED = {"retry_budget", "proxy"}  # fields of a client that say nothing where no attempt ever fails
JOB = {"share", "size", "priority", "deadline", "weight", "service", "then"}
SOURCE = {
    "poisson": {"rate"}, "mmpp": {"rates", "sojourns"}, "closed": {"clients", "think"}, "renewal": {"gap"},
    "periodic": {"interval", "jitter"},
}  # fmt: skip
OF_EVERY_SOURCE = {"scale", "jobs", "client", "batch"}
BLIND = {"fifo", "lifo", "random", "adaptive_lifo"}  # disciplines that look neither at classes nor at services
BY_CLASS = {"priority", "edf", "fair"}  # those that look at classes only


class Obstacle(NamedTuple):
    """What stands between a scenario and an exact answer.

    path     the field
    why      in words, of the field
    without  the simplification that takes it away, in words
    changes  the same as paths and values; none where there is no such simplification
    """

    path: str
    why: str
    without: str
    changes: dict[str, Any]


class Sort(NamedTuple):
    """A class of jobs: its priority, how many come per second [1/s], and its service."""

    name: str
    priority: int
    rate: float
    law: Law


@dataclass(frozen=True)
class Facts:
    """A scenario as theory sees it.

    obstacles   what no argument here knows of
    producers   its sources
    client      what all its clients are
    retry       how they try again; None where they never do
    patience    how long an attempt is waited for; None for as long as it takes
    slowdown    what a long queue does to services
    sorts       its classes of jobs
    """

    scenario: Scenario
    obstacles: tuple[Obstacle, ...]
    producers: tuple[Producer, ...]
    client: Client
    retry: Retry | None
    patience: Law | None
    slowdown: Slowdown | None
    sorts: tuple[Sort, ...]

    @property
    def source(self) -> Any:
        """Its source, or the first of several."""
        return self.producers[0].source

    @property
    def poisson(self) -> bool:
        """Whether jobs come one by one at random, at a constant rate."""
        return all(isinstance(part.source, Poisson) and part.source.batch == 1 for part in self.producers)

    @property
    def rate(self) -> float:
        """New jobs per second [1/s]."""
        return self.scenario.rate

    @property
    def c(self) -> int:
        """Workers."""
        return self.scenario.workers.count

    @property
    def places(self) -> float:
        """Places in all, those in service included."""
        return self.c + self.scenario.queue.bounds[0]

    @property
    def mean(self) -> float:
        """Mean of a service, over all classes [s]."""
        return sum(sort.rate * sort.law.average for sort in self.sorts) / sum(sort.rate for sort in self.sorts)

    @property
    def second(self) -> float:
        """Mean square of a service, over all classes [s^2]; infinite where there is none."""
        total = sum(sort.rate * (sort.law.moments[1] + sort.law.average**2) for sort in self.sorts)
        return total / sum(sort.rate for sort in self.sorts)

    @property
    def scv(self) -> float:
        """Squared coefficient of variation of a service, over all classes [1]."""
        return self.second / self.mean**2 - 1

    @property
    def load(self) -> float:
        """Work of new jobs over what the workers can do [1]."""
        return self.rate * self.mean / self.c

    @property
    def lossless(self) -> bool:
        """Whether every job is served at its first attempt, and slowly or not as it asks for."""
        return math.isinf(self.places) and self.patience is None and self.slowdown is None

    @property
    def exponential(self) -> float | None:
        """The mean of all services where they are equal and exponential [s]; None otherwise."""
        means = {float(sort.law.mean) for sort in self.sorts if isinstance(sort.law, Exponential)}
        return means.pop() if len(means) == 1 and all(isinstance(s.law, Exponential) for s in self.sorts) else None

    @property
    def gaps(self) -> Law | None:
        """The law of independent gaps between arrivals, at the scale of 1; None where they are none."""
        if len(self.producers) > 1 or self.source.batch != 1:
            return None
        if isinstance(self.source, Renewal):
            return self.source.gap
        steady = isinstance(self.source, Periodic) and not self.source.jitter
        return Constant(value=self.source.interval) if steady else None


def read(scenario: Scenario) -> Facts:
    """What theory needs to know of a scenario."""
    producers, queue = scenario.producers, scenario.queue
    client = producers[0].client
    retry = client.retry if _fails(scenario) else None
    if retry is not None and (retry.most == 1 or retry.retry_probability == 0):
        retry = None
    patience = client.attempt_timeout
    obstacles = [*_unknown(scenario), *_of_sources(scenario), *_of_queue(scenario, retry), *_of_work(scenario)]
    slowdown = queue.memory.slowdown if queue.memory is not None else None
    sorts = () if obstacles and not _has_means(scenario) else tuple(_sorts(scenario))
    return Facts(scenario, tuple(obstacles), producers, client, retry, patience, slowdown, sorts)


def _fails(scenario: Scenario) -> bool:
    """Whether an attempt may fail."""
    clients = [part.client for part in scenario.producers]
    patient = all(client.attempt_timeout is None and client.total_timeout is None for client in clients)
    free = all(client.breaker is None and client.throttle is None for client in clients)
    open_door = math.isinf(min(scenario.queue.bounds)) and scenario.queue.admission is None
    return not (patient and free and open_door and not scenario.faults)


def _left(part: Model, where: str, known: set[str]) -> Iterator[Obstacle]:
    """The fields of a part that are not known."""
    for name in part.plain():
        if name not in known:
            path = f"{where}.{name}".removeprefix(".")
            default = type(part).model_fields[name].get_default(call_default_factory=True)
            yield Obstacle(path, "no argument here knows of it", f"without {path}", {path: default})


def _unknown(scenario: Scenario) -> Iterator[Obstacle]:
    """Whatever the lists above do not name."""
    yield from _left(scenario, "", SCENARIO)
    yield from _left(scenario.queue, "queue", QUEUE)
    yield from _left(scenario.workers, "workers", WORKERS)
    if scenario.queue.memory is not None:
        given = scenario.queue.memory.slowdown
        rest = None if given is None else {"slowdown": given.plain()}
        if list(_left(scenario.queue.memory, "", {"slowdown"})):
            why, words = "bytes in memory and on disk are not followed here", "without memory and disk"
            yield Obstacle("queue.memory", why, words, {"queue.memory": rest})
    for name, job in scenario.jobs.items():
        yield from _left(job, f"jobs.{name}", JOB)
    known = CLIENT if _fails(scenario) else CLIENT | UNUSED
    if any(part.source.client is None for part in scenario.producers):
        yield from _left(scenario.client, "client", known)
    for part in scenario.producers:
        if part.source.client is not None:
            yield from _left(part.source.client, f"{_where(scenario, part)}.client", known)


def _where(scenario: Scenario, part: Producer) -> str:
    single = len(scenario.producers) == 1 and part.name == "arrivals"
    return "arrivals" if single else f"arrivals.{part.name}"


def _of_sources(scenario: Scenario) -> Iterator[Obstacle]:
    """Sources that no argument knows of, and clients that differ."""
    producers = scenario.producers
    words = "Poisson arrivals at the long-run rate"
    for part in producers:
        source, where = part.source, _where(scenario, part)
        kind = source.kind  # type: ignore[attr-defined]
        if kind not in SOURCE:
            yield Obstacle(where, f"{kind} arrivals have no steady state here", words, at_random(scenario))
        elif not set(source.plain()) <= SOURCE[kind] | OF_EVERY_SOURCE:
            yield Obstacle(where, "it has fields that no argument here knows of", words, at_random(scenario))
    plain = all(isinstance(part.source, Poisson) and part.source.batch == 1 for part in producers)
    if len(producers) > 1 and not plain:
        yield Obstacle("arrivals", "several sources are known only where all are Poisson", words, at_random(scenario))
    leads = [f"jobs.{name}.then" for name, job in scenario.jobs.items() if job.then is not None]
    if leads:
        why, told = "jobs that others lead to do not come at random", "jobs that others lead to as random ones"
        yield Obstacle(leads[0], why, told, at_random(scenario))
    if len({part.client.model_dump_json() for part in scenario.senders}) > 1:
        yield Obstacle("arrivals", "its senders have clients that differ", "", {})


def at_random(scenario: Scenario) -> dict[str, Any]:
    """The changes that make all jobs come at random, at the rate of the long run."""
    if not (math.isfinite(scenario.rate) and scenario.rate > 0):
        return {}
    client = scenario.producers[0].source.client
    shares = {f"jobs.{name}.share": rate for name, rate in class_rates(scenario).items()}
    own = {} if client is None else {"client": client.plain()}
    leads = {f"jobs.{name}.then": None for name, job in scenario.jobs.items() if job.then is not None}
    return {"arrivals": {"kind": "poisson", "rate": scenario.rate, **own}, **shares, **leads}


def class_rates(scenario: Scenario) -> dict[str, float]:
    """New jobs per second of each class, led ones included [1/s]."""
    names, out = list(scenario.jobs), dict.fromkeys(scenario.jobs, 0.0)
    for part in scenario.producers:
        before, rate = 0.0, part.source.long_run_rate * part.scale
        for index, share in zip(part.classes, part.shares, strict=True):
            out[names[index]] += rate * (share - before)
            before = share
    return {name: rate + led for (name, rate), led in zip(out.items(), scenario.led_rates.tolist(), strict=True)}


def _of_queue(scenario: Scenario, retry: Retry | None) -> Iterator[Obstacle]:
    queue = scenario.queue
    if not math.isinf(min(queue.bounds)) and queue.overflow != "reject":
        path = "queue.overflow"
        yield Obstacle(path, f"{queue.overflow} is not followed here", "503s for new attempts", {path: "reject"})
    if queue.discipline not in BLIND | BY_CLASS:
        path = "queue.discipline"
        yield Obstacle(path, "an order that looks at services is not followed here", "FIFO", {path: "fifo"})
    if queue.retry_after is not None and retry is not None:
        path = "queue.retry_after"
        yield Obstacle(path, "pauses that a 503 asks for are not exponential", f"without {path}", {path: None})


def _has_means(scenario: Scenario) -> bool:
    return not any(isinstance(scenario.service_law(index), Linear) for index in range(len(scenario.jobs)))


def _sorts(scenario: Scenario) -> Iterator[Sort]:
    for index, ((name, job), rate) in enumerate(
        zip(scenario.jobs.items(), class_rates(scenario).values(), strict=True)
    ):
        yield Sort(name, job.priority, rate, scenario.service_law(index))


def _of_work(scenario: Scenario) -> Iterator[Obstacle]:
    workers: Workers = scenario.workers
    if not _has_means(scenario):
        mean = scenario.work / scenario.rate
        yield Obstacle("workers.service", "it is that of a trace", "exponential services", alike(scenario, mean))
    elif scenario.work == 0:
        yield Obstacle("workers.service", "services that take no time leave nothing to ask", "", {})
    timed = any(part.client.attempt_timeout is not None for part in scenario.producers)
    if workers.abandoned == "skip" and timed:
        path = "workers.abandoned"
        yield Obstacle(path, "abandoned attempts that are skipped are not followed", "work on them", {path: "serve"})


def alike(scenario: Scenario, mean: float) -> dict[str, Any]:
    """The changes that make all services exponential of the same mean [s]."""
    own = {f"jobs.{name}.service": None for name, job in scenario.jobs.items() if job.service is not None}
    return {**own, "workers.service": {"kind": "exponential", "mean": f"{mean!r} s"}}
