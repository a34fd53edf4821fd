"""Service times: which law of the language they follow, how well, and whether they hold time spent waiting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.distributions import (
    Constant,
    Exponential,
    Gamma,
    HyperExponential,
    Law,
    LogNormal,
    Pareto,
    Weibull,
)
from backwater.errors import ScenarioError, check
from backwater.tables import pareto_moment
from backwater.units import human

Array = npt.NDArray[np.float64]
MOST = 10_000  # values that are fitted, drawn from all
BOOTSTRAP = 199  # logs that a fitted law draws for its p-value
ACCEPTED = 0.01  # p-value from which a law is taken


class Hyper:
    """Two exponentials with balanced means, in scipy's words."""

    def __init__(self, mean: float, cv: float) -> None:
        share = 0.5 * (1 + math.sqrt((cv**2 - 1) / (cv**2 + 1)))
        self.mean_, self.cv = mean, cv
        self.shares, self.means = np.array([share, 1 - share]), mean / (2 * np.array([share, 1 - share]))

    def logpdf(self, x: Array) -> Array:
        """Log of the density."""
        with np.errstate(divide="ignore"):
            return np.asarray(
                np.logaddexp(*(np.log(p / m) - x / m for p, m in zip(self.shares, self.means, strict=True)))
            )

    def cdf(self, x: Array) -> Array:
        """Chance of at most x."""
        return np.asarray(sum(p * -np.expm1(-x / m) for p, m in zip(self.shares, self.means, strict=True)))

    def rvs(self, n: int, random_state: Any) -> Array:
        """Variates."""
        which = (random_state.random(n) >= self.shares[0]).astype(int)
        return np.asarray(random_state.exponential(self.means[which]))


class Family(NamedTuple):
    """A family of laws: how many parameters, the member of the highest likelihood, and that as a law of ours."""

    parameters: int
    fit: Callable[[Array], Any]
    law: Callable[[Any], Law]


def _stats() -> Any:
    from scipy import stats

    return stats


def _exponential(x: Array) -> Any:
    return _stats().expon(scale=x.mean())


def _lognormal(x: Array) -> Any:
    logs = np.log(x)
    return _stats().lognorm(s=max(float(logs.std()), 1e-9), scale=math.exp(float(logs.mean())))


def _gamma(x: Array) -> Any:
    """Source: Minka, "Estimating a gamma distribution", 2002: Newton on 1 / shape."""
    from scipy.special import polygamma, psi

    gap = math.log(float(x.mean())) - float(np.log(x).mean())
    shape = (3 - gap + math.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(20):
        top = math.log(shape) - float(psi(shape)) - gap
        shape = 1 / (1 / shape + top / (shape**2 * (1 / shape - float(polygamma(1, shape)))))
    return _stats().gamma(shape, scale=float(x.mean()) / shape)


def _weibull(x: Array) -> Any:
    """The likelihood equation of the shape; x is scaled by its largest value, so powers do not overflow."""
    from scipy.optimize import brentq

    logs = np.log(x / x.max())

    def miss(shape: float) -> float:
        power = np.exp(shape * logs)
        return float((power * logs).sum() / power.sum() - 1 / shape - logs.mean())

    shape = brentq(miss, 0.02, 1e3)
    return _stats().weibull_min(shape, scale=float(x.max() * np.exp(shape * logs).mean() ** (1 / shape)))


def _hyper(x: Array) -> Any:
    from scipy.optimize import minimize

    def fitted(point: Any) -> Hyper:
        mean, excess = np.exp(np.clip(point, -60, 13))
        return Hyper(float(mean), math.sqrt(1 + float(excess)))

    excess = max(float(x.var() / x.mean() ** 2) - 1, 1e-2)
    found = minimize(lambda point: -fitted(point).logpdf(x).sum(), [math.log(x.mean()), math.log(excess)],
                     method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-3})  # fmt: skip
    return fitted(found.x)


