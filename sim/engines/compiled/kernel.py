"""The event loop: what happens next, until the run ends or Python is needed."""

from __future__ import annotations

import math

import numpy as np

from backwater import order
from backwater.engines.compiled import (
    batch,
    broker,
    calendar,
    callers,
    client,
    crash,
    deliver,
    faults,
    hedges,
    ledger,
    limiter,
    outside,
    producer,
    queue,
    staff,
    timeouts,
    workers,
    workflow,
)
from backwater.engines.compiled.world import DROPPED as VANISHED
from backwater.engines.compiled.world import FREE, IN_CALENDAR, NONE, PAUSES, READING, SERVING
from backwater.gauges import cross
from backwater.jit import allocating, compiled, compiled_in, inlined, inner, kernel
from backwater.outcome import COMPLETED, PREFETCHED, REJECTED, UNACKED, UNFINISHED

# Why a kernel returns: nothing is left to happen, the next event is too late, its share of events is done, room is
# needed, a trace needs its next pass.
ENDED, LATER, PAUSED, ROOM, PASS = range(5)


@inner
def compact(world):  # type: ignore[no-untyped-def]
    """Drop the events that have lost their meaning."""
    its, size, state = world.calendar, 0, world.state[0]
    if state.hole:  # a broker hands out after an event, whose place may not have been taken yet
        state.hole = 0
        calendar.pop(its)
    for at in range(its.size[0]):
        event, kept = its.events[at], its.events[size]
        if _holds(world, event.when, event.key, event.ref):
            kept.when, kept.key, kept.ref = event.when, event.key, event.ref
            size += 1
    its.size[0] = size
    state.stale = 0
    calendar.heapify(its)


@inner
def _holds(world, when, key, ref):  # type: ignore[no-untyped-def]
    """Whether an event of the calendar still means something."""
    rank, slot = key >> order.RANK_SHIFT, calendar.slot_of(ref)
    if ref < 0 or rank in (order.FAULT, order.POLL, order.ARRIVAL, order.LINGER):
        return True
    if rank == order.DELIVERY:
        return broker.holds(world, when, key, ref)
    if rank == order.BROKER:
        return broker.holds_of_itself(world, when, key, ref)
    if rank == order.STAFF:
        return staff.holds(world, key, ref)
    if world.plan[0].batch and rank <= order.BATCH:
        its = world.workers[slot]
        reading = its.ref == ref and world.attempts[its.holds].where == READING
        return reading if rank == order.DISK else its.ref == ref and calendar.bits(its.due) == when
    if rank == order.RETRY:
        return world.jobs[slot].ref == ref and world.jobs[slot].backing_off == PAUSES
    if rank == order.HEDGE:
        return hedges.is_due(world.jobs[slot], ref, when, key)
    if rank == order.TURN:
        return limiter.is_due(world, ref, when)
    if rank == order.TIMEOUT and key & order.ATTEMPT_MAX == 0:
        return world.jobs[slot].ref == ref and world.jobs[slot].listed == IN_CALENDAR
    attempt = world.attempts[slot]
    if attempt.ref != ref:
        return False
    if rank == order.COMPLETION:
        return attempt.where == SERVING and workers.is_due(world, attempt, when)
    if rank == order.TIMEOUT:
        return attempt.wanted == 1 and attempt.listed == IN_CALENDAR
    return attempt.where == READING


@compiled_in
def spare(world):  # type: ignore[no-untyped-def]
    """How many jobs, attempts, rows or events one event may add."""
    plan, state = world.plan[0], world.state[0]
    # Each one that is evicted may back off, and move the time of the first in the line for tokens; so may one that is
    # let in, whose caller goes on. A worker that is back takes one, or a batch, whose service may then go on at another
    # speed. Each answer of a batch may stop hedges, whose workers go on.
    more = plan.spare + plan.spare_each * (state.waiting + state.outside)
    if plan.spare_held:
        more += plan.spare_held * (world.hub[0].kept + int(world.books.gauges[PREFETCHED].value))
    return more


@compiled_in
def reserve(world):  # type: ignore[no-untyped-def]
    """For how many deliveries one event may need a slot: those that a crash takes back end after their heirs begin."""
    plan = world.plan[0]
    return plan.reserve + (int(world.books.gauges[UNACKED].value) if plan.spare_held else 0)


