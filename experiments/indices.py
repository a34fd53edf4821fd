"""Which inputs of a function matter: designs of points in the unit cube, and what the values there say of each input.

Knows no simulation: points out, values in. Values may carry the noise of replications; the intervals hold it too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from backwater.statistics import NOTHING, Estimate, t_factor

Array = npt.NDArray[np.float64]
METHODS = ("sobol", "morris")
LEVELS = 4  # of each input in a Morris design
RESAMPLES, REGRESSED = 1000, 200  # of a design, and of points that a curve goes through
DEGREE = 6  # of the curve


class Indices(NamedTuple):
    """What one input does to the values; those of the other method are NaN.

    first   Sobol': share of the variance that it makes by itself
    total   Sobol': share of the variance that it makes by itself and together with others
    effect  Morris: by how much the value changes as the input goes through its range, signs left out, on average
    bend    Morris: standard deviation of that change over the cube; 0 where it is the same everywhere
    """

    first: Estimate = NOTHING
    total: Estimate = NOTHING
    effect: Estimate = NOTHING
    bend: float = math.nan


def design(method: str, inputs: int, n: int, seed: int) -> Array:
    """Points in the unit cube, shape (points, inputs).

    Sobol': n * (inputs + 2) points, from a scrambled Sobol' sequence. Morris: n * (inputs + 1), along n paths that move
    one input at a time. Source: Saltelli et al., "Variance based sensitivity analysis of model output", Computer
    Physics Communications 181, 2010; Morris, "Factorial Sampling Plans", Technometrics 33, 1991.
    """
    from SALib.sample import morris, sobol

    if method == "sobol":
        points = sobol.sample(_cube(inputs), n, calc_second_order=False, seed=np.random.default_rng(seed))
    else:
        points = morris.sample(_cube(inputs), n, num_levels=LEVELS, seed=np.random.default_rng(seed))
    return np.asarray(points, dtype=np.float64)


def independent(method: str, inputs: int, points: int) -> npt.NDArray[np.bool_]:
    """Which points of a design do not repeat the inputs of others: of Sobol's, those of its two bases."""
    place = np.arange(points) % (inputs + 2)
    return (place == 0) | (place == inputs + 1) if method == "sobol" else np.ones(points, bool)


def indices(method: str, points: Array, values: Array, errors: Array, level: float, seed: int) -> list[Indices]:
    """What each input does to the values, with intervals of this level for the finite design and the noise together.

    values  at the points of ``design``
    errors  what each replication adds to each of them (see statistics.Spread), shape (replications, points)
    All are NaN where the values do not vary, or where one is NaN.
    """
    inputs = points.shape[1]
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        return [Indices()] * inputs
    if method == "sobol":
        shares = partial(_sobol, inputs, level, seed)
        first, total = _with_noise(shares, values, errors, level)
        return [Indices(_share(one, first, len(errors)), _share(one, total, len(errors))) for one in range(inputs)]
    (found,) = _with_noise(partial(_morris, points, level, seed), values, errors, level)
    bends = _screened(points, level, seed, values, 2)["sigma"]
    return [
        Indices(effect=Estimate(mean, max(mean - half, 0.0), mean + half, len(errors)), bend=float(bend))
        for mean, half, bend in zip(*found.tolist(), bends, strict=True)
    ]


def crossed(values: Array, errors: Array, level: float) -> list[Indices]:
    """What each axis of a full grid does to the values on it, all places counting the same: exact, but for the noise.

    values  shape (axes...); errors as in ``indices``, shape (replications, axes...)
    Source: Hoeffding's decomposition, for grids: Sobol', "Global sensitivity indices for nonlinear mathematical
    models", Mathematics and Computers in Simulation 55, 2001.
    """
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        return [Indices()] * values.ndim
    first, total = _with_noise(_crossed, values, errors, level)
    return [Indices(_share(one, first, len(errors)), _share(one, total, len(errors))) for one in range(values.ndim)]


def regressed(points: Array, values: Array, errors: Array, level: float, seed: int) -> list[Indices]:
    """The share of the variance that each input makes by itself, of points that fill a space but make no design.

    points  shape (points, inputs), independent and each spread evenly; an input with few values is one of groups
    The share is that of a curve through the values against one input (adjusted R squared); its interval is a bootstrap
    over points. Source: Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2009, 3.2 and 5.2;
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.
    """
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        return [Indices()] * points.shape[1]
    bases = [_basis(column) for column in points.T]
    (first,) = _with_noise(partial(_regressed, bases, level, seed), values, errors, level)
    return [Indices(_share(one, first, len(errors))) for one in range(len(bases))]


