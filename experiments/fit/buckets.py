"""Prometheus histograms: buckets as a law of their own, and the law that fits them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backwater.distributions import Histogram, Law
from backwater.errors import ScenarioError, check
from backwater.experiments.fit.service import ACCEPTED, FAMILIES, Candidate, Service
from backwater.units import TIME, human

Array = npt.NDArray[np.float64]
_LINE = re.compile(r"^\s*([A-Za-z_:][\w:]*)_bucket\{([^}]*)\}\s+(\S+)")
_LE = re.compile(r'(?:^|,)\s*le\s*=\s*"([^"]+)"')
_UNITS = {"milliseconds": 1e-3, "ms": 1e-3, "microseconds": 1e-6, "us": 1e-6}


def read_buckets(path: Path) -> tuple[Array, Array]:
    """Upper bounds [s] and cumulative counts: the text that a server exposes, its series added up, or CSV ``le,count``.

    Raises ScenarioError, one line, for anything else.
    """
    try:
        lines = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ScenarioError("--buckets", f"must be a file that can be read: {reason}", str(path)) from None
    exposed = [match for line in lines if (match := _LINE.match(line))]
    names = sorted({match[1] for match in exposed})
    check(len(names) <= 1, "--buckets", ", ".join(names), "must hold one histogram")
    if exposed:
        each = next((size for unit, size in _UNITS.items() if names[0].endswith(f"_{unit}")), 1.0)
        pairs = [(found[1] if (found := _LE.search(match[2])) else "", match[3]) for match in exposed]
    else:
        cells = [[cell.strip().strip('"') for cell in re.split(r"[,;\t]", line)] for line in lines]
        header = cells[0] if cells and cells[0][0].lower().startswith("le") else None
        check(
            header is not None, "--buckets", str(path), 'must be lines such as x_bucket{le="0.1"} 12, or CSV le,count'
        )
        unit = re.search(r"(ns|us|ms|s)\W*$", (header or [""])[0])
        each = TIME[unit[1]] if unit else 1.0
        pairs = [(row[0], row[1] if len(row) > 1 else "") for row in cells[1:]]
    totals: dict[float, float] = {}
    for le, count in pairs:
        try:
            bound, n = float(le), float(count)
        except ValueError:
            raise ScenarioError("--buckets", "must have numbers for le and count", f"{le} {count}") from None
        totals[bound * each] = totals.get(bound * each, 0.0) + n
    bounds = np.array(sorted(totals))
    counts = np.array([totals[bound] for bound in bounds])
    check(len(bounds) >= 2 and bounds[0] > 0, "--buckets", bounds[:2].tolist(), "must have two bounds or more, above 0")
    ok = bool((np.diff(counts) >= 0).all() and counts[0] >= 0 and counts[-1] > 0)
    check(ok, "--buckets", counts[:6].tolist(), 'must be cumulative, as "le" buckets are, and count something')
    return bounds, counts


def fit_buckets(bounds: Array, counts: Array, wanted: str | None = None) -> Service:
    """The law of the highest likelihood given the buckets; the buckets themselves where Pearson's test refuses it."""
    told = [f"{human(counts[-1])} durations in {len(bounds)} buckets"]
    if math.isinf(bounds[-1]):
        finite, total = bounds[:-1], counts
    else:
        finite, total = bounds, np.append(counts, counts[-1])
    cells = np.diff(total, prepend=0.0)
    # fmt: off
    found = sorted((each for name in ("exponential", "lognormal", "gamma", "weibull")
                    if (each := _candidate(name, finite, cells)) is not None), key=lambda each: each[0].aic)
    # fmt: on
    best, p = next((each for each in found if each[0].name == wanted), found[0])
    candidates = tuple(each[0] for each in found)
    if wanted in FAMILIES or (wanted is None and not p < ACCEPTED):
        tested = "too few buckets to test it" if math.isnan(p) else f"p {human(p)} by Pearson's test"
        told.append(f"{best.name} has the least Akaike criterion, {tested}")
        return Service(np.empty(0), best.name, best.law, p, candidates, tuple(told))
    told.append(f"the nearest law, {best.name}, is refused (p {human(p)}): the buckets themselves are drawn from")
    if cells[-1] > 0:
        # The language wants a bound for the last bucket: the ladder of bounds goes on by one step.
        step = finite[-1] / finite[-2] if len(finite) > 1 else 2.0
        told.append(f"{human(cells[-1] / total[-1], 'share')} lie above the last bound: taken to be within "
                    f"{human(finite[-1] * step, 'time')}")  # fmt: skip
        finite = np.append(finite, finite[-1] * step)
        total = np.append(total[:-1], total[-1])
    law = Histogram(
        bounds=tuple(f"{float(b)!r} s" for b in finite), counts=tuple(float(n) for n in total[: len(finite)])
    )
    return Service(np.empty(0), "histogram", law, p, candidates, tuple(told))


def _candidate(name: str, bounds: Array, cells: Array) -> tuple[Candidate, float] | None:
    """A family fitted to counts in cells, the last one without end, and the p-value of Pearson's test."""
    from scipy import stats
    from scipy.optimize import minimize

    kind = {
        "exponential": lambda a: stats.expon(scale=math.exp(a[0])),
        "lognormal": lambda a: stats.lognorm(s=math.exp(a[1]), scale=math.exp(a[0])),
        "gamma": lambda a: stats.gamma(math.exp(-2 * a[1]), scale=math.exp(a[0] + 2 * a[1])),
        "weibull": lambda a: stats.weibull_min(math.exp(-a[1]), scale=math.exp(a[0])),
    }[name]
    parameters = FAMILIES[name].parameters
    middle = np.append(bounds, bounds[-1] * 2) * 0.75
    start = [math.log(float((cells * middle).sum() / cells.sum())), 0.0][:parameters]

    def shares(point: Any) -> Array:
        below = kind(np.clip(point, -25, 25)).cdf(bounds)
        return np.maximum(np.diff(below, prepend=0.0, append=1.0), 1e-300)

    found = minimize(lambda point: -(cells * np.log(shares(point))).sum(), start, method="Nelder-Mead",
                     options={"xatol": 1e-6, "fatol": 1e-6, "maxiter": 2000})  # fmt: skip
    expected = shares(found.x) * cells.sum()
    try:
        law: Law = FAMILIES[name].law(kind(found.x))
    except ScenarioError:
        return None
    distance = float(np.abs(np.cumsum(cells - expected)).max() / cells.sum())
    p = _pearson(cells, expected, parameters)
    return Candidate(name, law, 2 * parameters + 2 * float(found.fun), distance), p


def _pearson(cells: Array, expected: Array, parameters: int) -> float:
    """p-value of Pearson's test, cells of fewer than 5 expected put to their neighbours; NaN where too few are left."""
    from scipy.stats import chi2

    groups, have, want = [], 0.0, 0.0
    for seen, hoped in zip(cells, expected, strict=True):
        have, want = have + seen, want + hoped
        if want >= 5:
            groups.append((have, want))
            have = want = 0.0
    if groups and (have or want):
        groups[-1] = (groups[-1][0] + have, groups[-1][1] + want)
    if len(groups) - 1 - parameters < 1:
        return math.nan
    seen, hoped = np.array(groups).T
    return float(chi2.sf(((seen - hoped) ** 2 / hoped).sum(), len(groups) - 1 - parameters))
