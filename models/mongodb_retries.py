"""The retry experiment of OSDI'22: a database loses most of its CPU for some seconds, clients resend up to four times.

Four published outcomes: 78 % less for 10 s recovers, 80 % less for 10 s does not; 80 % for 9 s does, and so does 80 %
for 10 s at three quarters of the load. Clients wait 3 s and resend at once. Source: Huang et al., "Metastable failures
in the wild", OSDI'22, and its artifact lexiangh/Metastability (Retry_Metastability). Not published, so chosen here:
the load of 0.375 at which these four come out, 20 workers, and exponential service of 2 ms.
"""

from __future__ import annotations

from typing import Any

from backwater.components.arrivals import Poisson
from backwater.components.client import Client, Retry
from backwater.components.faults import Fault
from backwater.components.workers import Workers
from backwater.distributions import Exponential
from backwater.run import Run
from backwater.scenario import Scenario

RUN = Run(horizon="3 min", replications=10, sample="1 s")
WORKERS, SERVICE = 20, 0.002


def mongodb_retries(load: float = 0.375, cut: float = 0.8, length: Any = "10 s", retries: int = 4) -> Scenario:
    """The retry experiment of OSDI'22.

    load     of first attempts [1]
    cut      share of the CPU that is taken away [1]
    length   for how long, from 30 s on [s]
    retries  at once after a timeout of 3 s
    """
    return Scenario(
        name="The retry experiment of OSDI'22",
        arrivals=Poisson(rate=load * WORKERS / SERVICE),
        client=Client(
            attempt_timeout="3 s",
            retry=Retry(kind="constant", base=0.0, jitter="none", max_attempts=retries + 1),
        ),
        workers=Workers(count=WORKERS, service=Exponential(mean=SERVICE)),
        faults=(Fault(kind="workers_slow", factor=1 / (1 - cut), start="30 s", duration=length),),
    )
