"""Workers behind a broker: they live on nodes, which hold messages that it has handed to them."""

from __future__ import annotations

import numpy as np

from backwater import order, random
from backwater.components.broker import next_poll
from backwater.components.faults import struck
from backwater.engines.compiled import calendar
from backwater.engines.compiled.layout import WORKERS_CRASH
from backwater.engines.compiled.world import BUFFERED, COMING, HELD, MANY, NONE
from backwater.gauges import change
from backwater.jit import inlined, inner
from backwater.outcome import PREFETCHED

# Workers that rest: a heap for each node, in its part of ``idle``.


@inner
def _rest(world, worker):  # type: ignore[no-untyped-def]
    _changes(world, world.homes[worker])
    node, idle = world.nodes[world.homes[worker]], world.idle
    first, at = node.first, node.idle
    node.idle += 1
    world.state[0].idle += 1
    while at > 0 and idle[first + ((at - 1) >> 1)] > worker:
        idle[first + at] = idle[first + ((at - 1) >> 1)]
        at = (at - 1) >> 1
    idle[first + at] = worker


@inner
def _lowest_idle(world, which):  # type: ignore[no-untyped-def]
    _changes(world, which)
    node = world.nodes[which]
    idle, first, at = world.idle, node.first, 0
    worker, last = idle[first], idle[first + node.idle - 1]
    node.idle -= 1
    world.state[0].idle -= 1
    while 2 * at + 1 < node.idle:
        child = 2 * at + 1
        if child + 1 < node.idle and idle[first + child + 1] < idle[first + child]:
            child += 1
        if idle[first + child] >= last:
            break
        idle[first + at] = idle[first + child]
        at = child
    idle[first + at] = last
    return worker


@inner
def _leave_idle(world, worker):  # type: ignore[no-untyped-def]
    """A worker that rests is down: the others go into the heap again."""
    _changes(world, world.homes[worker])
    node = world.nodes[world.homes[worker]]
    others = node.idle
    world.state[0].idle -= others
    node.idle = 0
    for at in range(others):
        # What is yet to be read lies at or behind what is written.
        if world.idle[node.first + at] != worker:
            _rest(world, world.idle[node.first + at])


@inlined
def goes_on(world, worker):  # type: ignore[no-untyped-def]
    """A worker takes who waits at its node, or rests; one that is off does neither."""
    if world.plan[0].retimes:
        world.workers[worker].holds = NONE
    world.hub[0].wakes = 1
    if world.plan[0].retimes and world.workers[worker].off:
        return NONE
    slot = world.nodes[world.homes[worker]].first_waiting
    if slot == NONE:
        _rest(world, worker)
    else:
        leave(world, slot)
    return slot


@inner
def strike(world, worker, pace, off):  # type: ignore[no-untyped-def]
    """A worker works at this pace from now on. Returns what one that is back is to serve, or NONE."""
    its, was = world.workers[worker], world.workers[worker].off
    its.pace, its.off = pace, off
    if its.holds != NONE or was == off:
        return NONE
    if off:
        _leave_idle(world, worker)
        return NONE
    return goes_on(world, worker)


# Who takes messages.


@inlined
def _changes(world, which):  # type: ignore[no-untyped-def]
    """Whether a node takes messages may have changed; those that poll are told."""
    hub = world.hub[0]
    if world.protocol[0].polls:
        hub.changed = which if hub.changed in (NONE, which) else MANY


@inner
def _takes(world, node):  # type: ignore[no-untyped-def]
    if not world.protocol[0].polls:
        return node.alive and node.held < node.credit
    return node.alive and node.idle > 0 and node.first_waiting == NONE and node.inbound == 0


@inner
def _finds(world, node):  # type: ignore[no-untyped-def]
    """Whether a node finds what is there now."""
    its, now = world.protocol[0], world.state[0].now
    if not its.polls or node.open or its.every == 0.0:
        return True
    return its.wait > 0.0 and next_poll(node.since, its.every, its.wait, now) == now


@inner
def _misses(world, which):  # type: ignore[no-untyped-def]
    """Whether the question that a node asks now finds nothing although messages are there."""
    plan, node = world.plan[0], world.nodes[which]
    if world.protocol[0].misses == 0.0:
        return False
    u = random.uniform(plan.seed, plan.replication, 0, which, random.MISS, node.asked)
    node.asked += 1
    return u < world.protocol[0].misses


@inner
def ask(world):  # type: ignore[no-untyped-def]
    """Nodes that had enough and take messages again ask at once."""
    hub = world.hub[0]
    first, stop = (0, len(world.nodes)) if hub.changed == MANY else (hub.changed, hub.changed + 1)
    if hub.changed == NONE or world.protocol[0].every == 0.0:
        return  # or they always listen
    hub.changed = NONE
    for which in range(first, stop):
        node = world.nodes[which]
        takes = _takes(world, node)
        if takes and not node.asks:
            node.since, node.open = world.state[0].now, not _misses(world, which)
            hub.opens |= node.open
        node.asks = takes


@inner
def next_node(world):  # type: ignore[no-untyped-def]
    """The node that gets the next message, each in turn, or NONE."""
    its = world.protocol[0]
    if its.polls and its.every > 0.0 and its.wait == 0.0 and not world.hub[0].opens:
        return NONE
    count, which = len(world.nodes), world.hub[0].turn
    for _ in range(count):
        if _takes(world, world.nodes[which]) and _finds(world, world.nodes[which]):
            return which
        which = which + 1 if which + 1 < count else 0
    return NONE


@inlined
def gets(world, which):  # type: ignore[no-untyped-def]
    """A node gets a message."""
    _changes(world, which)
    node = world.nodes[which]
    world.hub[0].turn = which + 1 if which + 1 < len(world.nodes) else 0
    world.state[0].stale += node.due < np.inf
    node.asks, node.due = 0, np.inf


