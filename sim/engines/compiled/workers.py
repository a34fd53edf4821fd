"""Who does the work. Idle workers are kept in a heap, so that the lowest number is called first."""

from __future__ import annotations

import numpy as np

from backwater import order, random
from backwater.components.faults import fails
from backwater.components.memory import slowed
from backwater.components.workers import service_end, work_left
from backwater.engines.compiled import (
    autoscale,
    batch,
    calendar,
    door,
    hedges,
    ledger,
    queue,
    timeouts,
    workflow,
)
from backwater.engines.compiled.layout import NOW
from backwater.engines.compiled.world import NONE, READING, SERVING
from backwater.gauges import change
from backwater.jit import inlined, inner
from backwater.outcome import ABANDONED_COMPLETED, BUSY, CANCELLED, COMPLETED, FAILED, WORKERS


@inlined
def _rest(world, worker):  # type: ignore[no-untyped-def]
    """A worker has nobody to serve."""
    state, idle = world.state[0], world.idle
    at = state.idle
    state.idle += 1
    while at > 0 and idle[(at - 1) >> 1] > worker:
        idle[at] = idle[(at - 1) >> 1]
        at = (at - 1) >> 1
    idle[at] = worker


@inlined
def _lowest_idle(world):  # type: ignore[no-untyped-def]
    """The idle worker of the lowest number, no longer idle."""
    state, idle = world.state[0], world.idle
    worker, last, at = idle[0], idle[state.idle - 1], 0
    state.idle -= 1
    while True:
        child = 2 * at + 1
        if child >= state.idle:
            break
        if child + 1 < state.idle and idle[child + 1] < idle[child]:
            child += 1
        if idle[child] >= last:
            break
        idle[at] = idle[child]
        at = child
    idle[at] = last
    return worker


@inlined
def call(world, slot):  # type: ignore[no-untyped-def]
    """Hand an attempt to an idle worker."""
    if world.plan[0].batch:
        batch.begin(world, _lowest_idle(world), slot)
    else:
        _hold(world, slot, _lowest_idle(world))


@inlined
def count(world, gauge, job_class, by):  # type: ignore[no-untyped-def]
    """So many more workers are busy, or on duty."""
    if world.plan[0].autoscale != NONE:
        autoscale.spend(world)
    change(world.books, world.state[0].now, gauge, job_class, by)


@inlined
def _hold(world, slot, worker):  # type: ignore[no-untyped-def]
    state, attempt = world.state[0], world.attempts[slot]
    attempt.taken, attempt.worker = state.now, worker
    if world.plan[0].retimes:
        world.workers[worker].holds = slot
    count(world, BUSY, world.jobs[attempt.job].job_class, 1.0)
    if attempt.spilled:
        _read(world, attempt)
    else:
        serve(world, attempt)


@inner
def _read(world, attempt):  # type: ignore[no-untyped-def]
    wait = queue.read(world, attempt)
    attempt.disk += wait
    attempt.where = READING
    _later(world, attempt, wait, order.DISK)


@inlined
def serve(world, attempt):  # type: ignore[no-untyped-def]
    """The service of an attempt that a worker holds starts, now."""
    attempt.where, attempt.started = SERVING, world.state[0].now
    if world.plan[0].retimes:
        _go_on(world, attempt, attempt.demand * attempt.factor)
    else:
        _later(world, attempt, attempt.demand * attempt.factor, order.COMPLETION)


@inlined
def _number(world, attempt):  # type: ignore[no-untyped-def]
    """What stands for an attempt in the keys of what its worker does."""
    return order.of_delivery(attempt.number, attempt.delivery) if world.plan[0].broker else attempt.number


@inner
def _go_on(world, attempt, left):  # type: ignore[no-untyped-def]
    """A service goes on, now, at its worker's speed."""
    now, its = world.state[0].now, world.workers[attempt.worker]
    its.left, its.since, its.due = left, now, service_end(now, left, its.speed)
    if its.due < np.inf:
        place = order.at(order.COMPLETION, world.jobs[attempt.job].place, _number(world, attempt))
        calendar.add(world, its.due, place, attempt.ref)


@inlined
def is_due(world, attempt, when):  # type: ignore[no-untyped-def]
    """Whether the end of a service that was put down for ``when`` (bits) has not been moved by another speed."""
    return not world.plan[0].retimes or calendar.bits(world.workers[attempt.worker].due) == when


@inner
def settle(world):  # type: ignore[no-untyped-def]
    """An event has ended: services go on at another speed if the staff or the length of the queue say so."""
    plan, state = world.plan[0], world.state[0]
    slow = slowed(state.waiting, plan.slow_above, plan.slow_factor) if plan.slowdown == NOW else 1.0
    if slow == state.slowed and not state.struck:
        return
    state.slowed, state.struck = slow, 0
    for worker in range(plan.workers):
        its, speed = world.workers[worker], world.workers[worker].pace / slow
        if speed == its.speed:
            continue
        if its.holds != NONE and world.attempts[its.holds].where == SERVING:
            left = work_left(its.left, its.since, state.now, its.speed)
            state.stale += its.due < np.inf
            its.speed = speed
            if plan.batch:
                batch.go_on(world, worker, left)
            else:
                _go_on(world, world.attempts[its.holds], left)
        its.speed = speed


