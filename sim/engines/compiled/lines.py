"""Who is next under a discipline other than fifo and lifo: levels of priority, a heap by rank, or places by chance."""

from __future__ import annotations

from backwater import random
from backwater.components.queue import pick, stands, start_tag
from backwater.engines.compiled.layout import ADAPTIVE_LIFO, EDF, FAIR, PRIORITY, RANDOM, SJF
from backwater.engines.compiled.world import NONE
from backwater.jit import inlined, inner


@inner
def _join_level(world, slot, level):  # type: ignore[no-untyped-def]
    attempt, its = world.attempts[slot], world.levels[level]
    attempt.before, attempt.after = its.last, NONE
    if its.last == NONE:
        its.first = slot
    else:
        world.attempts[its.last].after = slot
    its.last = slot


@inner
def _leave_level(world, attempt, level):  # type: ignore[no-untyped-def]
    its = world.levels[level]
    if attempt.before == NONE:
        its.first = attempt.after
    else:
        world.attempts[attempt.before].after = attempt.after
    if attempt.after == NONE:
        its.last = attempt.before
    else:
        world.attempts[attempt.after].before = attempt.before


@inlined
def _put(world, place, slot):  # type: ignore[no-untyped-def]
    world.line[place], world.attempts[slot].before = slot, place


@inlined
def _before(world, a, b):  # type: ignore[no-untyped-def]
    one, other = world.attempts[a], world.attempts[b]
    return one.rank < other.rank or (one.rank == other.rank and one.turn < other.turn)


@inner
def _rise(world, place, slot):  # type: ignore[no-untyped-def]
    while place > 0:
        above = world.line[(place - 1) >> 1]
        if _before(world, above, slot):
            break
        _put(world, place, above)
        place = (place - 1) >> 1
    _put(world, place, slot)


@inner
def _sink(world, place, size, slot):  # type: ignore[no-untyped-def]
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and _before(world, world.line[child + 1], world.line[child]):
            child += 1
        if not _before(world, world.line[child], slot):
            break
        _put(world, place, world.line[child])
        place = child
    _put(world, place, slot)


@inner
def _rank(world, attempt):  # type: ignore[no-untyped-def]
    """What orders those that wait: a deadline [s], a service time [s], or a turn."""
    plan, job, tags = world.plan[0], world.jobs[attempt.job], world.tags
    if plan.discipline == EDF:
        return job.arrived + world.books.deadlines[job.job_class]
    if plan.discipline == SJF:
        return attempt.demand
    tag = start_tag(tags[0], tags[1 + job.job_class])
    tags[1 + job.job_class] = tag + 1.0 / world.kinds[job.kind].weight
    return tag


@inner
def join(world, slot):  # type: ignore[no-untyped-def]
    """An attempt has been accepted; it is among those that wait."""
    plan, state, attempt = world.plan[0], world.state[0], world.attempts[slot]
    if plan.discipline == PRIORITY:
        _join_level(world, slot, world.kinds[world.jobs[attempt.job].kind].level)
    elif plan.discipline == RANDOM:
        _put(world, state.waiting - 1, slot)
    elif plan.discipline >= EDF:
        state.turns += 1
        attempt.rank, attempt.turn = _rank(world, attempt), state.turns
        _rise(world, state.waiting - 1, slot)


@inner
def leave(world, slot):  # type: ignore[no-untyped-def]
    """An attempt is no longer among those that wait."""
    plan, attempt, size = world.plan[0], world.attempts[slot], world.state[0].waiting
    if plan.discipline == PRIORITY:
        _leave_level(world, attempt, world.kinds[world.jobs[attempt.job].kind].level)
    elif plan.discipline == RANDOM:
        _put(world, attempt.before, world.line[size])
    elif plan.discipline >= EDF:
        place, last = attempt.before, world.line[size]
        if last != slot:
            if _before(world, last, slot):
                _rise(world, place, last)
            else:
                _sink(world, place, size, last)


@inner
def first(world):  # type: ignore[no-untyped-def]
    """Who is next; somebody waits."""
    plan, state = world.plan[0], world.state[0]
    if plan.discipline == ADAPTIVE_LIFO:
        return state.newest if stands(state.emptied, state.now, plan.standing) else state.oldest
    if plan.discipline == PRIORITY:
        level = 0
        while world.levels[level].first == NONE:
            level += 1
        return world.levels[level].first
    if plan.discipline == RANDOM:
        u = random.uniform(plan.seed, plan.replication, 0, state.asked, random.PICK, 0)
        state.asked += 1
        return world.line[pick(u, state.waiting)]
    if plan.discipline == FAIR:
        world.tags[0] = world.attempts[world.line[0]].rank
    return world.line[0]


__all__ = ["EDF", "SJF", "first", "join", "leave"]
