"""What moves through the system: jobs in progress and their attempts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import simpy

from backwater import order
from backwater.components.jobs import Job


class Group:
    """What waits for several jobs, and for all that they lead to; above them all is a workflow.

    above   the group that waits for this one; None for a workflow, or where nobody waits
    first   the job with which a workflow began; None for a group
    origin  the address of that job
    began   since when it waits [s]
    left    for how many it waits
    failed  whether one of them was never served
    join, join_every  the class of the job that is sent then, and how often it is looked whether they are done [s]
    """

    left, failed, join_every = 0, False, 0.0
    join: int | None = None

    def __init__(
        self, above: Group | None, origin: tuple[int, int], began: float, first: LiveJob | None = None
    ) -> None:
        self.above, self.origin, self.began, self.first = above, origin, began, first


class LiveJob:
    """A job in progress.

    source, number  its address: job ``number`` of source ``source``
    job_class       index of its class
    size            bytes [B]
    demand          service time [s]
    place           what its events share among those of their instant
    part            its class: priority, deadline, weight
    row             its row in a trace
    arrived         when it was first sent [s]
    attempts        how often it was sent
    served          how many services of it have completed
    pause           what its next backoff needs to know of the last one
    paid            what its present attempt cost the retry budget
    since           how many calls of its client had failed when a hint last made its pauses begin anew
    calls, tries    how many calls of its client have failed, and tries of the proxy within the present one
    proxy_pause, proxy_paid  the same of the proxy
    attempt         the attempt that its client waits for, if any
    live            the same where that hedges, which may be several; oldest first
    accepted        when its present attempt was accepted, in async mode [s]
    heard           whether that was the success of the present call
    released        when its caller went on [s]
    let_after       how often its client's breaker had changed when that let its present call go
    unblocked       fires then, in async mode
    group           what waits for it to be served
    origin          source and number of the job with which its workflow began
    later           how long after it is sent its next message is due, as one that is sent again [s]
    """

    arrived = pause = proxy_pause = accepted = released = math.nan
    attempts = served = calls = tries = since = 0
    paid = proxy_paid = let_after = later = 0.0
    attempt: Attempt | None = None
    live: Sequence[Attempt] = ()
    heard = False
    unblocked: simpy.Event | None = None
    group: Group | None = None

    def __init__(
        self, number: int = 0, *, source: int = 0, job_class: int = 0, size: float = 0.0, demand: float = 0.0,
        part: Job | None = None, row: int = 0,
    ) -> None:  # fmt: skip
        self.source, self.number, self.job_class = source, number, job_class
        self.place, self.origin = order.place(source, number), (source, number)
        self.size, self.demand, self.row, self.part = size, demand, row, part or Job()

    @property
    def due(self) -> float:
        """By when it is on time [s]."""
        return self.arrived + (math.inf if self.part.deadline is None else self.part.deadline)


class Answer(Protocol):
    """What an attempt answers to: an event, or its share in one."""

    @property
    def triggered(self) -> bool:
        """Whether the answer is known."""

    def succeed(self, value: Any) -> Any:
        """The attempt has ended, for its client."""


class Attempt:
    """One sending of a job. Times [s] are NaN until they happen.

    answer   fires with the outcome when its client learns it; None when no client waits
    expires  whether its client has a timeout
    again    whether its service begins anew when it goes on
    disk, read  time of its disk operations, and of the read alone, turns included [s]

    With a broker this is one delivery of its message, and ``heir`` the next one.
    delivery      1 for the first
    returned      whether the broker has taken it back
    stored        when the broker first accepted the message [s]
    due           when its job is due [s]
    hidden_until  when the broker takes it back [s]
    away          whether it is on its way to the broker, or not ready for the first time
    goes_on, patient  whether its client does once it is accepted, and whether that has a timeout
    """

    # What most attempts never change stands once, in the class.
    accepted = taken = started = ended = math.nan
    worker = outcome = -1  # the outcome until it has ended
    disk = read = timed_out = 0.0
    spilled = expires = withheld = again = hedge = superseded = False
    factor = 1.0  # what slows its service
    limit = math.inf  # how long it may wait [s]
    delivered = stored = math.nan
    over = False  # whether it takes longer than workers may
    delivery, node = 1, -1
    due, hidden_until = -math.inf, math.inf
    returned = acked = away = goes_on = patient = False
    heir: Attempt | None = None

    def __init__(self, job: LiveJob, sent: float, demand: float, answer: Answer | None = None) -> None:
        self.job, self.number, self.sent, self.demand, self.answer = job, job.attempts, sent, demand, answer

    @property
    def latest(self) -> Attempt:
        """The last delivery of its message."""
        return self if self.heir is None else self.heir.latest

    @property
    def waiting(self) -> bool:
        """Whether it waits in the queue."""
        handed = self.taken == self.taken or self.delivered == self.delivered
        return self.accepted == self.accepted and not handed and self.outcome < 0

    @property
    def in_hand(self) -> bool:
        """Whether a worker holds it."""
        return self.taken == self.taken and self.outcome < 0

    @property
    def in_service(self) -> bool:
        """Whether a worker serves it; one that was spilled is first read from disk."""
        return self.started == self.started and self.outcome < 0
