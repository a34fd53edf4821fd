"""How long a system remembers: what a run must last for the steady state to be what it shows."""

from __future__ import annotations

import math

from backwater.components.client import HEAD
from backwater.components.closed import Closed
from backwater.components.flow import MMPP
from backwater.distributions import Pareto
from backwater.experiments.theory.reading import Facts, read
from backwater.scenario import Scenario

WARMUP, LENGTH = 5.0, 50.0  # of such times, before and while it counts, in a run that can be held against theory


def relaxation(scenario: Scenario, attempt_rate: float | None = None) -> float:
    """About the time in which a system forgets where it was [s].

    Infinite where it may be stuck in one of two states, and where services have no third moment: then waits have no
    variance, from which an interval could be made.

    attempt_rate  attempts per second, where they are more than jobs [1/s]
    M/M/c forgets in 1 / (c mu (1 - sqrt(load))**2): Morse, "Queues, Inventories and Maintenance", 1958; other services
    take (1 + scv) / 2 times as long. With K places it is K**2 / (c mu) at most. Arrivals and clients add their own.
    """
    facts = read(scenario)
    rate = attempt_rate or facts.rate
    slow = facts.slowdown.factor if facts.slowdown is not None else 1.0
    each, load = facts.mean * max(slow, 1.0) / facts.c, rate * facts.mean / facts.c
    heavy = any(isinstance(sort.law, Pareto) and sort.law.cap is None and sort.law.alpha <= 3 for sort in facts.sorts)
    if load < 1 <= load * slow or heavy:
        return math.inf
    out = (1 + facts.scv) / 2 * each / max((1 - math.sqrt(load * max(slow, 1.0))) ** 2, 1e-9)
    if isinstance(facts.source, Closed):
        out = facts.source.think.average / facts.producers[0].scale + facts.source.clients * each
    if math.isfinite(facts.places):
        out = min(out, facts.places**2 * each) + facts.places * each
    return min(out, _patience(facts)) + facts.mean + _memory_of_clients(facts)


def _patience(facts: Facts) -> float:
    """Where impatient clients clear the queue, it is forgotten as fast as they leave [s]."""
    clears = facts.patience is not None and facts.client.on_timeout != "leave"
    return 5 * facts.patience.average if clears and facts.patience is not None else math.inf


def _memory_of_clients(facts: Facts) -> float:
    """What phases of arrivals and pauses of clients add [s]."""
    phases = 2 * sum(facts.source.sojourns) if isinstance(facts.source, MMPP) else 0.0
    if facts.retry is None:
        return float(phases)
    tries = int(min(facts.retry.most, 10)) - 1
    return float(phases + facts.retry.rejected_policy[HEAD : HEAD + tries].sum())
