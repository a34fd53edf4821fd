"""What a run leaves: the columns of its rows, its gauges, counters and histograms, and the audit of them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.errors import AuditError

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Column(NamedTuple):
    """One column of a row: name, unit, meaning; ``missing`` says what stands where there is no value."""

    name: str
    unit: str
    meaning: str
    missing: str = ""


ATTEMPT = (
    Column("source", "", "which source sent it"),
    Column("job", "", "number of the job within its source"),
    Column("class", "", "class of the job"),
    Column("number", "", "1 for the first attempt of its job"),
    Column("arrived", "s", "when its job arrived"),
    Column("sent", "s", "when it was sent"),
    Column("accepted", "s", "when it joined the queue: after it was sent if it waited outside or came back", "never"),
    Column("taken", "s", "when a worker took it", "no worker took it"),
    Column("started", "s", "when its service started, the disk read done", "no service"),
    Column("ended", "s", "when it ended; the end of the run if it had not"),
    Column("worker", "", "which worker took it", "-1"),
    Column("spilled", "", "1 if it waited on disk"),
    Column("disk", "s", "time of its disk operations, their waits included"),
    Column("size", "B", "bytes of its job", "0 without sizes"),
    Column("timed_out", "", "1 if its client stopped waiting for it"),
    Column("served", "", "how many services of its job had completed, this one included", "0: not completed"),
    Column("outcome", "", "see ATTEMPT_OUTCOMES"),
    Column("withheld", "", "1 if its client did not let it go: a breaker or a throttle"),
    Column("hedge", "", "1 if it was sent while its client waited for another attempt of its job"),
    Column("superseded", "", "1 if its client stopped waiting for it because another attempt, or delivery, had won"),
    Column("delivery", "", "1 for the first delivery of its message; each further one has a row of its own"),
    Column("delivered", "s", "when a broker handed it to a node", "not handed out, or no broker"),
    Column("returned", "", "1 if the broker took it back: another delivery followed, or the dead-letter queue"),
)
JOB = (
    Column("source", "", "which source sent it"),
    Column("job", "", "number of the job within its source"),
    Column("class", "", "class of the job"),
    Column("arrived", "s", "when it was first sent"),
    Column("ended", "s", "when its client was done with it; the end of the run if it was not"),
    Column("attempts", "", "how often it was sent"),
    Column("outcome", "", "see JOB_OUTCOMES"),
    Column("released", "s", "when its caller went on: as ended, in async mode when first accepted", "still blocked"),
    Column(
        "origin_source", "", "which source sent the job with which its workflow began: its own unless it was led to"
    ),
    Column("origin", "", "number of that job within its source: its own unless it was led to"),
)
WORKFLOW = (
    Column("class", "", "class of the job with which it began"),
    Column("arrived", "s", "when that job arrived"),
    Column("ended", "s", "when all that it led to had been served, or had ended without; or the run"),
    Column("outcome", "", "see WORKFLOW_OUTCOMES"),
)
WORKFLOW_OUTCOMES = ("served", "failed", "unfinished")
ALL_SERVED, ONE_FAILED, NOT_OVER = range(len(WORKFLOW_OUTCOMES))
#: What happened that no row of an attempt or a job tells.
NOTE = (
    Column("time", "s", "when it happened"),
    Column("what", "", "see NOTES"),
    Column("source", "", "whose client it concerns", "-1: the staff's"),
    Column("job", "", "number of the job within its source", "-1"),
    Column("number", "", "of the attempt; of the worker; how many workers are on duty"),
    Column("before", "", "how many workers were", "0"),
)
NOTES = ("failed", "repaired", "started", "shift", "scaled", "in line", "unpaid", "proxy unpaid", "hedge unpaid")
WORKER_FAILED, WORKER_REPAIRED, WORKER_STARTED, SHIFT, SCALED, IN_LINE, UNPAID, PROXY_UNPAID, HEDGE_UNPAID = range(9)
ATTEMPT_OUTCOMES = (
    "rejected",
    "completed",
    "abandoned_completed",
    "cancelled",
    "dropped",
    "lost",
    "unfinished",
    "failed",
    "returned",
)
REJECTED, COMPLETED, ABANDONED_COMPLETED, CANCELLED, DROPPED, LOST, UNFINISHED, FAILED, RETURNED = range(9)
DEAD = 9  # what a client learns of a message in the dead-letter queue
SERVED = COMPLETED, ABANDONED_COMPLETED, FAILED  # what ends with a whole service
JOB_OUTCOMES = ("completed", "gave_up", "dropped", "lost", "dead_lettered", "unfinished")
JOB_COMPLETED, JOB_GAVE_UP, JOB_DROPPED, JOB_LOST, JOB_DEAD_LETTERED, JOB_UNFINISHED = range(6)

# Changes of state are rows (time [s], gauge, class, by how much); workers on duty are of no class, which is -1. Workers
# that serve a batch are working.
GAUGES = (
    "alive", "waiting", "busy", "backoff", "memory", "disk", "unheard", "workers", "hedging", "outside", "working",
    "prefetched", "unacked", "stored", "workflows",
)  # fmt: skip
ALIVE, WAITING, BUSY, BACKOFF, MEMORY, DISK, UNHEARD, WORKERS, HEDGING, OUTSIDE, WORKING = range(11)
PREFETCHED, UNACKED, STORED, WORKFLOWS = range(11, 15)

# Sums and counts over rows: of attempts by when they were sent; of services and of jobs by when they ended.
COUNTERS = (
    "attempts", "rejected", "withheld", "hedges", "accepted", "timed_out", "cancelled", "spilled", "disk_time",
    "served", "useful", "failed", "duplicates", "busy_time", "wasted_time",
    "waited", "memory_time", "held_time", "awaited",
    "arrived", "unfinished", "resolved", "completed", "gave_up", "dropped", "lost", "dead_lettered",
    "job_attempts", "on_time", "due", "alive_time", "outside_time",
    "redelivered", "prefetched_time", "workflows", "workflows_failed", "workflows_unfinished", "workflow_time",
)  # fmt: skip
COUNTER = {name: index for index, name in enumerate(COUNTERS)}
LATENCIES = ("wait", "sojourn", "latency", "blocked", "workflow")

# Bins of the histograms: one for zero, then 256 per octave from 2**-30 s to 2**34 s (relative width at most 1/256).
SUB, FIRST_OCTAVE, OCTAVES = 256, -29, 64
BINS = 1 + SUB * OCTAVES
WHOLE, MAIN = 0, 1  # the first two views of a run: all of it, and what counts; named windows follow


@dataclass(frozen=True)
class Outcome:
    """One replication, folded. Views are the whole run, the main window, then the named windows; class 0 is all.

    ends        start and end of each view [s], shape (views, 2)
    counters    see COUNTERS, shape (views, classes + 1, counters)
    histograms  counts of LATENCIES, shape (views, classes + 1, latencies, BINS)
    sums, tops  sum and maximum of each [s], shape (views, classes + 1, latencies)
    areas       time integral of each gauge, shape (views, gauges, classes + 1)
    peaks       highest value of each gauge, shape (views, gauges, classes + 1)
    oldest      highest age of a waiting attempt [s], shape (views, classes + 1)
    gauges      value of each gauge at the end, shape (gauges, classes + 1)
    drained     when nothing waited or was served for the first time [s]; NaN if never
    jobs, attempts, notes  the rows, where recorded
    series      time, gauges, and counts per interval, where sampled
    """

    end: float
    ends: Array
    counters: Array
    histograms: Counts
    sums: Array
    tops: Array
    areas: Array
    peaks: Array
    oldest: Array
    gauges: Array
    drained: float
    attempts: Array | None = None
    jobs: Array | None = None
    notes: Array | None = None
    series: dict[str, Array] = field(default_factory=dict)

    def counter(self, name: str, view: int = MAIN, job_class: int = 0) -> float:
        """One counter."""
        return float(self.counters[view, job_class, COUNTER[name]])


def assert_identical(left: Outcome, right: Outcome) -> None:
    """Raise AssertionError naming the first field, and the first row and column, whose bits differ."""
    for rows, columns in (("attempts", ATTEMPT), ("jobs", JOB), ("notes", NOTE)):
        a, b = getattr(left, rows), getattr(right, rows)
        if a is not None and b is not None:
            _same_rows(rows, a, b, [column.name for column in columns])
    for name in Outcome.__dataclass_fields__:
        a, b = getattr(left, name), getattr(right, name)
        if isinstance(a, dict):
            _same_series(a, b)
        elif a is not None:
            _same_values(name, np.asarray(a), np.asarray(b))


def _same_rows(name: str, a: Array, b: Array, columns: list[str]) -> None:
    for index in range(min(len(a), len(b))):
        for column, x, y in zip(columns, a[index], b[index], strict=True):
            if x != y and not (np.isnan(x) and np.isnan(y)):
                what = f"row {index} (source {a[index][0]:.0f}, job {a[index][1]:.0f})"
                raise AssertionError(f"{name}: {what}, column {column}: {x!r} and {y!r}")
    if len(a) != len(b):
        raise AssertionError(f"{name}: {len(a)} rows and {len(b)} rows")


def _same_values(name: str, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> None:
    same = (a == b) | ((a != a) & (b != b))
    if a.shape != b.shape or not same.all():
        place = tuple(int(n) for n in np.argwhere(~same)[0]) if a.shape == b.shape else ()
        column = f" ({COUNTERS[place[-1]]})" if name == "counters" and place else ""
        raise AssertionError(f"{name}{list(place)}{column}: {a[place]!r} and {b[place]!r}")


def _same_series(a: dict[str, Any], b: dict[str, Any]) -> None:
    for name in a:
        _same_values(f"series {name}", a[name], b[name])


def audit(outcome: Outcome, capacity: float) -> None:
    """Check the books of a run: conservation, Little's law, busy time, bytes. Raises AuditError with the figures."""
    whole, areas, left = outcome.counters[WHOLE], outcome.areas[WHOLE], outcome.gauges
    for index in range(whole.shape[0]):
        c = dict(zip(COUNTERS, whole[index], strict=True))
        ended = sum(c[name] for name in ("completed", "gave_up", "dropped", "lost", "dead_lettered"))
        _equal("jobs that ended", ended, c["resolved"])
        _equal("jobs that arrived and those that ended or remain", c["arrived"], ended + c["unfinished"])
        _equal("jobs alive at the end and rows of unfinished ones", left[ALIVE, index], c["unfinished"])
        live = left[BACKOFF, index] + left[UNHEARD, index] + c["awaited"] - left[HEDGING, index]
        live -= c["dropped"] + c["lost"]
        _equal("unfinished jobs and those in backoff, waiting for an answer or to be polled", c["unfinished"], live)
        _equal("attempts sent and rows of attempts", c["job_attempts"], c["attempts"])
        _close("busy time of the workers and the service given", areas[BUSY, index], c["busy_time"])
        _close("Little's law: waiting over time and the sum of waits", areas[WAITING, index], c["waited"])
        _close("Little's law: outside over time and the times outside", areas[OUTSIDE, index], c["outside_time"])
        _close("Little's law: prefetched over time and the times there", areas[PREFETCHED, index], c["prefetched_time"])
        _close("Little's law: jobs over time and the sum of their lives", areas[ALIVE, index], c["alive_time"])
        _equal("workflows under way at the end and unfinished ones", left[WORKFLOWS, index], c["workflows_unfinished"])
        _close("Little's law: workflows over time and how long they took", areas[WORKFLOWS, index], c["workflow_time"])
        _close("bytes in memory over time and those of the attempts", areas[MEMORY, index], c["memory_time"])
        _close("bytes on disk over time and those of the attempts", areas[DISK, index], c["held_time"])
    lowest = float(min(left.min(), outcome.areas.min()))
    if lowest < 0:
        raise AuditError(f"audit failed: a gauge fell below zero ({lowest:g})")
    batches = outcome.peaks[WHOLE, WORKING, 0] > 0
    if batches and areas[WORKING, 0] > areas[BUSY, 0] * (1 + 1e-7):
        raise AuditError("audit failed: workers had batches without attempts")
    gauge = WORKING if batches else BUSY
    busy, on_duty = areas[gauge, 0], areas[WORKERS, 0]
    if busy > on_duty * (1 + 1e-7) or outcome.peaks[WHOLE, gauge, 0] > outcome.peaks[WHOLE, WORKERS, 0]:
        raise AuditError(f"audit failed: workers were busy who were not on duty ({busy:g} s of {on_duty:g} s)")
    most = outcome.peaks[WHOLE, WAITING, 0]
    if most > capacity:
        raise AuditError(f"audit failed: {most:g} attempts waited where {capacity:g} may")


def _equal(what: str, a: float, b: float) -> None:
    if a != b:
        raise AuditError(f"audit failed: {what} must be equal ({a:g} and {b:g})")


def _close(what: str, a: float, b: float) -> None:
    # Both are sums of the same terms in different order: rounding is all that may part them.
    if abs(a - b) > 1e-7 * max(abs(a), abs(b), 1.0):
        raise AuditError(f"audit failed: {what} must be equal ({a:g} and {b:g})")
