"""Where attempts wait: a list in order of acceptance, and one per level of priority where that decides."""

from __future__ import annotations

import numpy as np

from backwater.components.memory import disk_wait, fits, slowed
from backwater.components.queue import has_room
from backwater.engines.compiled import door, hedges, ledger, lines, outside, store, timeouts
from backwater.engines.compiled.layout import AT_ARRIVAL, AT_START, FAIR, FIFO, LIFO, SHED_OLDEST
from backwater.engines.compiled.world import DROPPED as VANISHED
from backwater.engines.compiled.world import NONE, WAITING
from backwater.gauges import change
from backwater.jit import inlined, inner
from backwater.outcome import CANCELLED, DISK, DROPPED, MEMORY, REJECTED
from backwater.outcome import WAITING as WAIT


@inlined
def _room(world, size):  # type: ignore[no-untyped-def]
    plan, state = world.plan[0], world.state[0]
    return has_room(state.waiting, state.used, size, plan.capacity, plan.capacity_bytes)


@inner
def yield_oldest(world, size):  # type: ignore[no-untyped-def]
    """The oldest leave until there is room; False where not even an empty queue has room."""
    plan = world.plan[0]
    if not has_room(0, 0.0, size, plan.capacity, plan.capacity_bytes):
        return False
    while not _room(world, size):
        _evict(world, world.state[0].oldest, REJECTED if plan.overflow == SHED_OLDEST else DROPPED)
    return True


@inlined
def make_room(world, size):  # type: ignore[no-untyped-def]
    """Whether there is room for ``size`` more bytes, after the oldest have yielded where the rule says so."""
    plan = world.plan[0]
    if not plan.bounded or (_room(world, size) and world.state[0].outside == 0):
        return True
    return plan.evicts and yield_oldest(world, size)


@inner
def _tells(world, slot, result):  # type: ignore[no-untyped-def]
    """The client of an attempt that must leave no longer waits for it. Whether that is its answer."""
    attempt = world.attempts[slot]
    job = world.jobs[attempt.job]
    timeouts.unwatch(world, attempt)
    if world.senders[job.source].hedge != NONE:
        return hedges.hears(world, slot, result)
    job.attempt = NONE
    return True


@inner
def _evict(world, slot, result):  # type: ignore[no-untyped-def]
    """A waiting attempt must leave: it gets the 503, or vanishes and nobody is told."""
    state, attempt = world.state[0], world.attempts[slot]
    job = world.jobs[attempt.job]
    remove(world, slot, False)
    if world.plan[0].broker:
        store.forget(world, slot)
    if result == DROPPED and attempt.wanted and world.senders[job.source].expires:
        attempt.where, attempt.ended = VANISHED, state.now
        return  # its client does not know, waits until its timeout, and closes the row then
    if attempt.wanted and _tells(world, slot, result):
        tell(world, attempt.job, result)
    ledger.close(world, slot, result, state.now)


@inner
def tell(world, of, result):  # type: ignore[no-untyped-def]
    """The client of the job in slot ``of`` will learn what came of its attempt, in this event and after others."""
    state, job = world.state[0], world.jobs[of]
    if state.evicted == NONE:
        state.evicted = of
    else:
        world.jobs[state.last_evicted].next = of
    state.last_evicted, job.next, job.verdict = of, NONE, result


@inlined
def accept(world, slot):  # type: ignore[no-untyped-def]
    """An attempt joins those that wait."""
    plan, state, attempt = world.plan[0], world.state[0], world.attempts[slot]
    job = world.jobs[attempt.job]
    attempt.where, attempt.older, attempt.newer = WAITING, state.newest, NONE
    if state.newest == NONE:
        state.oldest, state.emptied = slot, state.now
    else:
        world.attempts[state.newest].newer = slot
    state.newest = slot
    state.waiting += 1
    if plan.discipline > LIFO:
        lines.join(world, slot)
    if plan.admission != NONE:
        door.joins(world, attempt)
    change(world.books, state.now, WAIT, job.job_class, 1.0)
    if job.size > 0:
        _occupy(world, attempt, job)
    if plan.slowdown == AT_ARRIVAL:
        attempt.factor = slowed(state.waiting, plan.slow_above, plan.slow_factor)


@inlined
def _occupy(world, attempt, job):  # type: ignore[no-untyped-def]
    plan, state = world.plan[0], world.state[0]
    state.used += job.size
    if fits(state.in_memory, plan.limit, job.size):
        state.in_memory += job.size
        change(world.books, state.now, MEMORY, job.job_class, job.size)
    else:
        attempt.spilled = 1
        attempt.disk += _disk(plan, state, plan.write, job.size)
        change(world.books, state.now, DISK, job.job_class, job.size)


@inlined
def _disk(plan, state, latency, size):  # type: ignore[no-untyped-def]
    wait = disk_wait(state.disk_free, state.now, latency, plan.bandwidth, size, state.disk_factor)
    state.disk_free = state.now + wait
    return wait


@inlined
def read(world, attempt):  # type: ignore[no-untyped-def]
    """Ask for a spilled attempt's read; returns the time until it is done, its turn included [s]."""
    plan = world.plan[0]
    return _disk(plan, world.state[0], plan.read, world.jobs[attempt.job].size)


