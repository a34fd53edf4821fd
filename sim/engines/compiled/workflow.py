"""What jobs lead to: a worker sends jobs once it has served one, and what joins them once all are done."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from backwater import order, random
from backwater.components.workflow import PARTS, Then, how_many, join_delay
from backwater.engines.compiled import calendar
from backwater.engines.compiled.world import GROUP, LED, NONE, Array, Records
from backwater.gauges import change
from backwater.jit import inner
from backwater.measure import alone, fold_workflow
from backwater.outcome import ALL_SERVED, NOT_OVER, ONE_FAILED, WORKFLOWS
from backwater.quantile import quantile
from backwater.scenario import Scenario


def plan(then: Then, names: list[str], add: Callable[[Array], int]) -> Array:
    """What a class leads to: how many classes, the one that joins them, how often it is looked; each, and where its
    law begins.
    """
    join = NONE if then.join is None else names.index(then.join)
    sends = [(names.index(name), add(law.table)) for name, law in then.send.items()]
    return np.array([len(sends), join, then.join_every, *np.ravel(sends)])


def leads(scenario: Scenario) -> int:
    """How many groups one event may begin: each job of a batch that is served; 0 where no job leads to others."""
    batch = scenario.workers.batch
    return 0 if scenario.follow_up is None else 1 if batch is None else batch.size


def groups(scenario: Scenario, slots: int) -> Records:
    """Free groups, for so many jobs or for what one event may begin; none where no job leads to others."""
    out = alone(max(slots, leads(scenario)) if scenario.follow_up is not None else 0, GROUP)
    out["above"] = np.arange(1, len(out) + 1)
    return out


def grown_groups(old: Records, state: np.void) -> Records:
    """Twice as many groups; the new ones come first in the list of free ones."""
    new = alone(len(old), GROUP)
    new["above"] = np.arange(len(old) + 1, 2 * len(old) + 1)
    new[-1]["above"] = state["free_group"]
    state["free_group"], state["free_groups"] = len(old), state["free_groups"] + len(old)
    return np.concatenate([old, new])


def led(scenario: Scenario, slots: int) -> Records:
    """What belongs to each slot of a job as a part of a workflow; none where no job leads to others."""
    return alone(slots if scenario.follow_up is not None else 0, LED)


@inner
def _new(world, above, source, number):  # type: ignore[no-untyped-def]
    """A group below another one, of the workflow that began with this job; returns its slot."""
    state = world.state[0]
    slot = state.free_group
    its = world.groups[slot]
    state.free_group = its.above
    state.free_groups -= 1
    its.above, its.source, its.number, its.began = above, source, number, state.now
    its.left = its.failed = its.first = its.to_send = its.unsent = 0
    its.join = NONE
    return slot


@inner
def begin(world, slot):  # type: ignore[no-untyped-def]
    """A source's job arrives, now: its workflow begins if it leads to others."""
    job, its = world.jobs[slot], world.led[slot]
    its.group, its.source, its.number = NONE, job.source, job.number
    if world.kinds[job.kind].then != NONE:
        its.group = _new(world, NONE, job.source, job.number)
        whole = world.groups[its.group]
        whole.left, whole.first, whole.job_class, whole.arrived = 1, 1, job.job_class, job.arrived
        change(world.books, job.arrived, WORKFLOWS, job.job_class, 1.0)


@inner
def served(world, slot):  # type: ignore[no-untyped-def]
    """A service of a job has completed, now: what it leads to is sent, each time that it is."""
    job, its = world.jobs[slot], world.led[slot]
    above, its.group = its.group, NONE
    at = world.kinds[job.kind].then
    if at != NONE:
        _lead_on(world, job, at, _new(world, above, its.source, its.number))
    elif above != NONE:
        _leave(world, above, 0)


@inner
def ended(world, slot):  # type: ignore[no-untyped-def]
    """A job has ended; where it was never served, its workflow has failed."""
    its = world.led[slot]
    group, its.group = its.group, NONE
    if group != NONE:
        _leave(world, group, 1)


