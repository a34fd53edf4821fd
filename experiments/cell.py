"""What one point of a sweep gave: every metric's estimate and the value of each replication."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.metrics import METRICS, metric
from backwater.outcome import WHOLE
from backwater.result import Result
from backwater.statistics import Estimate

Array = npt.NDArray[np.float64]
BOUNDS = ("estimate", "ci_low", "ci_high")


class Cell(NamedTuple):
    """One point.

    metrics, classes, windows  names along the axes of ``numbers``
    numbers  estimate, ci_low, ci_high (95 %), then each replication's value; NaN where there is none;
             shape (classes, windows, metrics, 3 + replications)
    end      when its longest replication ended [s]
    jobs     how many were simulated
    short    how many times too wide the widest of the intervals is, where they must be so wide; NaN elsewhere
    """

    metrics: list[str]
    classes: list[str]
    windows: list[str]
    numbers: Array
    end: float = math.nan
    jobs: int = 0
    short: float = math.nan

    @property
    def replications(self) -> int:
        """How often it was run."""
        return self.numbers.shape[-1] - len(BOUNDS)

    def estimate(self, metric: str, job_class: str = "all", window: str = "all") -> Estimate:
        """A metric's estimate with its 95 % interval; ``n`` counts the replications that have a value."""
        row = self._row(metric, job_class, window)
        value, low, high = (float(number) for number in row[: len(BOUNDS)])
        return Estimate(value, low, high, int(np.count_nonzero(~np.isnan(row[len(BOUNDS) :]))))

    def each(self, metric: str, job_class: str = "all", window: str = "all") -> Array:
        """A metric's value in each replication, shape (replications,)."""
        return self._row(metric, job_class, window)[3:]

    def _row(self, metric: str, job_class: str, window: str) -> Array:
        at = self.classes.index(job_class), self.windows.index(window), self.metrics.index(metric)
        return np.asarray(self.numbers[at])


def measured(result: Result, extra: Sequence[str] = ()) -> Cell:
    """What a simulated point gave; ``extra`` names metrics besides the usual ones, such as ``served_within(2 s)``."""
    names = {name: n for n, name in enumerate([*METRICS, *extra])}
    shape = len(result.classes), len(result.windows), len(names), len(BOUNDS) + len(result.outcomes)
    numbers = np.full(shape, math.nan)
    more = [(name, job_class, window, result.cells(job_class, window))
            for name, job_class, window in itertools.product(extra, result.classes, result.windows)]  # fmt: skip
    for name, job_class, window, cells in [*result.each(), *more]:
        row, found = numbers[result.classes.index(job_class), result.windows.index(window), names[name]], metric(name)
        row[: len(BOUNDS)] = found.estimate(cells, 0.95)[: len(BOUNDS)]
        row[len(BOUNDS) :] = found.each(cells)
    end = max(done.end for done in result.outcomes)
    jobs = sum(int(done.counter("arrived", WHOLE)) for done in result.outcomes)
    return Cell(list(names), result.classes, result.windows, numbers, end, jobs)