@inner
def _fit(world):  # type: ignore[no-untyped-def]
    """How many events surely find room for whatever they may add; 0 where not even one does."""
    plan, state, more, its = world.plan[0], world.state[0], spare(world), world.calendar
    room = len(its.events) - its.size[0]
    if room < more and 2 * state.stale >= its.size[0]:
        compact(world)
        room = len(its.events) - its.size[0]
    if plan.leads and state.free_groups < plan.leads:
        return 0
    if plan.records:
        room = min(room, len(world.job_rows) - max(state.attempt_rows, state.job_rows, (state.note_rows + 1) // 2))
    if plan.spare_each or plan.floods or plan.leads:
        return min(state.free_jobs, max(state.free_attempts - reserve(world), 0), room >= more, 1)
    return min(state.free_jobs, max(state.free_attempts - plan.reserve, 0), room // more)


@inner
def _timeout(world, key, ref):  # type: ignore[no-untyped-def]
    """A timeout that may still mean something: the job whose client it concerns, or NONE, and what that learns."""
    state = world.state[0]
    if ref < 0:
        which = NONE - ref
        slot, of_job = timeouts.due(world, which, key), which % 2 == 1
        if slot == NONE:
            return NONE, client.TIMED_OUT
    else:
        slot, of_job = calendar.slot_of(ref), key & order.ATTEMPT_MAX == 0
        if not _holds(world, 0, key, ref):
            state.stale -= 1
            return NONE, client.TIMED_OUT
    if of_job:
        client.expire(world, slot)
        return slot, client.EXPIRED
    of = world.attempts[slot].job
    world.attempts[slot].listed = 0
    return of if client.abandon(world, slot) else NONE, client.TIMED_OUT


@inlined
def _next_evicted(world):  # type: ignore[no-untyped-def]
    """The next job whose client learns that its attempt had to leave; NONE, also until the whole backlog has been sent.

    And what it learns.
    """
    plan, state = world.plan[0], world.state[0]
    slot = state.evicted
    if slot == NONE or world.sources[plan.sources].number < plan.backlog:
        return NONE, REJECTED
    state.evicted = world.jobs[slot].next
    return slot, world.jobs[slot].verdict


@inner
def _seldom(world, when, key, ref):  # type: ignore[no-untyped-def]
    """What happens seldom: a fault, a change of staff, a poll, a hedge, a token, what batches need, the end of a disk
    read, or a job of a closed population.

    Returns the slot of a job to send, that of one whose client learns something, or NONE, and what that learns.
    """
    rank, slot = key >> order.RANK_SHIFT, calendar.slot_of(ref)
    if rank == order.FAULT:
        faults.change(world, ref)
        if world.plan[0].broker:
            count = len(world.faults)
            crash.fault(world, ref % count, ref >= count)
        if world.plan[0].retimes:
            staff.judge(world)
    elif rank == order.STAFF:
        staff.change(world, key, ref)
    elif rank == order.ARRIVAL:
        return producer.think_over(world, ref), NONE, COMPLETED
    elif rank == order.POLL:
        return NONE, slot, callers.poll(world, slot)
    elif rank == order.BROKER:
        broker.happen_to_itself(world, when, key, ref)
    elif rank == order.LINGER:
        workers.has_lingered(world)
    elif world.plan[0].batch and rank <= order.BATCH:
        _batch(world, rank, ref)
    elif rank == order.HEDGE and hedges.is_due(world.jobs[slot], ref, when, key):
        return slot if hedges.is_paid(world, slot) else NONE, NONE, COMPLETED
    elif rank == order.TURN:
        return limiter.ring(world, ref, when), NONE, COMPLETED
    elif rank == order.DISK and world.attempts[slot].ref == ref:
        attempt = world.attempts[slot]
        queue.leave_disk(world, attempt)
        workers.serve(world, attempt)
    else:
        world.state[0].stale -= 1
    return NONE, NONE, COMPLETED


@inner
def _batch(world, rank, ref):  # type: ignore[no-untyped-def]
    """The reads of a batch have ended, or its service."""
    worker = calendar.slot_of(ref)
    its = world.workers[worker]
    if its.ref == ref and rank == order.DISK:
        batch.serve(world, worker)
    elif its.ref == ref and its.due == world.state[0].now:
        workers.complete_batch(world, worker)
    else:
        world.state[0].stale -= 1


@inlined
def _end_event(world):  # type: ignore[no-untyped-def]
    """What has changed in an event takes effect: the speed of services, sources that no longer wait."""
    if not world.plan[0].settles:
        return
    if world.plan[0].retimes:
        workers.settle(world)
    if world.state[0].freed:
        producer.go_on(world)


@inner
def _hands_out(world):  # type: ignore[no-untyped-def]
    """A broker hands out what is ready, once the whole backlog has been sent; False where there is no room for that."""
    plan, hub = world.plan[0], world.hub[0]
    if world.sources[plan.sources].number < plan.backlog:
        return True
    while hub.wakes:
        if plan.floods and _fit(world) < 1:
            return False
        broker.hand_out(world)
        if world.state[0].evicted != NONE:
            _tell_evicted(world)
        _end_event(world)
    return True


@inner
def _tell_evicted(world):  # type: ignore[no-untyped-def]
    """Those learn of it that had to leave while a broker handed out."""
    told, result = _next_evicted(world)
    while told != NONE:
        client.learn(world, told, result, False)
        told, result = _next_evicted(world)


@inlined
def _complete(world, when, ref):  # type: ignore[no-untyped-def]
    """A service ends, if that still means something: the job whose client has its answer, or NONE; what that learns."""
    slot = calendar.slot_of(ref)
    attempt = world.attempts[slot]
    due = attempt.ref == ref and workers.is_due(world, attempt, when)
    if due and not world.plan[0].broker:
        return workers.complete(world, slot)
    if due and attempt.where == SERVING:
        return deliver.complete(world, slot)
    world.state[0].stale -= 1
    return NONE, COMPLETED


@inlined
def _resume(world, ref):  # type: ignore[no-untyped-def]
    """A pause is over, if that still means something: the job to send, or NONE."""
    slot = calendar.slot_of(ref)
    if world.jobs[slot].ref != ref or world.jobs[slot].backing_off != PAUSES:
        world.state[0].stale -= 1
        return NONE
    client.resume(world, slot)
    return slot


@kernel
def run(world, until, events):  # type: ignore[no-untyped-def]
    """Let at most so many events happen, none after ``until`` [s]. Returns why it stopped."""
    plan, state, arrivals, later = world.plan[0], world.state[0], world.arrivals, world.calendar
    fit = 0
    if plan.broker and not _hands_out(world):
        return ROOM
    for _ in range(events):
        if state.hole:
            state.hole = 0
            calendar.pop(later)
        fit = (fit if fit > 0 else _fit(world)) - 1
        if fit < 0:
            return ROOM
        time, arrival = calendar.first_time(later), calendar.first_time(arrivals)
        sent, told, result, polled = NONE, NONE, COMPLETED, False
        if arrival < time or (arrival == time < math.inf and arrivals.events[0].key < later.events[0].key):
            if arrival > until:
                return LATER
            state.now = max(arrival, 0.0)
            cross(world.books, state.now)
            sent = producer.arrive(world)
        else:
            if time > until or time == math.inf:
                return ENDED if time == math.inf else LATER
            state.now, state.hole = time, 1
            cross(world.books, time)
            key, ref = later.events[0].key, later.events[0].ref
            rank = key >> order.RANK_SHIFT
            if rank == order.COMPLETION:
                told, result = _complete(world, later.events[0].when, ref)
            elif rank == order.RETRY:
                sent = _resume(world, ref)
            elif rank == order.TIMEOUT:
                told, result = _timeout(world, key, ref)
            elif rank == order.DELIVERY:
                broker.happen(world, later.events[0].when, key, ref)
            else:
                sent, told, result = _seldom(world, later.events[0].when, key, ref)
                polled = rank == order.POLL
        if sent != NONE:
            result = client.send(world, sent)
            told = NONE if result == NONE else sent
            if plan.blocks:
                outside.sent(world, sent)
        if told == NONE:
            told, result = _next_evicted(world)
        while told != NONE:
            client.learn(world, told, result, polled)
            told, result = _next_evicted(world)
            polled = False
        _end_event(world)
        if state.arrived >= plan.arrivals:
            return ENDED
        if plan.settles and plan.broker and broker.pass_on(world) and not _hands_out(world):
            return ROOM
        if plan.settles and state.refill != NONE:
            return PASS
    return PAUSED


@allocating
def live(world):  # type: ignore[no-untyped-def]
    """Slots of the attempts and of the jobs in progress."""
    attempts = [slot for slot in range(len(world.attempts)) if world.attempts[slot].where != FREE]
    jobs = [slot for slot in range(len(world.jobs)) if world.jobs[slot].ref != NONE and world.jobs[slot].begun]
    return np.array(attempts, dtype=np.int64), np.array(jobs, dtype=np.int64)


@compiled
def leave(world, attempts, jobs, workflows):  # type: ignore[no-untyped-def]
    """The run ends: rows of what is in progress, in this order."""
    state = world.state[0]
    for slot in attempts:
        attempt = world.attempts[slot]
        vanished = attempt.where == VANISHED
        result = ledger.fate(world, slot) if vanished else UNFINISHED
        ledger.close(world, slot, result, attempt.ended if vanished else state.now)
    for slot in jobs:
        ledger.leave(world, slot)
    workflow.leave(world, workflows)
