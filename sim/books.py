"""The books of a run: what its rows and changes are folded into, and the outcome that they close with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from backwater import outcome as o
from backwater.errors import check
from backwater.gauges import cross_now, end_segment, fold_changes
from backwater.jit import compiled
from backwater.measure import (
    ATTEMPT_ROW,
    CELL,
    CLOCK,
    GAUGE,
    JOB_ROW,
    KINDS,
    WORKFLOW_ROW,
    Array,
    Books,
    alone,
    fold_attempts,
    fold_jobs,
    fold_workflows,
    # fmt: skip,
)
from backwater.outcome import BINS, COUNTERS, GAUGES, LATENCIES, MAIN, WHOLE, Outcome
from backwater.run import Run

# Of the whole run on their own; the others are split between what the main view holds and what came before it.
OWN = ("busy_time", "wasted_time", "waited", "memory_time", "held_time", "awaited", "job_attempts", "alive_time",
       "outside_time", "prefetched_time", "workflow_time")  # fmt: skip


@compiled
def count_rows(when, wanted, every, counts):  # type: ignore[no-untyped-def]
    """Count wanted rows by the interval that ends at or after their time: (0, every], (every, 2 every], ..."""
    for i in range(len(when)):
        if wanted[i]:
            counts[max(math.ceil(when[i] / every) - 1, 0)] += 1.0


def new_books(run: Run, deadlines: Array, workers: int) -> Books:
    """Books with nothing in them; ``deadlines`` by class [s], infinite where there is none; ``workers`` at time 0."""
    views, places = 2 + len(run.windows), 1 if len(deadlines) == 1 else 1 + len(deadlines)
    ends = np.array([[0.0, math.inf], [run.warmup, math.inf], *map(list, run.windows.values())])
    inner = np.unique(ends)
    inner = inner[inner > 0.0] if math.isinf(inner[-1]) else np.append(inner[inner > 0.0], math.inf)
    clock = alone(1, CLOCK)
    every = math.inf if run.sample is None else run.sample
    sample = 0.0 if run.sample is not None else math.inf
    clock[0] = (min(sample, inner[0]), sample, every, inner[0], 0.0, math.nan, 0, 0)
    gauges = alone(places * KINDS, GAUGE)
    gauges[o.WORKERS]["value"] = workers
    return Books(
        ends=ends, deadlines=deadlines, cells=alone(views * places, CELL),
        histograms=np.zeros((views * places, len(LATENCIES) * BINS), np.int64), places=places,
        gauges=gauges, clock=clock, edges=inner, areas=np.zeros((views, KINDS, places)),
        peaks=np.zeros((views, KINDS, places)), samples=np.zeros((1, KINDS)),
    )  # fmt: skip


class Fold:
    """Takes a run's rows and changes chunk by chunk; ``close`` gives its Outcome.

    ``workers`` are on duty at time 0.
    books    what the compiled folds fill
    records  whether rows are kept or counted over time, so that they must all pass through here
    """

    def __init__(self, run: Run, deadlines: Array, workers: int = 1) -> None:
        self.run, self.books = run, new_books(run, deadlines, workers)
        self.every = math.inf if run.sample is None else run.sample
        self.counts = {name: np.zeros(1) for name in ("attempts", "rejected", "completed")}
        self.kept: dict[str, list[Array]] = {"attempts": [], "jobs": [], "notes": []}
        self.keep = set(run.record) | (set(self.kept) if "events" in run.record else set())
        self.records = bool(self.keep) or math.isfinite(self.every)

    def attempts(self, rows: Array) -> None:
        """Fold rows of ended attempts, in the order in which they ended."""
        fold_attempts(self.books, rows.view(ATTEMPT_ROW)[:, 0])
        self.keep_attempts(rows)

    def jobs(self, rows: Array) -> None:
        """Fold rows of ended jobs, in the order in which they ended."""
        fold_jobs(self.books, rows.view(JOB_ROW)[:, 0])
        self.keep_jobs(rows)

    def workflows(self, rows: Array) -> None:
        """Fold rows of ended workflows, in the order in which they ended."""
        fold_workflows(self.books, rows.view(WORKFLOW_ROW)[:, 0])

    def keep_attempts(self, rows: Array) -> None:
        """Keep rows of attempts that are folded already, and count them over time, where that is wanted."""
        self._keep("attempts", rows)
        if math.isfinite(self.every) and len(rows):
            self._count("attempts", rows[:, 5], np.ones(len(rows), np.bool_))
            self._count("rejected", rows[:, 9], rows[:, 16] == o.REJECTED)

    def keep_jobs(self, rows: Array) -> None:
        """Keep rows of jobs that are folded already, and count them over time, where that is wanted."""
        self._keep("jobs", rows)
        if math.isfinite(self.every) and len(rows):
            self._count("completed", rows[:, 4], rows[:, 6] == o.JOB_COMPLETED)

    def notes(self, rows: Array) -> None:
        """Keep notes, in the order in which they were written."""
        self._keep("notes", rows)

    def changes(self, rows: Array) -> None:
        """Fold changes of state, in the order in which they happened."""
        if len(rows):
            self.make_room(rows[-1, 0])
            fold_changes(self.books, rows)

    def make_room(self, until: float) -> float:
        """Make room for the samples of so much time [s], and more; returns the time up to which there is room [s]."""
        if math.isinf(self.every):
            return math.inf
        self.books = self.books._replace(samples=_room(self.books.samples, int(until / self.every) + 2))
        return (len(self.books.samples) - 1) * self.every

    def _keep(self, name: str, rows: Array) -> None:
        if name in self.keep:
            self.kept[name].append(rows.copy())

    def _count(self, name: str, when: Array, wanted: npt.NDArray[np.bool_]) -> None:
        self.counts[name] = _room(self.counts[name], int(when.max() / self.every) + 2)
        count_rows(when, wanted, self.every, self.counts[name])

    def close(self, end: float) -> Outcome:
        """The outcome of a run that ended at ``end`` [s]; ScenarioError where that was within its warm-up."""
        late = self.run.warmup >= end > 0
        check(not late, "run.warmup", self.run.warmup, f"must be before the run ends, which it did at {end:g} s")
        self.make_room(end)
        books = self.books
        cross_now(books, end)
        books.ends[:2, 1] = end
        books.ends[2:] = np.minimum(books.ends[2:], end)
        end_segment(books, end)
        parts = _parts(books)
        return Outcome(
            end=end, ends=books.ends, areas=_both(books.areas, 2), peaks=_both(books.peaks, 2), **parts,
            gauges=_both(books.gauges["value"].reshape(-1, KINDS).T), drained=float(books.clock["drained"][0]),
            attempts=self._rows("attempts"), jobs=self._rows("jobs"), notes=self._rows("notes"),
            series=self._series(end),
        )  # fmt: skip

    def _rows(self, name: str) -> Array | None:
        width = len({"attempts": o.ATTEMPT, "jobs": o.JOB, "notes": o.NOTE}[name])
        return np.concatenate([np.empty((0, width)), *self.kept[name]]) if name in self.keep else None

    def _series(self, end: float) -> dict[str, Array]:
        if not math.isfinite(self.every):
            return {}
        n = int(end / self.every) + 1
        samples = _room(self.books.samples, n)
        samples[int(self.books.clock["samples"][0]) : n] = self.books.gauges["value"][:KINDS]
        out = {"time": np.arange(n) * self.every}
        out |= {gauge: samples[:n, index].copy() for index, gauge in enumerate(GAUGES)}
        # The count of an interval stands at the interval's end.
        return out | {name: np.append(0.0, _room(counts, n)[: n - 1]) for name, counts in self.counts.items()}


def _parts(books: Books) -> dict[str, npt.NDArray[Any]]:
    """Counters, histograms, sums, tops and ages by (view, class, ...), place 0 filled in."""
    shape = (len(books.ends), books.places)
    cells = books.cells.reshape(shape)
    for name in COUNTERS:
        if name not in OWN:
            cells[name][WHOLE] += cells[name][MAIN]
    counters = np.stack([cells[name] for name in COUNTERS], axis=-1)
    histograms = books.histograms.reshape(*shape, len(LATENCIES), BINS)
    if books.places > 1:
        for part in (counters, histograms, cells["sums"]):
            part[:, 0] = part[:, 1:].sum(axis=1)
        for highest in (cells["tops"], cells["oldest"]):
            highest[:, 0] = highest[:, 1:].max(axis=1)
    parts = {"counters": counters, "histograms": histograms, "sums": cells["sums"], "tops": cells["tops"]}
    return {name: _both(part) for name, part in (*parts.items(), ("oldest", cells["oldest"]))}


def _both(part: npt.NDArray[Any], axis: int = 1) -> npt.NDArray[Any]:
    """An only class is seen as "all" and as itself, without a copy."""
    if part.shape[axis] > 1:
        return part
    return np.broadcast_to(part, [2 if n == axis else size for n, size in enumerate(part.shape)])


def _room(array: Array, n: int) -> Array:
    """The array, or a longer copy with room for ``n``."""
    if len(array) >= n:
        return array
    out = np.zeros((max(n, 2 * len(array)), *array.shape[1:]))
    out[: len(array)] = array
    return out
