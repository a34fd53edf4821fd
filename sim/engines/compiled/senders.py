"""Sources, their clients and the classes that they send as flat numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from backwater.components.closed import Closed
from backwater.components.notify import Poll
from backwater.components.source import Listed
from backwater.components.steady import MODULATED
from backwater.components.trace import Trace
from backwater.distributions import Law, Linear
from backwater.engines.compiled import workflow
from backwater.engines.compiled.world import NONE, Array
from backwater.quantile import CONSTANT
from backwater.scenario import Producer, Scenario

LEAVE, CANCEL_WAITING, CANCEL = range(3)
ON_TIMEOUT = {"leave": LEAVE, "cancel_waiting": CANCEL_WAITING, "cancel": CANCEL}

#: A source and its client. plan .. plan_stop: its plan of arrivals; classes: how many it sends; patience: where the
#: law begins; constant: patience that is always the same [s]; policy: of retries; expires: it has a timeout of any
#: kind; batch .. batch_stop: how many jobs come at once; unsteady: see ``components.flow``; clients, think: of a
#: closed population, how many, and where the law begins; scale: of its rate; gated: it has a budget, breaker,
#: throttle or limiter, each of which has its parameters at its name in ``numbers`` and its memory at ``*_at`` in
#: ``gates``; proxy: its policy; rejected_*: the policy after a 503; honours, exactly, hint_*, resets: how it takes what
#: that asks for; hedge: where the law of the time until another attempt begins; hedges: how many of a call; losers: as
#: on_timeout; goes_on: its caller does, once a job is accepted; poll: how often it asks for the result [s], NaN
#: where it is told; own_at, own_proxy_at: what a policy's rule of one's own shares with the engine in ``gates``;
#: waits: it sends nothing while the first attempt of its last job is outside, or in line for a token; guarded: more
#: than the policy decides whether it tries again, or when; besides: its jobs have more than all have;
#: simple: a service that has completed ends its job, and nobody else hears of it.
SENDER = np.dtype([
    ("plan", "i8"), ("plan_stop", "i8"), ("trace", "i8"), ("repeat", "i8"), ("classes", "i8"),
    ("patience", "i8"), ("constant", "f8"), ("total_timeout", "f8"), ("on_timeout", "i8"), ("policy", "i8"),
    ("expires", "i8"), ("batch", "i8"), ("batch_stop", "i8"), ("unsteady", "i8"), ("clients", "i8"), ("think", "i8"),
    ("scale", "f8"), ("gated", "i8"), ("budget", "i8"), ("budget_at", "i8"), ("proxy_budget", "i8"),
    ("proxy_budget_at", "i8"), ("breaker", "i8"), ("breaker_at", "i8"), ("throttle", "i8"), ("throttle_at", "i8"),
    ("limiter", "i8"), ("limiter_at", "i8"), ("hedge", "i8"), ("hedges", "i8"), ("losers", "i8"),
    ("proxy", "i8"), ("rejected_policy", "i8"), ("rejected_proxy", "i8"), ("honours", "i8"), ("exactly", "i8"),
    ("hint_most", "f8"), ("hint_beyond", "f8"), ("hint_least", "f8"), ("resets", "i8"), ("goes_on", "i8"),
    ("poll", "f8"), ("own_at", "i8"), ("own_proxy_at", "i8"), ("waits", "i8"), ("guarded", "i8"),
    ("besides", "i8"), ("simple", "i8"),
])  # fmt: skip
#: A class as a source sends it. share: cumulative; level: of priority, among those that there are; service, size: where
#: the law begins; *_column: where its value for each row of a trace is; delay: where the law of its ETA begins;
#: then: where the plan of what it leads to begins, see ``workflow.plan``.
KIND = np.dtype([
    ("share", "f8"), ("job_class", "i8"), ("level", "i8"), ("service", "i8"), ("service_column", "i8"),
    ("size", "i8"), ("size_column", "i8"), ("weight", "f8"), ("priority", "i8"), ("delay", "i8"),
    ("then", "i8"),
])  # fmt: skip


class Numbers:
    """Collects flat arrays; each distinct one is stored once."""

    def __init__(self) -> None:
        self.parts: list[Array] = []
        self.size = 0
        self.known: dict[bytes, int] = {}

    def add(self, values: Iterable[float]) -> int:
        """Where the values begin."""
        part = np.ascontiguousarray(values, dtype=np.float64)
        name = part.tobytes()
        if name not in self.known:
            self.known[name] = self.size
            self.parts.append(part)
            self.size += len(part)
        return self.known[name]

    def law(self, law: Law | None, source: object) -> tuple[int, int]:
        """Where a law begins, and where its values by row begin; NONE for what it is not."""
        if law is None:
            return NONE, NONE
        if isinstance(law, Linear):
            return NONE, self.add(law.of(source.values)) if isinstance(source, Trace) else NONE
        return self.add(law.table), NONE


def fill_sender(record: np.void, producer: Producer, numbers: Numbers, *, paced: bool) -> None:
    """The record of a source; ``paced``: faults multiply the load."""
    client, source = producer.client, producer.source
    record["plan"] = record["plan_stop"] = NONE
    if isinstance(source, Listed):
        record["trace"], record["repeat"] = 1, not source.may_end
    elif isinstance(source, Closed):
        record["clients"], record["think"] = source.clients, numbers.add(source.think.table)
        record["scale"] = producer.scale
    else:
        plan = source.plan(producer.scale)
        record["plan"] = numbers.add(plan)
        record["plan_stop"] = record["plan"] + len(plan)
        record["batch"] = numbers.add(source.batches)
        record["batch_stop"] = record["batch"] + len(source.batches)
        record["unsteady"] = plan[0] == MODULATED or len(source.batches) > 0 or paced
    record["classes"] = len(producer.classes)
    patience = client.attempt_timeout
    record["patience"] = NONE if patience is None else numbers.add(patience.table)
    always = patience is not None and patience.table[0] == CONSTANT
    record["constant"] = patience.table[1] if patience is not None and always else math.nan
    record["total_timeout"] = math.inf if client.total_timeout is None else client.total_timeout
    record["on_timeout"] = ON_TIMEOUT[client.on_timeout]
    record["policy"] = NONE if client.retry is None else numbers.add(client.retry.policy)
    hedge = client.hedge
    record["hedge"] = NONE if hedge is None else numbers.add(hedge.after.table)
    record["hedges"], record["losers"] = (0, LEAVE) if hedge is None else (hedge.most, ON_TIMEOUT[hedge.losers])
    record["rejected_policy"] = NONE if client.retry is None else numbers.add(client.retry.rejected_policy)
    record["goes_on"] = client.mode == "async"
    record["poll"] = client.notify.every if isinstance(client.notify, Poll) else math.nan
    record["expires"] = (patience is not None or client.total_timeout is not None) and client.mode == "sync"


def fill_kind(
    record: np.void, scenario: Scenario, producer: Producer, place: int, levels: list[int], numbers: Numbers
) -> None:
    """The record of a class at its place among those of a source; ``levels`` of priority."""
    index = producer.classes[place]
    job = list(scenario.jobs.values())[index]
    record["share"], record["job_class"], record["level"] = producer.shares[place], index, levels.index(job.priority)
    record["weight"], record["priority"] = job.weight, job.priority
    record["service"], record["service_column"] = numbers.law(scenario.service_law(index), producer.source)
    record["size"], record["size_column"] = numbers.law(job.size, producer.source)
    record["delay"], _ = numbers.law(job.delay, producer.source)
    record["then"] = (
        NONE if job.then is None else numbers.add(workflow.plan(job.then, list(scenario.jobs), numbers.add))
    )
