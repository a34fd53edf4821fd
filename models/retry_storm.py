"""The example of HotOS'21: 280 requests a second at a database for 300, one retry after a second, a 10 s outage.

It never recovers: the load stays at 560 a second and nobody is answered in time, until the load falls below 150 a
second, half the capacity. Source: Bronson et al., "Metastable failures in distributed systems", HotOS'21, section 2.1
(an idealised example; answers take less than 100 ms below the capacity, here 30 workers of 100 ms).
"""

from __future__ import annotations

from typing import Any

from backwater.components.arrivals import Poisson
from backwater.components.client import Client, Retry
from backwater.components.faults import Fault
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.run import Run
from backwater.scenario import Scenario

RUN = Run(horizon="5 min", replications=10, sample="1 s")


def retry_storm(rate: Any = "280/s", retries: int = 1, outage: Any = "10 s", budget: Any = None) -> Scenario:
    """The retry storm of HotOS'21.

    rate     new requests [1/s]
    retries  of a client whose request was not answered within a second
    outage   of the network, which begins at 60 s [s]
    budget   a retry budget
    """
    again = Retry(kind="constant", base=0.0, jitter="none", max_attempts=retries + 1) if retries else None
    return Scenario(
        name="The retry storm of HotOS'21",
        arrivals=Poisson(rate=rate),
        client=Client(attempt_timeout="1 s", retry=again, retry_budget=budget if retries else None),
        queue=Queue(),
        workers=Workers(count=30, service="100 ms"),
        faults=(Fault(kind="workers_down", start="60 s", duration=outage),),
    )
