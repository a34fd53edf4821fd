"""How senders behave: they send, learn what came of it, back off, lose patience."""

from __future__ import annotations

import math

from backwater import order, random
from backwater.components import client as rules
from backwater.components import own
from backwater.components.budget import ERROR, REJECTION, TIMEOUT
from backwater.engines.compiled import (
    batch,
    calendar,
    callers,
    door,
    gates,
    hedges,
    ledger,
    limiter,
    outside,
    producer,
    publish,
    queue,
    timeouts,
    workers,
)
from backwater.engines.compiled.senders import CANCEL, LEAVE
from backwater.engines.compiled.world import DROPPED as VANISHED
from backwater.engines.compiled.world import IN_LINE, NONE, OUTSIDE, PAUSES, READING, SERVING, WAITING
from backwater.gauges import change
from backwater.jit import inlined, inner
from backwater.outcome import (
    BACKOFF,
    COMPLETED,
    DEAD,
    DROPPED,
    FAILED,
    JOB_COMPLETED,
    JOB_DEAD_LETTERED,
    JOB_DROPPED,
    JOB_GAVE_UP,
    JOB_LOST,
    LOST,
    PROXY_UNPAID,
    REJECTED,
    UNPAID,
)
from backwater.rules import FRAME

# What a client learns when its patience ends, with an attempt or with the job, or when it was not let go.
TIMED_OUT, EXPIRED, WITHHELD = -2, -3, -4
COMES = -6  # an attempt comes to the queue
POLICY = rules.HEAD + rules.STEPS  # numbers of a retry policy


@inlined
def send(world, slot):  # type: ignore[no-untyped-def]
    """A job is sent, once more, or waits for its turn.

    Returns NONE, or what its client learns where it was not let go or turned away.
    """
    if world.plan[0].limited or world.plan[0].hedges:
        return _send_in_turn(world, slot)
    return _send(world, slot)


@inner
def _send_in_turn(world, slot):  # type: ignore[no-untyped-def]
    """``send`` where some client has a limiter or hedges."""
    if world.plan[0].limited and world.jobs[slot].hedges == 0 and not limiter.lets(world, slot):
        return NONE
    hedged = world.senders[world.jobs[slot].source].hedge != NONE
    if hedged:
        hedges.begin(world, slot)
    result = _send(world, slot)
    return hedges.sent(world, slot, result) if hedged else result


@inlined
def _send(world, slot):  # type: ignore[no-untyped-def]
    plan, state, job = world.plan[0], world.state[0], world.jobs[slot]
    job.attempts += 1
    if plan.asks:
        result = _ask(world, slot)
        if result != COMES:
            return result
    if state.idle > 0 and state.waiting + 1 >= plan.least:
        if plan.admission != NONE:
            door.at_once(world)
        attempt = ledger.new_attempt(world, slot)
        workers.call(world, attempt)
    elif queue.make_room(world, job.size):
        attempt = ledger.new_attempt(world, slot)
        queue.accept(world, attempt)
        if plan.batch:
            batch.linger(world)
    elif plan.blocks and job.size <= plan.capacity_bytes:
        attempt = ledger.new_attempt(world, slot)
        outside.hold(world, attempt)
    else:
        ledger.reject(world, job, 0)
        return REJECTED
    if world.senders[job.source].goes_on and world.attempts[attempt].where != OUTSIDE:
        callers.go_on(world, slot)
    else:
        timeouts.watch(world, attempt)
    return NONE


@inner
def _ask(world, slot):  # type: ignore[no-untyped-def]
    """What decides before an attempt comes to the queue. Returns COMES, or as ``_send``."""
    plan, job = world.plan[0], world.jobs[slot]
    if not plan.once:
        job.demand = producer.draw_demand(world, job)
    if world.senders[job.source].gated and job.hedges == 0 and not gates.let(world, job):
        ledger.reject(world, job, 1)
        return WITHHELD
    if plan.broker:
        return publish.send(world, slot)
    if plan.admission != NONE and not door.admits(world, job):
        ledger.reject(world, job, 0)
        return REJECTED
    return COMES


@inlined
def learn(world, slot, result, polled):  # type: ignore[no-untyped-def]
    """A client learns what came of its attempt, and goes on; one that polls only once it has ``polled``."""
    job = world.jobs[slot]
    sender = world.senders[job.source]
    if (result != COMPLETED or not sender.simple) and _goes_on(world, slot, result, polled):
        return
    timeouts.unlimit(world, job)
    blocked = job.released != job.released
    ledger.end(world, slot, _outcome(result))
    if blocked and sender.clients:
        producer.think(world, job.source, job.row, job.number, 0)


