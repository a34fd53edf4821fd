"""When clients lose patience.

Timeouts of one source that are all equally long come in the order in which they were set: they wait in a list, from
which an answer takes them out at once, and the calendar knows of the first one only. Others go on the calendar.
"""

from __future__ import annotations

from backwater import order, random
from backwater.engines.compiled import calendar
from backwater.engines.compiled.world import IN_CALENDAR, IN_LIST, NONE
from backwater.jit import inlined, inner
from backwater.quantile import quantile


@inlined
def _append(world, slots, which, slot, time, key):  # type: ignore[no-untyped-def]
    """Put a timeout at the end of its source's list; False where its place would be before the last one."""
    its = world.timeouts[which]
    if time < its.when or (time == its.when and key < its.key):
        return False
    its.when, its.key = time, key
    entry = slots[slot]
    entry.listed, entry.expires, entry.sooner, entry.later = IN_LIST, time, its.last, NONE
    if its.last == NONE:
        its.soonest = slot
    else:
        slots[its.last].later = slot
    its.last = slot
    if not its.told:
        its.told = 1
        calendar.add(world, time, key, NONE - which)
    return True


@inlined
def _unlink(world, slots, which, entry):  # type: ignore[no-untyped-def]
    its = world.timeouts[which]
    if entry.sooner == NONE:
        its.soonest = entry.later
    else:
        slots[entry.sooner].later = entry.later
    if entry.later == NONE:
        its.last = entry.sooner
    else:
        slots[entry.later].sooner = entry.sooner
    entry.listed = 0


@inlined
def watch(world, slot):  # type: ignore[no-untyped-def]
    """The client will wait so long for an attempt, from now."""
    plan, state, attempt = world.plan[0], world.state[0], world.attempts[slot]
    job = world.jobs[attempt.job]
    sender = world.senders[job.source]
    if sender.patience < 0:
        return
    patience, key = sender.constant, order.at(order.TIMEOUT, job.place, attempt.number)
    if patience == patience:
        if _append(world, world.attempts, 2 * job.source, slot, state.now + patience, key):
            return
    else:
        u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.TIMEOUT, attempt.number)
        patience = quantile(world.numbers, u, sender.patience)
    attempt.listed, attempt.expires = IN_CALENDAR, state.now + patience
    calendar.add(world, attempt.expires, key, attempt.ref)


@inlined
def unwatch(world, attempt):  # type: ignore[no-untyped-def]
    """The client no longer waits for an attempt."""
    attempt.wanted = 0
    _stop(world, attempt)


@inner
def stop(world, attempt):  # type: ignore[no-untyped-def]
    """The client will wait for an attempt for as long as it takes."""
    _stop(world, attempt)
    attempt.listed = 0


@inner
def move(world, slot, new):  # type: ignore[no-untyped-def]
    """The client waits for the next delivery, in slot ``new``, as long as it would have waited for this one."""
    old, attempt = world.attempts[slot], world.attempts[new]
    attempt.wanted, attempt.listed, attempt.expires = old.wanted, old.listed, old.expires
    old.wanted = 0
    if attempt.listed == IN_CALENDAR:
        job = world.jobs[attempt.job]
        world.state[0].stale += 1
        calendar.add(world, attempt.expires, order.at(order.TIMEOUT, job.place, attempt.number), attempt.ref)
    elif attempt.listed == IN_LIST:
        its = world.timeouts[2 * world.jobs[attempt.job].source]
        attempt.sooner, attempt.later = old.sooner, old.later
        if old.sooner == NONE:
            its.soonest = new
        else:
            world.attempts[old.sooner].later = new
        if old.later == NONE:
            its.last = new
        else:
            world.attempts[old.later].sooner = new
    old.listed = 0


@inlined
def _stop(world, attempt):  # type: ignore[no-untyped-def]
    if attempt.listed == IN_LIST:
        _unlink(world, world.attempts, 2 * world.jobs[attempt.job].source, attempt)
    elif attempt.listed == IN_CALENDAR:
        world.state[0].stale += 1


@inlined
def limit(world, slot):  # type: ignore[no-untyped-def]
    """The client will spend so long on a job, from now."""
    state, job = world.state[0], world.jobs[slot]
    total = world.senders[job.source].total_timeout
    if total < float("inf"):
        key = order.at(order.TIMEOUT, job.place, 0)
        if not _append(world, world.jobs, 2 * job.source + 1, slot, state.now + total, key):
            job.listed = IN_CALENDAR
            calendar.add(world, state.now + total, key, job.ref)


@inlined
def unlimit(world, job):  # type: ignore[no-untyped-def]
    """The client is done with a job."""
    if job.listed == IN_LIST:
        _unlink(world, world.jobs, 2 * job.source + 1, job)
    elif job.listed == IN_CALENDAR:
        world.state[0].stale += 1
    job.listed = 0


@inlined
def _first(world, slots, which, key, number):  # type: ignore[no-untyped-def]
    """The first of a list if its time is now, the next one told to the calendar; NONE where it is later."""
    its, state = world.timeouts[which], world.state[0]
    slot = its.soonest
    if slots[slot].expires > state.now or key != number:
        calendar.add(world, slots[slot].expires, number, NONE - which)
        return NONE
    _unlink(world, slots, which, slots[slot])
    return slot


@inner
def _number(world, which):  # type: ignore[no-untyped-def]
    """The place of the first of a list among the events of its instant."""
    slot = world.timeouts[which].soonest
    if which % 2:
        return order.at(order.TIMEOUT, world.jobs[slot].place, 0)
    attempt = world.attempts[slot]
    return order.at(order.TIMEOUT, world.jobs[attempt.job].place, attempt.number)


@inner
def due(world, which, key):  # type: ignore[no-untyped-def]
    """The calendar says that a list's first timeout may have come, at place ``key``: its slot, or NONE."""
    its = world.timeouts[which]
    if its.soonest == NONE:
        its.told = 0
        return NONE
    if which % 2:
        slot = _first(world, world.jobs, which, key, _number(world, which))
    else:
        slot = _first(world, world.attempts, which, key, _number(world, which))
    if slot != NONE:
        its.told = its.soonest != NONE
        if its.told:
            next_one = its.soonest
            expires = world.jobs[next_one].expires if which % 2 else world.attempts[next_one].expires
            calendar.add(world, expires, _number(world, which), NONE - which)
    return slot
