"""What breaks, and when: faults begin and end, and change what workers, the disk and answers are like."""

from __future__ import annotations

from backwater import order
from backwater.components.faults import struck
from backwater.engines.compiled import calendar
from backwater.engines.compiled.layout import DISK_SLOW, ERRORS, WORKERS_CRASH, WORKERS_SLOW
from backwater.jit import compiled, inner


@compiled
def put_down(world):  # type: ignore[no-untyped-def]
    """Put down when each fault begins and ends; at one instant the ends come first."""
    count = len(world.faults)
    for index in range(count):
        fault = world.faults[index]
        calendar.push(world.calendar, fault.start, order.key(order.FAULT, 0, count + index, 0), count + index)
        if fault.stop < float("inf"):
            calendar.push(world.calendar, fault.stop, order.key(order.FAULT, 0, index, 0), index)


@inner
def bear(world, worker):  # type: ignore[no-untyped-def]
    """How fast faults let a worker work now [1], 0 where it stands still, and whether they let it take no work."""
    pace, off, count = 1.0, 0, world.state[0].called
    for index in range(len(world.faults)):
        fault = world.faults[index]
        on_workers = fault.kind <= WORKERS_SLOW or fault.kind == WORKERS_CRASH
        if fault.on and on_workers and struck(worker, count, fault.share):
            if fault.kind == WORKERS_SLOW:
                pace /= fault.factor
            else:
                pace, off = 0.0 if fault.pauses else pace, 1
    return pace, off


@inner
def change(world, what):  # type: ignore[no-untyped-def]
    """A fault begins or ends, as ``put_down`` numbered it."""
    state, count = world.state[0], len(world.faults)
    world.faults[what % count].on = what >= count
    state.disk_factor, good = 1.0, 1.0
    for index in range(count):
        fault = world.faults[index]
        if fault.on and fault.kind == DISK_SLOW:
            state.disk_factor *= fault.factor
        if fault.on and fault.kind == ERRORS:
            good *= 1.0 - fault.share
    state.error_share = 1.0 - good
