"""What a broker holds: a list of messages in the order in which they came or came back, and their bytes."""

from __future__ import annotations

from backwater import order, random
from backwater.components.broker import due_check
from backwater.engines.compiled import calendar, lines
from backwater.engines.compiled.world import NONE
from backwater.gauges import change
from backwater.jit import inlined, inner
from backwater.outcome import STORED
from backwater.quantile import constant, quantile


@inlined
def wake(world):  # type: ignore[no-untyped-def]
    """At the end of this event, messages are handed out."""
    world.hub[0].wakes = 1


@inner
def draw(world, job, law, purpose, index):  # type: ignore[no-untyped-def]
    """How long something takes, by the law that begins at ``law``: a constant draws nothing."""
    plan, value = world.plan[0], constant(world.numbers, law)
    if value == value:
        return value
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, purpose, index)
    return quantile(world.numbers, u, law)


@inner
def append(world, slot):  # type: ignore[no-untyped-def]
    """A message is held."""
    hub, its = world.hub[0], world.messages[slot]
    hub.kept += 1
    its.kept = 1
    if not world.plan[0].lists:
        return  # nobody will look through the list
    its.older, its.newer = hub.newest, NONE
    if hub.newest == NONE:
        hub.oldest = slot
    else:
        world.messages[hub.newest].newer = slot
    hub.newest = slot


@inner
def unlink(world, slot):  # type: ignore[no-untyped-def]
    """It is held no more, or in another delivery."""
    hub, its = world.hub[0], world.messages[slot]
    hub.kept -= 1
    its.kept = 0
    if not world.plan[0].lists:
        return
    if its.older == NONE:
        hub.oldest = its.newer
    else:
        world.messages[its.older].newer = its.newer
    if its.newer == NONE:
        hub.newest = its.older
    else:
        world.messages[its.newer].older = its.older


@inlined
def holds(world, job, by):  # type: ignore[no-untyped-def]
    """So many times a job's bytes more, or less."""
    if job.size > 0.0:
        _holds(world, job, by)


@inner
def _holds(world, job, by):  # type: ignore[no-untyped-def]
    hub, protocol, now = world.hub[0], world.protocol[0], world.state[0].now
    hub.stored += by * job.size
    change(world.books, now, STORED, job.job_class, by * job.size)
    if protocol.looks_every > 0.0 and hub.stored > protocol.limit and not hub.looks:
        look_later(world)


@inner
def look_later(world):  # type: ignore[no-untyped-def]
    """The broker will look at its memory."""
    now = world.state[0].now
    world.hub[0].looks = 1
    delay = due_check(now, world.protocol[0].looks_every) - now
    calendar.add(world, now + delay, order.key(order.BROKER, order.LOOKED, 0, 0), 0)


@inlined
def forget(world, slot):  # type: ignore[no-untyped-def]
    """A message is there no more: acknowledged, lost, dropped or withdrawn."""
    if world.messages[slot].kept:
        unlink(world, slot)
        gone(world, slot)


@inlined
def gone(world, slot):  # type: ignore[no-untyped-def]
    """A message that is held no more leaves its bytes, and its group to others."""
    attempt = world.attempts[slot]
    holds(world, world.jobs[attempt.job], -1.0)
    if world.protocol[0].groups:
        accepted = attempt.accepted == attempt.accepted
        out = attempt.delivered == attempt.delivered or not accepted
        if out and (attempt.delivery > 1 or accepted):
            lines.unlock(world, world.messages[slot].group)
    wake(world)
