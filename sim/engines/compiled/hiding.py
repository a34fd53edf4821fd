"""How long delivered messages are hidden.

Most are acknowledged before. They are hidden equally long, so they wait in a list, which an acknowledgement takes them
out of at once, and the calendar knows of the first one only; one whose time would not come last goes on the calendar.
"""

from __future__ import annotations

import numpy as np

from backwater import order
from backwater.engines.compiled import calendar
from backwater.engines.compiled.world import IN_CALENDAR, IN_LIST, NONE
from backwater.jit import inner

FIRST = NONE - 1  # what the calendar knows of the list by


@inner
def _key(world, slot):  # type: ignore[no-untyped-def]
    attempt = world.attempts[slot]
    number = order.of_message(order.EXPIRED, attempt.number, attempt.delivery)
    return order.at(order.DELIVERY, world.jobs[attempt.job].place, number)


@inner
def hide(world, slot, delay):  # type: ignore[no-untyped-def]
    """A message is hidden for ``delay`` [s], from now."""
    hub, its, key, state = world.hub[0], world.messages[slot], _key(world, slot), world.state[0]
    its.hidden_until = state.now + delay
    until = its.hidden_until
    if until < hub.hidden_until or (until == hub.hidden_until and key < hub.hidden_key):
        its.listed = IN_CALENDAR
        calendar.add(world, until, key, world.attempts[slot].ref)
        return
    state.latest = max(state.latest, until)
    hub.hidden_until, hub.hidden_key = until, key
    its.listed, its.sooner, its.later = IN_LIST, hub.last_hidden, NONE
    if hub.last_hidden == NONE:
        hub.first_hidden = slot
    else:
        world.messages[hub.last_hidden].later = slot
    hub.last_hidden = slot
    if not hub.hides:
        hub.hides = 1
        calendar.add(world, until, key, FIRST)


@inner
def _unlink(world, its):  # type: ignore[no-untyped-def]
    hub = world.hub[0]
    its.listed = 0
    if its.sooner == NONE:
        hub.first_hidden = its.later
    else:
        world.messages[its.sooner].later = its.later
    if its.later == NONE:
        hub.last_hidden = its.sooner
    else:
        world.messages[its.later].sooner = its.sooner


@inner
def show(world, slot):  # type: ignore[no-untyped-def]
    """A message is no longer hidden until some time."""
    its = world.messages[slot]
    if its.listed == IN_LIST:
        _unlink(world, its)
    world.state[0].stale += its.listed == IN_CALENDAR
    its.listed, its.hidden_until = 0, np.inf


@inner
def _next(world):  # type: ignore[no-untyped-def]
    """The calendar is told of the first one in the list."""
    hub = world.hub[0]
    hub.hides = hub.first_hidden != NONE
    if hub.hides:
        slot = hub.first_hidden
        calendar.add(world, world.messages[slot].hidden_until, _key(world, slot), FIRST)


@inner
def due(world, key, ref):  # type: ignore[no-untyped-def]
    """The calendar says that a message may have been hidden for long enough, at place ``key``: its slot, or NONE."""
    if ref != FIRST:
        slot = calendar.slot_of(ref)
        world.messages[slot].listed, world.messages[slot].hidden_until = 0, np.inf
        return slot
    slot = world.hub[0].first_hidden
    if slot == NONE or world.messages[slot].hidden_until > world.state[0].now or _key(world, slot) != key:
        slot = NONE
    else:
        _unlink(world, world.messages[slot])
        world.messages[slot].hidden_until = np.inf
    _next(world)
    return slot
