"""Distributions that a few parameters describe, by what people know of them.

A law is data; ``law.table`` is the same law as the flat array from which ``quantile`` draws.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from backwater import tables
from backwater.base import Model
from backwater.errors import ScenarioError, check
from backwater.quantile import (
    CONSTANT,
    EXPONENTIAL,
    LOGNORMAL,
    PARETO,
    TABULATED,
    UNIFORM,
    WEIBULL,
    normal_quantile,
)  # fmt: skip
from backwater.units import Quantity, Scale

Array = npt.NDArray[np.float64]


def law_array(family: int, a: float = 0.0, b: float = 0.0, c: float = 0.0, d: float = 0.0, data: Any = ()) -> Array:
    """The table of a law: family, four parameters, data; read-only."""
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
            raise ScenarioError(
                "", f"must have {' and '.join(self.scales)} of one kind, all times or all sizes", shown=False
            )
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
        return law_array(CONSTANT, self.value)

    @cached_property
    def moments(self) -> tuple[float, float]:
        return float(self.value), 0.0


class Exponential(Law):
    """Exponential with the given ``mean`` [s or B]."""

    kind: Literal["exponential"] = "exponential"
    mean: Scale

    @cached_property
    def table(self) -> Array:
        return law_array(EXPONENTIAL, self.mean)

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
        return law_array(UNIFORM, self.low, self.high)

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
        return law_array(TABULATED, data=tables.gamma(float(self.k), self.mean / self.k))

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
            return law_array(LOGNORMAL, math.log(self.mean) - variance / 2, math.sqrt(variance))
        p, x, q, y = self._known()
        z, w = normal_quantile(p), normal_quantile(q)
        sigma = math.log(y / x) / (w - z)
        return law_array(LOGNORMAL, math.log(x) - sigma * z, sigma)

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
        return law_array(TABULATED, data=tables.gamma(shape, scale))

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
            return law_array(WEIBULL, self.mean / math.gamma(1 + 1 / shape), 1 / shape)
        p, x, q, y = self._known()
        inverse = math.log(y / x) / (math.log(-math.log1p(-q)) - math.log(-math.log1p(-p)))
        return law_array(WEIBULL, x / (-math.log1p(-p)) ** inverse, inverse)

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
        return law_array(TABULATED, data=tables.hyperexponential(*self.phases()))

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
            check(
                self.alpha > 1,
                "alpha",
                self.alpha,
                "must be above 1 where there is no cap: the mean is infinite",
            )
            return float(self.mean) * (self.alpha - 1) / self.alpha
        check(0 < self.mean < self.cap, "mean", self.mean, f"must be above 0 and below cap = {float(self.cap)}")
        return tables.pareto_least(float(self.mean), self.alpha, float(self.cap))

    @cached_property
    def table(self) -> Array:
        check(self.mean > 0, "mean", self.mean, "must be above 0")
        kept = 1.0 if self.cap is None else 1.0 - (self._least / self.cap) ** self.alpha
        return law_array(PARETO, self._least, -1 / self.alpha, kept)

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
        check(
            (alpha >= 0).all() and abs(alpha.sum() - 1) < 1e-9,
            "alpha",
            self.alpha,
            "must be shares that add to 1",
        )
        off = generator - np.diag(np.diag(generator))
        leaves = -generator.sum(axis=1)
        ok = (off >= 0).all() and (leaves >= -1e-12).all() and abs(np.linalg.det(generator)) > 0
        check(
            ok,
            "T",
            self.T,
            "must be a sub-generator: rates >= 0 off the diagonal, rows adding to 0 or less, absorbing",
        )
        return law_array(TABULATED, data=tables.phase_type(alpha, generator))

    @cached_property
    def moments(self) -> tuple[float, float]:
        inverse = np.linalg.inv(-tables.square(self.T))
        first = np.array(self.alpha) @ inverse
        mean = float(first.sum())
        return mean, float(2 * (first @ inverse).sum()) - mean**2
