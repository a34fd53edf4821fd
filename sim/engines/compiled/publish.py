"""How messages come to a broker: sent, collected, on their way, refused, held outside, accepted, ready."""

from __future__ import annotations

import numpy as np

from backwater import order, random
from backwater.components.queue import has_room
from backwater.engines.compiled import calendar, callers, door, ledger, lines, nodes, outside, queue, store, timeouts
from backwater.engines.compiled.layout import BLOCK
from backwater.engines.compiled.world import DELAYED, NONE, OUTSIDE, PUBLISHING
from backwater.gauges import change
from backwater.jit import inlined, inner
from backwater.outcome import DROPPED, FAILED, REJECTED
from backwater.outcome import OUTSIDE as AWAY
from backwater.quantile import constant, quantile


@inner
def send(world, slot):  # type: ignore[no-untyped-def]
    """A job is published. Returns NONE, or what its client learns where it was refused."""
    plan, protocol, job = world.plan[0], world.protocol[0], world.jobs[slot]
    at = ledger.new_attempt(world, slot)
    attempt, message, sender = world.attempts[at], world.messages[at], world.senders[job.source]
    attempt.accepted = np.nan
    message.stored, message.due, message.hidden_until, message.drawn = np.nan, -np.inf, np.inf, np.nan
    message.away = message.acked = message.kept = message.lost = message.over = message.listed = 0
    message.demand = attempt.demand
    if job.attempts == 1:
        job.due = 0.0
    at_once = protocol.publish == NONE and protocol.sends == 0
    if at_once or (plan.blocks and not _may_enter(world, at)):
        world.hub[0].sends = 1
        result = _arrives(world, at)
        world.hub[0].sends = 0
        if result == REJECTED:
            return REJECTED
        unsure = result == NONE and (attempt.where == OUTSIDE or 0.0 < protocol.confirm < np.inf)
    else:
        result, unsure = NONE, protocol.confirm < np.inf
        attempt.where = PUBLISHING
        _away(world, at)
        if protocol.sends:
            _collect(world, at)
        else:
            _publish(world, at)
    if sender.goes_on and not unsure:
        callers.go_on(world, slot)
    else:
        timeouts.watch(world, at)
    return result


@inner
def pause(world, job, pause, result):  # type: ignore[no-untyped-def]
    """How long a client waits before it sends a job again [s]: not where that is to be due later."""
    job.due = pause if result == FAILED and world.protocol[0].resends else 0.0
    return 0.0 if job.due > 0.0 else pause


@inlined
def _publish(world, slot):  # type: ignore[no-untyped-def]
    """A message leaves its sender."""
    plan, protocol, attempt = world.plan[0], world.protocol[0], world.attempts[slot]
    job = world.jobs[attempt.job]
    if protocol.publish == NONE:
        published(world, slot)
        return
    delay = constant(world.numbers, protocol.publish)
    if delay != delay:
        u, world.messages[slot].drawn = random.pair(
            plan.seed, plan.replication, job.source, job.number, random.PUBLISH, attempt.number
        )
        delay = quantile(world.numbers, u, protocol.publish)
    nodes.put_down(world, slot, delay, order.PUBLISHED)


@inner
def _collect(world, slot):  # type: ignore[no-untyped-def]
    """A source collects a message; the last one sends them all."""
    protocol, now, source = world.protocol[0], world.state[0].now, world.jobs[world.attempts[slot].job].source
    box, message = world.outboxes[source], world.messages[slot]
    if box.count == 0:
        box.first, box.until = slot, now + protocol.linger
        calendar.add(world, box.until, order.key(order.BROKER, order.SENT, source, 0), source)
    else:
        world.messages[box.last].after = slot
    box.last, message.after = slot, NONE
    box.count += 1
    if box.count >= protocol.sends:
        store.wake(world)


@inner
def flush(world, source, early):  # type: ignore[no-untyped-def]
    """A source sends what it has collected; ``early``: before it must."""
    box = world.outboxes[source]
    slot = box.first
    world.state[0].stale += early
    box.count, box.until = 0, -np.inf
    while slot != NONE:
        following = world.messages[slot].after
        _publish(world, slot)
        slot = following


@inner
def flush_full(world):  # type: ignore[no-untyped-def]
    """Sources that have collected enough send it."""
    for source in range(len(world.outboxes)):
        if world.outboxes[source].count >= world.protocol[0].sends:
            flush(world, source, True)