def _pareto(x: Array) -> Any:
    """Cut at the largest value. Source: Aban, Meerschaert, Panorska, JASA 101, 2006, theorem 2."""
    from scipy.optimize import brentq

    least, cap = float(x.min()), float(x.max())
    ratio, logs = math.log(least / cap), float(np.log(x / least).mean())

    def miss(alpha: float) -> float:
        return 1 / alpha + ratio / (math.exp(-ratio * alpha) - 1) - logs

    return _stats().truncpareto(brentq(miss, 0.01, 99.0), cap / least, scale=least)


def _pareto_law(found: Any) -> Law:
    (alpha, span), least = found.args, found.kwds["scale"]
    cap = span * least
    return Pareto(mean=_time(pareto_moment(1, least, alpha, cap)), alpha=_six(alpha), cap=_time(cap))


def _time(seconds: float) -> str:
    return f"{float(seconds):.6g} s"


def _six(value: float) -> float:
    """Six digits: more than any log can tell."""
    return float(f"{value:.6g}")


def _two(kind: Any) -> Callable[[Any], Law]:
    return lambda found: kind(mean=_time(found.mean()), cv=_six(found.std() / found.mean()))


FAMILIES = {
    "exponential": Family(1, _exponential, lambda found: Exponential(mean=_time(found.mean()))),
    "lognormal": Family(2, _lognormal, _two(LogNormal)),
    "gamma": Family(2, _gamma, _two(Gamma)),
    "weibull": Family(2, _weibull, _two(Weibull)),
    "hyperexponential": Family(2, _hyper, lambda found: HyperExponential(mean=_time(found.mean_), cv=_six(found.cv))),
    "pareto": Family(3, _pareto, _pareto_law),
}


class Candidate(NamedTuple):
    """A family fitted: the law, Akaike's criterion (less is better), the Kolmogorov-Smirnov distance."""

    name: str
    law: Law
    aic: float
    distance: float


class Service(NamedTuple):
    """What was found of service times.

    values      the durations it rests on [s]; none where it comes from buckets or an assumption
    name        the law that is taken: a family's, constant, empirical, histogram
    law         that law; None for empirical: the durations themselves
    p           p-value of the best family, by a parametric bootstrap; NaN where nothing was tested
    candidates  every family, the best first
    told, warned  in words
    """

    values: Array
    name: str
    law: Law | None
    p: float
    candidates: tuple[Candidate, ...]
    told: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """Mean service time [s]."""
        return float(self.values.mean()) if self.law is None else self.law.average


def fit_service(values: Array, wanted: str | None = None, seed: int = 1) -> Service:
    """The law of the least Akaike criterion; the durations themselves where a test refuses it.

    wanted  a family, or "empirical", to be taken whatever the test says
    Source of the p-value: Stute, Manteiga, Quindimil, "Bootstrap based goodness-of-fit tests", Metrika 40, 1993.
    """
    rng = np.random.default_rng(seed)
    if values.std() <= 1e-9 * values.mean() or len(values) < 10:
        if len(values) >= 10 and values.mean() > 0:
            return Service(
                values, "constant", Constant(value=_time(np.median(values))), math.nan, (), ("all are equal",)
            )
        return Service(values, "empirical", None, math.nan, (), (f"{len(values)} durations are too few to fit a law",))
    told: list[str] = []
    sample = values if len(values) <= MOST else rng.choice(values, MOST, replace=False)
    if len(sample) < len(values):
        told.append(f"laws are fitted to {MOST:,} of the durations")
    sample = _unrounded(sample, rng, told)
    found = sorted((each for name in FAMILIES if (each := _candidate(name, sample)) is not None), key=lambda c: c.aic)
    best = next((each for each in found if each.name == wanted), found[0]) if found else None
    if best is None:
        return Service(values, "empirical", None, math.nan, (), (*told, "no family of laws can be fitted"))
    p = _p_value(best, sample, rng)
    if wanted == "empirical" or (wanted is None and p < ACCEPTED):
        why = f"the nearest law, {best.name}, is refused (p {human(p)}, distance {human(best.distance)})"
        told.append("as asked" if wanted else f"{why}: the durations themselves are drawn")
        return Service(values, "empirical", None, p, tuple(found), tuple(told))
    told.append(f"{best.name} has the least Akaike criterion, p {human(p)} by bootstrap" if best is found[0]
                else f"{best.name} as asked, p {human(p)}; {found[0].name} would be nearer")  # fmt: skip
    return Service(values, best.name, best.law, p, tuple(found), tuple(told))


