"""Distributions by what people know of them.

A law is data; ``law.table`` is the same law as the flat array from which ``quantile`` draws.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from backwater import tables
from backwater.base import Model, one_of, part_table
from backwater.errors import ScenarioError, check
from backwater.quantile import (
    COLUMN, CONSTANT, EMPIRICAL, EXPONENTIAL, HEAD, HISTOGRAM, LOGNORMAL, MIXTURE, PARETO, TABULATED, UNIFORM, WEIBULL,
    normal_quantile,
)  # fmt: skip
from backwater.units import EXAMPLE, Quantity, Scale, bare_numbers_refused, parse_scale

Array = npt.NDArray[np.float64]

def _array(family: int, a: float = 0.0, b: float = 0.0, c: float = 0.0, d: float = 0.0, data: Any = ()) -> Array:
    out = np.concatenate([np.array([family, a, b, c, d], dtype=np.float64), np.asarray(data, dtype=np.float64)])
    out.flags.writeable = False
    return out


class Law(Model):
    """A distribution of times or of sizes. ``dimension`` is "time", "size" or "" (bare numbers in base units)."""

    scales: ClassVar[tuple[str, ...]] = ("mean",)

    @property
    def dimension(self) -> str:
        """What the parameters were given as: "time", "size" or ""."""
        given = {v.dimension for name in self.scales if isinstance(v := getattr(self, name), Quantity)}
        given.discard("")
        if len(given) > 1:
            raise ScenarioError("", f"must have {' and '.join(self.scales)} of one kind, all times or all sizes", shown=False)
        return given.pop() if given else ""

    @cached_property
    def table(self) -> Array:
        """The law as the compiled ``quantile`` reads it: float64, ``[family, a, b, c, d, data...]``, read-only."""
        raise NotImplementedError

    @cached_property
    def moments(self) -> tuple[float, float]:
        """Mean and variance [base unit, base unit squared]; the variance may be infinite."""
        raise NotImplementedError

    @property
    def average(self) -> float:
        """Mean [s or B]."""
        return self.moments[0]

    @property
    def scv(self) -> float:
        """Squared coefficient of variation [1]."""
        mean, variance = self.moments
        return variance / mean**2 if mean > 0 else 0.0

    @model_validator(mode="after")
    def _works(self) -> Any:
        _ = self.dimension
        values = self.table
        check(np.isfinite(values).all(), "", self.plain(), "must have finite parameters")
        return self


class Constant(Law):
    """Always ``value`` [s or B]."""

    kind: Literal["constant"] = "constant"
    value: Scale
    scales: ClassVar = ("value",)

    @cached_property
    def table(self) -> Array:
        return _array(CONSTANT, self.value)

    @cached_property
    def moments(self) -> tuple[float, float]:
        return float(self.value), 0.0


class Exponential(Law):
    """Exponential with the given ``mean`` [s or B]."""

    kind: Literal["exponential"] = "exponential"
    mean: Scale

    @cached_property
    def table(self) -> Array:
        return _array(EXPONENTIAL, self.mean)

    @cached_property
    def moments(self) -> tuple[float, float]:
        return float(self.mean), float(self.mean) ** 2


class Uniform(Law):
    """Uniform between ``low`` and ``high`` [s or B]."""

    kind: Literal["uniform"] = "uniform"
    low: Scale
    high: Scale
    scales: ClassVar = ("low", "high")

    @cached_property
    def table(self) -> Array:
        check(self.low <= self.high, "high", self.high, f"must be at least low = {self.low}")
        return _array(UNIFORM, self.low, self.high)

    @cached_property
    def moments(self) -> tuple[float, float]:
        return (self.low + self.high) / 2, (self.high - self.low) ** 2 / 12


class Erlang(Law):
    """Sum of ``k`` equal exponentials, with the given ``mean`` [s or B]."""

    kind: Literal["erlang"] = "erlang"
    mean: Scale
    k: int = Field(ge=1, le=10_000)

    @cached_property
    def table(self) -> Array:
        return _array(TABULATED, data=tables.gamma(float(self.k), self.mean / self.k))

    @cached_property
    def moments(self) -> tuple[float, float]:
        return float(self.mean), float(self.mean) ** 2 / self.k


PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}


class TwoKnown(Law):
    """A family of two parameters, known by ``mean`` and ``cv``, or by any two of its quantiles p50, p90, p95, p99."""

    mean: Scale | None = None
    cv: float | None = Field(default=None, gt=0, le=100)
    p50: Scale | None = None
    p90: Scale | None = None
    p95: Scale | None = None
    p99: Scale | None = None
    scales: ClassVar = ("mean", *PERCENTILES)

    @model_validator(mode="before")
    @classmethod
    def _two(cls, given: Any) -> Any:
        names = {name for name in ("mean", "cv", *PERCENTILES) if given.get(name) is not None}
        if names != {"mean", "cv"} and not (len(names) == 2 and names <= set(PERCENTILES)):
            said = ", ".join(sorted(names)) or "neither"
            raise ScenarioError("", f"must have mean and cv, or two of p50, p90, p95, p99: it has {said}", shown=False)
        return given

    def _known(self) -> tuple[float, float, float, float]:
        """(p, value at p, q, value at q) of the two quantiles given."""
        (low, x), (high, y) = [(p, float(v)) for n, p in PERCENTILES.items() if (v := getattr(self, n)) is not None]
        check(0 < x < y, "", (x, y), "must have quantiles that grow and are above 0")
        return low, x, high, y


class LogNormal(TwoKnown):
    """Lognormal: ``mean`` [s or B] and ``cv`` [1] of the variate itself, or two of its quantiles."""

    kind: Literal["lognormal"] = "lognormal"

    @cached_property
    def table(self) -> Array:
        if self.mean is not None and self.cv is not None:
            variance = math.log1p(self.cv**2)
            check(self.mean > 0, "mean", self.mean, "must be above 0")
            return _array(LOGNORMAL, math.log(self.mean) - variance / 2, math.sqrt(variance))
        p, x, q, y = self._known()
        z, w = normal_quantile(p), normal_quantile(q)
        sigma = math.log(y / x) / (w - z)
        return _array(LOGNORMAL, math.log(x) - sigma * z, sigma)

    @cached_property
    def moments(self) -> tuple[float, float]:
        mu, variance = self.table[1], self.table[2] ** 2
        mean = math.exp(mu + variance / 2)
        return mean, mean**2 * math.expm1(variance)


class Gamma(TwoKnown):
    """Gamma: ``mean`` [s or B] and ``cv`` [1], or two quantiles."""

    kind: Literal["gamma"] = "gamma"
    def _shape_scale(self) -> tuple[float, float]:
        if self.mean is not None and self.cv is not None:
            return self.cv**-2, self.mean * self.cv**2
        return tables.gamma_from_quantiles(*self._known())

    @cached_property
    def table(self) -> Array:
        shape, scale = self._shape_scale()
        check(scale > 0, "mean", self.mean, "must be above 0")
        return _array(TABULATED, data=tables.gamma(shape, scale))

    @cached_property
    def moments(self) -> tuple[float, float]:
        shape, scale = self._shape_scale()
        return shape * scale, shape * scale**2


class Weibull(TwoKnown):
    """Weibull: ``mean`` [s or B] and ``cv`` [1], or two quantiles."""

    kind: Literal["weibull"] = "weibull"

    @cached_property
    def table(self) -> Array:
        if self.mean is not None and self.cv is not None:
            check(self.mean > 0, "mean", self.mean, "must be above 0")
            shape = tables.weibull_shape(self.cv)
            return _array(WEIBULL, self.mean / math.gamma(1 + 1 / shape), 1 / shape)
        p, x, q, y = self._known()
        inverse = math.log(y / x) / (math.log(-math.log1p(-q)) - math.log(-math.log1p(-p)))
        return _array(WEIBULL, x / (-math.log1p(-p)) ** inverse, inverse)

    @cached_property
    def moments(self) -> tuple[float, float]:
        scale, inverse = self.table[1], self.table[2]
        mean = scale * math.gamma(1 + inverse)
        return mean, scale**2 * math.gamma(1 + 2 * inverse) - mean**2


class HyperExponential(Law):
    """Two exponentials with balanced means (each carries half of the work): ``mean`` [s or B], ``cv`` at least 1."""

    kind: Literal["hyperexponential"] = "hyperexponential"
    mean: Scale
    cv: float = Field(ge=1, le=1000)

    def phases(self) -> tuple[Array, Array]:
        """Shares of the two exponentials and their rates [1/s]."""
        share = 0.5 * (1 + math.sqrt((self.cv**2 - 1) / (self.cv**2 + 1)))
        shares = np.array([share, 1 - share])
        return shares, 2 * shares / self.mean

    @cached_property
    def table(self) -> Array:
        check(self.mean > 0, "mean", self.mean, "must be above 0")
        return _array(TABULATED, data=tables.hyperexponential(*self.phases()))

    @cached_property
    def moments(self) -> tuple[float, float]:
        return float(self.mean), (self.cv * self.mean) ** 2


class Pareto(Law):
    """Pareto of index ``alpha`` cut at ``cap`` (conditioned on being below it), with the given ``mean`` [s or B].

    Without a cap, alpha must be above 1. Source: Harchol-Balter, "Performance Modeling and Design", 2013, 20.4.
    """

    kind: Literal["pareto"] = "pareto"
    mean: Scale
    alpha: float = Field(gt=0, le=100)
    cap: Scale | None = None
    scales: ClassVar = ("mean", "cap")

    @cached_property
    def _least(self) -> float:
        if self.cap is None:
            check(self.alpha > 1, "alpha", self.alpha, "must be above 1 where there is no cap: the mean is infinite")
            return float(self.mean) * (self.alpha - 1) / self.alpha
        check(0 < self.mean < self.cap, "mean", self.mean, f"must be above 0 and below cap = {float(self.cap)}")
        return tables.pareto_least(float(self.mean), self.alpha, float(self.cap))

    @cached_property
    def table(self) -> Array:
        check(self.mean > 0, "mean", self.mean, "must be above 0")
        kept = 1.0 if self.cap is None else 1.0 - (self._least / self.cap) ** self.alpha
        return _array(PARETO, self._least, -1 / self.alpha, kept)

    @cached_property
    def moments(self) -> tuple[float, float]:
        second = tables.pareto_moment(2, self._least, self.alpha, math.inf if self.cap is None else float(self.cap))
        return float(self.mean), second - float(self.mean) ** 2


class PhaseType(Law):
    """Time to absorption of a Markov chain: start shares ``alpha`` [1], sub-generator ``T`` [1/s], row by row."""

    kind: Literal["phasetype"] = "phasetype"
    alpha: tuple[float, ...]
    T: tuple[tuple[float, ...], ...]
    scales: ClassVar = ()

    @cached_property
    def table(self) -> Array:
        alpha, generator = np.array(self.alpha), tables.square(self.T)
        check(alpha.shape == generator.shape[:1], "T", self.T, "must be square, of the length of alpha")
        check((alpha >= 0).all() and abs(alpha.sum() - 1) < 1e-9, "alpha", self.alpha, "must be shares that add to 1")
        off = generator - np.diag(np.diag(generator))
        leaves = -generator.sum(axis=1)
        ok = (off >= 0).all() and (leaves >= -1e-12).all() and abs(np.linalg.det(generator)) > 0
        check(ok, "T", self.T, "must be a sub-generator: rates >= 0 off the diagonal, rows adding to 0 or less, absorbing")
        return _array(TABULATED, data=tables.phase_type(alpha, generator))

    @cached_property
    def moments(self) -> tuple[float, float]:
        inverse = np.linalg.inv(-tables.square(self.T))
        first = np.array(self.alpha) @ inverse
        mean = float(first.sum())
        return mean, float(2 * (first @ inverse).sum()) - mean**2


class Empirical(Law):
    """Drawn from observed ``values`` [s or B], each as likely as the others; or from ``column`` of a CSV ``file``."""

    kind: Literal["empirical"] = "empirical"
    values: tuple[Scale, ...] | None = None
    file: str | None = None
    column: str | None = None
    unit: Scale | None = None
    scales: ClassVar = ("unit",)

    @property
    def dimension(self) -> str:
        given = {v.dimension for v in (self.values or ())} | ({self.unit.dimension} if self.unit is not None else set())
        given.discard("")
        check(len(given) <= 1, "values", self.values, "must be all times or all sizes")
        return given.pop() if given else ""

    @cached_property
    def observed(self) -> Array:
        """The observed values, sorted [s or B]."""
        check((self.values is None) != (self.file is None), "", self.plain(), "must have either values or a file")
        if self.values is not None:
            out = np.array([float(v) for v in self.values])
        else:
            check(self.column is not None, "column", None, "must name the column of the file that holds the values")
            unit = 1.0 if self.unit is None else float(self.unit)
            out = tables.read_columns(str(self.file), [str(self.column)])[str(self.column)] * unit
        check(len(out) > 0 and (out >= 0).all(), "values", out[:3].tolist(), "must hold at least one value, none below 0")
        return np.sort(out)

    @cached_property
    def table(self) -> Array:
        return _array(EMPIRICAL, len(self.observed), data=self.observed)

    @cached_property
    def moments(self) -> tuple[float, float]:
        return float(self.observed.mean()), float(self.observed.var())


class Histogram(Law):
    """Prometheus buckets: upper ``bounds`` ("le") [s or B] and their cumulative ``counts``; uniform within a bucket."""

    kind: Literal["histogram"] = "histogram"
    bounds: tuple[Scale, ...]
    counts: tuple[float, ...]
    scales: ClassVar = ()

    @property
    def dimension(self) -> str:
        given = {v.dimension for v in self.bounds} - {""}
        check(len(given) <= 1, "bounds", self.bounds, "must be all times or all sizes")
        return given.pop() if given else ""

    @cached_property
    def _knots(self) -> tuple[Array, Array]:
        bounds, counts = np.array([float(b) for b in self.bounds]), np.array(self.counts)
        check(len(bounds) == len(counts) and len(bounds) > 0, "counts", self.counts, "must be as many as bounds")
        check((np.diff(bounds) > 0).all() and bounds[0] > 0, "bounds", self.bounds, "must grow, from above 0")
        ok = (np.diff(counts) >= 0).all() and counts[0] >= 0 and counts[-1] > 0
        check(ok, "counts", self.counts, 'must be cumulative, as Prometheus counts "le" buckets')
        shares = np.concatenate([[0.0], counts / counts[-1]])
        knots = np.concatenate([[0.0], bounds])
        # An empty bucket is a jump of the inverse: keep the knot where the jump starts and the one where it ends.
        keep = np.concatenate([[True], (np.diff(shares) > 0)]) | np.concatenate([(np.diff(shares) > 0), [True]])
        return knots[keep], shares[keep]

    @cached_property
    def table(self) -> Array:
        knots, shares = self._knots
        return _array(HISTOGRAM, len(knots), data=np.concatenate([knots, shares]))

    @cached_property
    def moments(self) -> tuple[float, float]:
        x, f = self._knots
        weight, low, high = np.diff(f), x[:-1], x[1:]
        mean = float((weight * (low + high) / 2).sum())
        return mean, float((weight * (low**2 + low * high + high**2) / 3).sum()) - mean**2


class Scipy(Law):
    """Any continuous distribution of scipy.stats by ``name`` and ``params`` [s], through its inverse, tabulated once."""

    kind: Literal["scipy"] = "scipy"
    name: str
    params: dict[str, float] = {}
    scales: ClassVar = ()

    @cached_property
    def table(self) -> Array:
        return _array(TABULATED, data=tables.scipy_law(self.name, self.params)[0])

    @cached_property
    def moments(self) -> tuple[float, float]:
        return tables.scipy_law(self.name, self.params)[1]


class Linear(Law):
    """Of a trace's columns: ``constant`` + the sum of ``per[column]`` [s or B each] times the row's value."""

    kind: Literal["linear"] = "linear"
    constant: Scale = Quantity(0.0)
    per: dict[str, Scale]
    scales: ClassVar = ("constant",)

    @property
    def dimension(self) -> str:
        given = {v.dimension for v in (self.constant, *self.per.values())} - {""}
        check(len(given) <= 1, "per", self.per, "must be all times or all sizes, as constant is")
        return given.pop() if given else ""

    @cached_property
    def table(self) -> Array:
        check(self.per, "per", self.per, "must name at least one column")
        return _array(COLUMN)

    @cached_property
    def moments(self) -> tuple[float, float]:
        raise ScenarioError("", "has moments only together with its trace", shown=False)

    def of(self, columns: dict[str, Array]) -> Array:
        """The value for each row of a trace [s or B], shape (rows,)."""
        out = np.full(len(next(iter(columns.values()))), float(self.constant))
        for name, each in self.per.items():
            out = out + float(each) * columns[name]
        return out


class Part(Model):
    """One part of a mixture: ``share`` (any positive weight) and its ``law``."""

    share: float = Field(gt=0)
    law: Annotated[Any, BeforeValidator(lambda given: read_law(given)), PlainSerializer(part_table, return_type=Any)]


class Mixture(Law):
    """With a share's probability, the law of that part. One uniform picks the part and, stretched, draws from it."""

    kind: Literal["mixture"] = "mixture"
    parts: tuple[Part, ...]
    scales: ClassVar = ()

    @property
    def dimension(self) -> str:
        given = {part.law.dimension for part in self.parts} - {""}
        check(len(given) <= 1, "parts", sorted(given), "must be all times or all sizes")
        return given.pop() if given else ""

    def _leaves(self) -> list[tuple[float, Law]]:
        total, out = sum(part.share for part in self.parts), []
        for part in self.parts:
            inner = part.law._leaves() if isinstance(part.law, Mixture) else [(1.0, part.law)]
            out += [(part.share / total * share, law) for share, law in inner]
        return out

    @cached_property
    def table(self) -> Array:
        check(self.parts, "parts", self.parts, "must hold at least one part")
        leaves, rows, data = self._leaves(), [], []
        at = HEAD + 2 * len(leaves)
        for share, law in leaves:
            check(not isinstance(law, Linear), "parts", "linear", "must be random laws, not columns of a trace")
            rows += [share, at]
            data.append(law.table)
            at += len(law.table)
        return _array(MIXTURE, len(leaves), data=np.concatenate([rows, *data]))

    @cached_property
    def moments(self) -> tuple[float, float]:
        rows = [(share, *law.moments) for share, law in self._leaves()]
        mean = sum(share * m for share, m, _ in rows)
        return mean, sum(share * (v + m * m) for share, m, v in rows) - mean**2


LAWS = (
    Constant, Exponential, Erlang, Gamma, LogNormal, Weibull, HyperExponential, Pareto, Uniform, PhaseType,
    Empirical, Histogram, Mixture, Scipy, Linear,
)  # fmt: skip
AnyLaw = one_of(*LAWS, what="a distribution", shorthand=lambda given: Constant(value=parse_scale(given)))


def read_law(given: Any) -> Law:
    """A law from a law, a table or a plain quantity such as ``"60 ms"``."""
    return _Holder(law=given).law  # type: ignore[no-any-return]


class _Holder(Model):
    law: AnyLaw


def _of(dimension: str) -> AfterValidator:
    def right(law: Law) -> Law:
        has = law.dimension
        if has not in ("", dimension) or (not has and bare_numbers_refused() and needs_unit(law)):
            raise ScenarioError("", f"must be {EXAMPLE[dimension]}", law.plain())
        return law

    return AfterValidator(right)


def needs_unit(law: Law) -> bool:
    """Whether the law has parameters that a person would write with a unit."""
    return not isinstance(law, (PhaseType, Scipy))


TimeLaw = Annotated[AnyLaw, _of("time")]
SizeLaw = Annotated[AnyLaw, _of("size")]
