"""Inverse distribution functions tabulated once for ``quantile``, and the small solves that laws need.

A tabulated law holds the inverse at 32 points per halving of either tail's probability, with slopes, so that cubics
join them. Slopes are the exact 1/density, limited so that the inverse never falls (Fritsch and Carlson, SIAM J. Numer.
Anal. 17, 1980).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backwater.errors import ScenarioError, check, nearest
from backwater.quantile import CELLS, OCTAVES

Array = npt.NDArray[np.float64]
Function = Callable[[Array], Array]


def _tails() -> Array:
    """Tail probabilities of the knots: (octave, knot), down to 2**-54; octave 0 is met at exactly 1/2 only."""
    mantissa = 0.5 + np.arange(CELLS + 1) / (2 * CELLS)
    return np.minimum(mantissa * 2.0 ** -np.arange(OCTAVES)[:, None], 0.5)


TAILS = _tails()


def _hermite(values: Array, slopes: Array) -> Array:
    """Rows (value, slope per cell) with slopes limited to keep each cell monotone."""
    rise = np.diff(values, axis=-1)
    most = 3 * np.minimum(np.abs(np.pad(rise, ((0, 0), (0, 0), (1, 0)), mode="edge")),
                          np.abs(np.pad(rise, ((0, 0), (0, 0), (0, 1)), mode="edge")))  # fmt: skip
    slopes = np.where(np.isfinite(slopes), slopes, 0.0)
    return np.stack([values, np.clip(slopes, -most, most)], axis=-1).ravel()


def tabulate(lower: Function, upper: Function, density: Function) -> Array:
    """Knots of an inverse: ``lower(p)`` where F(x) = p, ``upper(p)`` where 1 - F(x) = p, ``density(x)``."""
    values = np.stack([lower(TAILS.ravel()), upper(TAILS.ravel())]).reshape(2, *TAILS.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_cell = (2.0 ** -np.arange(OCTAVES) / (2 * CELLS))[:, None] / density(values.ravel()).reshape(values.shape)
    return _hermite(values, per_cell * np.array([1.0, -1.0])[:, None, None])


@lru_cache(maxsize=256)
def gamma(shape: float, scale: float) -> Array:
    """Knots of the gamma law."""
    from scipy.special import gammainccinv, gammaincinv, gammaln

    def density(x: Array) -> Array:
        z = np.maximum(x / scale, 1e-300)
        return np.exp((shape - 1) * np.log(z) - z - gammaln(shape)) / scale

    return tabulate(lambda p: gammaincinv(shape, p) * scale, lambda p: gammainccinv(shape, p) * scale, density)


@lru_cache(maxsize=256)
def gamma_from_quantiles(p: float, x: float, q: float, y: float) -> tuple[float, float]:
    """Shape and scale of the gamma law with the quantiles x at p and y at q."""
    from scipy.optimize import brentq
    from scipy.special import gammaincinv

    def miss(log_shape: float) -> float:
        shape = math.exp(log_shape)
        return math.log(gammaincinv(shape, q) / max(gammaincinv(shape, p), 1e-300)) - math.log(y / x)

    ok = miss(-4.0) > 0 > miss(14.0)
    check(ok, "", (x, y), "must have quantiles that some gamma distribution can have")
    shape = math.exp(brentq(miss, -4.0, 14.0, xtol=1e-14))
    return shape, x / float(gammaincinv(shape, p))


@lru_cache(maxsize=256)
def weibull_shape(cv: float) -> float:
    """Shape of the Weibull law with this coefficient of variation."""
    from scipy.optimize import brentq
    from scipy.special import gammaln

    def miss(log_shape: float) -> float:
        inverse = math.exp(-log_shape)
        return float(gammaln(1 + 2 * inverse) - 2 * gammaln(1 + inverse)) - math.log1p(cv**2)

    return math.exp(brentq(miss, -3.5, 8.0, xtol=1e-14))


def pareto_moment(n: int, least: float, alpha: float, cap: float) -> float:
    """n-th moment of a Pareto law cut at ``cap``; infinite where it does not exist."""
    if math.isinf(cap):
        return alpha * least**n / (alpha - n) if alpha > n else math.inf
    kept = 1 - (least / cap) ** alpha
    span = math.log(cap / least) if alpha == n else (least ** (n - alpha) - cap ** (n - alpha)) / (alpha - n)
    return alpha * least**alpha * span / kept


@lru_cache(maxsize=256)
def pareto_least(mean: float, alpha: float, cap: float) -> float:
    """The least value for which the Pareto law cut at ``cap`` has this mean."""
    from scipy.optimize import brentq

    return float(brentq(lambda least: pareto_moment(1, least, alpha, cap) - mean, cap * 1e-12, mean, xtol=1e-15 * mean))


def _invert(above: Function, density: Function, mean: float) -> tuple[Function, Function]:
    """Inverses of F and 1 - F by bracketing on a fine grid and Newton steps on log(1 - F) or log F."""

    def below(x: Array) -> Array:
        return np.maximum(-np.expm1(np.log(np.maximum(above(x), 1e-320))), 1e-300)

    grid = mean * np.concatenate([[0.0], np.geomspace(1e-18, 1e4, 6000)])

    def solve(p: Array, tail: Function, sign: float) -> Array:
        logs = np.log(np.maximum(tail(grid), 1e-300))
        order = np.argsort(logs)
        x = np.interp(np.log(p), logs[order], grid[order])
        for _ in range(8):
            have = np.maximum(tail(x), 1e-300)
            step = (np.log(p) - np.log(have)) * have / np.maximum(density(x), 1e-300) * sign
            x = np.clip(x + step, x / 4, x * 4)
        return x

    return (lambda p: _smooth_start(p, solve(p, below, 1.0))), (lambda p: solve(p, above, -1.0))


def _smooth_start(p: Array, x: Array) -> Array:
    """Below F = 2**-24, where 1 - F has lost its digits, continue F as the power law that it is there."""
    order = np.argsort(p)
    at, twice = np.interp([2.0**-24, 2.0**-22], p[order], x[order])
    power = math.log(twice / at) / math.log(4.0)
    return np.where(p < 2.0**-24, at * (p * 2.0**24) ** power, x)


def hyperexponential(shares: Array, rates: Array) -> Array:
    """Knots of a mixture of exponentials."""
    return _cached_phase_type(tuple(shares), tuple(map(tuple, -np.diag(rates))))


def phase_type(alpha: Array, generator: Array) -> Array:
    """Knots of a phase-type law."""
    return _cached_phase_type(tuple(alpha), tuple(map(tuple, generator)))


@lru_cache(maxsize=64)
def _cached_phase_type(alpha: tuple[float, ...], rows: tuple[tuple[float, ...], ...]) -> Array:
    from scipy.linalg import expm

    start, generator = np.array(alpha), np.array(rows)
    leave = -generator.sum(axis=1)
    diagonal = not (generator - np.diag(np.diag(generator))).any()

    def phases(x: Array) -> Array:
        if diagonal:
            return start * np.exp(np.diag(generator) * x[:, None])
        return np.concatenate([start @ expm(generator * part[:, None, None]) for part in np.array_split(x, 16)])

    mean = float((start @ np.linalg.inv(-generator)).sum())
    lower, upper = _invert(lambda x: phases(x).sum(axis=1), lambda x: phases(x) @ leave, mean)
    return tabulate(lower, upper, lambda x: phases(x) @ leave)


def square(rows: Sequence[Sequence[float]]) -> Array:
    """The rows as a square matrix; ScenarioError where they are ragged."""
    check(all(len(row) == len(rows) for row in rows), "T", rows, "must be square")
    return np.array(rows, dtype=np.float64)


def scipy_law(name: str, params: dict[str, float]) -> tuple[Array, tuple[float, float]]:
    """Knots, mean and variance of a continuous scipy.stats law; it must not give values below 0."""
    return _cached_scipy(name, tuple(sorted(params.items())))


@lru_cache(maxsize=64)
def _cached_scipy(name: str, params: tuple[tuple[str, float], ...]) -> tuple[Array, tuple[float, float]]:
    from scipy import stats

    continuous = {n for n in dir(stats) if isinstance(getattr(stats, n), stats.rv_continuous)}
    if name not in continuous:
        raise ScenarioError(
            "name", f"must be a continuous distribution of scipy.stats{nearest(name, continuous)}", name
        )
    try:
        law = getattr(stats, name)(**dict(params))
        low, mean, variance = float(law.support()[0]), float(law.mean()), float(law.var())
    except (TypeError, ValueError) as error:
        raise ScenarioError("params", f"must be what scipy.stats.{name} takes: {error}", dict(params)) from None
    check(math.isfinite(mean), "params", dict(params), "must give a distribution that exists and has a mean")
    check(low >= 0, "params", dict(params), "must give a distribution of values not below 0")
    return tabulate(law.ppf, law.isf, law.pdf), (mean, variance)


def read_columns(file: str, names: Sequence[str]) -> dict[str, Array]:
    """Numeric columns of a CSV file with a header line, by name; read once per version of the file."""
    rows = read_rows(file)
    for name in names:
        if name not in rows:
            raise ScenarioError("column", f"must be a column of {file}{nearest(name, rows)}", name)
    return {name: _numbers(file, name, rows[name]) for name in names}


def read_rows(file: str) -> dict[str, list[str]]:
    """The columns of a CSV file as text; ScenarioError where it cannot be read or a line has the wrong length."""
    path = Path(file)
    try:
        stamp = path.stat()
        return _cached_rows(file, stamp.st_mtime_ns, stamp.st_size)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ScenarioError("file", f"must be a CSV file that can be read: {reason}", file) from None


@lru_cache(maxsize=8)
def _cached_rows(file: str, _mtime: int, _size: int) -> dict[str, list[str]]:
    with open(file, newline="", encoding="utf-8-sig") as lines:
        table = list(csv.reader(lines))
    if len(table) < 2:
        raise ScenarioError("file", "must hold a header line and at least one row", file)
    twice = next((name for name in table[0] if table[0].count(name) > 1), None)
    if twice is not None:
        raise ScenarioError("file", f'must name each column once: "{twice}" stands twice in its header', file)
    for number, row in enumerate(table, start=1):
        if len(row) != len(table[0]):
            raise ScenarioError("file", f"has {len(row)} fields in line {number}, {len(table[0])} in its header", file)
    return dict(zip(table[0], map(list, zip(*table[1:], strict=True)), strict=True))


def _numbers(file: str, name: str, texts: list[str]) -> Array:
    try:
        out = np.array(texts, dtype=np.float64)
    except ValueError:
        line = next(i for i, text in enumerate(texts, start=2) if not _is_number(text))
        raise ScenarioError("column", f'must hold numbers: "{name}" of {file}, line {line}', texts[line - 2]) from None
    bad = ~np.isfinite(out)
    if bad.any():
        line = int(np.argmax(bad)) + 2
        raise ScenarioError("column", f'must hold finite numbers: "{name}" of {file}, line {line}', texts[line - 2])
    return out


def _is_number(text: str) -> Any:
    try:
        float(text)
    except ValueError:
        return False
    return True