@inlined
def _away(world, slot):  # type: ignore[no-untyped-def]
    """A message is on its way to the broker, or not ready for the first time."""
    if not world.messages[slot].away:
        world.messages[slot].away = 1
        change(world.books, world.state[0].now, AWAY, world.jobs[world.attempts[slot].job].job_class, 1.0)


@inlined
def no_longer_away(world, slot):  # type: ignore[no-untyped-def]
    """It is ready, refused or lost."""
    if world.messages[slot].away:
        world.messages[slot].away = 0
        change(world.books, world.state[0].now, AWAY, world.jobs[world.attempts[slot].job].job_class, -1.0)


@inlined
def published(world, slot):  # type: ignore[no-untyped-def]
    """A message comes to the broker."""
    if _admits(world, slot, True):
        enter(world, slot)
        return
    of = world.attempts[slot].job
    awaited = world.jobs[of].attempt == slot
    no_longer_away(world, slot)
    result = _refuse(world, slot)
    if awaited:
        queue.tell(world, of, result)


@inner
def _arrives(world, slot):  # type: ignore[no-untyped-def]
    """A message comes to the broker as it is sent. Returns NONE, or what its client learns."""
    plan, job = world.plan[0], world.jobs[world.attempts[slot].job]
    waits = world.hub[0].up and plan.blocks and job.size <= plan.capacity_bytes
    if waits and not _may_enter(world, slot):
        outside.hold(world, slot)
        return NONE
    if _admits(world, slot, False):
        enter(world, slot)
        return NONE
    return _refuse(world, slot)


@inner
def _refuse(world, slot):  # type: ignore[no-untyped-def]
    """It gets the 503, or vanishes where nobody asks whether it was accepted; which of both."""
    attempt, now = world.attempts[slot], world.state[0].now
    job = world.jobs[attempt.job]
    if job.attempt == slot:
        timeouts.unwatch(world, attempt)
        job.attempt = NONE
    if world.senders[job.source].goes_on and world.protocol[0].confirm == np.inf:
        ledger.close(world, slot, DROPPED, now)
        return DROPPED
    ledger.refuse(world, slot)
    return REJECTED


@inlined
def _admits(world, slot, on_its_way):  # type: ignore[no-untyped-def]
    plan, state, hub, protocol = world.plan[0], world.state[0], world.hub[0], world.protocol[0]
    job = world.jobs[world.attempts[slot].job]
    if not hub.up:
        return False
    if plan.admission != NONE and not door.admits(world, job):
        return False
    if not protocol.blocks and hub.stored > protocol.limit:
        return False
    if not plan.bounded or _would_take(world) or (on_its_way and plan.overflow == BLOCK):
        return True
    if has_room(state.waiting, state.used, job.size, plan.capacity, plan.capacity_bytes):
        return True
    return plan.evicts and queue.yield_oldest(world, job.size)


@inner
def _would_take(world):  # type: ignore[no-untyped-def]
    """Whether a message that comes is handed out at once."""
    free = world.state[0].waiting == 0 and world.protocol[0].groups == 0 and hands_out(world)
    return free and nodes.next_node(world) != NONE


@inner
def _alarm(world):  # type: ignore[no-untyped-def]
    hub, protocol = world.hub[0], world.protocol[0]
    if not protocol.blocks:
        return False
    return hub.alarm == 1 if protocol.looks_every > 0.0 else hub.stored > protocol.limit


@inner
def _may_enter(world, slot):  # type: ignore[no-untyped-def]
    """Whether a message need not wait outside."""
    if _alarm(world) or world.state[0].outside > 0:
        return False
    return world.plan[0].overflow != BLOCK or _would_take(world) or _lets_in(world, slot)


@inner
def _lets_in(world, slot):  # type: ignore[no-untyped-def]
    plan, state, job = world.plan[0], world.state[0], world.jobs[world.attempts[slot].job]
    room = has_room(state.waiting, state.used, job.size, plan.capacity, plan.capacity_bytes)
    return (room or plan.overflow != BLOCK) and not _alarm(world)


@inner
def come_in(world):  # type: ignore[no-untyped-def]
    """Those outside come in, one after the other, as long as they may."""
    state = world.state[0]
    while state.outside > 0 and _lets_in(world, state.first_outside):
        slot = state.first_outside
        queue.come_in(world, slot)
        world.attempts[slot].accepted = np.nan
        enter(world, slot)


