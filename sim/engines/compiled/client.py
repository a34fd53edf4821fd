"""How senders behave: they send, learn what came of it, back off, lose patience."""

from __future__ import annotations

import math

from backwater import order, random
from backwater.components import client as rules
from backwater.engines.compiled import calendar, ledger, producer, queue, timeouts, workers
from backwater.engines.compiled.layout import CANCEL, LEAVE
from backwater.engines.compiled.world import DROPPED as VANISHED
from backwater.engines.compiled.world import NONE, WAITING
from backwater.jit import inlined, inner
from backwater.measure import change
from backwater.outcome import BACKOFF, COMPLETED, DROPPED, FAILED, JOB_COMPLETED, JOB_DROPPED, JOB_GAVE_UP, REJECTED

TIMED_OUT, EXPIRED = -1, -2  # what a client learns when its patience ends, with an attempt or with the job
POLICY = rules.HEAD + rules.STEPS  # numbers of a retry policy


@inlined
def send(world, slot):  # type: ignore[no-untyped-def]
    """A job is sent, once more; False where it was turned away."""
    plan, state, job = world.plan[0], world.state[0], world.jobs[slot]
    job.attempts += 1
    if not plan.once:
        job.demand = producer.draw_demand(world, job)
    if state.idle > 0:
        attempt = ledger.new_attempt(world, slot)
        workers.call(world, attempt)
    elif queue.make_room(world, job.size):
        attempt = ledger.new_attempt(world, slot)
        queue.accept(world, attempt)
    else:
        ledger.reject(world, job)
        return False
    timeouts.watch(world, attempt)
    return True


@inlined
def learn(world, slot, result):  # type: ignore[no-untyped-def]
    """A client learns what came of its attempt, and goes on."""
    job, pause = world.jobs[slot], -1.0
    if result in (REJECTED, TIMED_OUT, FAILED):
        pause = _pause(world, job, result)
    if pause >= 0.0:
        job.backing_off = 1
        now = world.state[0].now
        change(world.books, now, BACKOFF, job.job_class, 1.0)
        calendar.add(world, now + pause, order.at(order.RETRY, job.place, job.attempts), job.ref)
        return
    timeouts.unlimit(world, job)
    ledger.end(world, slot, JOB_COMPLETED if result == COMPLETED else JOB_DROPPED if result == DROPPED else JOB_GAVE_UP)
    if world.senders[job.source].clients:
        producer.think(world, job.source, job.row, job.number, 0)


@inlined
def _pause(world, job, result):  # type: ignore[no-untyped-def]
    """How long to back off before the next attempt [s]; below 0 for no more attempts."""
    plan, at, failed = world.plan[0], world.senders[job.source].policy, job.attempts
    if at == NONE:
        return -1.0
    policy = world.numbers[at : at + POLICY]
    if failed >= policy[6]:
        return -1.0
    if policy[7] < 1.0:
        u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.RETRY, failed)
        if not rules.tries_again(policy, failed, u):
            return -1.0
    previous = policy[1] if math.isnan(job.pause) else job.pause
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.BACKOFF, failed)
    job.pause = rules.backoff(policy, failed, previous, u)
    return max(job.pause, plan.retry_after) if result == REJECTED else job.pause


@inlined
def resume(world, slot):  # type: ignore[no-untyped-def]
    """A pause is over."""
    job = world.jobs[slot]
    job.backing_off = 0
    change(world.books, world.state[0].now, BACKOFF, job.job_class, -1.0)


@inner
def abandon(world, slot):  # type: ignore[no-untyped-def]
    """Nobody waits for the attempt any more; it is left, taken from the queue or stopped."""
    attempt = world.attempts[slot]
    job = world.jobs[attempt.job]
    on_timeout = world.senders[job.source].on_timeout
    timeouts.unwatch(world, attempt)
    attempt.timed_out = 1
    job.attempt = NONE
    if attempt.where == VANISHED:
        ledger.close(world, slot, DROPPED, attempt.ended)
    elif attempt.where == WAITING:
        if on_timeout != LEAVE:
            queue.withdraw(world, slot)
    elif on_timeout == CANCEL:
        workers.stop(world, slot)


@inner
def expire(world, slot):  # type: ignore[no-untyped-def]
    """The patience with a job has ended; its pause is cut short, its attempt abandoned."""
    job = world.jobs[slot]
    job.listed = 0
    if job.backing_off:
        resume(world, slot)
        world.state[0].stale += 1
    if job.attempt != NONE:
        abandon(world, job.attempt)
