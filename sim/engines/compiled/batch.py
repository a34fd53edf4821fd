"""Batches: who is in one, and what happens to it. Its events are those of its worker."""

from __future__ import annotations

import numpy as np

from backwater import order
from backwater.components.batch import ready, together
from backwater.components.workers import service_end
from backwater.engines.compiled import autoscale, calendar, queue
from backwater.engines.compiled.world import NONE, READING, SERVING
from backwater.gauges import change
from backwater.jit import inner
from backwater.outcome import BUSY, WORKING


@inner
def is_ready(world):  # type: ignore[no-untyped-def]
    """Whether those that wait make a batch."""
    plan, state = world.plan[0], world.state[0]
    oldest = world.attempts[state.oldest].accepted if state.waiting > 0 else np.inf
    return ready(state.waiting + state.outside, plan.least, oldest, plan.linger, state.now)


@inner
def goes_on(world, worker):  # type: ignore[no-untyped-def]
    """Whether a worker takes the next batch, now."""
    return (world.state[0].waiting == 0 or is_ready(world)) and begin(world, worker, NONE)


@inner
def _works(world, its, by):  # type: ignore[no-untyped-def]
    """One more worker has a batch in hand, or one fewer."""
    if world.plan[0].autoscale != NONE:
        autoscale.spend(world)
    change(world.books, world.state[0].now, WORKING, its.job_class, by)


@inner
def _hold(world, worker, slot, read):  # type: ignore[no-untyped-def]
    """An attempt becomes a member; returns how long the last read that was asked for takes [s]."""
    state, attempt, its = world.state[0], world.attempts[slot], world.workers[worker]
    attempt.taken, attempt.worker, attempt.where = state.now, worker, READING
    attempt.older, attempt.newer = its.last, NONE
    if its.last == NONE:
        its.holds = slot
    else:
        world.attempts[its.last].newer = slot
    its.last = slot
    its.members += 1
    change(world.books, state.now, BUSY, world.jobs[attempt.job].job_class, 1.0)
    if attempt.spilled:
        read = queue.read(world, attempt)
        attempt.disk += read
    return read


@inner
def begin(world, worker, last):  # type: ignore[no-untyped-def]
    """A worker takes those that wait, as many as it may, and ``last``; False where there is nobody."""
    plan, state, its, read = world.plan[0], world.state[0], world.workers[worker], -1.0
    its.holds, its.last, its.members = NONE, NONE, 0
    while its.members < plan.batch - (last != NONE) and (last == NONE or state.waiting > 0):
        slot = queue.take(world)
        if slot == NONE:
            break
        read = _hold(world, worker, slot, read)
    if last != NONE:
        read = _hold(world, worker, last, read)
    if its.members == 0:
        return False
    its.ref, its.due = calendar.new_ref(state, worker), np.inf
    its.job_class = world.jobs[world.attempts[its.holds].job].job_class
    _works(world, its, 1.0)
    if read >= 0.0:
        calendar.add(world, state.now + read, order.key(order.DISK, 0, worker, 0), its.ref)
    else:
        serve(world, worker)
    return True


@inner
def serve(world, worker):  # type: ignore[no-untyped-def]
    """The service of a batch starts, now."""
    plan, its = world.plan[0], world.workers[worker]
    slot, total, others = its.holds, 0.0, 0
    while slot != NONE:
        attempt = world.attempts[slot]
        attempt.where, attempt.started = SERVING, world.state[0].now
        if attempt.spilled:
            queue.leave_disk(world, attempt)
        total = together(total, others, attempt.demand * attempt.factor, plan.together)
        slot, others = attempt.newer, others + 1
    its.whole = total + plan.overhead
    go_on(world, worker, its.whole)


@inner
def go_on(world, worker, left):  # type: ignore[no-untyped-def]
    """The service of a batch goes on, now, at its worker's speed."""
    now, its = world.state[0].now, world.workers[worker]
    its.left, its.since, its.due = left, now, service_end(now, left, its.speed)
    if its.due < np.inf:
        calendar.add(world, its.due, order.key(order.BATCH, 0, worker, 0), its.ref)


@inner
def leave(world, slot):  # type: ignore[no-untyped-def]
    """A member leaves its batch."""
    attempt = world.attempts[slot]
    its = world.workers[attempt.worker]
    if attempt.older == NONE:
        its.holds = attempt.newer
    else:
        world.attempts[attempt.older].newer = attempt.newer
    if attempt.newer == NONE:
        its.last = attempt.older
    else:
        world.attempts[attempt.newer].older = attempt.older
    its.members -= 1


@inner
def end(world, worker):  # type: ignore[no-untyped-def]
    """A batch is over."""
    its = world.workers[worker]
    its.holds = its.last = its.ref = NONE
    its.members, its.due = 0, np.inf
    _works(world, its, -1.0)


@inner
def linger(world):  # type: ignore[no-untyped-def]
    """An attempt waits though a worker rests: not for longer than the batch may."""
    plan, state = world.plan[0], world.state[0]
    if state.lingers or state.idle == 0 or state.waiting == 0 or plan.linger == np.inf:
        return
    state.lingers = 1
    until = world.attempts[state.oldest].accepted + plan.linger
    calendar.add(world, state.now + (until - state.now), order.key(order.LINGER, 0, 0, 0), 0)
