"""A broker: a queue that hands messages out and may take them back."""

from __future__ import annotations

from backwater import order
from backwater.engines.compiled import calendar, deliver, hiding, nodes, publish, queue, store
from backwater.engines.compiled.world import COMING, DELAYED, HELD, IN_CALENDAR, NONE, PUBLISHING
from backwater.jit import inlined, inner


@inlined
def pass_on(world):  # type: ignore[no-untyped-def]
    """At the end of an event, what need not wait goes to its node; whether more may be handed out."""
    hub, protocol, state = world.hub[0], world.protocol[0], world.state[0]
    if hub.fresh != NONE:
        fresh, hub.fresh = hub.fresh, NONE
        nodes.gets(world, hub.takes)
        deliver.deliver(world, fresh, hub.takes)
    if hub.wakes and state.waiting == state.outside == protocol.polls == protocol.sends == 0:
        hub.wakes = 0
    return hub.wakes


@inner
def hand_out(world):  # type: ignore[no-untyped-def]
    """Those that wait go to the nodes that take some."""
    if world.protocol[0].sends:
        publish.flush_full(world)
    world.hub[0].wakes = 0
    _let_in(world)
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
        _let_in(world)
    if world.protocol[0].polls:
        nodes.sleep(world, asleep)


@inlined
def _let_in(world):  # type: ignore[no-untyped-def]
    """Nodes that take messages again ask for them, and those outside come in."""
    if world.protocol[0].polls:
        nodes.ask(world)
    if world.state[0].outside > 0:
        publish.come_in(world)


@inlined
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
    """Whether what was put down for a message still means something."""
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
    """Something that was put down for a message, if it still means something."""
    what, slot = (key & order.ATTEMPT_MAX) >> 11, calendar.slot_of(ref)
    if not holds(world, when, key, ref):
        world.state[0].stale -= 1
    elif what == order.PUBLISHED:
        world.hub[0].sends = 1
        publish.published(world, slot)
        world.hub[0].sends = 0
    elif what == order.CONFIRMED:
        if world.jobs[slot].ref == ref and world.jobs[slot].begun:
            publish.confirmed_if(world, slot, key & 63)
    elif what == order.READY:
        publish.ready(world, slot)
    elif what == order.EXPIRED:
        hidden = hiding.due(world, key, ref)
        if hidden != NONE:
            deliver.give_back(world, hidden, world.state[0].now + world.protocol[0].return_delay, False)
    else:
        deliver.comes(world, slot, what)


@inlined
def _what_of(key):  # type: ignore[no-untyped-def]
    return (key >> (order.JOB_BITS + order.ATTEMPT_BITS)) & (2**order.SOURCE_BITS - 1)


@inner
def holds_of_itself(world, when, key, ref):  # type: ignore[no-untyped-def]
    """Whether what was put down for a node, a source or the broker still means something."""
    what = _what_of(key)
    if what == order.SENT:
        return calendar.bits(world.outboxes[ref].until) == when
    return what == order.LOOKED or nodes.asks_at(world, ref, when)


@inner
def happen_to_itself(world, when, key, ref):  # type: ignore[no-untyped-def]
    """Something that was put down for a node, a source or the broker, if it still means something."""
    what = _what_of(key)
    if not holds_of_itself(world, when, key, ref):
        world.state[0].stale -= 1
    elif what == order.ASKED:
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