@inner
def _count(world, group):  # type: ignore[no-untyped-def]
    """How many jobs of its present class a group has to send."""
    plan, its, numbers = world.plan[0], world.groups[group], world.numbers
    index = order.of_lead(its.served, its.part)
    u = random.uniform(plan.seed, plan.replication, its.by_source, its.by_number, random.LEAD, index)
    return how_many(quantile(numbers, u, int(numbers[its.at + PARTS + 2 * its.part + 1])))


@inner
def _lead_on(world, job, at, group):  # type: ignore[no-untyped-def]
    its, numbers = world.groups[group], world.numbers
    its.at, its.by_source, its.by_number, its.served = at, job.source, job.number, job.served
    its.join, its.join_every = int(numbers[at + 1]), numbers[at + 2]
    for part in range(int(numbers[at])):
        its.part = part
        its.left += _count(world, group)
    its.part, its.unsent = -1, 0
    if its.left > 0:
        _send(world, group, its.left, 0.0)
    else:
        _over(world, group)


@inner
def _send(world, group, count, delay):  # type: ignore[no-untyped-def]
    """A group will send so many jobs, one after the other at the same instant."""
    its, source = world.groups[group], world.sources[world.plan[0].sources + 1]
    its.to_send, its.next = count, source.number
    source.number += count
    _put_down(world, group, delay)


@inner
def _put_down(world, group, delay):  # type: ignore[no-untyped-def]
    source = world.plan[0].sources + 1
    place = order.key(order.ARRIVAL, source, world.groups[group].next, 0)
    calendar.add(world, world.state[0].now + delay, place, source << calendar.SLOT_BITS | group)


@inner
def next_sent(world, group):  # type: ignore[no-untyped-def]
    """The next job of a group is sent, now; returns its number and its class."""
    its = world.groups[group]
    number = its.next
    its.next += 1
    its.to_send -= 1
    while its.unsent == 0:
        its.part += 1
        its.unsent = _count(world, group)
        its.job_class = int(world.numbers[its.at + PARTS + 2 * its.part])
    its.unsent -= 1
    if its.to_send > 0:
        _put_down(world, group, 0.0)
    return number, its.job_class


@inner
def belongs(world, slot, group):  # type: ignore[no-untyped-def]
    """A job that was just sent belongs to a group."""
    its, of = world.led[slot], world.groups[group]
    its.group, its.source, its.number = group, of.source, of.number


@inner
def _leave(world, group, failed):  # type: ignore[no-untyped-def]
    """One of those for whom a group waits is done."""
    its = world.groups[group]
    its.left -= 1
    its.failed |= failed
    _over(world, group)


@inner
def _over(world, group):  # type: ignore[no-untyped-def]
    """If a group has nothing left to wait for, its join is sent, or it is done."""
    state = world.state[0]
    while group != NONE and world.groups[group].left == 0:
        its = world.groups[group]
        if its.join != NONE and its.failed == 0:
            its.job_class, its.join, its.left, its.unsent = its.join, NONE, 1, 1
            _send(world, group, 1, join_delay(its.began, its.join_every, state.now))
            return
        if its.first:
            change(world.books, state.now, WORKFLOWS, its.job_class, -1.0)
            fold_workflow(world.books, its, ONE_FAILED if its.failed else ALL_SERVED, state.now)
        above, failed = its.above, its.failed
        its.above = state.free_group
        state.free_group = group
        state.free_groups += 1
        group = above
        if group != NONE:
            world.groups[group].left -= 1
            world.groups[group].failed |= failed


def under_way(groups: Records) -> npt.NDArray[np.int64]:
    """Slots of the workflows that are not over, in the order of their addresses."""
    slots = np.flatnonzero((groups["first"] == 1) & (groups["left"] > 0))
    return slots[np.lexsort((groups["number"][slots], groups["source"][slots]))]


@inner
def leave(world, slots):  # type: ignore[no-untyped-def]
    """The run ends, and these workflows are not over."""
    for slot in slots:
        fold_workflow(world.books, world.groups[slot], NOT_OVER, world.state[0].now)
