"""The events of a run, told from its rows: what happened to which attempt, and when."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from backwater import order
from backwater.outcome import (
    ABANDONED_COMPLETED,
    CANCELLED,
    COMPLETED,
    DROPPED,
    FAILED,
    JOB_OUTCOMES,
    LOST,
    REJECTED,
    RETURNED,
    UNFINISHED,
    Outcome,
)


class Event(NamedTuple):
    """One thing that happened: when [s], to which job of which source, to which attempt (0: the job), what."""

    time: float
    source: int
    job: int
    attempt: int
    what: str


def of(outcome: Outcome, why: str = "full", *, brokered: bool = False) -> list[Event]:
    """The events of a run whose attempts and jobs were recorded, in order of time.

    why       some get the 503
    brokered  whether there is a broker, to which messages may be on their way
    """
    assert outcome.attempts is not None
    assert outcome.jobs is not None
    sent = {(row[0], row[1], row[3]): row[5] for row in outcome.attempts}
    found: list[tuple[tuple[float, int, float, float, float], Event]] = []

    def say(rank: float, when: float, row: np.ndarray, number: float, what: str) -> None:
        event = Event(float(when), int(row[0]), int(row[1]), int(number), what)
        found.append(((event.time, rank, row[0], row[1], number), event))  # type: ignore[arg-type]

    for row in outcome.attempts:
        _tell(row, sent.get((row[0], row[1], row[3] + 1)), why, brokered, say)
    done = {(row[0], row[1]): row[9] for row in outcome.attempts if row[16] == COMPLETED}
    for row in outcome.jobs:
        if (row[8], row[9]) != (row[0], row[1]):
            say(order.ARRIVAL - 0.1, row[3], row, 0, f"sent by a worker: of the workflow of job {row[9]:.0f}")
        if JOB_OUTCOMES[int(row[6])] == "completed" and row[4] > done[row[0], row[1]]:
            say(order.POLL, row[4], row, 0, "its client asks and finds it completed")
        if JOB_OUTCOMES[int(row[6])] == "gave_up":
            say(order.ARRIVAL + 0.7, row[4], row, 0, f"gave up after {row[5]:.0f} attempts")
        if JOB_OUTCOMES[int(row[6])] == "dead_lettered":
            say(order.ARRIVAL + 0.7, row[4], row, 0, "in the dead-letter queue")
    found.sort(key=lambda pair: pair[0])
    return [event for _, event in found]


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


def _taken_from(accepted: float, taken: float) -> str:
    return "given up outside" if math.isnan(accepted) else "taken from the queue" if math.isnan(taken) else "stopped"


def _short(seconds: float) -> str:
    return f"{seconds:.3g} s"
