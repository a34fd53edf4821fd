"""The folds that both engines share: rows and changes of state -> counters, histograms, time integrals, series.

Rows come in chunks while a run goes on, so memory does not grow with its length. Sums depend on their order; both
engines feed the same folds in the same order of events, and neither sums by itself.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from backwater import outcome as o
from backwater.outcome import BINS, COUNTERS, FIRST_OCTAVE, GAUGES, LATENCIES, MAIN, OCTAVES, SUB, WHOLE, Outcome
from backwater.run import Run

Array = npt.NDArray[np.float64]

(N_ATTEMPTS, N_REJECTED, N_ACCEPTED, N_TIMED_OUT, N_CANCELLED, N_SPILLED, S_DISK,
 N_SERVED, N_USEFUL, N_DUPLICATES, S_BUSY, S_WASTED, S_WAITED, S_MEMORY, S_HELD, N_AWAITED,
 N_ARRIVED, N_UNFINISHED, N_RESOLVED, N_COMPLETED, N_GAVE_UP, N_DROPPED, N_LOST, N_DEAD,
 N_JOB_ATTEMPTS, N_ON_TIME, N_DUE, S_ALIVE) = range(len(COUNTERS))  # fmt: skip
WAIT, SOJOURN, LATENCY, BLOCKED = range(len(LATENCIES))


@njit(cache=True)
def bin_of(x):  # type: ignore[no-untyped-def]
    """The bin of a time [s]."""
    if x < 2.0 ** (FIRST_OCTAVE - 1):
        return 0
    mantissa, exponent = math.frexp(x)
    place = (exponent - FIRST_OCTAVE) * SUB + int((mantissa - 0.5) * (2 * SUB))
    return 1 + min(place, OCTAVES * SUB - 1)


def edges() -> Array:
    """Lower edges of the bins, and the upper edge of the last one [s], shape (BINS + 1,)."""
    octave, place = np.divmod(np.arange(OCTAVES * SUB + 1), SUB)
    return np.concatenate([[0.0], (0.5 + place / (2 * SUB)) * 2.0 ** (octave + FIRST_OCTAVE)])


@njit(cache=True)
def _note(histograms, sums, tops, metric, x):  # type: ignore[no-untyped-def]
    histograms[metric, bin_of(x)] += 1
    sums[metric] += x
    tops[metric] = max(tops[metric], x)


@njit(cache=True)
def _belongs(view, start, end, at, arrived):  # type: ignore[no-untyped-def]
    """The whole run holds all; the main window goes by when it happens, a named one by when the job arrived."""
    if view == WHOLE:
        return True
    moment = at if view == MAIN else arrived
    return start <= moment < end or (view == MAIN and moment == end)


@njit(cache=True)
def fold_attempts(rows, ends, counters, histograms, sums, tops, oldest):  # type: ignore[no-untyped-def]
    """Fold rows of ended attempts, shape (n, len(ATTEMPT))."""
    for row in rows:
        c = int(row[2]) + 1
        arrived, sent, accepted, taken, started, ended = row[4], row[5], row[6], row[7], row[8], row[9]
        spilled, size, result = row[11] > 0, row[13], int(row[16])
        held, served = not math.isnan(taken), row[15] > 0
        leave = taken if held else ended
        waits = not math.isnan(accepted)
        unwanted = result == o.CANCELLED or result == o.ABANDONED_COMPLETED or row[14] > 0
        counters[WHOLE, c, N_AWAITED] += (result == o.UNFINISHED or result == o.DROPPED) and row[14] == 0
        for view in range(ends.shape[0]):
            start, end = ends[view, 0], ends[view, 1]
            count = counters[view, c]
            if _belongs(view, start, end, sent, arrived):
                count[N_ATTEMPTS] += 1
                count[N_REJECTED] += result == o.REJECTED
                count[N_ACCEPTED] += waits
                count[N_TIMED_OUT] += row[14]
                count[N_CANCELLED] += result == o.CANCELLED
                count[N_SPILLED] += row[11]
                count[S_DISK] += row[12]
            now = _belongs(view, start, end, ended, arrived)
            if now and served:
                count[N_SERVED] += 1
                count[N_USEFUL] += result == o.COMPLETED
                count[N_DUPLICATES] += row[15] == 2
                _note(histograms[view, c], sums[view, c], tops[view, c], SOJOURN, ended - accepted)
            if now and not math.isnan(started) and result != o.UNFINISHED:
                _note(histograms[view, c], sums[view, c], tops[view, c], WAIT, started - accepted)
            if held and (view <= MAIN or now):
                low, high = (max(taken, start), min(ended, end)) if view <= MAIN else (taken, ended)
                count[S_BUSY] += max(high - low, 0.0)
                count[S_WASTED] += max(high - low, 0.0) if unwanted else 0.0
            if waits:
                low, high = max(accepted, start), min(leave, end)
                if high >= low:
                    oldest[view, c] = max(oldest[view, c], high - accepted)
                if view == WHOLE:
                    count[S_WAITED] += leave - accepted
                    if spilled:
                        count[S_HELD] += size * ((started if not math.isnan(started) else ended) - accepted)
                    else:
                        count[S_MEMORY] += size * (leave - accepted)


@njit(cache=True)
def fold_jobs(rows, ends, deadlines, counters, histograms, sums, tops):  # type: ignore[no-untyped-def]
    """Fold rows of ended jobs, shape (n, len(JOB)); ``deadlines`` by class [s], infinite where there is none."""
    for row in rows:
        c = int(row[2]) + 1
        arrived, ended, attempts, result = row[3], row[4], row[5], int(row[6])
        due = deadlines[c - 1]
        for view in range(ends.shape[0]):
            start, end = ends[view, 0], ends[view, 1]
            count = counters[view, c]
            if _belongs(view, start, end, arrived, arrived):
                count[N_ARRIVED] += 1
                count[N_UNFINISHED] += result == o.JOB_UNFINISHED
            if view == WHOLE:
                count[S_ALIVE] += ended - arrived
                count[N_JOB_ATTEMPTS] += attempts
            if result == o.JOB_UNFINISHED or not _belongs(view, start, end, ended, arrived):
                continue
            count[N_RESOLVED] += 1
            count[N_COMPLETED + result] += 1
            if view != WHOLE:
                count[N_JOB_ATTEMPTS] += attempts
            if due < math.inf:
                count[N_DUE] += 1
                count[N_ON_TIME] += result == o.JOB_COMPLETED and ended - arrived <= due
            _note(histograms[view, c], sums[view, c], tops[view, c], BLOCKED, ended - arrived)
            if result == o.JOB_COMPLETED:
                _note(histograms[view, c], sums[view, c], tops[view, c], LATENCY, ended - arrived)


@njit(cache=True)
def _advance(value, last, now, ends, area, peak):  # type: ignore[no-untyped-def]
    """Account for a gauge that had ``value`` from ``last`` until ``now``; what lasted no time leaves no trace."""
    for view in range(ends.shape[0]):
        low, high = max(last, ends[view, 0]), min(now, ends[view, 1])
        if high > low:
            area[view] += value * (high - low)
            peak[view] = max(peak[view], value)


@njit(cache=True)
def fold_changes(rows, ends, value, last, areas, peaks, clock, every, samples):  # type: ignore[no-untyped-def]
    """Fold changes of state, shape (n, 4); ``clock`` holds the next sample's number and when all was idle first."""
    for row in rows:
        now, g, c, by = row[0], int(row[1]), int(row[2]) + 1, row[3]
        while clock[0] * every < now:
            samples[int(clock[0])] = value[:, 0]
            clock[0] += 1.0
        for place in (0, c):
            if value[g, place] != 0.0:
                _advance(value[g, place], last[g, place], now, ends, areas[:, g, place], peaks[:, g, place])
            value[g, place] += by
            last[g, place] = now
        if math.isnan(clock[1]) and value[o.WAITING, 0] + value[o.BUSY, 0] == 0.0 and now > 0.0:
            clock[1] = now


