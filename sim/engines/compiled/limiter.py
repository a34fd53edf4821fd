"""Attempts that wait for a token before they are sent: those of a source in a line, the first one on the calendar."""

from __future__ import annotations

from backwater import order
from backwater.components import limiter as rules
from backwater.engines.compiled import calendar, ledger, outside
from backwater.engines.compiled.world import GRANTED, IN_LINE, NONE
from backwater.gauges import change
from backwater.jit import inner
from backwater.outcome import BACKOFF
from backwater.outcome import IN_LINE as LINED_UP


@inner
def _take_token(world, source):  # type: ignore[no-untyped-def]
    at = world.senders[source].limiter_at
    return rules.take_token(world.gates[at : at + rules.MEMORY], world.state[0].now)


@inner
def _token_due(world, source):  # type: ignore[no-untyped-def]
    at = world.senders[source].limiter_at
    return rules.token_due(world.gates[at : at + rules.MEMORY], world.state[0].now)


@inner
def _put_down(world, source):  # type: ignore[no-untyped-def]
    """When the first of those that wait may have a token."""
    its, now = world.sources[source], world.state[0].now
    first = world.jobs[its.first_in_line]
    its.token_due = now + _token_due(world, source)
    calendar.add(world, its.token_due, order.at(order.TURN, first.place, first.attempts), first.ref)


@inner
def takes(world, source):  # type: ignore[no-untyped-def]
    """Whether an attempt may be sent now; then it has taken its token."""
    return world.sources[source].first_in_line == NONE and _take_token(world, source)


@inner
def lets(world, slot):  # type: ignore[no-untyped-def]
    """Whether the job's next attempt may be sent now; else it waits for its turn. A proxy's tries need no token."""
    job = world.jobs[slot]
    its, granted = world.sources[job.source], job.backing_off == GRANTED
    if granted:
        job.backing_off = 0
    if granted or world.senders[job.source].limiter == NONE or job.tries > 0 or takes(world, job.source):
        return True
    alone = its.first_in_line == NONE
    job.backing_off, job.ahead, job.behind = IN_LINE, its.last_in_line, NONE
    if alone:
        its.first_in_line = slot
    else:
        world.jobs[its.last_in_line].behind = slot
    its.last_in_line = slot
    change(world.books, world.state[0].now, BACKOFF, job.job_class, 1.0)
    ledger.note_of(world, LINED_UP, job)
    if alone:
        _put_down(world, job.source)
    return False


@inner
def leave(world, slot):  # type: ignore[no-untyped-def]
    """A job leaves the line; who is first now has its time put down."""
    job = world.jobs[slot]
    its = world.sources[job.source]
    was_first = its.first_in_line == slot
    if was_first:
        its.first_in_line = job.behind
    else:
        world.jobs[job.ahead].behind = job.behind
    if job.behind == NONE:
        its.last_in_line = job.ahead
    else:
        world.jobs[job.behind].ahead = job.ahead
    job.backing_off = 0
    change(world.books, world.state[0].now, BACKOFF, job.job_class, -1.0)
    if was_first and its.first_in_line != NONE:
        _put_down(world, job.source)


@inner
def give_up(world, slot):  # type: ignore[no-untyped-def]
    """A client runs out of patience in the line."""
    job = world.jobs[slot]
    if world.sources[job.source].first_in_line == slot:
        world.state[0].stale += 1
    leave(world, slot)
    if job.attempts == 0:
        outside.free(world, job.source)


@inner
def is_due(world, ref, when):  # type: ignore[no-untyped-def]
    """Whether an event of a job that waited still means something."""
    slot = calendar.slot_of(ref)
    its = world.sources[world.jobs[slot].source]
    return world.jobs[slot].ref == ref and its.first_in_line == slot and calendar.bits(its.token_due) == when


@inner
def ring(world, ref, when):  # type: ignore[no-untyped-def]
    """A token may have come, if the event still means something. Returns the slot of the job to send, or NONE."""
    slot = calendar.slot_of(ref)
    job = world.jobs[slot]
    if not is_due(world, ref, when):
        world.state[0].stale -= 1
        return NONE
    if not _take_token(world, job.source):
        _put_down(world, job.source)
        return NONE
    leave(world, slot)
    job.backing_off = GRANTED
    return slot


@inner
def hears(world, job, rejected):  # type: ignore[no-untyped-def]
    """An attempt has been answered."""
    sender, its, now = world.senders[job.source], world.sources[job.source], world.state[0].now
    if sender.limiter == NONE:
        return
    params = world.numbers[sender.limiter : sender.limiter + rules.PARAMS]
    rules.limiter_hears(params, world.gates[sender.limiter_at : sender.limiter_at + rules.MEMORY], now, rejected)
    if its.first_in_line != NONE and now + _token_due(world, job.source) < its.token_due:
        world.state[0].stale += 1
        _put_down(world, job.source)
