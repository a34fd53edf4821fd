"""An HTTP API that queues uploaded images for thumbnails; large queues spill to disk.

Images of 400 kB on average wait in 64 MiB, so about 160 fit; the rest goes to disk. Every minute ends with a burst of
10 s at more than what eight workers can do. Clients wait 30 s and try up to six times.
"""

from __future__ import annotations

from backwater.components.arrivals import Bursts
from backwater.components.client import Client, Retry
from backwater.components.jobs import Job
from backwater.components.memory import Memory
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.distributions import LogNormal
from backwater.run import Run
from backwater.scenario import Scenario

RUN = Run(horizon="10 min", warmup="1 min", replications=10)


def thumbnails(capacity: int | None = 200, workers: int = 8, memory: str = "64 MiB") -> Scenario:
    """Thumbnails behind an HTTP API.

    capacity  images that may wait; None for no bound
    workers   how many make thumbnails
    memory    bytes that waiting images may occupy before they spill to disk [B]
    """
    return Scenario(
        name="Thumbnails behind an HTTP API",
        arrivals=Bursts(base="100/s", peak="240/s", every="60 s", length="10 s"),
        client=Client(
            attempt_timeout="30 s",
            retry=Retry(base="100 ms", cap="2 s", max_attempts=6),
        ),
        queue=Queue(
            capacity=capacity,
            memory=Memory(limit=memory, write="2 ms", read="8 ms", bandwidth="200 MB/s"),
        ),
        jobs={"thumbnail": Job(size=LogNormal(mean="400 kB", cv=1.0))},
        workers=Workers(count=workers, service=LogNormal(mean="60 ms", cv=1.2)),
    )