@inner
def sleep(world, worth):  # type: ignore[no-untyped-def]
    """Nodes that found nothing ask again later; it is ``worth`` noting when, where something is there."""
    its, now = world.protocol[0], world.state[0].now
    if its.every == 0.0 or not (worth or world.hub[0].opens):
        return
    world.hub[0].opens = 0
    for which in range(len(world.nodes)):
        node = world.nodes[which]
        node.open = 0
        if worth and node.asks and node.due == np.inf:
            delay = next_poll(node.since, its.every, its.wait, now) - now
            node.due = now + delay
            calendar.add(world, node.due, order.key(order.BROKER, order.ASKED, which, 0), which)


@inner
def asks_at(world, which, when):  # type: ignore[no-untyped-def]
    """Whether a node's question that was put down for ``when`` (bits) is still to be asked."""
    return calendar.bits(world.nodes[which].due) == when


@inner
def asked(world, which):  # type: ignore[no-untyped-def]
    """A node asks."""
    node = world.nodes[which]
    node.due = np.inf
    node.open = node.asks and not _misses(world, which)
    world.hub[0].opens |= node.open
    world.hub[0].wakes = 1


# What a node holds.


@inlined
def come(world, slot, where):  # type: ignore[no-untyped-def]
    """A message is on its way to its node, or held there until its ETA, or waits for a worker."""
    which = world.messages[slot].node
    _changes(world, which)
    world.attempts[slot].where = where
    world.nodes[which].inbound += where == COMING
    if where == BUFFERED or world.plan[0].empties:  # else nobody will look through the list
        _append(world, slot, where)


@inner
def _append(world, slot, where):  # type: ignore[no-untyped-def]
    its, node = world.messages[slot], world.nodes[world.messages[slot].node]
    its.after = NONE
    if where == BUFFERED:
        its.before, node.last_waiting = node.last_waiting, slot
        if its.before == NONE:
            node.first_waiting = slot
    else:
        its.before, node.last_coming = node.last_coming, slot
        if its.before == NONE:
            node.first_coming = slot
    if its.before != NONE:
        world.messages[its.before].after = slot


@inlined
def leave(world, slot):  # type: ignore[no-untyped-def]
    """A message is no longer among those that come to its node, or among those that wait there."""
    which, where = world.messages[slot].node, world.attempts[slot].where
    _changes(world, which)
    world.nodes[which].inbound -= where == COMING
    if where == BUFFERED or world.plan[0].empties:
        _unlink(world, slot, where)


@inner
def _unlink(world, slot, where):  # type: ignore[no-untyped-def]
    its, node = world.messages[slot], world.nodes[world.messages[slot].node]
    if its.before != NONE:
        world.messages[its.before].after = its.after
    elif where == BUFFERED:
        node.first_waiting = its.after
    else:
        node.first_coming = its.after
    if its.after != NONE:
        world.messages[its.after].before = its.before
    elif where == BUFFERED:
        node.last_waiting = its.before
    else:
        node.last_coming = its.before


@inner
def put_down(world, slot, delay, what):  # type: ignore[no-untyped-def]
    """Something will happen to a message."""
    attempt = world.attempts[slot]
    place = world.jobs[attempt.job].place
    number = order.of_message(what, attempt.number, attempt.delivery)
    calendar.add(world, world.state[0].now + delay, order.at(order.DELIVERY, place, number), attempt.ref)


@inner
def deliver(world, slot, which, delay):  # type: ignore[no-untyped-def]
    """A message is handed to a node, which has it after ``delay`` [s]. Returns whether a worker is to serve it now."""
    world.messages[slot].node = which
    world.nodes[which].held += 1
    if delay > 0.0:
        come(world, slot, COMING)
        put_down(world, slot, delay, order.ARRIVED)
    elif reach(world, slot):
        return True  # what lasts no time is not counted
    change(world.books, world.state[0].now, PREFETCHED, world.jobs[world.attempts[slot].job].job_class, 1.0)
    return False


@inlined
def reach(world, slot):  # type: ignore[no-untyped-def]
    """A node has a message; it holds one that is not due, beside what it may hold. Whether a worker is to serve it."""
    its, now = world.messages[slot], world.state[0].now
    node = world.nodes[its.node]
    if world.protocol[0].worker_holds and its.due > now:
        come(world, slot, HELD)
        node.held -= 1
        put_down(world, slot, its.due - now, order.ETA)
        return False
    if node.idle > 0:
        return True
    come(world, slot, BUFFERED)
    return False


@inlined
def idle_one(world, slot):  # type: ignore[no-untyped-def]
    """The worker that rests and is to serve a message."""
    return _lowest_idle(world, world.messages[slot].node)


@inner
def rest(world, worker):  # type: ignore[no-untyped-def]
    """A worker that has crashed holds nothing; that it takes no work is told next."""
    its = world.workers[worker]
    its.holds, its.due = NONE, np.inf
    if not its.off:
        _rest(world, worker)


@inner
def all_hit(world, which, share):  # type: ignore[no-untyped-def]
    """Whether a fault of this share strikes all workers of a node."""
    # The last ones are struck: all, if the first one is.
    return struck(world.nodes[which].first, world.state[0].called, share)


@inner
def judge(world):  # type: ignore[no-untyped-def]
    """Nodes are gone of which a crash struck all workers."""
    world.hub[0].changed = MANY
    for which in range(len(world.nodes)):
        world.nodes[which].alive = 1
        for index in range(len(world.faults)):
            fault = world.faults[index]
            if fault.on and fault.kind == WORKERS_CRASH and all_hit(world, which, fault.share):
                world.nodes[which].alive = 0