@njit(cache=True)
def count_rows(when, wanted, every, counts):  # type: ignore[no-untyped-def]
    """Count wanted rows by the interval that ends at or after their time: (0, every], (every, 2 every], ..."""
    for i in range(len(when)):
        if wanted[i]:
            counts[max(math.ceil(when[i] / every) - 1, 0)] += 1.0


class Fold:
    """Takes a run's rows and changes chunk by chunk; ``close`` gives its Outcome."""

    def __init__(self, run: Run, deadlines: Array) -> None:
        views, classes = 2 + len(run.windows), len(deadlines) + 1
        self.run, self.deadlines = run, deadlines
        self.ends = np.array([[0.0, math.inf], [run.warmup, math.inf], *map(list, run.windows.values())])
        self.counters = np.zeros((views, classes, len(COUNTERS)))
        self.histograms = np.zeros((views, classes, len(LATENCIES), BINS), np.int64)
        self.sums = np.zeros((views, classes, len(LATENCIES)))
        self.tops = np.zeros((views, classes, len(LATENCIES)))
        self.oldest = np.zeros((views, classes))
        self.value, self.last = np.zeros((len(GAUGES), classes)), np.zeros((len(GAUGES), classes))
        self.areas = np.zeros((views, len(GAUGES), classes))
        self.peaks = np.zeros((views, len(GAUGES), classes))
        self.clock = np.array([0.0, math.nan])
        self.every = math.inf if run.sample is None else run.sample
        self.samples = np.zeros((1, len(GAUGES)))
        self.counts = {name: np.zeros(1) for name in ("attempts", "rejected", "completed")}
        self.kept: dict[str, list[Array]] = {"attempts": [], "jobs": []}
        self.keep = set(run.record) | ({"attempts", "jobs"} if "events" in run.record else set())

    def attempts(self, rows: Array) -> None:
        """Fold ended attempts, in the order in which they ended."""
        fold_attempts(rows, self.ends, self.counters, self.histograms, self.sums, self.tops, self.oldest)
        self._keep("attempts", rows)
        if math.isfinite(self.every) and len(rows):
            self._count("attempts", rows[:, 5], np.ones(len(rows), np.bool_))
            self._count("rejected", rows[:, 9], rows[:, 16] == o.REJECTED)

    def jobs(self, rows: Array) -> None:
        """Fold ended jobs, in the order in which they ended."""
        fold_jobs(rows, self.ends, self.deadlines, self.counters, self.histograms, self.sums, self.tops)
        self._keep("jobs", rows)
        if math.isfinite(self.every) and len(rows):
            self._count("completed", rows[:, 4], rows[:, 6] == o.JOB_COMPLETED)

    def changes(self, rows: Array) -> None:
        """Fold changes of state, in the order in which they happened."""
        if len(rows):
            if math.isfinite(self.every):
                self.samples = _room(self.samples, int(rows[-1, 0] / self.every) + 2)
            fold_changes(
                rows, self.ends, self.value, self.last, self.areas, self.peaks, self.clock, self.every, self.samples
            )

    def _keep(self, name: str, rows: Array) -> None:
        if name in self.keep:
            self.kept[name].append(rows.copy())

    def _count(self, name: str, when: Array, wanted: npt.NDArray[np.bool_]) -> None:
        self.counts[name] = _room(self.counts[name], int(when.max() / self.every) + 2)
        count_rows(when, wanted, self.every, self.counts[name])

    def close(self, end: float) -> Outcome:
        """The outcome of a run that ended at ``end`` [s]."""
        self.ends[:2, 1] = end
        marks = [
            [end, gauge, job_class, 0.0] for gauge in range(len(GAUGES)) for job_class in range(len(self.deadlines))
        ]
        self.changes(np.array(marks))
        # The row of all classes is their sum, or their highest.
        for part in (self.counters, self.histograms, self.sums):
            part[:, 0] = part[:, 1:].sum(axis=1)
        for highest in (self.tops, self.oldest):
            highest[:, 0] = highest[:, 1:].max(axis=1)
        return Outcome(
            end=end, ends=self.ends, counters=self.counters, histograms=self.histograms, sums=self.sums, tops=self.tops,
            areas=self.areas, peaks=self.peaks, oldest=self.oldest, gauges=self.value, drained=float(self.clock[1]),
            attempts=self._rows("attempts"), jobs=self._rows("jobs"), series=self._series(end),
        )  # fmt: skip

    def _rows(self, name: str) -> Array | None:
        width = len(o.ATTEMPT if name == "attempts" else o.JOB)
        return np.concatenate([np.empty((0, width)), *self.kept[name]]) if name in self.keep else None

    def _series(self, end: float) -> dict[str, Array]:
        if not math.isfinite(self.every):
            return {}
        n = int(end / self.every) + 1
        self.samples = _room(self.samples, n)
        self.samples[int(self.clock[0]) : n] = self.value[:, 0]
        out = {"time": np.arange(n) * self.every}
        out |= {gauge: self.samples[:n, index].copy() for index, gauge in enumerate(GAUGES)}
        # The count of an interval stands at the interval's end.
        return out | {name: np.append(0.0, _room(counts, n)[: n - 1]) for name, counts in self.counts.items()}


def _room(array: Array, n: int) -> Array:
    """The array, or a longer copy with room for ``n``."""
    if len(array) >= n:
        return array
    out = np.zeros((max(n, 2 * len(array)), *array.shape[1:]))
    out[: len(array)] = array
    return out