@inlined
def _goes_on(world, slot, result, polled):  # type: ignore[no-untyped-def]
    """Whether what a client has learnt is not the last of its job."""
    job, pause = world.jobs[slot], -1.0
    sender = world.senders[job.source]
    if sender.goes_on and not polled and callers.goes_on(world, slot, result):
        return True
    if result == COMPLETED and sender.hedge != NONE:
        _leave_all(world, slot, sender.losers, 0)
    # A tuple would be walked through.
    if result == REJECTED or result == TIMED_OUT or result == FAILED or result == WITHHELD:  # noqa: SIM109
        pause = _guarded_pause(world, job, result) if sender.guarded else _plain_pause(world, job, result)
    elif result != EXPIRED and sender.gated and not job.heard:
        gates.hear(world, job, result == COMPLETED, False)
        gates.under_way(world, job, -1.0)
    if pause >= 0.0:
        if world.plan[0].broker:
            pause = publish.pause(world, job, pause, result)
        job.backing_off, job.heard = PAUSES, 0
        now = world.state[0].now
        change(world.books, now, BACKOFF, job.job_class, 1.0)
        calendar.add(world, now + pause, order.at(order.RETRY, job.place, job.attempts), job.ref)
        return True
    return False


@inlined
def _outcome(result):  # type: ignore[no-untyped-def]
    """What becomes of a job whose client has learnt the last of it."""
    if result == COMPLETED:
        return JOB_COMPLETED
    if result == DROPPED:
        return JOB_DROPPED
    if result == LOST:
        return JOB_LOST
    return JOB_DEAD_LETTERED if result == DEAD else JOB_GAVE_UP


@inlined
def _plain_pause(world, job, result):  # type: ignore[no-untyped-def]
    """How long to back off before the next attempt [s]; below 0 for no more attempts. Only the policy decides."""
    sender = world.senders[job.source]
    policy = sender.rejected_policy if result == REJECTED else sender.policy
    job.calls += 1
    if policy == NONE or not _tries_again(world, job, policy, job.calls, random.RETRY):
        return -1.0
    pause, job.pause = _backoff(world, job, policy, job.calls, job.pause, random.BACKOFF, result)
    return pause


@inner
def _guarded_pause(world, job, result):  # type: ignore[no-untyped-def]
    """The same where a budget, a breaker, a throttle, a proxy or what a 503 asks for have a say in it."""
    asked, sender, pause = world.plan[0].retry_after, world.senders[job.source], -1.0
    if result != WITHHELD and sender.gated and not job.heard:
        gates.under_way(world, job, -1.0)
    if result != WITHHELD and sender.proxy != NONE and not job.heard:
        pause = _proxy_pause(world, job, result)
    own = pause < 0.0
    if own:
        if result != WITHHELD and sender.gated and not job.heard:
            gates.hear(world, job, False, result == REJECTED)
        pause = _own_pause(world, job, result)
    if result == REJECTED and sender.honours and pause >= 0.0:
        if own and sender.resets and asked >= sender.hint_least:
            job.since, job.pause = job.calls, math.nan
        most, beyond, least = sender.hint_most, sender.hint_beyond, sender.hint_least
        return rules.heeds(pause, asked, sender.exactly, most, beyond, least)
    return pause


@inner
def _own_pause(world, job, result):  # type: ignore[no-untyped-def]
    sender = world.senders[job.source]
    policy = sender.rejected_policy if result == REJECTED else sender.policy
    job.calls += 1
    if sender.proxy != NONE:
        job.tries, job.proxy_pause, job.proxy_paid = 0, math.nan, 0.0
    if sender.gated:
        if result == WITHHELD:
            gates.release(world, job, False)
        job.paid = 0.0
    if policy == NONE or not _tries_again(world, job, policy, job.calls, random.RETRY):
        return -1.0
    if sender.gated:
        job.paid = gates.pay(world, job, False, _why(result))
        if job.paid < 0.0:
            ledger.note_of(world, UNPAID, job)
            return -1.0
    pause, job.pause = _backoff(world, job, policy, job.calls - job.since, job.pause, random.BACKOFF, result)
    return pause


@inlined
def _why(result):  # type: ignore[no-untyped-def]
    """Why a retry is needed, to a budget."""
    return TIMEOUT if result == TIMED_OUT else REJECTION if result == REJECTED else ERROR


@inner
def _proxy_pause(world, job, result):  # type: ignore[no-untyped-def]
    """The same of the proxy; below 0 where the client hears of the failure."""
    sender = world.senders[job.source]
    policy = sender.rejected_proxy if result == REJECTED else sender.proxy
    job.tries += 1
    gates.release(world, job, True)
    job.proxy_paid = 0.0
    if policy == NONE or not _tries_again(world, job, policy, job.tries, random.PROXY_RETRY):
        return -1.0
    paid = gates.pay(world, job, True, _why(result))
    if paid < 0.0:
        ledger.note_of(world, PROXY_UNPAID, job)
        return -1.0
    gates.proxy_hears(world, job, False)
    job.proxy_paid = paid
    pause, job.proxy_pause = _backoff(world, job, policy, job.tries, job.proxy_pause, random.PROXY_BACKOFF, result)
    return pause


@inlined
def _tries_again(world, job, at, failed, purpose):  # type: ignore[no-untyped-def]
    plan, policy = world.plan[0], world.numbers[at : at + POLICY]
    if failed >= policy[6]:
        return False
    if policy[7] == 1.0:
        return True
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, purpose, job.attempts)
    return rules.tries_again(policy, failed, u)