def noise(values: Array, errors: Array) -> float:
    """Share of the variance of values over points that the noise of replications makes; NaN below two replications.

    Replications share their random numbers over points, so what one adds to all points alike is no noise: it is the
    interaction of points and replications that is. Source: Searle, "Linear Models", 7.2 (two-way crossed layout).
    """
    n, points = errors.shape
    spread = float(np.var(values, ddof=1)) if points > 1 else 0.0
    if n < 2 or spread == 0 or not math.isfinite(spread):
        return math.nan
    apart = np.nan_to_num(errors)
    apart = apart - apart.mean(axis=1, keepdims=True)
    return min(1.0, float((apart**2).sum()) / ((n - 1) * (points - 1)) / n / spread)


def _with_noise(found: Callable[[Array, int], list[Array]], values: Array, errors: Array, level: float) -> list[Array]:
    """Statistics of the values and their half-widths, rows 0 and 1 of each array; the half-widths made wider by what
    leaving out one replication after the other moves (the jackknife)."""
    n = len(errors)
    out = found(values, RESAMPLES)
    without = [found(values - np.nan_to_num(each) / max(n - 1, 1), 2) for each in errors]
    for number, one in enumerate(out):
        moved = np.array([other[number][0] for other in without])
        error = np.sqrt((n - 1) / n * ((moved - moved.mean(axis=0)) ** 2).sum(axis=0))
        one[1] = np.hypot(one[1], np.nan_to_num(t_factor(n, level)) * error)
    return out


def _cube(inputs: int) -> dict[str, Any]:
    return {"num_vars": inputs, "names": [str(one) for one in range(inputs)], "bounds": [[0.0, 1.0]] * inputs}


def _sobol(inputs: int, level: float, seed: int, values: Array, resamples: int) -> list[Array]:
    from SALib.analyze import sobol

    said = sobol.analyze(_cube(inputs), values, calc_second_order=False, num_resamples=resamples, conf_level=level,
                         seed=seed + 1)  # fmt: skip
    return [np.stack([said[name], said[f"{name}_conf"]]) for name in ("S1", "ST")]


def _morris(points: Array, level: float, seed: int, values: Array, resamples: int) -> list[Array]:
    said = _screened(points, level, seed, values, resamples)
    return [np.stack([np.asarray(said["mu_star"]), np.asarray(said["mu_star_conf"])])]


def _crossed(table: Array, _: int) -> list[Array]:
    whole, axes = table.var(), range(table.ndim)
    alone = [table.mean(axis=tuple(other for other in axes if other != one)).var() / whole for one in axes]
    together = [1 - table.mean(axis=one).var() / whole for one in axes]
    return [np.array([np.round(shares, 12), [0.0] * table.ndim]) for shares in (alone, together)]


def _basis(column: Array) -> Array:
    """What a curve along an input is made of: a constant per value where there are few, else polynomials of ranks."""
    values, place, count = np.unique(column, return_inverse=True, return_counts=True)
    if len(values) <= DEGREE + 1:
        return np.eye(len(values))[place]
    middle = np.cumsum(count) - count / 2
    ranks = 2 * middle[place] / len(column) - 1
    return np.asarray(np.polynomial.legendre.legvander(ranks, DEGREE), np.float64)


def _regressed(bases: list[Array], level: float, seed: int, values: Array, resamples: int) -> list[Array]:
    n, rng = len(values), np.random.default_rng(seed)

    def shares(rows: npt.NDArray[np.int64]) -> list[float]:
        y, out = values[rows], []
        spread = y.var(ddof=1)
        for basis in bases:
            x = basis[rows]
            rest = y - x @ np.linalg.lstsq(x, y)[0]
            out.append(1 - rest @ rest / (n - x.shape[1]) / spread if spread > 0 else 0.0)
        return out

    again = [shares(rng.integers(0, n, n)) for _ in range(resamples)]
    half = float(norm.ppf((1 + level) / 2)) * np.std(again, axis=0, ddof=1)
    return [np.array([shares(np.arange(n)), half])]


def _screened(points: Array, level: float, seed: int, values: Array, resamples: int) -> Any:
    from SALib.analyze import morris

    return morris.analyze(_cube(points.shape[1]), points, values, num_resamples=resamples, conf_level=level,
                          num_levels=LEVELS, seed=np.random.default_rng(seed))  # fmt: skip


def _share(one: int, found: Array, n: int) -> Estimate:
    """A share of the variance, with an interval that leaves neither 0 nor 1."""
    value, half = float(found[0, one]), float(found[1, one])
    low, high = max(value - half, 0.0), min(value + half, 1.0)
    return Estimate(min(max(value, 0.0), 1.0), min(low, 1.0), max(high, 0.0), n)
