"""What becomes of a message that is handed out: it comes to a node, is served, acknowledged, taken back, lost."""

from __future__ import annotations

import numpy as np

from backwater import order, random
from backwater.components.broker import hidden_for
from backwater.engines.compiled import (
    door,
    hiding,
    ledger,
    lines,
    nodes,
    publish,
    queue,
    store,
    timeouts,
    workers,
    workflow,
)
from backwater.engines.compiled.protocol import ACK_EARLY, ACK_ERROR, ACK_NONE, EXPIRE_ERROR
from backwater.engines.compiled.world import DELAYED, NONE
from backwater.engines.compiled.world import DROPPED as VANISHED
from backwater.gauges import change
from backwater.jit import inlined, inner
from backwater.outcome import ABANDONED_COMPLETED, BUSY, COMPLETED, DEAD, FAILED, LOST, PREFETCHED, UNACKED
from backwater.quantile import quantile


@inner
def deliver(world, slot, node):  # type: ignore[no-untyped-def]
    """A message is handed to a node."""
    protocol, now, attempt = world.protocol[0], world.state[0].now, world.attempts[slot]
    job, message = world.jobs[attempt.job], world.messages[slot]
    attempt.delivered = now
    if protocol.groups:
        lines.lock(world, message.group)
    if attempt.spilled:
        queue.leave_disk(world, attempt)
    if protocol.ack == ACK_NONE:
        message.acked = 1
        store.forget(world, slot)
    else:
        change(world.books, now, UNACKED, job.job_class, 1.0)
        if protocol.hides < np.inf:
            hiding.hide(world, slot, hidden_for(now, protocol.hides, protocol.sweep))
    delay = 0.0
    if message.drawn == message.drawn and protocol.deliver != NONE:
        delay = quantile(world.numbers, message.drawn, protocol.deliver)
    elif protocol.deliver != NONE:
        index = random.of_delivery(attempt.number, attempt.delivery)
        delay = store.draw(world, job, protocol.deliver, random.DELIVER, index)
    if attempt.spilled:
        read = queue.read(world, attempt)
        attempt.disk += read
        delay += read
    if nodes.deliver(world, slot, node, delay):
        _begin(world, slot, nodes.idle_one(world, slot))


@inlined
def start(world, slot, worker):  # type: ignore[no-untyped-def]
    """A worker takes a message of its node."""
    change(world.books, world.state[0].now, PREFETCHED, world.jobs[world.attempts[slot].job].job_class, -1.0)
    _begin(world, slot, worker)


@inlined
def _begin(world, slot, worker):  # type: ignore[no-untyped-def]
    state, attempt = world.state[0], world.attempts[slot]
    attempt.taken, attempt.worker = state.now, worker
    job_class = world.jobs[attempt.job].job_class
    if world.plan[0].retimes:
        world.workers[worker].holds = slot
    workers.count(world, BUSY, job_class, 1.0)
    if world.protocol[0].ack == ACK_EARLY:
        world.nodes[world.homes[worker]].held -= 1
        _acknowledge(world, slot)
        store.wake(world)
    if attempt.demand * attempt.factor > world.protocol[0].time_limit:
        world.messages[slot].over, attempt.demand, attempt.factor = 1, world.protocol[0].time_limit, 1.0
    workers.serve(world, attempt)


@inner
def comes(world, slot, what):  # type: ignore[no-untyped-def]
    """A message comes to its node, or its ETA."""
    nodes.leave(world, slot)
    if what == order.ETA:
        world.nodes[world.messages[slot].node].held += 1
        world.messages[slot].due = -np.inf
    if nodes.reach(world, slot):
        start(world, slot, nodes.idle_one(world, slot))
    if world.protocol[0].polls or world.protocol[0].worker_holds:
        store.wake(world)  # elsewhere a node takes no more for that


@inlined
def _go_on(world, worker):  # type: ignore[no-untyped-def]
    """A worker takes who waits at its node, or rests."""
    slot = nodes.goes_on(world, worker)
    if slot != NONE:
        start(world, slot, worker)


@inner
def _out(world, slot):  # type: ignore[no-untyped-def]
    """The delivery of a message that is out, where this one was taken back; NONE where none is."""
    old, at = world.attempts[slot], world.hub[0].newest
    while at != NONE and (world.attempts[at].job != old.job or world.attempts[at].number != old.number):
        at = world.messages[at].older
    return NONE if at == NONE or np.isnan(world.attempts[at].delivered) else at


