"""The rules of CoDel and of its two relatives for queues of requests; see ``admission.CoDel``."""

from __future__ import annotations

import math

import numpy as np

from backwater.jit import compiled

RFC, FOLLY, FACEBOOK = range(3)
VARIANTS = {"rfc": RFC, "folly": FOLLY, "facebook": FACEBOOK}
# What RFC 8289 remembers: since when the wait may be called too long, when the next is dropped, how many were, and
# at the last start, whether it is dropping; and what follows a drop within the same taking: LOOK or DELIVER.
ABOVE, NEXT, COUNT, LAST, DROPPING, THEN = range(6)
NOTHING, LOOK, DELIVER = range(3)
# What folly's variant remembers: the end of the interval, its least wait, whether it was overloaded.
END, LEAST, OVERLOADED = range(3)
MEMORY = 6


@compiled
def patience(params, now, emptied):  # type: ignore[no-untyped-def]
    """How long an attempt that comes now may wait [s], by the variant that says so when it comes."""
    if params[1] != FACEBOOK:
        return np.inf
    return params[2] if emptied < now - params[3] else params[3]


@compiled
def _too_long(params, memory, now, waited, left):  # type: ignore[no-untyped-def]
    """Whether waits have been above target for an interval."""
    if waited < params[2] or left <= 1:
        memory[ABOVE] = 0.0
        return False
    if memory[ABOVE] == 0.0:
        memory[ABOVE] = now + params[3]
        return False
    return now >= memory[ABOVE]


@compiled
def _rfc(params, memory, now, waited, left):  # type: ignore[no-untyped-def]
    """RFC 8289, section 5: its loop over one taking is told here one attempt at a time."""
    interval, then = params[3], memory[THEN]
    too_long = _too_long(params, memory, now, waited, left)
    memory[THEN] = NOTHING
    if then == DELIVER:
        return True
    if memory[DROPPING] > 0.0:
        if not too_long:
            memory[DROPPING] = 0.0
            return True
        if then == LOOK:
            memory[NEXT] += interval / math.sqrt(memory[COUNT])
        if now < memory[NEXT]:
            return True
        memory[COUNT] += 1.0
        memory[THEN] = LOOK
        return False
    if not too_long:
        return True
    since = memory[COUNT] - memory[LAST]
    memory[COUNT] = since if since > 1.0 and now - memory[NEXT] < 16.0 * interval else 1.0
    memory[NEXT] = now + interval / math.sqrt(memory[COUNT])
    memory[LAST], memory[DROPPING], memory[THEN] = memory[COUNT], 1.0, DELIVER
    return False


@compiled
def _folly(params, memory, now, waited):  # type: ignore[no-untyped-def]
    if now > memory[END]:
        memory[OVERLOADED] = 1.0 if memory[LEAST] > params[2] else 0.0
        memory[END], memory[LEAST] = now + params[3], waited
        return True
    memory[LEAST] = min(memory[LEAST], waited)
    return memory[OVERLOADED] == 0.0 or waited <= 2.0 * params[2]


@compiled
def keeps(params, memory, now, waited, most, left):  # type: ignore[no-untyped-def]
    """Whether an attempt that has waited so long is not turned out."""
    if params[1] == RFC:
        return _rfc(params, memory, now, waited, left)
    return _folly(params, memory, now, waited) if params[1] == FOLLY else waited <= most


@compiled
def finds_nobody(memory):  # type: ignore[no-untyped-def]
    """A worker finds nobody who waits: RFC 8289 stops dropping."""
    if memory[THEN] != DELIVER:
        memory[DROPPING] = 0.0
    memory[ABOVE], memory[THEN] = 0.0, NOTHING
