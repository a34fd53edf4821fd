"""Who is let into a queue, and who is turned out of it again."""

from __future__ import annotations

import numpy as np

from backwater import random
from backwater.components import admission as rules
from backwater.components import own
from backwater.jit import inner
from backwater.outcome import BUSY


@inner
def admits(world, job):  # type: ignore[no-untyped-def]
    """Whether the job's present attempt is let in."""
    plan, state = world.plan[0], world.state[0]
    index = 0 if plan.user else job.attempts
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.ADMIT, index)
    params = world.numbers[plan.admission : plan.admission + rules.PARAMS]
    memory = world.gates[plan.admission_at : plan.admission_stop]
    busy, level = world.books.gauges[BUSY].value, world.kinds[job.kind].level
    if plan.admitter != 0:
        return _lets_in(world, job, memory, u, busy)
    return rules.admits(params, memory, state.now, u, state.waiting, busy, level)


@inner
def _lets_in(world, job, frame, u, busy):  # type: ignore[no-untyped-def]
    """Whether a rule of one's own lets the job's present attempt in."""
    plan, state, kind = world.plan[0], world.state[0], world.kinds[job.kind]
    return own.lets_in(
        plan.admitter, frame, state.now, u, state.waiting, busy, state.idle, plan.capacity, job.size, job.demand,
        kind.priority, job.attempts, job.arrived, job.arrived + world.books.deadlines[job.job_class],
    )  # fmt: skip


@inner
def joins(world, attempt):  # type: ignore[no-untyped-def]
    """An attempt waits."""
    plan, state = world.plan[0], world.state[0]
    params = world.numbers[plan.admission : plan.admission + rules.PARAMS]
    attempt.limit = rules.patience(params, state.now, state.emptied)


@inner
def _keeps(world, accepted, limit, others):  # type: ignore[no-untyped-def]
    plan = world.plan[0]
    params = world.numbers[plan.admission : plan.admission + rules.PARAMS]
    memory = world.gates[plan.admission_at : plan.admission_stop]
    return rules.keeps(params, memory, world.state[0].now, accepted, limit, others)


@inner
def keeps(world, attempt):  # type: ignore[no-untyped-def]
    """Whether a worker may take an attempt."""
    return _keeps(world, attempt.accepted, attempt.limit, world.state[0].waiting - 1)


@inner
def at_once(world):  # type: ignore[no-untyped-def]
    """An idle worker takes an attempt that has not waited."""
    _keeps(world, world.state[0].now, np.inf, 0)


@inner
def finds_nobody(world):  # type: ignore[no-untyped-def]
    """A worker finds nobody who waits."""
    plan = world.plan[0]
    params = world.numbers[plan.admission : plan.admission + rules.PARAMS]
    rules.finds_nobody(params, world.gates[plan.admission_at : plan.admission_stop])


@inner
def served(world, attempt, late):  # type: ignore[no-untyped-def]
    """A service ends, or an attempt is about to be stopped or withdrawn; ``late``: nobody waits for it any more."""
    plan, state = world.plan[0], world.state[0]
    params = world.numbers[plan.admission : plan.admission + rules.PARAMS]
    inside = state.waiting + world.books.gauges[BUSY].value
    memory = world.gates[plan.admission_at : plan.admission_stop]
    rules.served(params, memory, state.now, attempt.accepted, inside, late)