@inlined
def _backoff(world, job, at, failed, previous, purpose, result):  # type: ignore[no-untyped-def]
    """How long to back off [s], and what the next pause needs to know of this one."""
    plan, policy = world.plan[0], world.numbers[at : at + POLICY]
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, purpose, job.attempts)
    before = policy[1] if math.isnan(previous) else previous
    if policy[0] == rules.OWN:
        pause = _own_rule(world, job, policy, failed, before, u, purpose, result)
    else:
        pause = rules.backoff(policy, failed, before, u)
    return pause, rules.remembers(policy, failed, pause, u)


@inner
def _own_rule(world, job, policy, failed, previous, u, purpose, result):  # type: ignore[no-untyped-def]
    sender, now = world.senders[job.source], world.state[0].now
    at = sender.own_at if purpose == random.BACKOFF else sender.own_proxy_at
    frame, address = world.gates[at : at + FRAME], int(policy[rules.HEAD])
    return own.pause(
        address, frame, now, u, failed, previous, policy[1], policy[2], policy[3], result == TIMED_OUT
    )  # fmt: skip


@inlined
def resume(world, slot):  # type: ignore[no-untyped-def]
    """A pause is over."""
    job = world.jobs[slot]
    job.backing_off = 0
    change(world.books, world.state[0].now, BACKOFF, job.job_class, -1.0)


@inner
def abandon(world, slot):  # type: ignore[no-untyped-def]
    """Nobody waits for the attempt any more; it is left, taken from the queue or stopped. Whether that ends a call."""
    attempt, told = world.attempts[slot], True
    job = world.jobs[attempt.job]
    sender = world.senders[job.source]
    timeouts.unwatch(world, attempt)
    attempt.timed_out = 1
    if sender.hedge != NONE:
        told = hedges.hears(world, slot, TIMED_OUT)
    else:
        job.attempt = NONE
    worker = attempt.worker
    _withdraw(world, slot, sender.on_timeout)
    if _stop(world, slot, sender.on_timeout):
        workers.release(world, worker)
    return told


@inner
def _withdraw(world, slot, how):  # type: ignore[no-untyped-def]
    """Write down an attempt that vanished, or take a waiting one from the queue where ``how`` says so."""
    attempt = world.attempts[slot]
    if attempt.where == VANISHED:
        ledger.close(world, slot, ledger.fate(world, slot), attempt.ended)
    elif attempt.where == OUTSIDE:
        queue.leave_outside(world, slot)
    elif attempt.where == WAITING and how != LEAVE:
        queue.withdraw(world, slot)


@inner
def _stop(world, slot, how):  # type: ignore[no-untyped-def]
    """Stop an attempt in a worker's hands where ``how`` says so; whether that worker must be released."""
    if how != CANCEL or world.attempts[slot].where not in (READING, SERVING):
        return False
    return workers.stop(world, slot)


@inner
def _leave_all(world, of, how, timed_out):  # type: ignore[no-untyped-def]
    """Nobody waits for a job's attempts any more, the newest first: it is given up, or another one has won."""
    first = world.jobs[of].attempt
    hedges.end(world, world.jobs[of])
    slot = first
    while slot != NONE:
        attempt = world.attempts[slot]
        timeouts.unwatch(world, attempt)
        attempt.timed_out, attempt.superseded = timed_out, 1 - timed_out
        slot = attempt.sibling
    # Slots that become free on the way still hold what they held: nothing is sent meanwhile.
    slot = first
    while slot != NONE:
        _withdraw(world, slot, how)
        slot = world.attempts[slot].sibling
    slot = first
    while slot != NONE:
        attempt = world.attempts[slot]
        if how == CANCEL and attempt.taken == attempt.taken and not workers.stop(world, slot):
            attempt.taken = math.nan  # its batch goes on without it: no worker is to be released
        slot = attempt.sibling
    slot = first
    while slot != NONE:
        attempt = world.attempts[slot]
        if how == CANCEL and attempt.taken == attempt.taken:
            workers.release(world, attempt.worker)
        slot = attempt.sibling


@inner
def expire(world, slot):  # type: ignore[no-untyped-def]
    """The patience with a job has ended; its pause is cut short, its attempt abandoned."""
    job = world.jobs[slot]
    job.listed = 0
    if job.backing_off == IN_LINE:
        limiter.give_up(world, slot)
    elif job.backing_off:
        resume(world, slot)
        world.state[0].stale += 1
    if world.senders[job.source].gated:
        if job.attempt != NONE or job.tries > 0:
            gates.hear(world, job, False, False)
        else:
            gates.release(world, job, False)
        if job.attempt != NONE:
            gates.under_way(world, job, -1.0)
    if job.attempt == NONE:
        return
    if world.senders[job.source].hedge != NONE:
        _leave_all(world, slot, world.senders[job.source].on_timeout, 1)
    else:
        abandon(world, job.attempt)
