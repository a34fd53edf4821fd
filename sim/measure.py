"""The folds that both engines share: rows and changes of state -> counters, histograms, time integrals, series.

Rows and changes are folded while a run goes on, so memory does not grow with its length. Sums depend on their order;
both engines feed the same folds in the same order of events, and neither sums by itself.

Time is cut into segments at every start and end of a view; a gauge's integral and peak are kept for the present segment
and handed to the views that cover it when it ends. What counts either belongs to the main view or came before it:
a counter is added to once, and the whole run is the sum of both (``SPLIT``).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backwater import outcome as o
from backwater.jit import compiled, compiled_in, inlined, inner
from backwater.outcome import (
    BINS,
    COUNTERS,
    FIRST_OCTAVE,
    GAUGES,
    LATENCIES,
    MAIN,
    NOT_OVER,
    OCTAVES,
    ONE_FAILED,
    SUB,
)
from backwater.pointers import by_pointer

Array = npt.NDArray[np.float64]
WAIT, SOJOURN, LATENCY, BLOCKED, OF_WORKFLOW = range(len(LATENCIES))
KINDS = len(GAUGES)
_FIRST_BIN = (FIRST_OCTAVE + 1022) * SUB - 1  # what the upper 20 bits of a float are above its bin's number
_DROP_BITS = 52 - (SUB.bit_length() - 1)

#: A gauge in the present segment: its value, since when it has been accounted for [s], time integral and peak.
GAUGE = np.dtype([("value", "f8"), ("last", "f8"), ("area", "f8"), ("peak", "f8")])
#: When folding must stop and think: the earlier of the next sample and the end of the segment [s]; how many samples
#: were taken, which segment it is, its start, and when nothing waited or was served for the first time [s].
CLOCK = np.dtype([
    ("next", "f8"), ("sample", "f8"), ("every", "f8"), ("edge", "f8"), ("start", "f8"), ("drained", "f8"),
    ("samples", "i8"), ("segment", "i8"),
])  # fmt: skip
#: What is counted and summed in one view and place; ``sums`` and ``tops`` of the latencies [s].
CELL = np.dtype([
    *((name, "f8") for name in COUNTERS), ("oldest", "f8"), ("sums", "f8", (len(LATENCIES),)),
    ("tops", "f8", (len(LATENCIES),)),
])  # fmt: skip
#: Rows as records, all float64.
ATTEMPT_ROW = np.dtype([({"class": "job_class"}.get(column.name, column.name), "f8") for column in o.ATTEMPT])
JOB_ROW = np.dtype([({"class": "job_class"}.get(column.name, column.name), "f8") for column in o.JOB])
WORKFLOW_ROW = np.dtype([({"class": "job_class"}.get(column.name, column.name), "f8") for column in o.WORKFLOW])
NOTE_ROW = np.dtype([(column.name, "f8") for column in o.NOTE])


@by_pointer()
class Books(NamedTuple):
    """The arrays that the folds fill. Place 0 is all classes together, then each class where there are several.

    cells       CELL records: by view, then by place
    histograms  the same, shape (views * places, latencies * BINS)
    places      how many places there are
    gauges      GAUGE records: those of place 0 in the order of GAUGES, then those of the first class, ...
    clock       one CLOCK record
    edges       where segments end [s]
    """

    ends: Array
    deadlines: Array
    cells: npt.NDArray[np.void]
    histograms: npt.NDArray[np.int64]
    places: int
    gauges: npt.NDArray[np.void]
    clock: npt.NDArray[np.void]
    edges: Array
    areas: Array
    peaks: Array
    samples: Array


def alone(size: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Zeros with free room after them: two threads that write to one line of the cache are a fourth slower."""
    kind = np.dtype(kind)
    return np.zeros(size + -(-256 // kind.itemsize), kind)[:size]


@compiled_in
def bin_of(x):  # type: ignore[no-untyped-def]
    """The bin of a time [s]: the exponent and the first eight bits of the mantissa."""
    place = (np.float64(x).view(np.int64) >> _DROP_BITS) - _FIRST_BIN
    return min(max(place, 0), OCTAVES * SUB)


def edges() -> Array:
    """Lower edges of the bins, and the upper edge of the last one [s], shape (BINS + 1,)."""
    octave, place = np.divmod(np.arange(OCTAVES * SUB + 1), SUB)
    return np.concatenate([[0.0], (0.5 + place / (2 * SUB)) * 2.0 ** (octave + FIRST_OCTAVE)])


@inlined
def _note(books, at, metric, x):  # type: ignore[no-untyped-def]
    """A latency of ``x`` [s], in the cell of number ``at``."""
    cell = books.cells[at]
    books.histograms[at, metric * BINS + bin_of(x)] += 1
    cell.sums[metric] += x
    if x > cell.tops[metric]:
        cell.tops[metric] = x


@inlined
def _place(books, job):  # type: ignore[no-untyped-def]
    return int(job.job_class) + 1 if books.places > 1 else 0


@inlined
def _count_sent(attempt, result, cell):  # type: ignore[no-untyped-def]
    """What an accepted attempt counts for in the view in which it was sent."""
    if attempt.delivery > 1:
        cell.redelivered += attempt.delivered == attempt.delivered
    else:
        cell.attempts += 1
        cell.accepted += 1
    if attempt.hedge > 0:
        cell.hedges += 1
    if result == o.REJECTED:
        cell.rejected += 1
    if result == o.CANCELLED:
        cell.cancelled += 1
    if attempt.timed_out > 0:
        cell.timed_out += 1
    if attempt.spilled > 0:
        cell.spilled += 1
        cell.disk_time += attempt.disk


@inlined
def _count_served(served, result, cell):  # type: ignore[no-untyped-def]
    """What a completed service counts for in the view in which it ended."""
    cell.served += 1
    if result == o.COMPLETED:
        cell.useful += 1
    elif result == o.FAILED:
        cell.failed += 1
    if served == 2:
        cell.duplicates += 1


@inlined
def _note_ended(books, attempt, served, ended, at):  # type: ignore[no-untyped-def]
    """Wait and sojourn of an attempt that ended in a view."""
    if served > 0:
        _note(books, at, SOJOURN, ended - attempt.accepted)
    _note(books, at, WAIT, attempt.started - attempt.accepted)


@inlined
def _unwanted(attempt, result):  # type: ignore[no-untyped-def]
    left = attempt.timed_out + attempt.superseded > 0
    gone = result == o.LOST or result == o.RETURNED
    return left or gone or result == o.CANCELLED or result == o.ABANDONED_COMPLETED or result == o.FAILED


@inlined
def _awaited(attempt, result):  # type: ignore[no-untyped-def]
    """Whether its client has had no answer to an attempt, and waits for one, or will never get it."""
    open_end = result == o.UNFINISHED or result == o.DROPPED or result == o.LOST
    return open_end and attempt.timed_out == 0 and attempt.superseded == 0 and attempt.returned == 0


@inlined
def _attempt_over_time(books, job, attempt, result, ended, c):  # type: ignore[no-untyped-def]
    """An accepted attempt's shares of the time integrals, of the whole run and of the main view; its age."""
    accepted, taken, started = attempt.accepted, attempt.taken, attempt.started
    whole, main, start = books.cells[c], books.cells[MAIN * books.places + c], books.ends[MAIN, 0]
    leave, handed = ended, attempt.delivered
    if handed == handed:
        leave = handed
        whole.prefetched_time += (taken if taken == taken else ended) - handed
    if taken == taken:
        leave, counted = handed if handed == handed else taken, max(ended - max(taken, start), 0.0)
        whole.busy_time += ended - taken
        main.busy_time += counted
        if _unwanted(attempt, result):
            whole.wasted_time += ended - taken
            main.wasted_time += counted
    if accepted > attempt.sent and attempt.delivery < 2:
        whole.outside_time += accepted - attempt.sent
    whole.waited += leave - accepted
    if leave >= start and leave - accepted > main.oldest:
        main.oldest = leave - accepted
    if attempt.spilled > 0:
        freed = handed if handed == handed else started if started == started else ended
        whole.held_time += job.size * (freed - accepted)
    else:
        whole.memory_time += job.size * (leave - accepted)


@inner
def _attempt_in_windows(books, job, attempt, served, result, ended):  # type: ignore[no-untyped-def]
    """An attempt in the named windows: it belongs to those in which its job arrived."""
    accepted, taken, c = attempt.accepted, attempt.taken, _place(books, job)
    for view in range(MAIN + 1, books.ends.shape[0]):
        start, end, at = books.ends[view, 0], books.ends[view, 1], view * books.places + c
        cell = books.cells[at]
        handed = attempt.delivered if attempt.delivered == attempt.delivered else taken
        low, high = max(accepted, start), min(handed if handed == handed else ended, end)
        if high >= low:
            cell.oldest = max(cell.oldest, high - accepted)
        if not start <= job.arrived < end:
            continue
        _count_sent(attempt, result, cell)
        if served > 0:
            _count_served(served, result, cell)
        if attempt.started == attempt.started and result != o.UNFINISHED:
            _note_ended(books, attempt, served, ended, at)
        if taken == taken:
            cell.busy_time += ended - taken
            cell.wasted_time += ended - taken if _unwanted(attempt, result) else 0.0


@inlined
def fold_rejected(books, job, sent, ended, withheld, hedge):  # type: ignore[no-untyped-def]
    """Fold an attempt that was turned away when it was sent; there are many of these where queues are short.

    ended     when: as sent, unless it had a way to go
    withheld  whether its own client did that
    hedge     whether it was a hedge
    """
    c = _place(books, job)
    if ended > sent:
        books.cells[c].outside_time += ended - sent
    cell = books.cells[MAIN * books.places + c if sent >= books.ends[MAIN, 0] else c]
    cell.attempts += 1
    cell.rejected += 1
    if withheld:
        cell.withheld += 1
    if hedge > 0:
        cell.hedges += 1
    for view in range(MAIN + 1, books.ends.shape[0]):
        if books.ends[view, 0] <= job.arrived < books.ends[view, 1]:
            books.cells[view * books.places + c].attempts += 1
            books.cells[view * books.places + c].rejected += 1
            books.cells[view * books.places + c].withheld += withheld
            books.cells[view * books.places + c].hedges += hedge > 0


@inlined
def fold_attempt(books, job, attempt, served, result, ended):  # type: ignore[no-untyped-def]
    """Fold an accepted attempt that has ended: records with the fields that these functions name.

    served  as in its row
    """
    start, c = books.ends[MAIN, 0], _place(books, job)
    main = MAIN * books.places + c
    _count_sent(attempt, result, books.cells[main if attempt.sent >= start else c])
    if _awaited(attempt, result):
        books.cells[c].awaited += 1
    if served > 0:
        _count_served(served, result, books.cells[main if ended >= start else c])
    if ended >= start and attempt.started == attempt.started and result != o.UNFINISHED:
        _note_ended(books, attempt, served, ended, main)
    _attempt_over_time(books, job, attempt, result, ended, c)
    if books.ends.shape[0] > MAIN + 1:
        _attempt_in_windows(books, job, attempt, served, result, ended)


@inner
def fold_outside(books, job, attempt, result, ended):  # type: ignore[no-untyped-def]
    """Fold an attempt that was never let in: its client lost patience outside, it was lost, or the run has ended.

    One that was about to come back counts as little as nothing.
    """
    c = _place(books, job)
    books.cells[c].awaited += _awaited(attempt, result)
    if attempt.delivery > 1:
        return
    books.cells[c].outside_time += ended - attempt.sent
    first = MAIN * books.places + c if attempt.sent >= books.ends[MAIN, 0] else c
    for view in range(MAIN, books.ends.shape[0]):
        if view > MAIN and not books.ends[view, 0] <= job.arrived < books.ends[view, 1]:
            continue
        cell = books.cells[first if view == MAIN else view * books.places + c]
        cell.attempts += 1
        cell.hedges += attempt.hedge > 0
        cell.cancelled += result == o.CANCELLED
        cell.timed_out += attempt.timed_out > 0


@compiled
def fold_attempts(books, rows):  # type: ignore[no-untyped-def]
    """Fold ATTEMPT_ROW records."""
    for n in range(len(rows)):
        row = rows[n]
        if row.accepted == row.accepted:
            fold_attempt(books, row, row, row.served, row.outcome, row.ended)
        elif row.outcome != o.REJECTED:
            fold_outside(books, row, row, row.outcome, row.ended)
        else:
            fold_rejected(books, row, row.sent, row.ended, row.withheld, row.hedge)


@inlined
def _job_resolved(books, job, result, ended, at):  # type: ignore[no-untyped-def]
    """A job that ended with an answer, in a cell to which it belongs; its caller had been released."""
    cell, due = books.cells[at], books.deadlines[int(job.job_class)]
    cell.resolved += 1
    if result == o.JOB_COMPLETED:
        cell.completed += 1
    elif result == o.JOB_GAVE_UP:
        cell.gave_up += 1
    elif result == o.JOB_DROPPED:
        cell.dropped += 1
    elif result == o.JOB_LOST:
        cell.lost += 1
    else:
        cell.dead_lettered += 1
    if due < math.inf:
        cell.due += 1
        cell.on_time += result == o.JOB_COMPLETED and ended <= job.arrived + due  # a difference would be rounded
    if at >= MAIN * books.places:
        cell.job_attempts += job.attempts
        _note(books, at, BLOCKED, job.released - job.arrived)
        if result == o.JOB_COMPLETED:
            _note(books, at, LATENCY, ended - job.arrived)


@inner
def _job_in_windows(books, job, result, ended):  # type: ignore[no-untyped-def]
    """A job in the named windows in which it arrived."""
    for view in range(MAIN + 1, books.ends.shape[0]):
        if books.ends[view, 0] <= job.arrived < books.ends[view, 1]:
            at = view * books.places + _place(books, job)
            books.cells[at].arrived += 1
            if result == o.JOB_UNFINISHED:
                books.cells[at].unfinished += 1
            else:
                _job_resolved(books, job, result, ended, at)


@inlined
def fold_job(books, job, result, ended):  # type: ignore[no-untyped-def]
    """Fold a job that has ended: a record with the fields that these functions name."""
    start, c = books.ends[MAIN, 0], _place(books, job)
    main, life, whole = MAIN * books.places + c, ended - job.arrived, books.cells[c]
    cell = books.cells[main if job.arrived >= start else c]
    cell.arrived += 1
    whole.alive_time += life
    whole.job_attempts += job.attempts
    if result == o.JOB_UNFINISHED:
        cell.unfinished += 1
    else:
        _job_resolved(books, job, result, ended, main if ended >= start else c)
    if books.ends.shape[0] > MAIN + 1:
        _job_in_windows(books, job, result, ended)


@compiled
def fold_jobs(books, rows):  # type: ignore[no-untyped-def]
    """Fold JOB_ROW records."""
    for n in range(len(rows)):
        fold_job(books, rows[n], rows[n].outcome, rows[n].ended)


@inlined
def _workflow_over(books, first, outcome, ended, at):  # type: ignore[no-untyped-def]
    """A workflow that has ended, or remains at the end, in a cell to which it belongs."""
    cell = books.cells[at]
    if outcome == NOT_OVER:
        cell.workflows_unfinished += 1
        return
    cell.workflows += 1
    if outcome == ONE_FAILED:
        cell.workflows_failed += 1
    elif at >= MAIN * books.places:
        _note(books, at, OF_WORKFLOW, ended - first.arrived)


@inner
def fold_workflow(books, first, outcome, ended):  # type: ignore[no-untyped-def]
    """Fold a workflow that has ended, or remains: of its first job, a record with the fields that are named here."""
    c = _place(books, first)
    books.cells[c].workflow_time += ended - first.arrived
    _workflow_over(books, first, outcome, ended, MAIN * books.places + c if ended >= books.ends[MAIN, 0] else c)
    for view in range(MAIN + 1, books.ends.shape[0]):
        if books.ends[view, 0] <= first.arrived < books.ends[view, 1]:
            _workflow_over(books, first, outcome, ended, view * books.places + c)


@compiled
def fold_workflows(books, rows):  # type: ignore[no-untyped-def]
    """Fold WORKFLOW_ROW records."""
    for n in range(len(rows)):
        fold_workflow(books, rows[n], rows[n].outcome, rows[n].ended)
