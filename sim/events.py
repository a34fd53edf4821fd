"""The events of a run, told from its rows: what happened to which attempt, and when."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from backwater import order
from backwater.components.faults import Fault
from backwater.outcome import (
    ABANDONED_COMPLETED,
    CANCELLED,
    COMPLETED,
    DROPPED,
    FAILED,
    HEDGE_UNPAID,
    IN_LINE,
    JOB_OUTCOMES,
    LOST,
    PROXY_UNPAID,
    REJECTED,
    RETURNED,
    SCALED,
    SHIFT,
    UNFINISHED,
    UNPAID,
    WORKER_FAILED,
    WORKER_REPAIRED,
    WORKER_STARTED,
    Outcome,
)
from backwater.scenario import Scenario
from backwater.units import human


class Event(NamedTuple):
    """One thing that happened: when [s], to which job of which source, to which attempt (0: the job), what.

    Source and job are -1 where it happened to no job, but to workers.
    """

    time: float
    source: int
    job: int
    attempt: int
    what: str


#: So many jobs that do the same at once have a line each; more have one together.
FEW = 3

#: Notes of the staff and of tokens, as told: {n} the worker or how many, {before} how many before.
_STAFF = {
    WORKER_FAILED: "worker {n} fails", WORKER_REPAIRED: "worker {n} is repaired",
    WORKER_STARTED: "worker {n} has started up", SHIFT: "shift: workers on duty from {before} to {n}",
    SCALED: "autoscaled: workers on duty from {before} to {n}",
}  # fmt: skip
_TOKENS = {
    IN_LINE: "waits for a token of its rate limiter", UNPAID: "its retry budget does not pay for another attempt",
    PROXY_UNPAID: "its proxy's retry budget does not pay for another try: the client hears of the failure",
    HEDGE_UNPAID: "its retry budget does not pay for a hedge",
}  # fmt: skip


def of(outcome: Outcome, scenario: Scenario) -> list[Event]:
    """The events of a run of this scenario of which attempts, jobs and notes were recorded, in order of time."""
    assert outcome.attempts is not None
    assert outcome.jobs is not None
    sent = {(row[0], row[1], row[3]): row[5] for row in outcome.attempts}
    found: list[tuple[tuple[float, int, float, float, float], Event]] = []

    def say(rank: float, when: float, row: Sequence[float] | np.ndarray, number: float, what: str) -> None:
        event = Event(float(when), int(row[0]), int(row[1]), int(number), what)
        found.append(((event.time, rank, row[0], row[1], number), event))  # type: ignore[arg-type]

    why, brokered = "turned away" if scenario.queue.admission else "full", scenario.broker is not None
    classes, senders = list(scenario.jobs), scenario.sender_names
    for row in outcome.attempts:
        _tell(row, sent.get((row[0], row[1], row[3] + 1)), why, brokered, say)
    done = {(row[0], row[1]): row[9] for row in outcome.attempts if row[16] == COMPLETED}
    for row in outcome.jobs:
        if (row[8], row[9]) != (row[0], row[1]):
            whose = f"in the workflow of {senders[int(row[8])]} job {row[9]:.0f}"
            say(order.ARRIVAL - 0.1, row[3], row, 0, f"sent by a worker, of class {classes[int(row[2])]}, {whose}")
        if JOB_OUTCOMES[int(row[6])] == "completed" and row[4] > done[row[0], row[1]]:
            say(order.POLL, row[4], row, 0, "its client asks and finds it completed")
        if JOB_OUTCOMES[int(row[6])] == "gave_up":
            say(order.ARRIVAL + 0.7, row[4], row, 0, f"gave up after {row[5]:.0f} attempts")
        if JOB_OUTCOMES[int(row[6])] == "dead_lettered":
            say(order.ARRIVAL + 0.7, row[4], row, 0, "in the dead-letter queue")
    _tell_of_faults(scenario.faults, outcome.end, say)
    for note in outcome.notes if outcome.notes is not None else ():
        _tell_note(note, say)
    found.sort(key=lambda pair: pair[0])
    return [event for _, event in found]


def lines(found: Sequence[Event], scenario: Scenario) -> Iterator[str]:
    """Events of this scenario as people read them, a line each, such as "0.311 job 7 attempt 1: full -> 503".

    Where more than ``FEW`` jobs that others led to, numbered one after another, do the same at once, one line tells it
    of all of them. What a source sends is never told so: the first lines of a run must not depend on when it ends.
    """
    names = scenario.sender_names
    named = len(names) > 2 or bool(scenario.queue.backlog)
    led = len(names) - 1 if scenario.follow_up else None

    def together(placed: tuple[int, Event]) -> tuple[object, ...]:
        at, event = placed
        # Alike in a row that is numbered one after another; everything else is alone.
        return (event.job - at, *event._replace(job=0)) if event.source == led else (at,)

    for _, same in groupby(enumerate(found), together):
        told = [event for _, event in same]
        for one in told[:1] if len(told) > FEW else told:
            source = f"{names[one.source]} " if named else ""
            job = f"job {one.job}" if len(told) <= FEW else f"{len(told):,} jobs ({one.job} to {told[-1].job})"
            attempt = f" attempt {one.attempt}" if one.attempt else ""
            whose = f"{source}{job}{attempt}: " if one.job >= 0 else ""
            yield f"{one.time:.3f} {whose}{one.what}"


def _tell(row: np.ndarray, again: float | None, full: str, brokered: bool, say) -> None:  # type: ignore[no-untyped-def]
    """The events of one attempt; ``again`` is when the next attempt of its job was sent."""
    number, sent, accepted, taken, started, ended, outcome = (*row[[3, 5, 6, 7, 8, 9]], int(row[16]))
    # A hedge may have been sent before.
    retry = "" if again is None or again < ended else f", again in {_short(again - ended)}"
    hedge = "hedge: " if row[18] else ""
    if outcome == REJECTED and math.isnan(accepted):
        said = "withheld by its client" if row[17] else f"{full} -> 503"
        say(order.ARRIVAL, sent, row, number, f"{hedge}{said}{retry}")
        return
    at_once = taken == accepted and row[11] == 0
    joins = "accepted" if at_once else "waits" if not row[11] else "waits on disk"
    if brokered:
        _tell_of_message(row, say)
    elif accepted == sent:
        say(order.ARRIVAL, sent, row, number, f"{hedge}{joins}")
    else:
        say(order.ARRIVAL, sent, row, number, f"{hedge}full, held outside")
        if not math.isnan(accepted):
            say(order.COMPLETION + 0.45, accepted, row, number, f"let in: {joins}")
    if not math.isnan(taken) and row[11] and not brokered:
        say(order.COMPLETION + 0.4, taken, row, number, f"taken by worker {row[10]:.0f}, read from disk")
    if not math.isnan(started):
        rank = order.ARRIVAL + 0.5 if at_once else order.COMPLETION + 0.5
        say(rank, started, row, number, f"service starts on worker {row[10]:.0f}")
    why = "another one won" if row[19] else "timed out"
    ends = {
        COMPLETED: "completed", ABANDONED_COMPLETED: "completed, but nobody waits for it",
        FAILED: f"ended with an error{retry}",
        REJECTED: f"turned out -> 503{retry}",
        CANCELLED: f"{why}, {_taken_from(accepted, taken)}{retry}",
        DROPPED: "dropped from the queue, nobody is told",
        LOST: "lost in a crash, nobody is told",
        RETURNED: "comes to nothing: taken back",
    }  # fmt: skip
    if outcome != UNFINISHED:
        late = ", though it had been taken back" if row[22] and outcome != RETURNED else ""
        say(order.COMPLETION, ended, row, number, ends[outcome] + late)


def _tell_of_message(row: np.ndarray, say) -> None:  # type: ignore[no-untyped-def]
    """How a delivery came into a broker's queue, and went to a node."""
    number, sent, accepted, taken = row[[3, 5, 6, 7]]
    delivery, delivered = row[[20, 21]]
    if delivery > 1 and not math.isnan(accepted):
        say(order.DELIVERY, accepted, row, number, f"back in the queue: delivery {delivery:.0f}")
    elif delivery == 1:
        say(order.ARRIVAL, sent, row, number, "accepted" if accepted == sent else "sent")
        if accepted > sent:
            say(order.DELIVERY, accepted, row, number, "accepted, and ready")
    if not math.isnan(delivered) and delivered != taken:
        say(order.ARRIVAL + 0.4, delivered, row, number, "handed to a node")