@inlined
def _next(world):  # type: ignore[no-untyped-def]
    plan, state = world.plan[0], world.state[0]
    if plan.discipline > LIFO:
        return lines.first(world)
    return state.oldest if plan.discipline == FIFO else state.newest


@inner
def _next_kept(world):  # type: ignore[no-untyped-def]
    """Who is next and may be taken, or NONE; those leave who come before and are skipped or turned out."""
    plan, state = world.plan[0], world.state[0]
    while state.waiting > 0:
        slot = _next(world)
        if slot == NONE:
            return NONE
        if plan.skips and not world.attempts[slot].wanted:
            withdraw(world, slot)
        elif plan.broker and state.now - world.messages[slot].stored > world.protocol[0].retention:
            _evict(world, slot, DROPPED)
        elif plan.admission != NONE and not door.keeps(world, world.attempts[slot]):
            _evict(world, slot, REJECTED)
        else:
            return slot
    if plan.admission != NONE:
        door.finds_nobody(world)
    return NONE


@inlined
def take(world):  # type: ignore[no-untyped-def]
    """The attempt that is next, taken out; NONE where nobody waits."""
    plan, state = world.plan[0], world.state[0]
    slot = NONE
    if plan.picky:
        slot = _next_kept(world)
    elif state.waiting > 0:
        slot = _next(world)
    if slot == NONE:
        return _from_outside(world) if state.outside > 0 and not plan.broker else NONE
    if plan.slowdown == AT_START:
        world.attempts[slot].factor = slowed(state.waiting, plan.slow_above, plan.slow_factor)
    if plan.discipline == FAIR:
        lines.taken(world, slot)
    remove(world, slot, True)
    return slot


@inlined
def remove(world, slot, keep_on_disk):  # type: ignore[no-untyped-def]
    """An attempt leaves those that wait."""
    plan, state, attempt = world.plan[0], world.state[0], world.attempts[slot]
    job = world.jobs[attempt.job]
    if attempt.older == NONE:
        state.oldest = attempt.newer
    else:
        world.attempts[attempt.older].newer = attempt.newer
    if attempt.newer == NONE:
        state.newest = attempt.older
    else:
        world.attempts[attempt.newer].older = attempt.older
    state.waiting -= 1
    if plan.discipline > LIFO:
        lines.leave(world, slot)
    change(world.books, state.now, WAIT, job.job_class, -1.0)
    if job.size > 0:
        state.used -= job.size
        if not attempt.spilled:
            state.in_memory -= job.size
            change(world.books, state.now, MEMORY, job.job_class, -job.size)
        elif not keep_on_disk:
            leave_disk(world, attempt)
    if state.outside > 0:
        _let_in(world)


@inner
def _let_in(world):  # type: ignore[no-untyped-def]
    """Those outside come in, one after the other, as long as there is room."""
    state = world.state[0]
    if world.plan[0].broker:
        if state.outside > 0:
            store.wake(world)
        return
    while state.outside > 0:
        slot = state.first_outside
        if not _room(world, world.jobs[world.attempts[slot].job].size):
            return
        come_in(world, slot)
        accept(world, slot)


@inner
def come_in(world, slot):  # type: ignore[no-untyped-def]
    """One who was outside is accepted, and told if it goes on then."""
    outside.leave(world, slot)
    attempt = world.attempts[slot]
    if world.senders[world.jobs[attempt.job].source].goes_on:
        timeouts.stop(world, attempt)
        tell(world, attempt.job, outside.LET_IN)


@inner
def _from_outside(world):  # type: ignore[no-untyped-def]
    """A worker takes the first one outside, where nobody may wait inside."""
    slot = world.state[0].first_outside
    come_in(world, slot)
    if world.plan[0].admission != NONE:
        door.at_once(world)
    return slot


@inner
def leave_outside(world, slot):  # type: ignore[no-untyped-def]
    """Its client has waited outside for long enough."""
    outside.leave(world, slot)
    world.attempts[slot].accepted = np.nan
    ledger.close(world, slot, CANCELLED, world.state[0].now)
    _let_in(world)


@inlined
def leave_disk(world, attempt):  # type: ignore[no-untyped-def]
    """A spilled attempt's bytes on disk are free again."""
    job = world.jobs[attempt.job]
    change(world.books, world.state[0].now, DISK, job.job_class, -job.size)


@inner
def withdraw(world, slot):  # type: ignore[no-untyped-def]
    """Its client takes a waiting attempt out of the queue."""
    if world.plan[0].admission != NONE:
        door.served(world, world.attempts[slot], True)
    remove(world, slot, False)
    ledger.close(world, slot, CANCELLED, world.state[0].now)
    if world.plan[0].broker:
        store.forget(world, slot)


@inner
def move(world, slot, before, after):  # type: ignore[no-untyped-def]
    """The newest one that waits shall stand between two others; before all, where ``before`` is NONE."""
    state, attempt = world.state[0], world.attempts[slot]
    state.newest = attempt.older
    world.attempts[attempt.older].newer = NONE
    attempt.older, attempt.newer = before, after
    world.attempts[after].older = slot
    if before == NONE:
        state.oldest = slot
    else:
        world.attempts[before].newer = slot
