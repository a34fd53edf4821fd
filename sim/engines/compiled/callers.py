"""Callers that go on once their job is accepted, and how its result finds them."""

from __future__ import annotations

import math

from backwater import order
from backwater.components.notify import poll_delay
from backwater.engines.compiled import calendar, gates, producer, timeouts
from backwater.engines.compiled.outside import LET_IN
from backwater.gauges import change
from backwater.jit import inner
from backwater.outcome import DEAD, DROPPED, LOST, UNHEARD


@inner
def go_on(world, slot):  # type: ignore[no-untyped-def]
    """The job is accepted, now: its caller goes on, and nobody will give it up any more."""
    job, sender, now = world.jobs[slot], world.senders[world.jobs[slot].source], world.state[0].now
    job.accepted, job.heard = now, 1
    if sender.gated:
        gates.hear(world, job, True, False)
        gates.under_way(world, job, -1.0)
    job.tries, job.proxy_pause, job.proxy_paid = 0, math.nan, 0.0
    if job.released != job.released:
        job.released = now
        timeouts.unlimit(world, job)
        if sender.clients:
            producer.think(world, job.source, job.row, job.number, 0)


@inner
def goes_on(world, slot, result):  # type: ignore[no-untyped-def]
    """Whether this concerns the caller only, or its client will find it only when it asks; then that is put down."""
    job, now = world.jobs[slot], world.state[0].now
    if result == LET_IN:
        go_on(world, slot)
        return True
    every = world.senders[job.source].poll
    gone = result in (LOST, DEAD)
    if every != every or not job.heard or result == DROPPED or gone:
        return False
    job.verdict = result
    change(world.books, now, UNHEARD, job.job_class, 1.0)
    delay = poll_delay(job.accepted, every, now)
    calendar.add(world, now + delay, order.at(order.POLL, job.place, job.attempts), job.ref)
    return True


@inner
def poll(world, slot):  # type: ignore[no-untyped-def]
    """A client asks, and finds the result, which is returned."""
    job = world.jobs[slot]
    change(world.books, world.state[0].now, UNHEARD, job.job_class, -1.0)
    return job.verdict
