"""From arrays to estimates: ratios and means with intervals from replications, quantiles of merged histograms.

Knows no simulation: arrays in, numbers out. NaN never passes in silence.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Estimate(NamedTuple):
    """A value with its confidence interval, from ``n`` replications; NaN where there is nothing to estimate from."""

    value: float
    low: float
    high: float
    n: int


NOTHING = Estimate(math.nan, math.nan, math.nan, 0)


@cache
def t_factor(n: int, level: float) -> float:
    """Half-width of the interval of a mean of ``n`` values, in standard errors; NaN below two values."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, (1 + level) / 2)) if n > 1 else math.nan


def ratio(numerators: Array, denominators: Array, level: float = 0.95) -> Estimate:
    """The ratio of two means over replications, with its linearised t interval.

    Replications where the denominator is 0 carry no weight, as they should. With constant denominators this is the
    ordinary mean and t interval. Source: Cochran, "Sampling Techniques", 3rd ed., 6.4.
    """
    n, total = len(numerators), float(denominators.sum())
    if not np.isfinite(numerators).all() or not np.isfinite(denominators).all():
        raise ValueError("a ratio of values that are not finite")
    if n == 0 or total == 0:
        return NOTHING
    value = float(numerators.sum()) / total
    if n == 1:
        return Estimate(value, math.nan, math.nan, 1)
    error = math.sqrt(float(((numerators - value * denominators) ** 2).sum()) / (n * (n - 1))) * n / abs(total)
    half = t_factor(n, level) * error
    return Estimate(value, value - half, value + half, n)


def mean(values: Array, level: float = 0.95) -> Estimate:
    """The mean of finite values, with its t interval; NaN values are left out, and ``n`` tells."""
    kept = values[~np.isnan(values)]
    return ratio(kept, np.ones(len(kept)), level)


def histogram_quantile(counts: Counts, edges: Array, q: float) -> float:
    """The q-quantile of what a histogram counted, straight within a bin; the first bin holds zeros. NaN if empty."""
    total = int(counts.sum())
    if total == 0:
        return math.nan
    below = np.cumsum(counts)
    rank = q * total
    place = int(np.searchsorted(below, rank, side="left"))
    place = min(place, int(np.searchsorted(below, total, side="left")))
    if place == 0:
        return 0.0
    inside = (rank - (below[place] - counts[place])) / counts[place]
    return float(edges[place] + inside * (edges[place + 1] - edges[place]))


def histogram_share(counts: Counts, edges: Array, x: float) -> float:
    """How many of what a histogram counted were at most ``x``, straight within a bin.

    Of a bin with far more than its neighbours, as a constant leaves it, what is beyond those is taken to be at ``x``.
    """
    if x < 0:
        return 0.0
    place = int(np.searchsorted(edges, x, side="right")) - 1
    if place >= len(counts):
        return float(counts.sum())
    if place == 0:
        return float(counts[0])
    inside = (x - edges[place]) / (edges[place + 1] - edges[place])
    around = (counts[place - 1] + counts[min(place + 1, len(counts) - 1)]) / 2
    heap = counts[place] - around if counts[place] > 8 * around + 30 else 0.0
    return float(counts[:place].sum() + heap + inside * (counts[place] - heap))


def pooled_quantile(counts: Counts, edges: Array, q: float, level: float = 0.95) -> Estimate:
    """The q-quantile of all replications pooled; the interval's width from the replications' own quantiles.

    counts  shape (replications, bins)
    """
    value = histogram_quantile(counts.sum(axis=0), edges, q)
    if math.isnan(value):
        return NOTHING
    own = mean(np.array([histogram_quantile(part, edges, q) for part in counts]), level)
    half = (own.high - own.low) / 2
    return Estimate(value, max(value - half, 0.0), value + half, own.n)
