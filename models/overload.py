"""The canonical overload: ten workers, impatient clients that try again, and an outage. Does it recover?

100 services a second in all (mean 100 ms, exponential), Poisson arrivals, clients that wait 1 s and try again at once,
a server that does not know who still waits. All workers stop for a while: what queues up then is late, and so is what
comes after it, as long as retries keep the queue long. Without a limit on retries the state outlives its cause
whenever load * (1 + retries) > 1; with a budget of b retries per job, whenever load * (1 + b) > 1.
"""

from __future__ import annotations

from typing import Any

from backwater.components.arrivals import Poisson
from backwater.components.budget import TokenBucket
from backwater.components.client import Client, Retry
from backwater.components.faults import Fault
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.distributions import Exponential
from backwater.run import Run
from backwater.scenario import Scenario

RUN = Run(horizon="10 min", replications=10, sample="1 s")
START = 20.0  # when the outage begins [s]
RATE = 10.0  # services of one worker per second [1/s]


def overload(
    load: float = 0.8, retries: int = 1, outage: Any = "10 s", workers: int = 10, capacity: int | None = None,
    backoff: tuple[Any, Any] | None = None, budget: float | None = None, **parts: Any,
) -> Scenario:  # fmt: skip
    """The canonical overload.

    load      of first attempts [1]
    retries   after the first attempt
    outage    how long all workers stand still [s]; 0 for none
    capacity  attempts that may wait; None for no bound
    backoff   base and cap of a pause with full jitter [s]; clients try again at once unless given
    budget    retries per job that are allowed on average [1]; no limit unless given
    parts     on_timeout of the client; discipline, overflow, standing, admission of the queue
    """
    pause = Retry(kind="constant", base=0.0, jitter="none", max_attempts=retries + 1)
    if backoff is not None:
        pause = Retry(base=backoff[0], cap=backoff[1], max_attempts=retries + 1)
    limit = None if budget is None else TokenBucket(capacity=10, per_request=budget)
    client = Client(
        attempt_timeout="1 s", retry=pause if retries else None, retry_budget=limit if retries else None,
        on_timeout=parts.pop("on_timeout", "leave"),
    )  # fmt: skip
    down = Fault(kind="workers_down", start=START, duration=outage) if outage not in (0, "0 s") else None
    return Scenario(
        name="Ten workers, impatient clients and an outage",
        arrivals=Poisson(rate=load * workers * RATE),
        client=client,
        queue=Queue(capacity=capacity, **parts),
        workers=Workers(count=workers, service=Exponential(mean=1 / RATE), demand="attempt"),
        faults=() if down is None else (down,),
    )
