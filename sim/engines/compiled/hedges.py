"""Hedged calls: several attempts of a job are live, in a list from its newest one on through ``sibling``."""

from __future__ import annotations

import math

from backwater import order, random
from backwater.components.budget import ERROR
from backwater.engines.compiled import calendar, gates, ledger, limiter, timeouts
from backwater.engines.compiled.world import NONE
from backwater.gauges import change
from backwater.jit import inner
from backwater.outcome import COMPLETED, HEDGE_UNPAID, HEDGING
from backwater.quantile import quantile


@inner
def begin(world, slot):  # type: ignore[no-untyped-def]
    """A job is about to be sent: a new call, or a hedge of the present one. From now on that counts as live."""
    job = world.jobs[slot]
    if job.hedges == 0:
        job.live, job.decided, job.due = 0, 0, math.inf
    job.live += 1
    if job.live > 1:
        change(world.books, world.state[0].now, HEDGING, job.job_class, 1.0)


@inner
def sent(world, slot, result):  # type: ignore[no-untyped-def]
    """It was sent, or turned away with ``result``; returns what its client learns, or NONE while any is live."""
    plan, now, job = world.plan[0], world.state[0].now, world.jobs[slot]
    sender = world.senders[job.source]
    if result != NONE:
        _leave(world, job)
        if job.live == 0:
            _decide(world, job)
            return result
    if job.hedges < sender.hedges:
        u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.HEDGE, job.attempts)
        job.due = now + quantile(world.numbers, u, sender.hedge)
        calendar.add(world, job.due, order.at(order.HEDGE, job.place, job.attempts), job.ref)
    return NONE


@inner
def is_due(job, ref, when, key):  # type: ignore[no-untyped-def]
    """Whether a hedge that was put down for ``when`` (bits) at place ``key`` is still to be sent."""
    number = min(job.attempts, order.ATTEMPT_MAX)
    return job.ref == ref and calendar.bits(job.due) == when and key & order.ATTEMPT_MAX == number


@inner
def is_paid(world, slot):  # type: ignore[no-untyped-def]
    """A hedge is due. Returns whether it is sent; where no token or budget is there for it, the call has no more."""
    job = world.jobs[slot]
    job.due = math.inf
    if world.senders[job.source].limiter != NONE and not limiter.takes(world, job.source):
        return False
    if world.senders[job.source].gated:
        paid = gates.pay(world, job, False, ERROR)
        if paid < 0.0:
            ledger.note_of(world, HEDGE_UNPAID, job)
            return False
        job.paid += paid
    job.hedges += 1
    return True


@inner
def hears(world, slot, result):  # type: ignore[no-untyped-def]
    """A live attempt has ended for its client. Returns whether that is the answer to the call."""
    of = world.attempts[slot].job
    job = world.jobs[of]
    if job.attempt == slot:
        job.attempt = world.attempts[slot].sibling
    else:
        newer = job.attempt
        while world.attempts[newer].sibling != slot:
            newer = world.attempts[newer].sibling
        world.attempts[newer].sibling = world.attempts[slot].sibling
    _leave(world, job)
    if job.decided or (result != COMPLETED and job.live > 0):
        return False
    _decide(world, job)
    return True


@inner
def meet(world, slot):  # type: ignore[no-untyped-def]
    """A member of a batch is about to complete: nobody waits for it if another one of its call has just won there."""
    attempt = world.attempts[slot]
    job = world.jobs[attempt.job]
    if world.senders[job.source].hedge != NONE and attempt.wanted and job.decided:
        hears(world, slot, COMPLETED)
        timeouts.unwatch(world, attempt)
        attempt.superseded = 1


@inner
def end(world, job):  # type: ignore[no-untyped-def]
    """The client waits for none of a job's attempts any more."""
    while job.live > 0:
        _leave(world, job)
    job.attempt = NONE
    _decide(world, job)


@inner
def _leave(world, job):  # type: ignore[no-untyped-def]
    if job.live > 1:
        change(world.books, world.state[0].now, HEDGING, job.job_class, -1.0)
    job.live -= 1


@inner
def _decide(world, job):  # type: ignore[no-untyped-def]
    """The call has its answer, or needs none; a hedge that is still to come has lost its meaning."""
    job.decided, job.hedges = 1, 0
    if job.due < math.inf:
        world.state[0].stale += 1
        job.due = math.inf