def _candidate(name: str, x: Array) -> Candidate | None:
    """A family fitted; None where it cannot be."""
    family = FAMILIES[name]
    try:
        with np.errstate(all="ignore"):
            found = family.fit(x)
            aic = 2 * family.parameters - 2 * float(found.logpdf(x).sum())
            law = family.law(found)
    except (ScenarioError, ValueError, ArithmeticError, RuntimeError):
        return None
    return Candidate(name, law, aic, _distance(found, x)) if math.isfinite(aic) else None


def _distance(found: Any, x: Array) -> float:
    """Between the law's distribution and the sample's."""
    below, n = found.cdf(np.sort(x)), len(x)
    return float(max((np.arange(1, n + 1) / n - below).max(), (below - np.arange(n) / n).max()))


def _p_value(best: Candidate, x: Array, rng: np.random.Generator) -> float:
    """How often a log of the fitted law, fitted anew, lies as far from its own fit."""
    family = FAMILIES[best.name]
    found, farther = family.fit(x), 0
    for _ in range(BOOTSTRAP):
        again = np.maximum(np.asarray(found.rvs(len(x), random_state=rng)), 1e-300)
        try:
            farther += _distance(family.fit(again), again) >= best.distance
        except (ValueError, ArithmeticError, RuntimeError):
            farther += 1  # nothing to refuse the law by
    return (1 + farther) / (BOOTSTRAP + 1)


def _unrounded(x: Array, rng: np.random.Generator, told: list[str]) -> Array:
    """Values rounded coarsely are spread within their rounding; 0 becomes something above it."""
    grid = next((step for step in (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)
                 if np.allclose(x / step, np.round(x / step), rtol=0, atol=1e-4)), 0.0)  # fmt: skip
    if grid and np.median(x) < 200 * grid:
        told.append(f"rounded to {human(grid, 'time')}: spread within it")
        x = np.abs(x + grid * (rng.random(len(x)) - 0.5))
    least = float(x[x > 0].min()) if (x > 0).any() else 1e-9
    return np.where(x > 0, x, least / 2)


def queueing(times: Array, service: Array) -> str:
    """A warning, in words, of durations that grow with how many requests are under way; empty where they do not."""
    from scipy.stats import spearmanr

    good = np.isfinite(service)
    times, service = times[good], service[good]
    under_way = np.arange(len(times)) - np.searchsorted(np.sort(times + service), times, side="right")
    check(len(times), "--service", 0, "must hold durations")
    if len(times) < 50 or under_way.min() == under_way.max() or service.min() == service.max():
        return ""
    rank, p = spearmanr(under_way, service)
    if not (rank > 0.05 and p < 1e-3):
        return ""
    low, high = np.quantile(under_way, [0.1, 0.9])
    few, many = service[under_way <= low].mean(), service[under_way >= high].mean()
    return (
        f"durations grow with the requests under way (rank correlation {rank:.2f}): {human(few, 'time')} in the mean "
        f"with {low:.0f} or fewer, {human(many, 'time')} with {high:.0f} or more. They hold time spent waiting, which "
        "the simulation would add once more"
    )


USUAL = (
    "durations of an access log or a dashboard usually hold time spent waiting; a service time is what a worker is "
    "busy for. Measure it in the worker, or under little load"
)
