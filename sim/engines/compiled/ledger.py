"""What the kernels write down: rows of ended attempts and jobs; and the slots that this frees."""

from __future__ import annotations

import math

from backwater.engines.compiled import workflow
from backwater.engines.compiled.calendar import new_ref
from backwater.engines.compiled.world import FREE, NONE
from backwater.gauges import change
from backwater.jit import inlined, inner
from backwater.measure import fold_attempt, fold_job, fold_outside, fold_rejected
from backwater.outcome import ALIVE, DROPPED, JOB_UNFINISHED, LOST, REJECTED


@inner
def _keep_attempt(world, job, attempt, served, result, ended):  # type: ignore[no-untyped-def]
    """Keep the row of an attempt."""
    state = world.state[0]
    row = world.attempt_rows[state.attempt_rows]
    state.attempt_rows += 1
    row.source, row.job, row.job_class, row.number = job.source, job.number, job.job_class, attempt.number
    row.arrived, row.sent, row.accepted, row.taken = job.arrived, attempt.sent, attempt.accepted, attempt.taken
    row.started, row.ended, row.worker, row.spilled = attempt.started, ended, attempt.worker, attempt.spilled
    row.disk, row.size, row.timed_out, row.served, row.outcome, row.withheld = (
        attempt.disk, job.size, attempt.timed_out, served, result, 0
    )  # fmt: skip
    row.hedge, row.superseded = attempt.hedge > 0, attempt.superseded
    row.delivery, row.delivered, row.returned = attempt.delivery, attempt.delivered, attempt.returned


@inlined
def _write_job(world, slot, result):  # type: ignore[no-untyped-def]
    state, job = world.state[0], world.jobs[slot]
    fold_job(world.books, job, result, state.now)
    if world.plan[0].records:
        row = world.job_rows[state.job_rows]
        state.job_rows += 1
        row.source, row.job, row.job_class, row.arrived = job.source, job.number, job.job_class, job.arrived
        row.ended, row.attempts, row.outcome, row.released = state.now, job.attempts, result, job.released
        row.origin_source, row.origin = job.source, job.number
        if world.plan[0].leads:
            row.origin_source, row.origin = world.led[slot].source, world.led[slot].number


@inner
def note(world, what, source, number, attempt, before):  # type: ignore[no-untyped-def]
    """Write down what no row tells, where rows are recorded: of a job's attempt, or of the staff."""
    state = world.state[0]
    if world.plan[0].records:
        row = world.note_rows[state.note_rows]
        state.note_rows += 1
        row.time, row.what, row.source, row.job, row.number, row.before = (
            state.now, what, source, number, attempt, before
        )  # fmt: skip


@inner
def note_of(world, what, job):  # type: ignore[no-untyped-def]
    """The same of a job's present attempt."""
    note(world, what, job.source, job.number, job.attempts, 0)


@inlined
def reject(world, job, withheld):  # type: ignore[no-untyped-def]
    """The job's present attempt is turned away, now, or not even let go; it never had a slot."""
    now = world.state[0].now
    fold_rejected(world.books, job, now, now, withheld, job.hedges)
    if world.plan[0].records:
        attempt = world.turned_away[0]
        attempt.number, attempt.sent, attempt.hedge = job.attempts, now, job.hedges
        _keep_attempt(world, job, attempt, 0, REJECTED, now)
        world.attempt_rows[world.state[0].attempt_rows - 1].withheld = withheld


@inlined
def finish(world, slot, served, result, ended):  # type: ignore[no-untyped-def]
    """Write down an attempt that has ended, and free its slot."""
    attempt = world.attempts[slot]
    fold_attempt(world.books, world.jobs[attempt.job], attempt, served, result, ended)
    _forget(world, slot, served, result, ended)


@inlined
def _forget(world, slot, served, result, ended):  # type: ignore[no-untyped-def]
    """Keep the row of an attempt that is folded, where rows are recorded, and free its slot."""
    state, attempt = world.state[0], world.attempts[slot]
    job = world.jobs[attempt.job]
    if world.plan[0].records:
        _keep_attempt(world, job, attempt, served, result, ended)
    attempt.ref, attempt.where, attempt.newer = NONE, FREE, state.free_attempt
    state.free_attempt = slot
    state.free_attempts += 1
    job.attempts_left -= 1
    if job.attempts_left == 0 and not job.begun:
        _free(world, attempt.job)


