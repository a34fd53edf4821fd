"""A scenario: who sends work, how they retry, where it waits, who does it. Pure, frozen, validated data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from backwater import random
from backwater.base import Model
from backwater.components.arrivals import AnySource, Arrivals, Sources
from backwater.components.batch import longest
from backwater.components.broker import Broker, check_beside, check_without
from backwater.components.client import Client
from backwater.components.cron import Cron
from backwater.components.faults import Fault
from backwater.components.jobs import Job, check_led, led_to, with_led
from backwater.components.queue import Queue
from backwater.components.source import BATCH, Listed
from backwater.components.trace import Trace, mean_of
from backwater.components.workers import Workers
from backwater.contents import digest_of, rules_of, walk
from backwater.distributions import Law, Linear
from backwater.errors import ScenarioError, check, nearest
from backwater.quantile import quantile
from backwater.rules import Rule

CLASSES, FAULTS = 64, 64  # at most
STEPS = 1000  # in which laws are seen where the longest of several times is asked for


class Producer(NamedTuple):
    """One source as it takes part in a run: everything resolved.

    scale    what multiplies its rate, the group's scale included [1]
    classes  indices of the job classes that it sends
    shares   cumulative shares of these classes, the last one 1
    """

    name: str
    source: AnySource
    scale: float
    client: Client
    classes: tuple[int, ...]
    shares: tuple[float, ...]


class Scenario(Model):
    """A queueing system as data. Raises ScenarioError, one line, for anything wrong.

    name      what people call it
    arrivals  one source, or several by name
    jobs      classes of jobs by name
    client    how senders behave (a source may have its own)
    queue     where jobs wait
    workers   who does the work
    broker    what stands between, and what it promises; none unless given
    faults    what breaks, and when
    notes     where a value comes from, by dotted path; reports show it
    """

    name: str = "scenario"
    arrivals: Arrivals
    jobs: dict[str, Job] = Field(default_factory=lambda: {"job": Job()})
    client: Client = Client()
    queue: Queue = Queue()
    workers: Workers = Workers()
    broker: Broker | None = None
    faults: tuple[Fault, ...] = ()
    notes: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Scenario:
        check(0 < len(self.jobs) <= CLASSES, "jobs", len(self.jobs), f"must be 1 to {CLASSES} classes")
        check_led(self.jobs)
        for path in self.notes:
            check(
                path in self.settings,
                f'notes."{path}"',
                path,
                f"must be the path of a field{nearest(path, self.settings)}",
            )
        for name, job in self.jobs.items():
            service = job.service or self.workers.service
            if service is None:
                raise ScenarioError("workers.service", f"is missing, and jobs.{name} has no service", shown=False)
            self._check_law(service, f"jobs.{name}.service" if job.service else "workers.service", name)
            self._check_size(name, job)
        places = self.queue.bounds[0] + self.workers.at_first * self.workers.enough
        backlog = self.queue.backlog
        check(backlog <= places, "queue.backlog", backlog, f"must fit in the queue and the workers, {places:g} places")
        check(len(self.faults) <= FAULTS, "faults", len(self.faults), f"must be at most {FAULTS}")
        traced = [p.name for p in self.producers if isinstance(p.source, Listed)]
        for index, fault in enumerate(self.faults):
            multiplies = fault.kind == "load" and traced
            check(not multiplies, f"faults.{index}.kind", "load", "must not be load where arrivals are a trace or cron")
        self._check_batch()
        self._check_pauses()
        self._check_broker()
        return self._check_names()

    def _check_pauses(self) -> None:
        """A client that tries for ever without a pause, and is turned away at once, would stop the clock."""
        queue = self.queue
        full = not math.isinf(min(queue.bounds)) and queue.overflow in ("reject", "shed_oldest")
        refuses = full or queue.admission is not None
        must = 'must be above 0 where max_attempts is "forever" and attempts can be turned away'
        for producer in self.senders:
            client = producer.client
            where = f"arrivals.{producer.name}.client" if producer.source.client is not None else "client"
            gated = client.breaker is not None or client.throttle is not None
            at_once = refuses and client.waits_exactly(queue.asked) == 0
            for path, layer, refused in (("", client, refuses or gated), (".proxy", client.proxy, refuses)):
                retry = None if layer is None or layer.retry_budget is not None else layer.retry
                if retry is not None and retry.max_attempts == "forever" and retry.retry_probability == 1:
                    ends = not refused or (retry.pauses and not at_once)
                    check(ends, f"{where}{path}.retry.base", retry.base, must)

    def _check_broker(self) -> None:
        if self.broker is None:
            check_without(self.workers, self.jobs, self.faults)
            return
        own = {f"arrivals.{p.name}.client" for p in self.producers if p.source.client is not None}
        named = {f"arrivals.{p.name}.client": p.client for p in self.senders}
        clients = {where if where in own else "client": client for where, client in named.items()}
        check_beside(self.broker, self.queue, self.workers, self.jobs, clients)

    def _check_batch(self) -> None:
        """Refuse queues in which too few fit for a batch to begin."""
        least, (room, room_bytes), where = self.workers.enough, self.queue.bounds, "workers.batch.least"
        check(least - 1 <= room, where, least, f"must be at most queue.capacity + 1 = {room + 1:g}")
        if least > 1 and not math.isinf(room_bytes):
            waits = self.workers.batch.wait is not None  # type: ignore[union-attr]
            blocks = self.queue.overflow == "block"
            check(not blocks, where, least, "must be 1 where queue.capacity_bytes makes producers wait outside")
            check(waits, "workers.batch.wait", None, "must be given where capacity_bytes may let in fewer than least")

    def _check_names(self) -> Scenario:
        sent = {index for producer in self.producers for index in producer.classes}
        led = led_to(self.jobs)
        must = f"must be fewer than {random.SOURCES - 1} sources where jobs lead to others"
        check(len(self.senders) < random.SOURCES or not led, "arrivals", len(self.producers), must)
        for index, name in enumerate(self.jobs):
            check(index in sent or name in led, f"jobs.{name}", name, "must be sent by some source")
        for name in ("backlog", *(["then"] if led else [])):
            must = "must have another name: rows tell by it what no source sends"
            check(self.sender_names.count(name) == 1, f"arrivals.{name}", name, must)
        for producer in self.senders:
            client = producer.client
            timeout = client.attempt_timeout
            told = self.queue.overflow != "drop_oldest" or timeout is not None or client.total_timeout is not None
            must = "must come with a timeout where queue.overflow is drop_oldest: nobody is told of what vanishes"
            check(told or client.hedge is None, "client.hedge", "a hedge", must)
            check(not isinstance(timeout, Linear), "client.attempt_timeout", "linear", "must not depend on a trace")
            if isinstance(producer.source, Cron):
                most = producer.source.count * producer.scale
                check(most <= BATCH, "arrivals.scale", producer.scale, f"must leave at most {BATCH:,} jobs at once")
        return self

    def _check_size(self, name: str, job: Job) -> None:
        memory = self.queue.memory
        if job.size is not None:
            self._check_law(job.size, f"jobs.{name}.size", name)
        elif memory is not None and memory.limit is not None:
            raise ScenarioError(
                f"jobs.{name}.size", "is missing: queue.memory needs to know how big jobs are", shown=False
            )
        elif self.queue.capacity_bytes is not None:
            raise ScenarioError(f"jobs.{name}.size", "is missing: queue.capacity_bytes needs it", shown=False)

    def _check_law(self, law: Law, where: str, job: str) -> None:
        """Refuse what cannot be drawn: columns where no trace gives them, infinite means."""
        if not isinstance(law, Linear):
            check(law.average < float("inf"), where, law.average, "must have a finite mean")
            return
        check(not self.queue.backlog, where, "linear", "must not depend on a trace where there is a backlog")
        check(job not in led_to(self.jobs), where, "linear", "must not depend on a trace for jobs that others lead to")
        for producer in self.producers:
            source = producer.source
            if not isinstance(source, Trace):
                raise ScenarioError(where, "needs arrivals of kind trace", "linear")
            for column in law.per:
                known = nearest(column, source.columns) if source.columns else "; the trace names none"
                check(column in source.columns, f"{where}.per", column, f"must be one of the trace's columns{known}")

    @cached_property
    def producers(self) -> tuple[Producer, ...]:
        """The sources as they take part in a run, in the order in which they are written."""
        if isinstance(self.arrivals, Sources):
            group, named = self.arrivals.scale, self.arrivals.sources
        else:
            group, named = 1.0, {"arrivals": self.arrivals}
        return tuple(self._producer(name, source, group) for name, source in named.items())

    def _producer(self, name: str, source: AnySource, group: float) -> Producer:
        known = list(self.jobs)
        for word in source.jobs or ():
            where = "arrivals.jobs" if name == "arrivals" else f"arrivals.{name}.jobs"
            check(word in known, where, word, f"must be classes of jobs{nearest(word, known)}")
        led = led_to(self.jobs)
        classes = tuple(known.index(word) for word in (source.jobs or [word for word in known if word not in led]))
        weights = [self.jobs[known[index]].share for index in classes]
        shares = (*[part / sum(weights) for part in accumulate(weights)][:-1], 1.0)
        return Producer(name, source, group * source.scale, source.client or self.client, classes, shares)

    @cached_property
    def follow_up(self) -> Producer | None:
        """What sends the jobs that others lead to, with the client of the scenario; None where none do."""
        if not led_to(self.jobs):
            return None
        classes = tuple(range(len(self.jobs)))
        return Producer("then", self.producers[0].source, 1.0, self.client, classes, (*[0.0] * (len(classes) - 1), 1.0))

    @property
    def senders(self) -> tuple[Producer, ...]:
        """The sources, and what sends the jobs that others lead to."""
        return self.producers if self.follow_up is None else (*self.producers, self.follow_up)

    @property
    def sender_names(self) -> list[str]:
        """What sends jobs, in the order in which rows number them: the sources, the backlog, what is led to."""
        sources, more = self.producers, self.senders[len(self.producers) :]
        return [*(part.name for part in sources), "backlog", *(part.name for part in more)]

    def service_law(self, index: int) -> Law:
        """The service time of a class [s]."""
        job = list(self.jobs.values())[index]
        return job.service or self.workers.service  # type: ignore[return-value]

    @property
    def levels(self) -> list[int]:
        """The priorities that there are, 0 first."""
        return sorted({job.priority for job in self.jobs.values()})

    @property
    def rate(self) -> float:
        """New jobs per second in the long run, all sources and all that they lead to [1/s]."""
        return self._sent_rate + float(self.led_rates.sum())

    @property
    def _sent_rate(self) -> float:
        return sum(p.source.long_run_rate * p.scale for p in self.producers)

    @property
    def jobs_each(self) -> float:
        """How many jobs come of one that a source sends, itself included, in the long run [1]."""
        return self.rate / self._sent_rate if self.follow_up is not None and self._sent_rate > 0 else 1.0

    @cached_property
    def led_rates(self) -> npt.NDArray[np.float64]:
        """Jobs of each class per second that others lead to, in the long run, if all are served [1/s]."""
        rates = np.zeros(len(self.jobs))
        for producer in self.producers if self.follow_up is not None else ():
            rates += producer.source.long_run_rate * producer.scale * self._led(producer)
        return rates

    def _led(self, producer: Producer) -> npt.NDArray[np.float64]:
        """How many jobs of each class one that a source sends leads to [1]."""
        sent = np.zeros(len(self.jobs))
        sent[list(producer.classes)] = np.diff((0.0, *producer.shares))
        return with_led(self.jobs, sent) - sent

    @property
    def work(self) -> float:
        """Service time asked for by first attempts, per second [1]: the offered load in workers."""
        return sum(p.source.long_run_rate * p.scale * self.mean_service(p) for p in self.producers)

    @property
    def load(self) -> float:
        """First attempts' work over what the workers can do, in the long run [1]; with full batches.

        See ``Workers.capacity``.
        """
        if self.workers.capacity == 0:
            return math.inf
        if self.workers.batch is None:
            return self.work / self.workers.capacity
        return self.rate * self._full_batch / (self.workers.batch.size * self.workers.capacity)

    @cached_property
    def _full_batch(self) -> float:
        """How long a full batch takes on average [s]."""
        batch, mean = self.workers.batch, self.work / self.rate
        assert batch is not None
        if batch.time != "longest":
            return batch.overhead + (mean if batch.time == "first" else mean * batch.size)
        ends = np.linspace(0.0, 1.0, STEPS + 1) ** (1.0 / batch.size)  # finest where the longest are
        times, weights = [], []
        for producer in self.producers:
            before, source = 0.0, producer.source
            for index, share in zip(producer.classes, producer.shares, strict=True):
                law, weight = self.service_law(index), source.long_run_rate * producer.scale * (share - before)
                before = share
                if isinstance(law, Linear):
                    assert isinstance(source, Trace)  # a scenario refuses anything else
                    times.append(law.of(source.values))
                    weights.append(np.full(len(times[-1]), weight / len(times[-1])))
                else:
                    times.append(np.array([quantile(law.table, u) for u in (ends[1:] + ends[:-1]) / 2]))
                    weights.append(weight * np.diff(ends))
        for index, rate in enumerate(self.led_rates):
            if rate > 0:
                times.append(np.array([quantile(self.service_law(index).table, u) for u in (ends[1:] + ends[:-1]) / 2]))
                weights.append(rate * np.diff(ends))
        return batch.overhead + longest(np.concatenate(times), np.concatenate(weights), batch.size)

    def mean_service(self, producer: Producer) -> float:
        """Mean service time of a job that a source sends, and of all that it leads to [s]."""
        before, total = 0.0, 0.0
        for index, share in zip(producer.classes, producer.shares, strict=True):
            total += (share - before) * mean_of(self.service_law(index), producer.source)
            before = share
        led = enumerate(self._led(producer) if self.follow_up is not None else ())
        return total + float(sum(number * self.service_law(index).average for index, number in led if number > 0))

    @property
    def rules(self) -> list[Rule]:
        """Rules of one's own, each once, in the order in which they are written."""
        return list(dict.fromkeys(rules_of(self)))

    def plain(self) -> dict[str, Any]:
        """As files hold it; parts that are all default are left out, but for a broker, which is there or not."""
        return {name: part for name, part in super().plain().items() if part != {} or name == "broker"}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Every dotted path with its value as files hold it, defaults included; a part has None, its fields follow."""
        return dict(walk(self, ""))

    def with_(self, changes: Mapping[str, Any]) -> Scenario:
        """A copy with the values at these dotted paths changed; ``load`` sets the arrivals' scale, after the rest.

        Raises ScenarioError for an unknown path, naming the nearest, and for a value that does not fit.
        """
        touched = {path.partition(".")[0] for path in changes}
        # What is not touched is valid already.
        table = {name: getattr(self, name) for name in type(self).model_fields if name not in touched}
        table |= self.model_dump(mode="json", exclude_defaults=True, include=touched)
        for path, value in changes.items():
            if path != "load":
                self._put(table, path, value)
        changed = Scenario(**table)
        return changed.at_load(changes["load"]) if "load" in changes else changed

    def _put(self, table: dict[str, Any], path: str, value: Any) -> None:
        *parts, last = path.split(".")
        check(parts[:1] != ["faults"], path, value, "must be set as faults, the list as a whole, as a case can")
        here: Any = table
        for depth, part in enumerate(parts):
            self._known_name(parts[: depth + 1], value)
            have = here.get(part)
            if part == "client" and isinstance(have, str):
                here[part] = {"preset": have}
            elif not isinstance(have, dict):
                here[part] = self._begin(parts[: depth + 1])
            here = here[part]
        self._known_name([*parts, last], value)
        named = last == "preset" and parts[-1:] == ["client"]
        check(not named, path, value, f"must be set as {'.'.join(parts)}, which it replaces as a whole")
        here[last] = deepcopy(value)

    def _begin(self, parts: list[str]) -> dict[str, Any]:
        """A part that is about to get its first field: a part at its defaults, or a law given in short."""
        have: Any = self.model_dump(mode="json")
        for part in parts:
            have = have.get(part) if isinstance(have, dict) else None
        return {"kind": have["kind"]} if isinstance(have, dict) and "kind" in have else {}

    def _known_name(self, parts: list[str], value: Any) -> None:
        """Names of sources and classes must exist: a misspelt one must not make a new one."""
        names: dict[str, Iterable[str]] = {"jobs": self.jobs, "arrivals": dict.fromkeys(p.name for p in self.producers)}
        grouped = parts[0] == "jobs" or isinstance(self.arrivals, Sources)
        if len(parts) == 2 and parts[0] in names and grouped and parts[1] != "scale":
            known = list(names[parts[0]])
            ok = parts[1] in known or isinstance(value, (dict, Model))
            check(ok, ".".join(parts), parts[1], f"must name one of {parts[0]}{nearest(parts[1], known)}")

    def at_load(self, load: Any) -> Scenario:
        """A copy whose arrivals are scaled to this load of first attempts [1]."""
        ok = isinstance(load, (int, float)) and not isinstance(load, bool) and 0 < load < float("inf")
        check(ok, "load", load, "must be a number above 0")
        have = self.load
        check(have > 0, "load", load, "cannot be set: there is no work")
        return self.with_({"arrivals.scale": float(self.arrivals.scale * load / have)})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what the scenario says, the contents of its files included; 64 hexadecimal digits."""
        return digest_of(self.plain())
