"""Where attempts are held while there is no room and their producers wait: a list in order of arrival."""

from __future__ import annotations

import numpy as np

from backwater.engines.compiled.world import IN_LINE, NONE, OUTSIDE
from backwater.gauges import change
from backwater.jit import inner
from backwater.outcome import OUTSIDE as HELD

LET_IN = -5  # what a client learns that goes on once its job is accepted


@inner
def hold(world, slot):  # type: ignore[no-untyped-def]
    """An attempt finds no room."""
    state, attempt = world.state[0], world.attempts[slot]
    attempt.where, attempt.accepted = OUTSIDE, np.nan
    attempt.older, attempt.newer = state.last_outside, NONE
    if state.last_outside == NONE:
        state.first_outside = slot
    else:
        world.attempts[state.last_outside].newer = slot
    state.last_outside = slot
    state.outside += 1
    change(world.books, state.now, HELD, world.jobs[attempt.job].job_class, 1.0)


@inner
def leave(world, slot):  # type: ignore[no-untyped-def]
    """An attempt is outside no more: it is accepted, now, or given up; a source that waited for that goes on."""
    state, attempt = world.state[0], world.attempts[slot]
    job = world.jobs[attempt.job]
    if attempt.older == NONE:
        state.first_outside = attempt.newer
    else:
        world.attempts[attempt.older].newer = attempt.newer
    if attempt.newer == NONE:
        state.last_outside = attempt.older
    else:
        world.attempts[attempt.newer].older = attempt.older
    state.outside -= 1
    attempt.accepted = state.now
    change(world.books, state.now, HELD, job.job_class, -1.0)
    if attempt.number == 1:
        free(world, job.source)


@inner
def free(world, source):  # type: ignore[no-untyped-def]
    """A source need not wait for its last job any more."""
    if world.senders[source].waits:
        world.state[0].freed = world.sources[source].freed = 1


@inner
def sent(world, slot):  # type: ignore[no-untyped-def]
    """A job has been sent, or waits for a token: its source goes on unless its first attempt is there, or outside."""
    job = world.jobs[slot]
    held = job.attempt != NONE and world.attempts[job.attempt].where == OUTSIDE
    if job.attempts == 1 and job.backing_off != IN_LINE and not held:
        free(world, job.source)
