"""The rate of a log over time, in pieces that the data choose; whether it is Poisson within them; how it clumps."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
CELLS = 16_000  # between which the rate may change, at most
FALSE = 0.01  # chance of one change too many in a log without any
# Steps of clocks [s], so that what changes on the minute changes between two cells.
STEPS = [m * 10.0**k for k in range(-9, 0) for m in (1, 2, 5)]
STEPS += [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400]
FEW = 5  # requests within a piece below which it says nothing about Poisson


class Pieces(NamedTuple):
    """A rate that is constant between ``edges`` [s]: ``counts`` requests in each piece."""

    edges: Array
    counts: Array

    @property
    def rates(self) -> Array:
        """Requests per second in each piece [1/s]."""
        return np.asarray(self.counts / np.diff(self.edges))

    def expected(self, times: Array) -> Array:
        """Requests to be expected up to these times [1]: the integral of the rate."""
        return np.interp(times, self.edges, np.concatenate([[0.0], np.cumsum(self.counts)]))


class Poissonness(NamedTuple):
    """A test of Poisson arrivals within pieces: gaps ``n``, the Kolmogorov-Smirnov distance, the p-value."""

    n: int
    distance: float
    p: float


def pieces(times: Array, span: float, resolution: float) -> Pieces:
    """The piecewise constant rate of the highest penalised likelihood, by dynamic programming.

    A rate may change where a cell ends: a step of the resolution, or longer where there are too many, in which requests
    came; or a run of such steps without any.
    Source: Scargle, Norris, Jackson, Chiang, "Bayesian blocks", Astrophysical Journal 764, 2013, equations 19 and 21.
    """
    widths, counts = _cells(times, span, resolution)
    # The calibration of the paper is of events one by one; what takes part in the choice here are cells.
    penalty = 4.0 - math.log(73.53 * FALSE * len(widths) ** -0.478)
    edges = np.concatenate([[0.0], np.cumsum(widths)])
    sums = np.concatenate([[0.0], np.cumsum(counts)])
    best, last = np.zeros(len(widths) + 1), np.zeros(len(widths), np.int64)
    for stop in range(1, len(widths) + 1):
        n, length = sums[stop] - sums[:stop], edges[stop] - edges[:stop]
        fit = best[:stop] + n * np.log(np.where(n > 0, n, 1.0) / length)
        last[stop - 1] = int(np.argmax(fit))
        best[stop] = fit[last[stop - 1]] - penalty
    stops = [len(widths)]
    while stops[-1] > 0:
        stops.append(int(last[stops[-1] - 1]))
    chosen = np.array(stops[::-1])
    edges[-1] = span
    return Pieces(edges[chosen], np.diff(sums[chosen]))


def _cells(times: Array, span: float, resolution: float) -> tuple[Array, Array]:
    """Widths [s] and counts of the cells."""
    # A cell that is so short that it holds one request by chance would look like a burst: two in the mean.
    most = min(len(times) / 2, CELLS / 2)
    fine = [step for step in STEPS if step >= resolution * (1 - 1e-9)]
    step = next((step for step in fine if np.count_nonzero(np.diff(np.floor(times / step))) < most), span)
    n = math.ceil(span / step - 1e-9)
    places = np.minimum(np.floor(times / step), n - 1).astype(np.int64)
    taken, counts = np.unique(places, return_counts=True)
    edges = np.unique(np.concatenate([[0, n], taken, taken + 1]))
    per = np.zeros(len(edges) - 1)
    per[np.searchsorted(edges, taken)] = counts
    bounds = np.minimum(edges * step, span)
    return np.diff(bounds), per


def poisson_test(times: Array, found: Pieces) -> Poissonness | None:
    """Whether requests within the pieces are Poisson; None where there are too few.

    Given the first and the last of a piece, those between are uniform; the gaps, put in order and spread again, are
    then uniform too, and differ the more from that the less the gaps are exponential.
    Source: Brown et al., "Statistical analysis of a telephone call center", JASA 100, 2005, section 3; with the change
    of Lewis, Biometrika 52, 1965, that Kim and Whitt, Naval Res. Logistics 61, 2014, found the most powerful.
    """
    from scipy.stats import kstwobign

    kept = []
    bounds = np.searchsorted(times, found.edges)
    for first, stop in pairwise(bounds):
        inside = times[first:stop]
        if len(inside) >= FEW + 2 and inside[-1] > inside[0]:
            gaps = np.sort(np.diff(inside))
            n = len(gaps)
            steps = np.diff(gaps, prepend=0.0) * np.arange(n, 0, -1)
            kept.append(np.cumsum(steps)[:-1] / (inside[-1] - inside[0]))
    if not kept:
        return None
    points = np.sort(np.concatenate(kept))
    n = len(points)
    distance = float(max((np.arange(1, n + 1) / n - points).max(), (points - np.arange(n) / n).max()))
    return Poissonness(n, distance, float(kstwobign.sf(distance * math.sqrt(n))))


def dispersion(times: Array, span: float, scales: Array) -> Array:
    """Variance over mean of the counts in bins of each of these lengths [1]: the index of dispersion; Poisson has 1."""
    out = []
    for scale in scales:
        n = int(span / scale)
        counts = np.bincount(np.minimum(times / scale, n).astype(np.int64), minlength=n + 1)[:n]
        out.append(counts.var() / counts.mean() if counts.any() else 0.0)
    return np.array(out)


def scales(times: Array, span: float) -> Array:
    """Lengths of bins from four gaps to a tenth of the log [s], over which it is seen how requests clump."""
    least = 4 * span / len(times)
    return np.geomspace(min(least, span / 20), span / 10, 8)


def two_states(found: Pieces) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Rates [1/s] and mean times [s] of a rate that is either low or high; None where the pieces have one rate.

    The pieces are parted where the likelihood of two Poisson rates is the highest.
    """
    widths, counts = np.diff(found.edges), found.counts
    order = np.argsort(found.rates)
    n, length = np.cumsum(counts[order])[:-1], np.cumsum(widths[order])[:-1]
    if not len(n):
        return None
    rest, left = counts.sum() - n, widths.sum() - length
    fit = n * np.log(np.where(n > 0, n, 1) / length) + rest * np.log(np.where(rest > 0, rest, 1) / left)
    at = int(np.argmax(fit))
    high = np.zeros(len(widths), bool)
    high[order[at + 1 :]] = True
    rates, stays = [], []
    for state in (~high, high):
        visits = int(state[0]) + int((np.diff(state.astype(int)) == 1).sum())
        rates.append(float(counts[state].sum() / widths[state].sum()))
        stays.append(float(widths[state].sum() / visits))
    return (rates[0], rates[1]), (stays[0], stays[1])


def length_of_pieces(times: Array, span: float) -> tuple[float, float | None]:
    """How long the pieces of a resampled log should be, and from how far they may come (None: from anywhere) [s].

    A sixtieth of the log, or a quarter of an hour if that is shorter: longer than requests clump, and enough of them.
    Where an eighth of the log differs from another by more than its pieces do (Kruskal and Wallis, chance 1 %), they
    come from at most a sixteenth of the log away: the rate over the day stays.
    """
    from scipy.stats import kruskal

    length = min(span / 60, 900.0)
    n = int(span / length)
    counts = np.bincount(np.minimum(times / length, n - 1).astype(np.int64), minlength=n)
    groups = np.array_split(counts, 8)
    trend = counts.min() < counts.max() and float(kruskal(*groups).pvalue) < 0.01
    return length, span / 16 if trend else None
