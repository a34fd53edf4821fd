"""The calendar: an implicit 4-ary heap of events, ordered by (time, place among those of their instant).

An event that has lost its meaning (the end of a service that was stopped, a pause that was cut short) stays until its
time comes or until half of the calendar is such; it is known by its ``ref``, which belongs to one tenant of a slot and
not to the next one.
"""

from __future__ import annotations

import numpy as np

from backwater.jit import inlined, inner

SLOT_BITS = 32
_SLOT_MASK = 2**SLOT_BITS - 1


@inlined
def slot_of(ref):  # type: ignore[no-untyped-def]
    """The slot to which a ``ref`` belongs."""
    return ref & _SLOT_MASK


@inlined
def new_ref(state, slot):  # type: ignore[no-untyped-def]
    """A ``ref`` for the new tenant of a slot."""
    state.serial = (state.serial + 1) & 0x3FFFFFFF
    return (state.serial << SLOT_BITS) | slot


# Unsigned, because Numba asks of every signed index whether it counts from the end.
_0, _1, _2, _3, _4 = (np.uint64(n) for n in range(5))


@inlined
def bits(time):  # type: ignore[no-untyped-def]
    """A time as a whole number."""
    # Floats that are not below 0 are in the order of their bits, and whole numbers are compared in half the steps.
    return np.float64(time).view(np.int64)


@inlined
def first_time(calendar):  # type: ignore[no-untyped-def]
    """When the first event happens [s]; inf where there is none."""
    return np.int64(calendar.events[0].when).view(np.float64) if calendar.size[0] > 0 else np.inf


@inlined
def _before(event, when, key):  # type: ignore[no-untyped-def]
    # Without branches, for which way it goes is anybody's guess.
    return (event.when < when) | ((event.when == when) & (event.key < key))


@inlined
def _first(events, a, b):  # type: ignore[no-untyped-def]
    return b if _before(events[b], events[a].when, events[a].key) else a


@inlined
def _put(event, when, key, ref):  # type: ignore[no-untyped-def]
    event.when, event.key, event.ref = when, key, ref


@inlined
def push(calendar, time, key, ref):  # type: ignore[no-untyped-def]
    """Add an event."""
    events, when, at = calendar.events, bits(time), np.uint64(calendar.size[0])
    calendar.size[0] += 1
    while at > _0:
        parent = (at - _1) >> _2
        above = events[parent]
        if _before(above, when, key):
            break
        _put(events[at], above.when, above.key, above.ref)
        at = parent
    _put(events[at], when, key, ref)


@inlined
def _sink(calendar, start, when, key, ref):  # type: ignore[no-untyped-def]
    """Put an event at ``start`` or below it, where it belongs."""
    events, size, at = calendar.events, np.uint64(calendar.size[0]), np.uint64(start)
    while True:
        child = _4 * at + _1
        if child + _3 < size:
            best = _first(events, _first(events, child, child + _1), _first(events, child + _2, child + _3))
        elif child < size:
            best = child
            while child + _1 < size:
                child += _1
                best = _first(events, best, child)
        else:
            break
        below = events[best]
        if not _before(below, when, key):
            break
        _put(events[at], below.when, below.key, below.ref)
        at = best
    _put(events[at], when, key, ref)


@inlined
def replace(calendar, time, key, ref):  # type: ignore[no-untyped-def]
    """Take the first event out and add another one."""
    _sink(calendar, 0, bits(time), key, ref)


@inlined
def pop(calendar):  # type: ignore[no-untyped-def]
    """Take the first event out."""
    last = calendar.size[0] - 1
    calendar.size[0] = last
    if last > 0:
        event = calendar.events[last]
        _sink(calendar, 0, event.when, event.key, event.ref)


@inner
def heapify(calendar):  # type: ignore[no-untyped-def]
    """Put all events in order."""
    for at in range((calendar.size[0] - 2) >> 2, -1, -1):
        event = calendar.events[at]
        _sink(calendar, at, event.when, event.key, event.ref)


@inner
def replace_at(calendar, at, time, key, ref):  # type: ignore[no-untyped-def]
    """Another event instead of the one at ``at``."""
    _put(calendar.events[at], bits(time), key, ref)
    heapify(calendar)


@inlined
def add(world, time, place, what):  # type: ignore[no-untyped-def]
    """Put down an event other than an arrival; it takes the place of one that has just happened, if there is one."""
    state = world.state[0]
    state.latest = max(state.latest, time)
    if state.hole:
        state.hole = 0
        replace(world.calendar, time, place, what)
    else:
        push(world.calendar, time, place, what)
