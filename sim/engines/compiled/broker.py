"""A broker: a queue that hands messages out and may take them back."""

from __future__ import annotations

from backwater import order
from backwater.engines.compiled import calendar, deliver, hiding, nodes, publish, queue, store
from backwater.engines.compiled.world import COMING, DELAYED, HELD, IN_CALENDAR, NONE, PUBLISHING
from backwater.jit import inner


@inner
def hand_out(world):  # type: ignore[no-untyped-def]
    """Those that are ready go to the nodes that take some."""
    publish.flush_full(world)
    world.hub[0].wakes = 0
    fresh = world.hub[0].fresh
    if fresh != NONE:
        world.hub[0].fresh, node = NONE, nodes.next_node(world)
        nodes.gets(world, node)
        deliver.deliver(world, fresh, node)
    nodes.ask(world)
    publish.come_in(world)
    asleep = False
    while world.state[0].waiting > 0 and publish.hands_out(world) and not asleep:
        room = len(world.calendar.events) - world.calendar.size[0]
        if world.plan[0].floods and room < world.plan[0].spare:
            store.wake(world)  # the rest once there is room for what it puts down
            return
        node = nodes.next_node(world)
        asleep = node == NONE
        if not asleep and not _answer(world, node):
            break
        nodes.ask(world)
        publish.come_in(world)
    nodes.sleep(world, asleep)


@inner
def _answer(world, node):  # type: ignore[no-untyped-def]
    """Hand a node as many as it gets at once; whether it got any."""
    for number in range(world.protocol[0].batch):
        slot = queue.take(world)
        if slot == NONE:
            return number > 0
        nodes.gets(world, node)
        deliver.deliver(world, slot, node)
    return True


@inner
def strike(world, worker, pace, off):  # type: ignore[no-untyped-def]
    """A worker works at this pace from now on; one that is back goes on."""
    slot = nodes.strike(world, worker, pace, off)
    if slot != NONE:
        deliver.start(world, slot, worker)


@inner
def holds(world, when, key, ref):  # type: ignore[no-untyped-def]
    """Whether what was put down for a message or a node still means something."""
    if key >> order.RANK_SHIFT == order.BROKER:
        what = (key >> (order.JOB_BITS + order.ATTEMPT_BITS)) & (2**order.SOURCE_BITS - 1)
        if what == order.SENT:
            return calendar.bits(world.outboxes[ref].until) == when
        return what == order.LOOKED or nodes.asks_at(world, ref, when)
    what, slot = (key & order.ATTEMPT_MAX) >> 11, calendar.slot_of(ref)
    if what == order.CONFIRMED or ref < 0:
        return True
    attempt = world.attempts[slot]
    if attempt.ref != ref:
        return False
    if what == order.EXPIRED:
        message = world.messages[slot]
        return message.listed == IN_CALENDAR and calendar.bits(message.hidden_until) == when
    if what == order.PUBLISHED:
        return attempt.where == PUBLISHING
    if what == order.READY:
        return attempt.where == DELAYED
    return attempt.where == (COMING if what == order.ARRIVED else HELD)


@inner
def happen(world, when, key, ref):  # type: ignore[no-untyped-def]
    """Something that was put down for a message or a node, if it still means something."""
    what, slot = (key & order.ATTEMPT_MAX) >> 11, calendar.slot_of(ref)
    if not holds(world, when, key, ref):
        world.state[0].stale -= 1
    elif key >> order.RANK_SHIFT == order.BROKER:
        _happen_to_broker(world, key, ref)
    elif what == order.CONFIRMED:
        if world.jobs[slot].ref == ref and world.jobs[slot].begun:
            publish.confirmed_if(world, slot, key & 63)
    elif what == order.PUBLISHED:
        publish.published(world, slot)
    elif what == order.READY:
        publish.ready(world, slot)
    elif what == order.EXPIRED:
        hidden = hiding.due(world, key, ref)
        if hidden != NONE:
            deliver.give_back(world, hidden, world.state[0].now + world.protocol[0].return_delay, False)
    else:
        deliver.comes(world, slot, what)


@inner
def _happen_to_broker(world, key, ref):  # type: ignore[no-untyped-def]
    what = (key >> (order.JOB_BITS + order.ATTEMPT_BITS)) & (2**order.SOURCE_BITS - 1)
    if what == order.ASKED:
        nodes.asked(world, ref)
    elif what == order.SENT:
        publish.flush(world, ref, False)
    else:
        _look(world)


@inner
def _look(world):  # type: ignore[no-untyped-def]
    """The broker looks at its memory."""
    hub = world.hub[0]
    hub.looks, hub.alarm = 0, hub.stored > world.protocol[0].limit
    if hub.alarm:
        store.look_later(world)
    else:
        store.wake(world)
