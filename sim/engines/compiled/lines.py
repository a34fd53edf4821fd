"""Who is next under a discipline other than fifo and lifo.

Levels of priority, a level for each class, a heap by rank, or places by chance.
"""

from __future__ import annotations

import math

from backwater import random
from backwater.components import own
from backwater.components.queue import pick, stands, start_tag
from backwater.engines.compiled.layout import ADAPTIVE_LIFO, EDF, FAIR, GROUPED, OWN, PRIORITY, RANDOM
from backwater.engines.compiled.world import NONE
from backwater.jit import inlined, inner
from backwater.rules import FRAME


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
    """What orders those that wait: a deadline [s], a service time [s], or what a rule of one's own says."""
    plan, job = world.plan[0], world.jobs[attempt.job]
    if plan.discipline == EDF:
        return job.arrived + world.books.deadlines[job.job_class]
    return _own_rank(world, attempt, job) if plan.discipline == OWN else attempt.demand


@inner
def _join_class(world, slot):  # type: ignore[no-untyped-def]
    state, attempt, tags = world.state[0], world.attempts[slot], world.tags
    job_class = world.jobs[attempt.job].job_class
    if world.levels[job_class].first == NONE:
        tags[1 + job_class] = start_tag(tags[0], tags[1 + job_class])
    state.turns += 1
    attempt.turn = state.turns
    _join_level(world, slot, job_class)


@inner
def taken(world, slot):  # type: ignore[no-untyped-def]
    """A worker takes an attempt of a class that has had its turn."""
    job, tags = world.jobs[world.attempts[slot].job], world.tags
    tags[0] = tags[1 + job.job_class]
    tags[1 + job.job_class] = tags[0] + 1.0 / world.kinds[job.kind].weight


@inner
def _first_in_turn(world):  # type: ignore[no-untyped-def]
    best, tags = NONE, world.tags
    for job_class in range(len(tags) - 1):
        slot = world.levels[job_class].first
        if slot == NONE:
            continue
        if best == NONE:
            best = slot
            continue
        tag, least = tags[1 + job_class], tags[1 + world.jobs[world.attempts[best].job].job_class]
        if tag < least or (tag == least and world.attempts[slot].turn < world.attempts[best].turn):
            best = slot
    return best


@inner
def _own_rank(world, attempt, job):  # type: ignore[no-untyped-def]
    plan, state, kind = world.plan[0], world.state[0], world.kinds[job.kind]
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.RANK, attempt.number)
    return own.rank(
        plan.ranker, world.gates[plan.ranker_at : plan.ranker_at + FRAME], state.now, u, state.waiting - 1, job.size,
        attempt.demand, kind.priority, kind.weight, attempt.number, job.arrived,
        job.arrived + world.books.deadlines[job.job_class],
    )  # fmt: skip


@inner
def group(world, job):  # type: ignore[no-untyped-def]
    """To which group of a broker's a job belongs."""
    plan = world.plan[0]
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.GROUP, 0)
    return pick(u, world.protocol[0].groups)


@inner
def _show_head(world, slot):  # type: ignore[no-untyped-def]
    """The first of a group may be taken."""
    hub = world.hub[0]
    hub.heads += 1
    _rise(world, hub.heads - 1, slot)


@inner
def _hide_head(world, slot):  # type: ignore[no-untyped-def]
    hub, place = world.hub[0], world.attempts[slot].before
    hub.heads -= 1
    last = world.line[hub.heads]
    if last != slot:
        if _before(world, last, slot):
            _rise(world, place, last)
        else:
            _sink(world, place, hub.heads, last)


@inner
def lock(world, which):  # type: ignore[no-untyped-def]
    """One of a group is out."""
    its = world.levels[which]
    if not its.locked and its.first != NONE:
        _hide_head(world, its.first)
    its.locked = 1


@inner
def unlock(world, which):  # type: ignore[no-untyped-def]
    """None of a group is out any more."""
    its = world.levels[which]
    if its.locked and its.first != NONE:
        _show_head(world, its.first)
    its.locked = 0


@inner
def _join_group(world, slot):  # type: ignore[no-untyped-def]
    """A message waits behind those of its group; one that came back stands before all that never were out."""
    state, attempt, its = world.state[0], world.attempts[slot], world.messages[slot]
    level, back = world.levels[its.group], attempt.delivery > 1 and world.protocol[0].front
    state.turns += 1
    attempt.rank, attempt.turn = its.stored if back else math.inf, state.turns
    before = level.last
    while before != NONE and _before(world, slot, before):
        before = world.messages[before].before
    after = level.first if before == NONE else world.messages[before].after
    its.before, its.after = before, after
    if after == NONE:
        level.last = slot
    else:
        world.messages[after].before = slot
    if before == NONE:
        if not level.locked and after != NONE:
            _hide_head(world, after)
        level.first = slot
        if not level.locked:
            _show_head(world, slot)
    else:
        world.messages[before].after = slot


@inner
def _leave_group(world, slot):  # type: ignore[no-untyped-def]
    its, level = world.messages[slot], world.levels[world.messages[slot].group]
    if its.after == NONE:
        level.last = its.before
    else:
        world.messages[its.after].before = its.before
    if its.before != NONE:
        world.messages[its.before].after = its.after
        return
    level.first = its.after
    if not level.locked:
        _hide_head(world, slot)
        if its.after != NONE:
            _show_head(world, its.after)


@inner
def join(world, slot):  # type: ignore[no-untyped-def]
    """An attempt has been accepted; it is among those that wait."""
    plan, state, attempt = world.plan[0], world.state[0], world.attempts[slot]
    if plan.discipline == GROUPED:
        _join_group(world, slot)
    elif plan.discipline == PRIORITY:
        _join_level(world, slot, world.kinds[world.jobs[attempt.job].kind].level)
    elif plan.discipline == FAIR:
        _join_class(world, slot)
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
    if plan.discipline == GROUPED:
        _leave_group(world, slot)
    elif plan.discipline == PRIORITY:
        _leave_level(world, attempt, world.kinds[world.jobs[attempt.job].kind].level)
    elif plan.discipline == FAIR:
        _leave_level(world, attempt, world.jobs[attempt.job].job_class)
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
    if plan.discipline == GROUPED:
        return world.line[0] if world.hub[0].heads > 0 else NONE
    if plan.discipline == PRIORITY:
        level = 0
        while world.levels[level].first == NONE:
            level += 1
        return world.levels[level].first
    if plan.discipline == RANDOM:
        u = random.uniform(plan.seed, plan.replication, 0, state.asked, random.PICK, 0)
        state.asked += 1
        return world.line[pick(u, state.waiting)]
    return _first_in_turn(world) if plan.discipline == FAIR else world.line[0]
