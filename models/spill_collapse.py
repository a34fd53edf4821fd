"""A queue that slows all work once it has outgrown memory: two states, and a burst that tips it from one to the other.

One worker does one job a second while at most ten wait, and half of that while more wait: between load 0.5 and 1 both
a short and a full queue keep themselves up. The chance that a burst of n jobs fills the room before it is empty is
known exactly: sum of g_i below n over the sum of all, g_i the product of (service rate / arrival rate) up to i.
"""

from __future__ import annotations

from backwater.components.arrivals import Poisson
from backwater.components.memory import Memory, Slowdown
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.distributions import Exponential
from backwater.run import Run
from backwater.scenario import Scenario

RUN = Run(horizon="2 h", replications=10, sample="10 s")


def spill_collapse(load: float = 0.7, backlog: int = 0, room: int = 60, above: int = 10, slow: float = 0.5) -> Scenario:
    """A queue that slows all work once it has outgrown memory.

    load     without slowdown [1]
    backlog  jobs there at time 0
    room     places, the one in service included
    above    waiting jobs above which work is slow
    slow     how fast it is then [1]
    """
    return Scenario(
        name="A queue that outgrows memory",
        arrivals=Poisson(rate=load),
        queue=Queue(
            capacity=room - 1, backlog=backlog, memory=Memory(slowdown=Slowdown(above=above, factor=1 / slow, at="now"))
        ),
        workers=Workers(service=Exponential(mean=1.0)),
    )