@inlined
def enter(world, slot):  # type: ignore[no-untyped-def]
    """The broker accepts a message."""
    protocol, now, attempt = world.protocol[0], world.state[0].now, world.attempts[slot]
    job, message = world.jobs[attempt.job], world.messages[slot]
    message.stored = now
    store.append(world, slot)
    store.holds(world, job, 1.0)
    if protocol.groups:
        message.group = lines.group(world, job)
    _confirm(world, slot)
    law = world.kinds[job.kind].delay
    if job.due > 0.0:
        message.due = attempt.sent + job.due
    elif law != NONE:
        message.due = attempt.sent + store.draw(world, job, law, random.DELAY, 0)
    if not protocol.worker_holds and message.due > now:
        _away(world, slot)
        attempt.where = DELAYED
        nodes.put_down(world, slot, message.due - now, order.READY)
    else:
        ready(world, slot)


@inlined
def _confirm(world, slot):  # type: ignore[no-untyped-def]
    """Its sender knows, some time later."""
    protocol, attempt = world.protocol[0], world.attempts[slot]
    job, now = world.jobs[attempt.job], world.state[0].now
    if not world.senders[job.source].goes_on or protocol.confirm == np.inf:
        return
    if protocol.confirm > 0.0:
        number = order.of_message(order.CONFIRMED, attempt.number, attempt.delivery)
        place = order.at(order.DELIVERY, job.place, number)
        calendar.add(world, now + protocol.confirm, place, job.ref)
    elif attempt.where == PUBLISHING:
        _confirmed(world, attempt.job, attempt.number)


@inlined
def _confirmed(world, of, number):  # type: ignore[no-untyped-def]
    """The client of a job learns that an attempt is accepted, if it still waits for that."""
    job = world.jobs[of]
    if job.attempt != NONE and world.attempts[job.attempt].number == number and not job.heard:
        timeouts.stop(world, world.attempts[job.attempt])
        callers.go_on(world, of)


@inner
def confirmed_if(world, of, number):  # type: ignore[no-untyped-def]
    """The same by what a key tells of the attempt's number."""
    attempt = world.jobs[of].attempt
    if attempt != NONE and min(world.attempts[attempt].number, 63) == number:
        _confirmed(world, of, world.attempts[attempt].number)


@inlined
def ready(world, slot):  # type: ignore[no-untyped-def]
    """A message may be handed out, for the first time or again."""
    attempt, protocol = world.attempts[slot], world.protocol[0]
    no_longer_away(world, slot)
    if protocol.groups and attempt.delivery > 1:
        lines.unlock(world, world.messages[slot].group)
    attempt.accepted = world.state[0].now
    store.wake(world)
    if world.hub[0].sends and _goes_at_once(world):
        world.hub[0].fresh = slot
    else:
        _waits(world, slot)


@inner
def _waits(world, slot):  # type: ignore[no-untyped-def]
    """A message that is ready joins those that wait."""
    queue.accept(world, slot)
    if world.attempts[slot].delivery > 1 and world.protocol[0].front:
        _to_the_front(world, slot)


@inlined
def _goes_at_once(world):  # type: ignore[no-untyped-def]
    """Whether a message that is sent now need not be put into the queue only to be taken out at once."""
    plan, state = world.plan[0], world.state[0]
    if not plan.passes or state.waiting > 0 or state.arrived >= plan.arrivals or not hands_out(world):
        return False
    node = nodes.next_node(world)
    world.hub[0].takes = node
    return node != NONE


@inner
def _to_the_front(world, slot):  # type: ignore[no-untyped-def]
    """Those that came back stand before all others, in the order in which they had first come."""
    stored, before, after = world.messages[slot].stored, NONE, world.state[0].oldest
    while after != slot and world.attempts[after].delivery > 1 and world.messages[after].stored <= stored:
        before, after = after, world.attempts[after].newer
    if after != slot:
        queue.move(world, slot, before, after)


@inner
def hands_out(world):  # type: ignore[no-untyped-def]
    """Whether the broker is there and may hand out."""
    protocol, hub = world.protocol[0], world.hub[0]
    return hub.up and not (protocol.receive and hub.stored > protocol.limit)
