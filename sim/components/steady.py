"""The compiled rules for the time of a source's next job where that is one gap away.

``next_arrival(plan, now, n, gap)`` gives the time of a source's n-th arrival (n = 0, 1, ...) after the one at ``now``,
by the flat array that the source's ``plan(scale)`` makes; ``gap`` comes from ``draw_gaps``, the part of the work that
can be done before its time. A trace's jobs come instead from ``Trace.pass_through``, a closed population's from its
answers.
"""

from __future__ import annotations

import math

from backwater.jit import compiled
from backwater.quantile import HEAD, fill

RENEWAL, PERIODIC, PROFILE, MODULATED = range(4)


@compiled
def draw_gaps(plan, at, out, u):  # type: ignore[no-untyped-def]
    """What a source's next jobs owe to chance, by the plan that begins at ``plan[at]``, for one uniform each.

    Their gap [s], their lateness (a share), or how many jobs were to be expected until the next one.
    """
    kind = plan[at]
    if kind == RENEWAL:
        fill(plan, at + 2, out, u)
        for n in range(len(out)):
            out[n] /= plan[at + 1]
    else:
        for n in range(len(out)):
            out[n] = u[n] if kind == PERIODIC else -math.log(1.0 - u[n])


@compiled
def _below(plan, first, n, value):  # type: ignore[no-untyped-def]
    """The last knot, of n from ``plan[first]`` on, that is not above a value; not the very last one."""
    low, high = 0, n - 1
    while high - low > 1:
        middle = (low + high) // 2
        if plan[first + middle] <= value:
            low = middle
        else:
            high = middle
    return low


@compiled
def _sum_at(plan, here):  # type: ignore[no-untyped-def]
    """Jobs to be expected from the start of a period up to ``here``."""
    n = int(plan[1])
    times, rates, sums, lefts = HEAD, HEAD + n, HEAD + 2 * n, HEAD + 3 * n
    low = _below(plan, times, n, here)
    width = plan[times + low + 1] - plan[times + low]
    r0, r1 = plan[rates + low], plan[lefts + low + 1]
    x = min(max(here - plan[times + low], 0.0), width)
    return plan[sums + low] + x * (r0 + 0.5 * (r1 - r0) * x / width)


@compiled
def expected(plan, start, end):  # type: ignore[no-untyped-def]
    """How many jobs of a varying rate are to be expected between two times [s]."""
    period, total = plan[2], plan[3]
    if period == 0.0:
        return _sum_at(plan, end) - _sum_at(plan, start)
    first, last = math.floor(start / period), math.floor(end / period)
    return (last - first) * total + _sum_at(plan, end - last * period) - _sum_at(plan, start - first * period)


@compiled
def _profile(plan, now, gap):  # type: ignore[no-untyped-def]
    """Next point of a Poisson process of varying rate: invert the cumulative rate, exact."""
    n, period, total = int(plan[1]), plan[2], plan[3]
    times, rates, sums = HEAD, HEAD + n, HEAD + 2 * n  # knots; right rates and left rates; cumulative
    lefts = HEAD + 3 * n
    cycle = math.floor(now / period) if period > 0 else 0.0
    want = _sum_at(plan, now - cycle * period) + gap
    if period > 0:
        turns = math.floor(want / total)
        cycle += turns
        want -= turns * total
    elif want >= total:
        return math.inf
    low = _below(plan, sums, n, want)
    width = plan[times + low + 1] - plan[times + low]
    r0, r1 = plan[rates + low], plan[lefts + low + 1]
    need, slope = want - plan[sums + low], (r1 - r0) / width
    x = 2.0 * need / (r0 + math.sqrt(max(r0 * r0 + 2.0 * slope * need, 0.0))) if need > 0 else 0.0
    return max(cycle * period + plan[times + low] + min(x, width), now)


@compiled
def next_arrival(plan, now, n, gap):  # type: ignore[no-untyped-def]
    """Time of a source's n-th job [s], its previous one at ``now`` (0 before the first); inf where none comes.

    gap  what ``draw_gaps`` gave for it
    """
    kind = plan[0]
    if kind == RENEWAL:
        return now + gap
    if kind == PERIODIC:
        return (n + 1) * plan[1] + gap * plan[2]
    return _profile(plan, now, gap)
