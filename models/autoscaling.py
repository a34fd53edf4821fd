"""Bursts against an autoscaled pool: old metrics and slow starts bring workers when the burst is over.

Twenty jobs a second of 100 ms keep two workers busy, 120 a second in a burst twelve. The autoscaler looks every 15 s
and may go from 4 workers to 40. What it acts on is half a minute old, and a worker starts up for 45 s: most of a burst
of two minutes falls upon four workers, half of the jobs fail, and twenty workers are ready as it ends, to rest until
the cooldown is over. With fourteen at all times none fails; but while a decision takes effect the next ones see the
same old utilization and multiply again, so that forty are called where twenty would do.
"""

from __future__ import annotations

from typing import Any

from backwater.components.arrivals import Bursts
from backwater.components.autoscale import Autoscale
from backwater.components.client import Client, Retry
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.distributions import LogNormal
from backwater.run import Run
from backwater.scenario import Scenario

RUN = Run(horizon="70 min", warmup="10 min", replications=10, sample="5 s")


def autoscaling(lag: Any = "30 s", start_up: Any = "45 s", least: int = 4, target: Any = "60 %") -> Scenario:
    """An autoscaled pool.

    lag       age of the metric on which it acts [s]
    start_up  time from the call of a worker until it takes work [s]
    least     workers that are always there: headroom against bursts
    target    utilization that it aims at [1]
    """
    return Scenario(
        name="Bursts against an autoscaled pool",
        arrivals=Bursts(base="20/s", peak="120/s", every="10 min", length="2 min"),
        client=Client(attempt_timeout="2 s", retry=Retry(base="500 ms", cap="10 s", max_attempts=4)),
        queue=Queue(capacity=200),
        workers=Workers(
            count=least, service=LogNormal(mean="100 ms", cv=1.0), start_up=start_up,
            autoscale=Autoscale(min=least, max=40, target=target, every="15 s", lag=lag, cooldown_in="5 min"),
        ),
    )  # fmt: skip