@inlined
def _acknowledge(world, given):  # type: ignore[no-untyped-def]
    """A message is done with; one that was taken back before is not, unless any delivery may say so."""
    plan, protocol, slot = world.plan[0], world.protocol[0], given
    if protocol.by_any and world.attempts[given].returned and not world.messages[given].acked:
        slot = _out(world, given)
        if slot == NONE:
            return
    attempt, message = world.attempts[slot], world.messages[slot]
    if attempt.returned or message.acked:
        return
    message.acked = 1
    hiding.show(world, slot)
    job = world.jobs[attempt.job]
    if protocol.duplicates > 0.0:
        index = random.of_delivery(attempt.number, attempt.delivery)
        u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.TWICE, index)
        if u < protocol.duplicates:
            give_back(world, slot, world.state[0].now, True)
            return
    change(world.books, world.state[0].now, UNACKED, job.job_class, -1.0)
    store.forget(world, slot)


@inner
def give_back(world, slot, when, for_good):  # type: ignore[no-untyped-def]
    """Take a message back from its present delivery; it is ready again at ``when`` [s], or goes to the dead letters.

    for_good  not there: it was acknowledged
    """
    now, attempt = world.state[0].now, world.attempts[slot]
    of = attempt.job
    job = world.jobs[of]
    attempt.returned = 1
    hiding.show(world, slot)
    change(world.books, now, UNACKED, job.job_class, -1.0)
    store.unlink(world, slot)
    if not for_good and attempt.delivery >= world.protocol[0].most:
        store.gone(world, slot)
        if job.attempt == slot:
            timeouts.unwatch(world, attempt)
            job.attempt = NONE
            queue.tell(world, of, DEAD)
        return
    heir = ledger.next_delivery(world, slot)
    its, old = world.messages[heir], world.messages[slot]
    its.stored, its.due, its.hidden_until, its.drawn, its.group = old.stored, old.due, np.inf, np.nan, old.group
    its.away = its.acked = its.lost = its.over = its.listed = 0
    its.demand = world.attempts[heir].demand = old.demand
    if job.attempt == slot:
        timeouts.move(world, slot, heir)
        job.attempt = heir
    world.attempts[heir].superseded = 1 - world.attempts[heir].wanted
    store.append(world, heir)
    if when > now:
        world.attempts[heir].where = DELAYED
        if when < np.inf:
            nodes.put_down(world, heir, when - now, order.READY)
    else:
        publish.ready(world, heir)


@inner
def lose(world, slot):  # type: ignore[no-untyped-def]
    """A message is gone, and nobody is told; a client with a timeout finds out by that."""
    attempt, now = world.attempts[slot], world.state[0].now
    of = attempt.job
    job, sender = world.jobs[of], world.senders[world.jobs[of].source]
    world.messages[slot].lost = 1
    if job.attempt == slot:
        unsure = sender.goes_on and sender.patience >= 0 and not job.heard
        if sender.expires or unsure:
            attempt.where, attempt.ended = VANISHED, now
            return
        timeouts.unwatch(world, attempt)
        job.attempt = NONE
        queue.tell(world, of, LOST)
    ledger.close(world, slot, LOST, now)


@inner
def complete(world, slot):  # type: ignore[no-untyped-def]
    """A service ends, and its worker goes on.

    Returns the slot of the job whose client has its answer, or NONE; and what that learns.
    """
    plan, protocol, now, attempt = world.plan[0], world.protocol[0], world.state[0].now, world.attempts[slot]
    of, worker, message = attempt.job, attempt.worker, world.messages[slot]
    job = world.jobs[of]
    current = job.attempt
    awaited = current != NONE and world.attempts[current].number == attempt.number
    mine, told = attempt.returned == 0, False
    job.served += 1
    failed = message.over == 1 or ((awaited or protocol.on_error != ACK_ERROR) and _fails(world, job, attempt))
    result = FAILED if failed else COMPLETED if awaited else ABANDONED_COMPLETED
    if plan.admission != NONE:
        door.served(world, attempt, not awaited)
    if protocol.ack != ACK_EARLY:
        world.nodes[world.homes[worker]].held -= 1
    comes_back = mine and failed and protocol.on_error != ACK_ERROR and not message.acked
    if awaited and (not failed or (mine and not comes_back)):
        told, job.attempt = True, NONE
        timeouts.unwatch(world, world.attempts[current])
        world.attempts[current].superseded = current != slot
    if comes_back:
        later = message.hidden_until if protocol.on_error == EXPIRE_ERROR else now + protocol.return_delay
        give_back(world, slot, later, False)
    else:
        _acknowledge(world, slot)
    ledger.finish(world, slot, job.served, result, now)
    workers.count(world, BUSY, job.job_class, -1.0)
    if plan.leads and not failed:
        workflow.served(world, of)
    if told and current != slot and world.attempts[current].where == VANISHED:
        ledger.close(world, current, ledger.fate(world, current), world.attempts[current].ended)
    _go_on(world, worker)
    return of if told else NONE, result


@inner
def _fails(world, job, attempt):  # type: ignore[no-untyped-def]
    plan, share = world.plan[0], world.state[0].error_share
    if share <= 0.0:
        return False
    index = random.of_delivery(attempt.number, attempt.delivery)
    return random.uniform(plan.seed, plan.replication, job.source, job.number, random.FAIL, index) < share
