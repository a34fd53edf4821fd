"""Two hundred clients at once at twenty places: without jitter they come back at once, every time.

The attempts are then known exactly, 1100, and so is the end, 255.5 s: in each round the queue takes what it has room
for and turns the rest away, which doubles its pause. With full jitter the time falls by an order of magnitude.
"""

from __future__ import annotations

from typing import Any

from backwater.components.arrivals import Periodic
from backwater.components.client import Client, Retry
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.run import Run
from backwater.scenario import Scenario

RUN = Run(horizon="110 min", replications=10)


def herd(clients: int = 200, jitter: Any = "none") -> Scenario:
    """A herd of clients.

    clients  that come at once, once
    jitter   of their pauses of 1 s, 2 s, 4 s, ... up to 64 s
    """
    return Scenario(
        name="A herd of clients",
        arrivals=Periodic(interval="1 h", batch=clients),
        client=Client(retry=Retry(base="1 s", cap="64 s", jitter=jitter, max_attempts="forever")),
        queue=Queue(capacity=16),
        workers=Workers(count=4, service="100 ms"),
    )
