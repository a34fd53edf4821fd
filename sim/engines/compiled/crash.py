"""Crashes: workers lose what they serve, nodes what they hold, a broker what it had not yet written down."""

from __future__ import annotations

import numpy as np

from backwater.components.broker import survives
from backwater.components.faults import struck
from backwater.engines.compiled import deliver, hiding, ledger, nodes, publish, queue, store, workers
from backwater.engines.compiled.layout import BROKER_DOWN, WORKERS_CRASH
from backwater.engines.compiled.protocol import ACK_EARLY
from backwater.engines.compiled.world import BUFFERED, DELAYED, HELD, NONE, WAITING
from backwater.gauges import change
from backwater.jit import inner
from backwater.outcome import BUSY, PREFETCHED, RETURNED, UNACKED


@inner
def fault(world, index, begins):  # type: ignore[no-untyped-def]
    """A fault begins or ends: what crashes, does so now."""
    its, hub = world.faults[index], world.hub[0]
    if begins and its.kind == WORKERS_CRASH:
        _crash(world, its.share)
    elif begins and its.kind == BROKER_DOWN:
        _go_down(world, its.stop)
    hub.up = 1
    for other in range(len(world.faults)):
        if world.faults[other].on and world.faults[other].kind == BROKER_DOWN:
            hub.up = 0
    nodes.judge(world)
    store.wake(world)


@inner
def _crash(world, share):  # type: ignore[no-untyped-def]
    """Workers crash: what they serve is gone, and what waits on nodes that they leave empty."""
    count, state = world.state[0].called, world.state[0]
    for worker in range(count):
        slot = world.workers[worker].holds
        if not struck(worker, count, share) or slot == NONE:
            continue
        job_class = world.jobs[world.attempts[slot].job].job_class
        state.stale += world.workers[worker].due < np.inf
        _lose_hold(world, slot)
        workers.count(world, BUSY, job_class, -1.0)
        if world.protocol[0].ack != ACK_EARLY:
            world.nodes[world.homes[worker]].held -= 1
        nodes.rest(world, worker)
    for which in range(len(world.nodes)):
        if nodes.all_hit(world, which, share):
            _empty(world, which)


@inner
def _lose_hold(world, slot):  # type: ignore[no-untyped-def]
    """A delivery comes to nothing, now."""
    attempt, message, now = world.attempts[slot], world.messages[slot], world.state[0].now
    if message.acked and not attempt.returned:
        deliver.lose(world, slot)
        return
    if not attempt.returned:
        deliver.give_back(world, slot, min(message.hidden_until, now + world.protocol[0].notices), False)
    ledger.close(world, slot, RETURNED, now)


@inner
def _empty(world, which):  # type: ignore[no-untyped-def]
    """A node loses what it holds and nobody serves."""
    node = world.nodes[which]
    for first in range(2):
        while True:
            slot = node.first_coming if first == 0 else node.first_waiting
            if slot == NONE:
                break
            attempt = world.attempts[slot]
            world.state[0].stale += attempt.where != BUFFERED
            change(world.books, world.state[0].now, PREFETCHED, world.jobs[attempt.job].job_class, -1.0)
            nodes.leave(world, slot)
            node.held -= attempt.where != HELD
            _lose_hold(world, slot)


@inner
def _go_down(world, until):  # type: ignore[no-untyped-def]
    """The broker crashes: some messages are lost; connections are, where it has any, and what they held comes back."""
    protocol, now, slot = world.protocol[0], world.state[0].now, world.hub[0].oldest
    last = world.hub[0].newest
    world.hub[0].up = 0
    while slot != NONE:
        following = world.messages[slot].newer if slot != last else NONE
        attempt, message = world.attempts[slot], world.messages[slot]
        if survives(message.stored, now, protocol.fsync, protocol.lag):
            if protocol.notices < np.inf and attempt.delivered == attempt.delivered:
                deliver.give_back(world, slot, until + protocol.return_delay, False)
        elif attempt.delivered == attempt.delivered:
            message.acked = 1
            hiding.show(world, slot)
            change(world.books, now, UNACKED, world.jobs[attempt.job].job_class, -1.0)
            store.forget(world, slot)
        else:
            _lose_ready(world, slot)
        slot = following
    if protocol.notices < np.inf:
        for which in range(len(world.nodes)):
            _empty(world, which)


@inner
def _lose_ready(world, slot):  # type: ignore[no-untyped-def]
    """A message that nobody has in hand is lost."""
    publish.no_longer_away(world, slot)
    if world.attempts[slot].where == WAITING:
        queue.remove(world, slot, False)
    elif world.attempts[slot].where == DELAYED:
        world.state[0].stale += 1
    store.forget(world, slot)
    deliver.lose(world, slot)