@inner
def strike(world, worker, pace, off):  # type: ignore[no-untyped-def]
    """A worker works at this pace from now on. One that is off does not rest; one that is back takes who is next."""
    its, was = world.workers[worker], world.workers[worker].off
    its.pace, its.off = pace, off
    if its.holds != NONE or was == off:
        return
    if off:
        _leave_idle(world, worker)
    else:
        release(world, worker)


@inner
def _leave_idle(world, worker):  # type: ignore[no-untyped-def]
    """A worker that rests is down: the others go into a heap again."""
    state, idle = world.state[0], world.idle
    rest, state.idle = state.idle, 0
    for at in range(rest):
        if idle[at] != worker:
            _rest(world, idle[at])


@inlined
def _later(world, attempt, delay, rank):  # type: ignore[no-untyped-def]
    place = order.at(rank, world.jobs[attempt.job].place, _number(world, attempt))
    calendar.add(world, world.state[0].now + delay, place, attempt.ref)


@inner
def _leave_duty(world, worker):  # type: ignore[no-untyped-def]
    """A worker that takes no more work has finished; one that was called off duty goes."""
    if worker >= world.state[0].called:
        count(world, WORKERS, NONE, -1.0)


@inlined
def free(world, worker):  # type: ignore[no-untyped-def]
    """A worker takes whoever is next, or rests; one that is off does neither."""
    if world.plan[0].retimes:
        world.workers[worker].holds = NONE
        if world.workers[worker].off:
            _leave_duty(world, worker)
            return
    if world.plan[0].batch:
        if not batch.goes_on(world, worker):
            _rest(world, worker)
            batch.linger(world)
        return
    slot = queue.take(world)
    if slot != NONE:
        _hold(world, slot, worker)
    else:
        _rest(world, worker)


@inner
def release(world, worker):  # type: ignore[no-untyped-def]
    """A worker has been stopped, is back, or has done with a batch: it takes whoever is next, or rests."""
    free(world, worker)


@inlined
def complete(world, slot):  # type: ignore[no-untyped-def]
    """A service ends, and its worker goes on.

    Returns the slot of the job whose client has its answer, or NONE; and what that learns.
    """
    worker = world.attempts[slot].worker
    of, result = _complete(world, slot)
    free(world, worker)
    return of, result


@inlined
def _complete(world, slot):  # type: ignore[no-untyped-def]
    state, attempt = world.state[0], world.attempts[slot]
    of, wanted = attempt.job, attempt.wanted == 1
    job, result = world.jobs[of], COMPLETED if wanted else ABANDONED_COMPLETED
    job.served += 1
    if wanted:
        timeouts.unwatch(world, attempt)
    if world.plan[0].answers:
        result, wanted = _answer(world, slot, result)
    elif wanted:
        job.attempt = NONE
    ledger.finish(world, slot, job.served, result, state.now)
    count(world, BUSY, job.job_class, -1.0)
    if world.plan[0].leads and result != FAILED:
        workflow.served(world, of)
    return of if wanted else NONE, result


@inner
def _answer(world, slot, result):  # type: ignore[no-untyped-def]
    """What a service ends with, and whether its client hears of it, where more than its end decides that."""
    attempt, wanted = world.attempts[slot], result == COMPLETED
    job = world.jobs[attempt.job]
    hedged = world.senders[job.source].hedge != NONE
    if wanted and not hedged:
        job.attempt = NONE
    if world.plan[0].admission != NONE:
        door.served(world, attempt, not wanted)
    if wanted and world.state[0].error_share > 0.0 and _fails(world, job, attempt):
        result = FAILED
    if wanted and hedged:
        wanted = hedges.hears(world, slot, result)
    return result, wanted


@inner
def complete_batch(world, worker):  # type: ignore[no-untyped-def]
    """The service of a batch ends, and its worker goes on."""
    slot = world.workers[worker].holds
    while slot != NONE:
        following = world.attempts[slot].newer
        hedges.meet(world, slot)
        of, result = _complete(world, slot)
        if of != NONE:
            queue.tell(world, of, result)
        slot = following
    batch.end(world, worker)
    release(world, worker)


@inner
def has_lingered(world):  # type: ignore[no-untyped-def]
    """The oldest may have waited for long enough for a batch, however small."""
    state = world.state[0]
    state.lingers = 0
    if state.idle > 0 and state.waiting > 0 and batch.is_ready(world):
        release(world, _lowest_idle(world))
    batch.linger(world)


@inner
def _fails(world, job, attempt):  # type: ignore[no-untyped-def]
    """Whether a fault turns the answer into an error."""
    plan = world.plan[0]
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.FAIL, attempt.number)
    return fails(u, world.state[0].error_share)


@inner
def stop(world, slot):  # type: ignore[no-untyped-def]
    """Its client stops an attempt in service. Whether its worker has yet to be released: none is left in its batch."""
    plan, state, attempt = world.plan[0], world.state[0], world.attempts[slot]
    worker, job_class = attempt.worker, world.jobs[attempt.job].job_class
    if plan.admission != NONE:
        door.served(world, attempt, True)
    if attempt.where == READING and attempt.spilled:
        queue.leave_disk(world, attempt)
    stands = (plan.retimes or plan.batch) and attempt.where == SERVING and world.workers[worker].due == np.inf
    if plan.batch:
        batch.leave(world, slot)
    others = plan.batch > 0 and world.workers[worker].members > 0
    state.stale += not stands and not others
    ledger.close(world, slot, CANCELLED, state.now)
    count(world, BUSY, job_class, -1.0)
    if plan.batch and not others:
        batch.end(world, worker)
    return not others
