"""Who does the work. Idle workers are kept in a heap, so that the lowest number is called first."""

from __future__ import annotations

from backwater import order
from backwater.engines.compiled import calendar, ledger, queue, timeouts
from backwater.engines.compiled.world import NONE, READING, SERVING
from backwater.jit import inlined, inner
from backwater.measure import change
from backwater.outcome import ABANDONED_COMPLETED, BUSY, CANCELLED, COMPLETED


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
    _hold(world, slot, _lowest_idle(world))


@inlined
def _hold(world, slot, worker):  # type: ignore[no-untyped-def]
    state, attempt = world.state[0], world.attempts[slot]
    attempt.taken, attempt.worker = state.now, worker
    change(world.books, state.now, BUSY, world.jobs[attempt.job].job_class, 1.0)
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
    _later(world, attempt, attempt.demand * attempt.factor, order.COMPLETION)


@inlined
def _later(world, attempt, delay, rank):  # type: ignore[no-untyped-def]
    place = order.at(rank, world.jobs[attempt.job].place, attempt.number)
    calendar.add(world, world.state[0].now + delay, place, attempt.ref)


@inlined
def free(world, worker):  # type: ignore[no-untyped-def]
    """A worker takes whoever is next, or rests."""
    if world.state[0].waiting > 0:
        _hold(world, queue.take(world), worker)
    else:
        _rest(world, worker)


@inlined
def complete(world, slot):  # type: ignore[no-untyped-def]
    """A service ends, and its worker goes on. Returns the slot of the job whose client waited for it, or NONE."""
    state, attempt = world.state[0], world.attempts[slot]
    of, worker, wanted = attempt.job, attempt.worker, attempt.wanted
    job = world.jobs[of]
    job.served += 1
    if wanted:
        timeouts.unwatch(world, attempt)
        job.attempt = NONE
    ledger.finish(world, slot, job.served, COMPLETED if wanted else ABANDONED_COMPLETED, state.now)
    change(world.books, state.now, BUSY, job.job_class, -1.0)
    free(world, worker)
    return of if wanted else NONE


@inner
def stop(world, slot):  # type: ignore[no-untyped-def]
    """Its client stops an attempt in service; the worker takes the next one."""
    state, attempt = world.state[0], world.attempts[slot]
    worker, job_class = attempt.worker, world.jobs[attempt.job].job_class
    if attempt.where == READING:
        queue.leave_disk(world, attempt)
    state.stale += 1
    ledger.close(world, slot, CANCELLED, state.now)
    change(world.books, state.now, BUSY, job_class, -1.0)
    free(world, worker)
