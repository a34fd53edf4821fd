"""From arrays to estimates: ratios and means with intervals from replications, quantiles of merged histograms.

Knows no simulation: arrays in, numbers out. NaN never passes in silence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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


class Spread(NamedTuple):
    """A value beside what each replication adds to it: enough for intervals, differences and controls.

    value   the estimate
    errors  how far each replication lies from it, to first order, shape (replications,); their mean is the error of the
            value; NaN where a replication says nothing
    spent   degrees of freedom that estimating has cost besides the mean's
    """

    value: float
    errors: Array
    spent: int = 0

    @property
    def n(self) -> int:
        """How many replications say something."""
        return int(np.count_nonzero(~np.isnan(self.errors)))

    @property
    def error(self) -> float:
        """Standard error of the value; NaN below two replications."""
        n = self.n
        left = n - 1 - self.spent
        return math.sqrt(float(np.nansum(self.errors**2)) / (n * left)) if left > 0 else math.nan

    def interval(self, level: float = 0.95) -> Estimate:
        """The value with its t interval."""
        if math.isnan(self.value):
            return NOTHING
        half = t_factor(self.n - self.spent, level) * self.error
        return Estimate(self.value, self.value - half, self.value + half, self.n)


def ratio_spread(numerators: Array, denominators: Array) -> Spread:
    """The ratio of two means over replications.

    Replications where the denominator is 0 carry no weight, as they should. With constant denominators this is the
    ordinary mean. Source: Cochran, "Sampling Techniques", 3rd ed., 6.4.
    """
    n, total = len(numerators), float(denominators.sum())
    if not np.isfinite(numerators).all() or not np.isfinite(denominators).all():
        raise ValueError("a ratio of values that are not finite")
    if n == 0 or total == 0:
        return Spread(math.nan, np.full(n, math.nan))
    value = float(numerators.sum()) / total
    return Spread(value, (numerators - value * denominators) * (n / total))


def mean_spread(values: Array) -> Spread:
    """The mean of those values that are not NaN."""
    kept = ~np.isnan(values)
    value = float(values[kept].mean()) if kept.any() else math.nan
    return Spread(value, values - value)


def ratio(numerators: Array, denominators: Array, level: float = 0.95) -> Estimate:
    """The ratio of two means over replications, with its linearised t interval."""
    return ratio_spread(numerators, denominators).interval(level)


def mean(values: Array, level: float = 0.95) -> Estimate:
    """The mean of finite values, with its t interval; NaN values are left out, and ``n`` tells."""
    return mean_spread(values).interval(level)


def histogram_quantile(counts: Counts, edges: Array, q: float) -> float:
    """The q-quantile of what a histogram counted, straight within a bin; the first bin holds zeros. NaN if empty."""
    return float(histogram_quantiles(counts[None], edges, [q])[0, 0])


def histogram_quantiles(counts: Counts, edges: Array, qs: Sequence[float]) -> Array:
    """These quantiles of each of several histograms, shape (histograms, len(qs)); counts: (histograms, bins)."""
    found = np.full((len(counts), len(qs)), math.nan)
    for row, below in enumerate(np.cumsum(counts, axis=1)):
        total = int(below[-1])
        last = int(np.searchsorted(below, total, side="left"))
        for column, q in enumerate(qs if total else ()):
            rank = q * total
            place = min(int(np.searchsorted(below, rank, side="left")), last)
            if place == 0:
                found[row, column] = 0.0
                continue
            inside = (rank - below[place - 1]) / (below[place] - below[place - 1])
            found[row, column] = edges[place] + inside * (edges[place + 1] - edges[place])
    return found


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


def pooled_quantile(counts: Counts, edges: Array, q: float, level: float = 0.95) -> tuple[Estimate, Spread]:
    """The q-quantile of all replications pooled: with its interval, and as a spread.

    counts  shape (replications, bins)
    The share of values up to the quantile is a ratio over replications; where its t interval ends, the quantiles of the
    pooled values end ours. It leans to the side to which the quantile can be off, as no symmetric interval does.
    Source: Woodruff, "Confidence Intervals for Medians and Other Position Measures", JASA 47, 1952.
    """
    pooled = counts.sum(axis=0)
    value, n = histogram_quantile(pooled, edges, q), counts.sum(axis=1)
    if math.isnan(value):
        return NOTHING, Spread(math.nan, np.full(len(counts), math.nan))
    below = np.array([histogram_share(part, edges, value) for part in counts])
    share = ratio_spread(below, n.astype(np.float64))
    # Replications with nothing in them have no say in how many there are.
    share = share._replace(errors=np.where(n > 0, share.errors, math.nan))
    half = t_factor(share.n, level) * share.error
    if math.isnan(half):
        return Estimate(value, math.nan, math.nan, share.n), Spread(value, share.errors)
    low, high = (histogram_quantile(pooled, edges, min(max(at, 0.0), 1.0)) for at in (q - half, q + half))
    slope = (high - low) / (2 * half) if half > 0 else 0.0
    return Estimate(value, low, high, share.n), Spread(value, -slope * share.errors)


def difference(one: Spread, other: Spread) -> Spread:
    """``one`` minus ``other``, replication by replication: what both share under common random numbers cancels out."""
    return Spread(one.value - other.value, one.errors - other.errors)


def controlled(found: Spread, controls: Array) -> Spread:
    """An estimate freed from what known quantities explain of it, by linear regression.

    controls  each known quantity's deviation from its exact mean, by replication, shape (replications, quantities)
    Costs a degree of freedom per control. Source: Lavenberg and Welch, "A Perspective on the Use of Control Variables
    to Increase the Efficiency of Monte Carlo Simulations", Management Science 27(3), 1981.
    """
    said = ~np.isnan(found.errors)
    errors, known = found.errors[said], controls[said]
    n, most = known.shape
    if most == 0 or n < most + 3:
        return found
    centred = known - known.mean(axis=0)
    slopes, _, rank, _ = np.linalg.lstsq(centred, errors, rcond=None)
    if rank < most:  # a control that does not vary explains nothing
        return found
    middle = known.mean(axis=0)
    # The mean of the controls is itself by chance, and the more it is off the less the slopes can be trusted.
    wider = 1 + n * float(middle @ np.linalg.solve(centred.T @ centred, middle))
    left = np.full(len(found.errors), math.nan)
    left[said] = (errors - centred @ slopes) * math.sqrt(wider)
    return Spread(found.value - float(middle @ slopes), left, most)


def batch_means(values: Array, batches: int = 20) -> Spread:
    """The mean of one long run, its spread from the means of consecutive batches, each much longer than its memory.

    What does not fill the batches is left out at the start. ValueError where there are fewer values than batches.
    Source: Law, "Simulation Modeling and Analysis", 5th ed., 9.5.3.
    """
    size = len(values) // batches
    if batches < 2 or size < 1:
        raise ValueError(f"{len(values)} values do not fill {batches} batches")
    return mean_spread(values[-size * batches :].reshape(batches, size).mean(axis=1))


def mser5(values: Array) -> int:
    """How many values at the start of a run to leave out as warm-up: a multiple of 5, at most half of them.

    The cut that makes the mean of the rest look most certain. Source: White, Cobb and Spratt, "A Comparison of Five
    Steady-State Truncation Heuristics for Simulation", Winter Simulation Conference 2000.
    """
    fives = values[: len(values) // 5 * 5].reshape(-1, 5).mean(axis=1)
    fives, n = fives - fives.mean() if len(fives) else fives, len(fives)
    if n < 4:
        return 0
    kept = np.arange(n, n - n // 2, -1)
    behind, squares = np.cumsum(fives[::-1])[::-1], np.cumsum(fives[::-1] ** 2)[::-1]
    spread = squares[: n // 2] - behind[: n // 2] ** 2 / kept
    return 5 * int(np.argmin(spread / kept**2))


def quantile_interval(values: Array, q: float, level: float = 0.95) -> Estimate:
    """The q-quantile of independent values, its interval between two of them, whatever their law.

    NaN on a side on which too few values lie. Source: Conover, "Practical Nonparametric Statistics", 3rd ed., 3.2.
    """
    from scipy.stats import binom

    n, ranked, tail = len(values), np.sort(values), (1 - level) / 2
    if n == 0:
        return NOTHING
    low = int(binom.ppf(tail, n, q)) - 1
    high = int(binom.ppf(1 - tail, n, q))
    value = float(ranked[min(max(math.ceil(q * n) - 1, 0), n - 1)])
    return Estimate(
        value, float(ranked[low]) if low >= 0 else math.nan, float(ranked[high]) if high < n else math.nan, n
    )


def bootstrap(
    values: Array, statistic: Callable[[Array], float], level: float = 0.95, resamples: int = 4000, seed: int = 1
) -> Estimate:
    """Any statistic of independent replications, with its BCa bootstrap interval.

    values  one per replication, along axis 0. Source: Efron, "Better Bootstrap Confidence Intervals", JASA 82, 1987.
    """
    from scipy import stats

    n = len(values)
    value = float(statistic(values))
    if n < 2 or bool((values == values[0]).all()):
        return Estimate(value, math.nan, math.nan, n)
    found = stats.bootstrap(
        (np.arange(n),), lambda chosen: statistic(values[chosen]), confidence_level=level, n_resamples=resamples,
        vectorized=False, method="BCa", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Estimate(value, float(found.low), float(found.high), n)


def simultaneous(level: float, intervals: int) -> float:
    """The level of each of so many intervals for all of them to hold at once at ``level`` (Bonferroni)."""
    return 1 - (1 - level) / max(intervals, 1)


def at_level(found: Estimate, level: float, was: float = 0.95) -> Estimate:
    """A t interval at another level than the one at which it was made."""
    if found.n < 2 or math.isnan(found.low):
        return found
    # The side that was not cut off at the end of what is possible tells the width.
    half = max(found.high - found.value, found.value - found.low) * t_factor(found.n, level) / t_factor(found.n, was)
    return Estimate(found.value, found.value - half, found.value + half, found.n)


def confidence_below(found: Spread, limit: float) -> float:
    """How sure it is that the true value is at most ``limit``: the level of a one-sided t interval that ends there."""
    from scipy.special import stdtr

    if math.isnan(found.value) or found.n < 2:
        return math.nan
    if found.error == 0.0:
        return 0.5 if found.value == limit else float(found.value < limit)
    return float(stdtr(found.n - 1 - found.spent, (limit - found.value) / found.error))


def rare_confidence_below(events: int, trials: int, limit: float) -> float:
    """How sure it is that a share is at most ``limit`` after so many events in independent trials.

    A t interval of no events has no width; this one says how much not having seen any proves. Source: Clopper and
    Pearson, Biometrika 26, 1934.
    """
    from scipy.special import bdtr

    if limit >= 1.0:
        return 1.0
    return 1 - float(bdtr(events, trials, max(limit, 0.0))) if trials > 0 else math.nan


def rare_interval(events: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a share after so many events in independent trials (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(events, trials - events + 1, tail)) if events else 0.0
    return low, float(betaincinv(events + 1, trials - events, 1 - tail)) if events < trials else 1.0