def _tell_of_faults(faults: Sequence[Fault], end: float, say) -> None:  # type: ignore[no-untyped-def]
    """When something breaks, and when it is well again."""
    for fault in faults:
        parts: list[str] = [fault.kind]
        parts += [] if fault.share is None else [f"a share of {human(fault.share, 'share')}"]
        parts += [] if fault.factor is None else [f"a factor of {fault.factor:g}"]
        for when, then in ((fault.start, "begins"), (fault.stop, "is over")):
            if when <= end:
                say(order.FAULT, when, (-1, -1), 0, f"fault: {', '.join(parts)}, {then}")


def _tell_note(note: np.ndarray, say) -> None:  # type: ignore[no-untyped-def]
    """What happened to the staff, and what a job lacked a token for."""
    when, what, number, before = float(note[0]), int(note[1]), int(note[4]), int(note[5])
    if what in _STAFF:
        say(order.STAFF, when, (-1, -1), 0, _STAFF[what].format(n=number, before=before))
    else:
        # One that waits in line has yet to be sent.
        say(order.ARRIVAL + 0.6, when, note[2:4], number + (what == IN_LINE), _TOKENS[what])


def _taken_from(accepted: float, taken: float) -> str:
    return "given up outside" if math.isnan(accepted) else "taken from the queue" if math.isnan(taken) else "stopped"


def _short(seconds: float) -> str:
    return f"{seconds:.3g} s"
