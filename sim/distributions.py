"""Every distribution: those of ``parametric``, those made of data, mixtures; and the field types that hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from backwater import tables
from backwater.base import Model, one_of, part_table
from backwater.errors import ScenarioError, below, check
from backwater.parametric import (
    Array,
    Constant,
    Erlang,
    Exponential,
    Gamma,
    HyperExponential,
    Law,
    LogNormal,
    Pareto,
    PhaseType,
    Uniform,
    Weibull,
    law_array,
)
from backwater.quantile import COLUMN, EMPIRICAL, HEAD, HISTOGRAM, MIXTURE, TABULATED
from backwater.units import EXAMPLE, Quantity, Scale, bare_numbers_refused, parse_scale


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
        check(
            (self.values is None) != (self.file is None),
            "",
            self.plain(),
            "must have either values or a file",
        )
        if self.values is not None:
            out = np.array([float(v) for v in self.values])
        else:
            check(
                self.column is not None,
                "column",
                None,
                "must name the column of the file that holds the values",
            )
            unit = 1.0 if self.unit is None else float(self.unit)
            out = tables.read_columns(str(self.file), [str(self.column)])[str(self.column)] * unit
        check(
            len(out) > 0 and (out >= 0).all(),
            "values",
            out[:3].tolist(),
            "must hold at least one value, none below 0",
        )
        return np.sort(out)

    @cached_property
    def table(self) -> Array:
        return law_array(EMPIRICAL, len(self.observed), data=self.observed)

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
        return law_array(HISTOGRAM, len(knots), data=np.concatenate([knots, shares]))

    @cached_property
    def moments(self) -> tuple[float, float]:
        x, f = self._knots
        weight, low, high = np.diff(f), x[:-1], x[1:]
        mean = float((weight * (low + high) / 2).sum())
        return mean, float((weight * (low**2 + low * high + high**2) / 3).sum()) - mean**2


class Scipy(Law):
    """A continuous distribution of scipy.stats by ``name`` and ``params`` [s], through its inverse, tabulated once."""

    kind: Literal["scipy"] = "scipy"
    name: str
    params: dict[str, float] = Field(default_factory=dict)
    scales: ClassVar = ()

    @cached_property
    def table(self) -> Array:
        return law_array(TABULATED, data=tables.scipy_law(self.name, self.params)[0])

    @cached_property
    def moments(self) -> tuple[float, float]:
        return tables.scipy_law(self.name, self.params)[1]


class Linear(Law):
    """Of a trace's columns: ``constant`` + the sum of ``per[column]`` [s or B each] times the row's value."""

    kind: Literal["linear"] = "linear"
    constant: Scale = Field(default_factory=lambda: Quantity(0.0))
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
        return law_array(COLUMN)

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
        return law_array(MIXTURE, len(leaves), data=np.concatenate([rows, *data]))

    @cached_property
    def moments(self) -> tuple[float, float]:
        rows = [(share, *law.moments) for share, law in self._leaves()]
        mean = sum(share * m for share, m, _ in rows)
        return mean, sum(share * (v + m * m) for share, m, v in rows) - mean**2


LAWS = (
    Constant, Exponential, Erlang, Gamma, LogNormal, Weibull, HyperExponential, Pareto, Uniform, PhaseType,
    Empirical, Histogram, Mixture, Scipy, Linear,
)  # fmt: skip
if TYPE_CHECKING:  # the types that fields have, as type checkers may know them
    AnyLaw = Law
else:
    AnyLaw = one_of(*LAWS, what="a distribution", shorthand=lambda given: Constant(value=parse_scale(given)))


def read_law(given: Any) -> Law:
    """A law from a law, a table or a plain quantity such as ``"60 ms"``."""
    with below("law"):
        return _Holder(law=given).law


class _Holder(Model):
    law: AnyLaw


def _of(dimension: str) -> AfterValidator:
    def right(law: Law) -> Law:
        has = law.dimension
        if has not in ("", dimension) or (not has and bare_numbers_refused() and needs_unit(law)):
            raise ScenarioError("", f"must be {EXAMPLE[dimension]}", law.plain())
        return law.model_copy(update=_tagged(dict(law), dimension))

    return AfterValidator(right)


def _tagged(value: Any, dimension: str) -> Any:
    """The value with its bare numbers in base units marked as times or sizes, so that files show their unit."""
    if isinstance(value, Quantity):
        return value if value.dimension else Quantity(value, dimension)
    if isinstance(value, dict):
        return {name: _tagged(part, dimension) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_tagged(part, dimension) for part in value)
    return value.model_copy(update=_tagged(dict(value), dimension)) if isinstance(value, Model) else value


def needs_unit(law: Law) -> bool:
    """Whether the law has parameters that a person would write with a unit."""
    return not isinstance(law, (PhaseType, Scipy))


def _a_number(given: Any) -> Any:
    plain = isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given) and given >= 0
    must = 'must be a number of jobs such as 8, or a distribution of one, as in { kind = "uniform", low = 1, high = 4 }'
    check(plain or isinstance(given, (Mapping, Model)), "", given, must)
    return given


def _counts(law: Law) -> Law:
    must = "must be a number of jobs, or a distribution of one, without a unit"
    check(not law.dimension and not isinstance(law, Linear), "", law.plain(), must)
    check(law.average < float("inf"), "", law.average, "must have a finite mean")
    return law


def _plain_count(law: Law) -> Any:
    return int(law.average) if isinstance(law, Constant) else part_table(law)


#: A number of things: a distribution whose variates are rounded to whole numbers.
CountLaw = Annotated[
    AnyLaw, BeforeValidator(_a_number), AfterValidator(_counts), PlainSerializer(_plain_count, return_type=Any)
]
TimeLaw = Annotated[AnyLaw, _of("time")]
SizeLaw = Annotated[AnyLaw, _of("size")]

__all__ = [
    "Constant", "CountLaw", "Empirical", "Erlang", "Exponential", "Gamma", "Histogram", "HyperExponential", "Law",
    "Linear", "LogNormal", "Mixture", "Pareto", "PhaseType", "Scipy", "SizeLaw", "TimeLaw", "Uniform", "Weibull",
    "read_law",
]  # fmt: skip
