"""The frontier of a finished sweep: the settings that no other one beats on all that matters at once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from backwater.errors import check, nearest
from backwater.experiments.axes import Axis
from backwater.experiments.curves import shown, traded, value
from backwater.experiments.sweep import Sweep
from backwater.experiments.trials import FREE, HOUR, Prices
from backwater.metrics import METRICS, named
from backwater.statistics import NOTHING, Estimate, Spread, difference, simultaneous
from backwater.units import human

COST, WORST = "cost", "the worst of all cases"
# Of these more is better; of everything else less is.
MORE = {"throughput", "goodput", "accepted_rate", "success_ratio", "on_time_ratio"}
ON, PERHAPS, BEATEN = "frontier", "perhaps", "beaten"
CONFIDENCE = 0.95


class Row(NamedTuple):
    """A setting.

    place   index along each axis
    label   the axes by name and what they are set to, as people read it
    found   each objective, in the case in which it is worst
    failed  the share of jobs that failed, likewise
    status  "frontier": no other is as good or better in all; "perhaps": one is, by the estimates, but not surely
            better in any; "beaten": one is as good in all by the estimates, and surely better in one
    by      place of the setting that beats it, or may
    """

    place: tuple[int, ...]
    label: dict[str, str]
    found: dict[str, Estimate]
    failed: Estimate
    status: str
    by: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """What is set, in a line."""
        return ", ".join(f"{axis} = {value}" for axis, value in self.label.items())


@dataclass(frozen=True)
class Frontier:
    """The settings of a sweep, and which of them no other beats.

    objectives  what they are compared on
    case        the case that was looked at, or "the worst of all cases"
    rows        every setting, in the order of the grid
    """

    objectives: tuple[str, ...]
    case: str
    prices: Prices
    rows: tuple[Row, ...]

    @property
    def kept(self) -> tuple[Row, ...]:
        """The settings that are not surely beaten, the best in the first objective first."""
        rows = [row for row in self.rows if row.status != BEATEN]
        return tuple(sorted(rows, key=lambda row: [worse(name, row.found[name].value) for name in self.objectives]))

    def shown(self, name: str, value: float) -> str:
        """A value of an objective as people read it."""
        return human(value, dimension(name))


def dimension(name: str) -> str:
    """Of an objective, as ``units.human`` takes it."""
    word = named(name)[0]
    return METRICS[word].dimension if word in METRICS else ""


def frontier(
    sweep: Sweep, objectives: Iterable[str] | None = None, prices: Prices = FREE, case: str | None = None
) -> Frontier:  # fmt: skip
    """The settings of a finished sweep that no other one beats.

    objectives  metrics, or "cost"; unless given the 503 ratio (where nobody gets one, the share of jobs that fail),
                the p99 latency (of whole workflows where jobs lead to others), the spill ratio where anything spills,
                and the cost where there are prices, else the workers where their number varies
    prices      what cost is made of, per hour: workers on duty, and jobs that arrive and fail
    case        look at this one only; of several, each objective counts in the case in which it is worst unless given

    Replications see the same jobs at every setting, so two settings are compared replication by replication. A setting
    is dropped only where another is as good in all objectives by the estimates, and better in one so surely that all
    comparisons with it hold at once at 95 %: what it might be better in is less than the noise. Raises ScenarioError
    for an objective that the sweep has no values of, or an unknown case.
    """
    cases = list(sweep.experiment.cases)
    check(case is None or case in cases, "--case", case, f"must be a case of the sweep{nearest(str(case), cases)}")
    looked = cases if case is None else [case]
    told = (case or cases[0]) if len(looked) == 1 else WORST
    names = tuple(objectives) if objectives is not None else _usual(sweep, prices, looked)
    _check(sweep, names, prices)
    shape = tuple(len(axis.values) for axis in sweep.axes)
    seen = {*names, *({"failure_ratio"} & set(sweep.metrics))}
    table = {name: _settings(sweep, name, prices, looked) for name in seen}
    places = list(np.ndindex(*shape))
    level = simultaneous(CONFIDENCE, (len(places) - 1) * len(names))
    scale = np.array([[worse(name, spread.value) for spread in table[name]] for name in names])
    rows = []
    for number, place in enumerate(places):
        status, by = _standing(number, [table[name] for name in names], scale, names, level)
        label = {path: said for axis, at in zip(sweep.axes, place, strict=True) for path, said in _label(axis, at)}
        found = {name: _within(name, spreads[number].interval()) for name, spreads in table.items()}
        failed = found.get("failure_ratio", NOTHING)
        rows.append(Row(place, label, {name: found[name] for name in names}, failed, status,
                        None if by is None else places[by]))  # fmt: skip
    return Frontier(names, told, prices, tuple(rows))


def worse(name: str, value: float) -> float:
    """A value on a scale on which less is better; nothing to measure is worst."""
    if math.isnan(value):
        return math.inf
    return -value if named(name)[0] in MORE else value


def _label(axis: Axis, at: int) -> list[tuple[str, str]]:
    """What is set along an axis; of a design, each field by itself."""
    along = [(path, shown(values[at], unit)) for path, (unit, values) in axis.along.items()]
    return along or [(axis.name, value(axis, at))]


def _usual(sweep: Sweep, prices: Prices, cases: list[str]) -> tuple[str, ...]:
    """The objectives of somebody who names none; a model of one's own has none that are usual."""
    ours = {"rejection_ratio", "failure_ratio", "latency_p99", "spill_ratio", "workers_mean"} <= set(sweep.metrics)
    check(ours, "--objective", None, f"must be given: one or more of {', '.join(sweep.metrics)}")

    def values(name: str) -> np.ndarray[Any, Any]:
        data = sweep.estimates[name].sel({"class": "all", "window": "all", "bound": "estimate", "case": cases})
        return np.nan_to_num(np.asarray(data))

    refused = "rejection_ratio" if values("rejection_ratio").any() else "failure_ratio"
    spilled = ["spill_ratio"] if values("spill_ratio").any() else []
    priced = [COST] if prices != FREE else ["workers_mean"] if np.ptp(values("workers_mean")) else []
    return (refused, traded(sweep), *spilled, *priced)


