"""Sources whose next job is not one gap away: several jobs at once, a rate that jumps, a load that faults multiply.

``next_unsteady`` is ``next_arrival`` for them. What it must remember of a source is a FLOW record.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import model_validator

from backwater import random
from backwater.components.source import Array, Source
from backwater.components.steady import MODULATED, PERIODIC, PROFILE, expected, next_arrival
from backwater.errors import check
from backwater.jit import compiled
from backwater.quantile import HEAD
from backwater.units import Rate, Time

#: turn: arrivals so far; left: jobs of the present arrival that are still to come; late: by how much it is late [s];
#: phase: the state of an MMPP; phases: how many there were so far; until: when the present one ends [s]; due: when
#: its last job was due, where that came later because its source had to wait [s], else 0.
FLOW = [
    ("turn", "i8"), ("left", "i8"), ("late", "f8"), ("phase", "i8"), ("phases", "i8"), ("until", "f8"), ("due", "f8"),
]  # fmt: skip


@compiled
def pace_at(paces, now):  # type: ignore[no-untyped-def]
    """What faults multiply the load by, now, and until when [s]; ``paces`` are (start, factor), one after the other."""
    factor = 1.0
    for n in range(0, len(paces), 2):
        if paces[n] > now:
            return factor, paces[n]
        factor = paces[n + 1]
    return factor, np.inf


@compiled
def batch_size(batch, u):  # type: ignore[no-untyped-def]
    """How many jobs come at once; ``batch`` are (size, cumulative share), one after the other."""
    n = 0
    while n + 2 < len(batch) and u >= batch[n + 1]:
        n += 2
    return int(batch[n])


@compiled
def _next_paced(plan, paces, flow, now, gap):  # type: ignore[no-untyped-def]
    """The next arrival where faults multiply the load."""
    kind = plan[0]
    if kind == PERIODIC:
        late = gap * plan[2]
        gap, flow.late = plan[1] + late - flow.late, late
        now = flow.due if flow.due > 0.0 else now
    while True:
        pace, until = pace_at(paces, now)
        when = next_arrival(plan, now, 0, gap / pace) if kind == PROFILE else now + gap / pace
        if when <= until:
            return when
        gap = max(gap - pace * (expected(plan, now, until) if kind == PROFILE else until - now), 0.0)
        now = until


@compiled
def _begin_phase(plan, flow, now, seed, replication, source):  # type: ignore[no-untyped-def]
    """Another state of an MMPP: the first one by the long-run shares, then the next in the order written."""
    n = int(plan[1])
    stay, first = random.pair(seed, replication, source, flow.phases, random.PHASE, 0)
    if flow.phases == 0:
        flow.phase = 0
        while flow.phase + 1 < n and first >= plan[HEAD + 2 * n + flow.phase]:
            flow.phase += 1
    else:
        flow.phase = (flow.phase + 1) % n
    flow.phases += 1
    flow.until = now - math.log(1.0 - stay) * plan[HEAD + n + flow.phase]


@compiled
def _next_modulated(plan, paces, flow, now, gap, seed, replication, source):  # type: ignore[no-untyped-def]
    """The next arrival of an MMPP: so much of its cumulative rate away."""
    if flow.phases == 0:
        _begin_phase(plan, flow, now, seed, replication, source)
    while flow.until < now:  # phases go on while their source has to wait
        _begin_phase(plan, flow, flow.until, seed, replication, source)
    while True:
        pace, until = pace_at(paces, now)
        until, rate = min(until, flow.until), plan[HEAD + flow.phase] * pace
        if rate > 0.0 and now + gap / rate <= until:
            return now + gap / rate
        gap, now = max(gap - (until - now) * rate, 0.0), until
        if now == flow.until:
            _begin_phase(plan, flow, now, seed, replication, source)


@compiled
def next_unsteady(plan, batch, paces, flow, now, number, gap, seed, replication, source):  # type: ignore[no-untyped-def]
    """Time of a source's job of this ``number`` [s], its previous one at ``now``; inf where none comes."""
    if flow.left > 0:
        flow.left -= 1
        return flow.due if flow.due > 0.0 else now
    turn = flow.turn
    flow.turn += 1
    if len(batch) > 0:
        flow.left = batch_size(batch, random.uniform(seed, replication, source, number, random.BATCH, 0)) - 1
    if plan[0] == MODULATED:
        return _next_modulated(plan, paces, flow, now, gap, seed, replication, source)
    return _next_paced(plan, paces, flow, now, gap) if len(paces) > 0 else next_arrival(plan, now, turn, gap)


class MMPP(Source):
    """A Poisson process whose rate jumps: ``rates`` [1/s] of its states, in turn, and mean times in them [s].

    sojourns  each is exponential; at time 0 the state is one of the long run
    """

    kind: Literal["mmpp"] = "mmpp"
    rates: tuple[Rate, ...]
    sojourns: tuple[Time, ...]

    @model_validator(mode="after")
    def _paired(self) -> MMPP:
        check(len(self.rates) >= 2, "rates", list(self.rates), "must be those of two states or more")
        check(len(self.sojourns) == len(self.rates), "sojourns", list(self.sojourns), "must be as many as rates")
        check(min(self.sojourns) > 0, "sojourns", min(self.sojourns), "must be above 0")
        check(max(self.rates) > 0, "rates", max(self.rates), "must have one above 0")
        return self

    def plan(self, scale: float) -> Array:
        shares = np.cumsum(self.sojourns) / sum(self.sojourns)
        head = [MODULATED, len(self.rates), 0.0, 0.0, 0.0]
        return np.array([*head, *(scale * rate for rate in self.rates), *self.sojourns, *shares])

    @property
    def own_rate(self) -> float:
        return sum(r * s for r, s in zip(self.rates, self.sojourns, strict=True)) / sum(self.sojourns)

    @property
    def own_peak(self) -> float:
        return max(self.rates)


__all__ = ["FLOW", "MMPP", "batch_size", "next_unsteady", "pace_at"]
