"""The same work done within the request, and through a queue: what a caller pays, and what it gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backwater.components.arrivals import Bursts, Poisson
from backwater.components.broker import Broker
from backwater.components.client import Client, Retry
from backwater.components.notify import Poll, Push
from backwater.components.queue import Queue
from backwater.components.source import Source
from backwater.components.workers import Workers
from backwater.distributions import LogNormal
from backwater.errors import check, nearest
from backwater.models.rabbitmq import rabbitmq_quorum
from backwater.models.redis import redis_list
from backwater.models.sqs import sqs_standard
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.units import parse

RUN = Run(horizon="1170 s", replications=10)  # three peaks, and the time after each
WORKERS = 4
# Whose delays; their sources stand there.
BROKERS: dict[str, Callable[..., Scenario]] = {"redis": redis_list, "rabbitmq": rabbitmq_quorum, "sqs": sqs_standard}


def _work(service: Any, load: float, peak: float | None) -> tuple[Source, Workers]:
    """Who sends how much of it, and who does it."""
    mean = parse(service, "time")
    check(mean > 0, "service", service, "must be above 0")
    check(load > 0, "load", load, "must be above 0")
    full = WORKERS / mean
    source: Source = Poisson(rate=load * full)
    if peak is not None:
        source = Bursts(base=load * full, peak=peak * full, every="5 min", length="30 s")
    return source, Workers(count=WORKERS, service=LogNormal(mean=mean, cv=1.0))


def sync_inline(
    service: Any = "100 ms", load: float = 0.5, peak: float | None = 2.0, patience: Any = "10 s", room: int = 20
) -> Scenario:
    """Work done within the request: the caller waits for it, and has the result, or a 503, at once.

    service   mean time of the work [s] (log-normal, cv 1), at four workers
    load      of the workers between the peaks [1]
    peak      load for 30 s of every five minutes [1]; None for none
    patience  of the caller with each of three tries [s]
    room      requests that may wait; more get the 503

    It fits work that is cheap (waiting for it takes no longer than handing it over) and work whose result is of no use
    later (real time): nothing is added to it, and what cannot be done in time is refused while that still helps. It
    does not fit work that takes longer than people, or the gateway, wait.
    """
    source, workers = _work(service, load, peak)
    return Scenario(
        name="Within the request",
        arrivals=source,
        client=Client(
            attempt_timeout=patience, on_timeout="cancel_waiting",
            retry=Retry(base="200 ms", cap="2 s", max_attempts=3),
        ),
        queue=Queue(capacity=room),
        workers=workers,
    )  # fmt: skip


def async_queue(
    service: Any = "100 ms", load: float = 0.5, peak: float | None = 2.0, broker: str = "rabbitmq",
    asks: Any = None,
) -> Scenario:  # fmt: skip
    """The same work through a queue: the caller goes on once it is accepted, and hears of the result later.

    service, load, peak  as in ``sync_inline``
    broker               whose delays it has, as of ``redis_list``, ``rabbitmq_quorum`` or ``sqs_standard``
    asks                 how often the caller asks for the result [s]; it is told at once unless given

    It fits work that may be late but must be done: a peak makes it later, and refuses nobody. It does not fit where
    somebody waits for the result: to the same wait, the way to the broker and back is added, and the queue of a peak
    has no end. Workers fetch ahead (prefetch 100, one node), so that the way costs time and no worker.
    """
    check(broker in BROKERS, "broker", broker, f"must be one of {', '.join(BROKERS)}{nearest(broker, BROKERS)}")
    source, workers = _work(service, load, peak)
    there = BROKERS[broker]().broker
    assert there is not None
    return Scenario(
        name=f"Through a queue ({broker})",
        arrivals=source,
        client=Client(mode="async", notify=Push() if asks is None else Poll(every=asks)),
        workers=workers.model_copy(update={"prefetch": 100}),
        broker=Broker(publish_delay=there.publish_delay, delivery_delay=there.delivery_delay),
    )