def _check(sweep: Sweep, names: tuple[str, ...], prices: Prices) -> None:
    check(names, "--objective", None, "must be given: at least one metric")
    check(len(set(names)) == len(names), "--objective", list(names), "must not name one twice")
    check(COST not in names or prices != FREE, "--objective", COST, "must have prices: --price worker_hour=...")
    known = [*sweep.metrics, COST]
    for name in names:
        word, job_class, window = named(name)
        check(word in known, "--objective", word, f"must be a metric of the sweep, or cost{nearest(word, known)}")
        for given, dim in ((job_class, "class"), (window, "window")):
            have = [str(one) for one in sweep.data[dim].values]
            check(given in have, "--objective", given, f"must be a {dim} of the sweep{nearest(given, have)}")


def _settings(sweep: Sweep, name: str, prices: Prices, cases: list[str]) -> list[Spread]:
    """An objective at every setting, in the case in which it is worst."""
    if name == COST:
        parts = [_arrays(sweep, part, cases) for part in ("workers_mean", "failure_ratio", "arrival_rate")]
        value, each = (
            prices.worker_hour * workers + prices.lost_job * HOUR * failed * rate
            for workers, failed, rate in zip(*parts, strict=True)
        )
    else:
        value, each = _arrays(sweep, name, cases)
    out = []
    for values, replications in zip(value, each, strict=True):
        at = max(range(len(cases)), key=lambda case: worse(name, float(values[case])))
        kept = replications[at]
        middle = kept[~np.isnan(kept)].mean() if (~np.isnan(kept)).any() else math.nan
        out.append(Spread(float(values[at]), kept - middle))
    return out


def _arrays(sweep: Sweep, name: str, cases: list[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Estimates (settings, cases) and values by replication (settings, cases, replications) of a metric."""
    word, job_class, window = named(name)
    at = {"class": job_class, "window": window, "case": cases}
    axes = [axis.name for axis in sweep.axes]
    value = sweep.estimates[word].sel({**at, "bound": "estimate"}).transpose(*axes, "case")
    each = sweep.data[word].sel(at).transpose(*axes, "case", "replication")
    return np.asarray(value).reshape(-1, len(cases)), np.asarray(each).reshape(-1, *each.shape[-2:])


def _within(name: str, found: Estimate) -> Estimate:
    """An interval that stays where the objective can be."""
    if math.isnan(found.value):
        return NOTHING
    word = named(name)[0]
    return METRICS[word].within(found) if word in METRICS else found


def _standing(
    number: int, table: list[list[Spread]], scale: np.ndarray[Any, Any], names: tuple[str, ...], level: float
) -> tuple[str, int | None]:  # fmt: skip
    """Whether a setting is on the frontier, and if not, the number of one that beats it or may.

    scale  the objectives so that less is better, shape (objectives, settings)
    """
    here = scale[:, number, None]
    as_good = np.flatnonzero((scale <= here).all(axis=0) & (scale < here).any(axis=0)).tolist()
    for other in as_good:
        pairs = [(name, spreads[other], spreads[number]) for name, spreads in zip(names, table, strict=True)]
        if any(_surely_better(*pair, level) for pair in pairs):
            return BEATEN, other
    return (PERHAPS, as_good[0]) if as_good else (ON, None)


def _surely_better(name: str, one: Spread, other: Spread, level: float) -> bool:
    """Whether one setting is better than the other for sure, replication by replication."""
    if math.isnan(one.value) or math.isnan(other.value):
        return math.isnan(other.value) and not math.isnan(one.value)
    low, high = difference(one, other).interval(level)[1:3]
    return low > 0 if named(name)[0] in MORE else high < 0


__all__ = ["Frontier", "Row", "frontier"]
