"""Which workers take work now: faults, failures, shifts, autoscaling and start-ups, in one place."""

from __future__ import annotations

import numpy as np

from backwater import order, random
from backwater.components.autoscale import PARAMS
from backwater.components.shifts import shift_time, shift_workers
from backwater.engines.compiled import autoscale, broker, calendar, faults, ledger, workers
from backwater.engines.compiled.layout import FINISH, RESTART
from backwater.engines.compiled.world import NONE, SERVING
from backwater.jit import compiled, inner
from backwater.outcome import SCALED, WORKER_FAILED, WORKER_REPAIRED, WORKER_STARTED, WORKERS
from backwater.outcome import SHIFT as SHIFTED
from backwater.quantile import quantile


@inner
def _judge(world, worker):  # type: ignore[no-untyped-def]
    """How fast a worker does what it has in hand now, and whether it takes work: all that bears on it is told here."""
    plan, its = world.plan[0], world.workers[worker]
    pace, off = faults.bear(world, worker)
    if its.broken:
        pace, off = pace if plan.in_hand == FINISH else 0.0, 1
    if not its.ready:
        off = 1
    if plan.broker:
        broker.strike(world, worker, pace, off)
    else:
        workers.strike(world, worker, pace, off)


@inner
def judge(world):  # type: ignore[no-untyped-def]
    """Other workers may take work now, or work at another speed."""
    world.state[0].struck = 1
    for worker in range(world.plan[0].workers):
        _judge(world, worker)


@inner
def _later(world, time, what, place, ref):  # type: ignore[no-untyped-def]
    calendar.add(world, time, order.key(order.STAFF, what, place, 0), ref)


@inner
def _draw(world, law, worker, purpose, index):  # type: ignore[no-untyped-def]
    plan = world.plan[0]
    return quantile(world.numbers, random.uniform(plan.seed, plan.replication, 0, worker, purpose, index), law)


@inner
def _next_failure(world, worker):  # type: ignore[no-untyped-def]
    up = _draw(world, world.plan[0].up, worker, random.UP, world.workers[worker].failures)
    _later(world, world.state[0].now + up, order.FAILED, worker, worker)


@inner
def _next_shift(world, number):  # type: ignore[no-untyped-def]
    plan, now = world.plan[0], world.state[0].now
    when = shift_time(world.numbers[plan.shifts : plan.shifts_stop], number)
    if when < np.inf:
        _later(world, now + (when - now), order.SHIFT, 0, number)


@inner
def _next_look(world, number):  # type: ignore[no-untyped-def]
    now, every = world.state[0].now, world.numbers[world.plan[0].autoscale + PARAMS - 2]
    _later(world, now + (number * every - now), order.LOOK, 0, number)


@compiled
def put_down(world):  # type: ignore[no-untyped-def]
    """Put down each worker's first failure, the first change of shift and the autoscaler's first look."""
    plan = world.plan[0]
    if plan.up != NONE:
        for worker in range(plan.workers):
            _next_failure(world, worker)
    if plan.shifts != NONE:
        _next_shift(world, 1)
    if plan.autoscale != NONE:
        _next_look(world, 1)


@inner
def _fail(world, worker):  # type: ignore[no-untyped-def]
    """A worker fails; what it serves may have to begin anew."""
    plan, now, its = world.plan[0], world.state[0].now, world.workers[worker]
    its.broken = 1
    if plan.in_hand == RESTART and its.holds != NONE and world.attempts[its.holds].where == SERVING:
        attempt = world.attempts[its.holds]
        its.left, its.since = its.whole if plan.batch else attempt.demand * attempt.factor, now
    repair = _draw(world, plan.repair, worker, random.REPAIR, its.failures)
    _later(world, now + repair, order.REPAIRED, worker, worker)
    its.failures += 1


@inner
def _come(world, worker):  # type: ignore[no-untyped-def]
    """A worker is called on duty: it starts up, unless it has not even gone."""
    plan, now, its = world.plan[0], world.state[0].now, world.workers[worker]
    if its.holds != NONE or plan.start_up == NONE:
        its.ready = 1
    else:
        its.starts += 1
        its.starting = its.starts
        took = _draw(world, plan.start_up, worker, random.START_UP, its.starts - 1)
        _later(world, now + took, order.STARTED, worker, (its.starts << calendar.SLOT_BITS) | worker)
    if its.holds == NONE:
        workers.count(world, WORKERS, NONE, 1.0)


@inner
def _go(world, worker):  # type: ignore[no-untyped-def]
    """A worker is called off duty: it goes once it holds nothing, and a start-up comes to nothing."""
    its = world.workers[worker]
    world.state[0].stale += its.starting > 0
    its.ready = its.starting = 0
    if its.holds == NONE:
        workers.count(world, WORKERS, NONE, -1.0)


@inner
def _call(world, called, why):  # type: ignore[no-untyped-def]
    """So many workers are on duty from now on."""
    state = world.state[0]
    before, state.called = state.called, called
    if called == before:
        return
    ledger.note(world, why, NONE, NONE, called, before)
    for worker in range(before, called):
        _come(world, worker)
    for worker in range(called, before):
        _go(world, worker)
    judge(world)


@inner
def _alone(world, worker, what):  # type: ignore[no-untyped-def]
    """Something happens to one worker."""
    its = world.workers[worker]
    if what == order.FAILED:
        _fail(world, worker)
    elif what == order.REPAIRED:
        its.broken = 0
        _next_failure(world, worker)
    else:
        its.ready, its.starting = 1, 0
    told = WORKER_FAILED if what == order.FAILED else WORKER_REPAIRED if what == order.REPAIRED else WORKER_STARTED
    ledger.note(world, told, NONE, NONE, worker, 0)
    world.state[0].struck = 1
    _judge(world, worker)


@inner
def _what(key):  # type: ignore[no-untyped-def]
    return (key >> (order.JOB_BITS + order.ATTEMPT_BITS)) & (2**order.SOURCE_BITS - 1)


@inner
def holds(world, key, ref):  # type: ignore[no-untyped-def]
    """Whether a change that was put down still means something: a start-up may have been called off."""
    start = ref >> calendar.SLOT_BITS
    return _what(key) != order.STARTED or world.workers[calendar.slot_of(ref)].starting == start


@inner
def change(world, key, ref):  # type: ignore[no-untyped-def]
    """A change of staff, as it was put down."""
    plan, now, what = world.plan[0], world.state[0].now, _what(key)
    if what == order.SHIFT:
        _next_shift(world, ref + 1)
        _call(world, shift_workers(world.numbers[plan.shifts : plan.shifts_stop], ref), SHIFTED)
    elif what == order.LOOK:
        lag = world.numbers[plan.autoscale + PARAMS - 1]
        _later(world, now + lag, order.DECISION, ref, calendar.bits(autoscale.look(world)))
        _next_look(world, ref + 1)
    elif what == order.DECISION:
        _call(world, autoscale.decide(world, np.int64(ref).view(np.float64)), SCALED)
    elif not holds(world, key, ref):
        world.state[0].stale -= 1
    else:
        _alone(world, calendar.slot_of(ref), what)