@inner
def close(world, slot, result, ended):  # type: ignore[no-untyped-def]
    """Write down an attempt that has ended without a service, and free its slot."""
    attempt = world.attempts[slot]
    if attempt.accepted == attempt.accepted:
        finish(world, slot, 0, result, ended)
    else:
        fold_outside(world.books, world.jobs[attempt.job], attempt, result, ended)
        _forget(world, slot, 0, result, ended)


@inner
def refuse(world, slot):  # type: ignore[no-untyped-def]
    """Write down an attempt that a broker turned away, and free its slot."""
    attempt, now = world.attempts[slot], world.state[0].now
    fold_rejected(world.books, world.jobs[attempt.job], attempt.sent, now, 0, attempt.hedge)
    _forget(world, slot, 0, REJECTED, now)


@inner
def fate(world, slot):  # type: ignore[no-untyped-def]
    """How an attempt ended of which its client does not know yet."""
    return LOST if world.plan[0].broker and world.messages[slot].lost else DROPPED


@inlined
def _free(world, slot):  # type: ignore[no-untyped-def]
    state, job = world.state[0], world.jobs[slot]
    job.ref, job.next = NONE, state.free_job
    state.free_job = slot
    state.free_jobs += 1


@inlined
def new_attempt(world, of):  # type: ignore[no-untyped-def]
    """A slot for the present attempt of the job in slot ``of``; returns it."""
    state, job = world.state[0], world.jobs[of]
    slot = state.free_attempt
    attempt = world.attempts[slot]
    state.free_attempt = attempt.newer
    state.free_attempts -= 1
    attempt.ref, attempt.job, attempt.number = new_ref(state, slot), of, job.attempts
    attempt.wanted, attempt.worker, attempt.spilled, attempt.timed_out, attempt.listed = 1, NONE, 0, 0, 0
    attempt.sent = attempt.accepted = state.now
    attempt.taken = attempt.started = math.nan
    attempt.disk, attempt.factor, attempt.demand = 0.0, 1.0, job.demand
    attempt.sibling, attempt.hedge, attempt.superseded = job.attempt, job.hedges, 0
    attempt.delivered, attempt.delivery, attempt.returned = math.nan, 1, 0
    job.attempt = slot
    job.attempts_left += 1
    return slot


@inner
def next_delivery(world, slot):  # type: ignore[no-untyped-def]
    """A slot for the next delivery of a message that its broker took back; its client does not wait for it yet."""
    state, old = world.state[0], world.attempts[slot]
    new = state.free_attempt
    attempt = world.attempts[new]
    state.free_attempt = attempt.newer
    state.free_attempts -= 1
    attempt.ref, attempt.job, attempt.number = new_ref(state, new), old.job, old.number
    attempt.wanted, attempt.worker, attempt.spilled, attempt.timed_out, attempt.listed = 0, NONE, 0, 0, 0
    attempt.sent, attempt.accepted = old.sent, math.nan
    attempt.taken = attempt.started = attempt.delivered = math.nan
    attempt.disk, attempt.factor, attempt.demand = 0.0, 1.0, old.demand
    attempt.sibling, attempt.hedge, attempt.superseded = NONE, 0, 0
    attempt.delivery, attempt.returned = old.delivery + 1, 0
    world.jobs[old.job].attempts_left += 1
    return new


@inlined
def begin(world):  # type: ignore[no-untyped-def]
    """A slot for a job that arrives, now; returns it."""
    state = world.state[0]
    slot = state.free_job
    job = world.jobs[slot]
    state.free_job = job.next
    state.free_jobs -= 1
    state.alive += 1
    job.ref, job.arrived, job.pause, job.released = new_ref(state, slot), state.now, math.nan, math.nan
    # Neighbours, written at once.
    job.begun, job.backing_off, job.heard, job.listed = 1, 0, 0, 0
    job.attempts = job.served = job.attempts_left = job.calls = job.tries = job.hedges = job.since = 0
    job.attempt = NONE
    return slot


@inner
def leave(world, slot):  # type: ignore[no-untyped-def]
    """The run ends and a job is still alive."""
    _write_job(world, slot, JOB_UNFINISHED)


@inlined
def end(world, slot, result):  # type: ignore[no-untyped-def]
    """A job's client is done with it, now."""
    state, job = world.state[0], world.jobs[slot]
    if job.released != job.released:
        job.released = state.now
    _write_job(world, slot, result)
    change(world.books, state.now, ALIVE, job.job_class, -1.0)
    if world.plan[0].leads:
        workflow.ended(world, slot)
    state.alive -= 1
    job.begun = 0
    if job.attempts_left == 0:
        _free(world, slot)
