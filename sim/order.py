"""Which of several simultaneous events comes first: (rank, source, job, attempt), packed into one integer.

What frees comes before what asks. Ranks keep their order; a new one may come between.
"""

from __future__ import annotations

from backwater.jit import compiled

FAULT, STAFF, DISK, COMPLETION, BATCH, DELIVERY, BROKER, POLL, TIMEOUT, RETRY, TURN, HEDGE, ARRIVAL, LINGER, SAMPLE = (
    range(15)
)  # fmt: skip
# Changes of staff at one instant, by what stands where a source does.
REPAIRED, FAILED, SHIFT, STARTED, LOOK, DECISION = range(6)
# What happens to a message: it comes to the broker, its sender knows that, it is ready, it comes to a node, its ETA
# comes, it has been hidden for long enough. And to a broker, by what stands where a source does: a node asks; it looks
# at its memory; a source sends what it has collected.
PUBLISHED, CONFIRMED, READY, ARRIVED, ETA, EXPIRED = range(6)
ASKED, LOOKED, SENT = range(3)

ATTEMPT_BITS, JOB_BITS, SOURCE_BITS = 14, 36, 8
RANK_SHIFT = ATTEMPT_BITS + JOB_BITS + SOURCE_BITS
LAST = 2**62 - 1  # after every other event of its instant
ATTEMPT_MAX = 2**ATTEMPT_BITS - 1


@compiled
def at(rank, place, attempt):  # type: ignore[no-untyped-def]
    """The place of an event of an attempt, from the part that all events of its job share."""
    return place + (rank << RANK_SHIFT) + min(attempt, ATTEMPT_MAX)


def place(source: int, job: int) -> int:
    """The part of a key that all events of a job share: a key is ``place + (rank << RANK_SHIFT) + attempt``."""
    return (source << JOB_BITS | job) << ATTEMPT_BITS


@compiled
def key(rank, source, job, attempt):  # type: ignore[no-untyped-def]
    """The place of an event among those of its instant: smaller comes first.

    Attempts beyond 2**14 - 1 of one job share the last place; they would have to meet at one instant to matter.
    """
    number = min(attempt, ATTEMPT_MAX)
    return (((((rank << SOURCE_BITS) | source) << JOB_BITS) | job) << ATTEMPT_BITS) | number


@compiled
def of_delivery(number, delivery):  # type: ignore[no-untyped-def]
    """What stands for an attempt where it may be delivered more than once: its own number, for the first time."""
    return min(number, 255) | (min(delivery, 64) - 1) << 8


@compiled
def of_lead(served, part):  # type: ignore[no-untyped-def]
    """What stands for the ``part`` of what a job leads to, once it has been served so often."""
    return served << 6 | part


@compiled
def of_message(what, number, delivery):  # type: ignore[no-untyped-def]
    """What stands for an attempt in the key of something that happens to its message."""
    return what << 11 | (min(delivery, 32) - 1) << 6 | min(number, 63)
