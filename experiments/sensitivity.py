"""Which uncertain inputs matter: how much of a metric's variance each of them makes, over the ranges they may be in."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any, NamedTuple

import numpy as np

from backwater.errors import AuditError, LimitError, RuleError, ScenarioError, check, nearest
from backwater.experiments.axes import coordinate, takes
from backwater.experiments.experiment import read_scenario
from backwater.experiments.indices import METHODS, Array, Indices, design, independent, indices, noise
from backwater.metrics import metric, named
from backwater.outcome import WHOLE
from backwater.result import Result
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import check_end, check_memory, cores, in_threads, resolve, simulate
from backwater.statistics import NOTHING, Estimate, Spread
from backwater.units import human, parse, units_required

MANY = 6  # inputs above which they are screened, unless a method is named
POINTS, MOST = {"sobol": 64, "morris": 16}, 65_536
NOISY = 0.05  # share of the variance from which on the noise of the runs is worth a word
DIMENSIONS = {"s": "time", "B": "size", "1/s": "rate", "B/s": "bandwidth", "share": "share"}


class Input(NamedTuple):
    """An uncertain input: anything from ``low`` to ``high`` is as likely, in its logarithm where ``log``.

    whole  whether it takes whole numbers only, each as likely
    unit   of its values: "s", "B", "1/s", "B/s", "share" or ""
    """

    path: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    unit: str = ""

    def at(self, u: float) -> float | int:
        """The value below which a share ``u`` of all lie."""
        half = 0.5 if self.whole else 0.0
        low, high = self.low - half, self.high + half
        value = low * (high / low) ** u if self.log else low + u * (high - low)
        value = min(max(value, self.low), self.high)  # the halves at the ends, and rounding
        return round(value) if self.whole else value

    def shown(self, value: float) -> str:
        """A value as people read it."""
        return human(value, DIMENSIONS.get(self.unit, ""))


class Effect(NamedTuple):
    """What one input does to a metric.

    found      the indices, with their intervals
    low, high  the metric at the ends of the input, all others in the middle
    """

    input: Input
    found: Indices
    low: Estimate
    high: Estimate

    @property
    def rank(self) -> float:
        """By how much it matters: total index, or mean effect; -1 where nothing can be said."""
        value = self.found.effect.value if math.isnan(self.found.total.value) else self.found.total.value
        return -1.0 if math.isnan(value) else value


class Response(NamedTuple):
    """A metric over all inputs.

    effects  of the inputs, the one that matters most first
    values   at the points of the design; NaN where there was nothing to measure
    spread   below which 5 %, half and 95 % of the values lie
    noise    share of their variance that is noise of the runs
    """

    metric: str
    effects: tuple[Effect, ...]
    values: Array
    spread: tuple[float, float, float]
    noise: float

    @property
    def missing(self) -> int:
        """How many points gave no value."""
        return int(np.isnan(self.values).sum())

    def shown(self, value: float) -> str:
        """A value of the metric as people read it."""
        return human(value, metric(named(self.metric)[0]).dimension)


@dataclass(frozen=True)
class Sensitivity:
    """What the inputs do to each metric.

    method     sobol or morris
    n          points of the design's base, or paths
    points     the design: values of the inputs in base units, shape (points, inputs)
    responses  by metric, in the order asked for
    confidence  of every interval, each by itself
    runs, jobs, seconds  what it took; points that coincide are run once
    """

    scenario: Scenario
    run: Run
    method: str
    inputs: tuple[Input, ...]
    n: int
    points: Array
    responses: tuple[Response, ...]
    confidence: float
    runs: int
    jobs: int
    seconds: float

    def __getitem__(self, name: str) -> Response:
        """The response of a metric."""
        return next(one for one in self.responses if one.metric == name)


def sensitivity(
    what: Scenario | str, vary: Mapping[str, Any], metrics: str | Iterable[str], *, run: Run | None = None,
    method: str | None = None, points: int | None = None, confidence: float = 0.95, **options: Any,
) -> Sensitivity:  # fmt: skip
    """Which of several uncertain inputs of a scenario (or a model's name, a file) matter, and how much.

    vary     dotted path -> (low, high) or (low, high, "log"), both included
    metrics  such as "latency_p99"
    method   "sobol": first-order and total indices; "morris": a screening; by the number of inputs unless given
    points   base points of a Sobol' design, a power of two (64): it takes ``points * (inputs + 2)`` runs; or paths of a
             Morris design (16): ``points * (inputs + 1)``; and one at each end of each input, one in the middle
    Options: ``parallel`` (threads; all cores unless given), ``progress(done, points)``.
    All points see the same random numbers. Raises ScenarioError before any work where anything is wrong.
    """
    scenario, carried = (what, {}) if isinstance(what, Scenario) else read_scenario(what)
    if run is None and not carried:
        raise ScenarioError("run", "must be given: how long and how often", shown=False)
    plan = run or Run(**carried)
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    _check_run(scenario, plan, names, confidence)
    inputs = _inputs(scenario, vary)
    method = method or ("sobol" if len(inputs) <= MANY else "morris")
    check(method in METHODS, "--method", method, f"must be sobol or morris{nearest(method, METHODS)}")
    n = POINTS[method] if points is None else points
    least, kind = (16, "power of two") if method == "sobol" else (4, "number")
    whole = isinstance(n, int) and not isinstance(n, bool) and least <= n <= MOST
    ok = whole and (method == "morris" or n & (n - 1) == 0)
    check(ok, "--points", n, f"must be a {kind} from {least} to {MOST:,}")
    return _Study(scenario, plan, inputs, names, confidence).answer(method, n, **options)


def _check_run(scenario: Scenario, run: Run, names: tuple[str, ...], confidence: float) -> None:
    check(names, "--metric", None, "must be given, such as latency_p99")
    for name in names:
        word, job_class, window = named(name)
        metric(word)
        classes, windows = ["all", *scenario.jobs], ["all", *run.windows]
        check(job_class in classes, "metric", job_class, f"must name a class of jobs{nearest(job_class, classes)}")
        check(window in windows, "metric", window, f"must name a window of the run{nearest(window, windows)}")
    check(len(set(names)) == len(names), "--metric", list(names), "must not name a metric twice")
    check(0.5 <= confidence < 1, "--confidence", confidence, "must be from 0.5 to below 1")
    check(run.replications >= 2, "run.replications", run.replications, "must be at least 2: they tell the noise")


def _inputs(scenario: Scenario, vary: Mapping[str, Any]) -> tuple[Input, ...]:
    """What varies, checked; the ends as given, so that a number without a unit is refused where units are required."""
    check(vary, "--vary", None, "must be given: at least one PATH=LOW..HIGH")
    found = [_input(path, ends) for path, ends in vary.items()]
    for end in (0, 1):
        _at(scenario, {path: ends[end] for path, ends in vary.items()})
    with units_required(False):
        low = _at(scenario, {one.path: one.low for one in found})

    def whole(one: Input) -> bool:
        fraction = one.low + 0.37 * (one.high - one.low) + 1e-3
        integers = one.low == round(one.low) and one.high == round(one.high)
        return integers and not takes(low, one.path, fraction) and takes(low, one.path, round(fraction))

    return tuple(one._replace(whole=True) if whole(one) else one for one in found)


def _input(path: str, ends: Any) -> Input:
    where = f"--vary {path}"
    many = isinstance(ends, (tuple, list)) and len(ends) in (2, 3) and list(ends[2:]) in ([], ["log"])
    check(many, where, ends, 'must be LOW..HIGH, two values, or three with "log"')
    (unit, low), (other, high) = (_number(end) for end in ends[:2])
    ok = unit == other and math.isfinite(low) and math.isfinite(high)
    check(ok, where, list(ends), "must go from one number to another of the same unit")
    check(low < high, where, f"{ends[0]}..{ends[1]}", "must go up")
    log = len(ends) == 3
    check(not log or low > 0, where, ends[0], "must be above 0 where its logarithm is what is uniform")
    return Input(path, low, high, log, unit=unit)


def _number(given: Any) -> tuple[str, float]:
    """Unit and value in base units; NaN for what is no number."""
    if isinstance(given, str) and given.strip().endswith("%"):
        return "share", parse(given, "share")
    unit, value = coordinate(given)
    return unit, value if isinstance(value, float) else math.nan


def _at(scenario: Scenario, setting: Mapping[str, Any]) -> Scenario:
    """The scenario with a setting; ScenarioError naming it where it is refused."""
    try:
        return scenario.with_(dict(setting))
    except ScenarioError as error:
        raise ScenarioError("", f"{error} at {_told(setting)}", shown=False) from None


def _told(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} = {value:.6g}" if isinstance(value, float) else f"{path} = {value}"
                     for path, value in setting.items())  # fmt: skip


def _seen(result: Result, name: str) -> Spread:
    """A metric of a result, with the errors of each replication's own value.

    A quantile's own (see statistics.pooled_quantile) follow the slope of the interval that few replications give;
    where values lie in two heaps, as with and without a retry, that is no measure of the noise.
    """
    word, kind, window = named(name)
    cells = result.cells(kind, window)
    each = metric(word).each(cells)
    middle = each[~np.isnan(each)].mean() if (~np.isnan(each)).any() else math.nan
    return Spread(metric(word).spread(cells).value, each - middle)


class Point(NamedTuple):
    """A scenario to run: values of the inputs, and what they make of the scenario."""

    values: tuple[float, ...]
    scenario: Scenario


@dataclass(frozen=True)
class _Study:
    """A question that has been checked."""

    scenario: Scenario
    run: Run
    inputs: tuple[Input, ...]
    metrics: tuple[str, ...]
    confidence: float

    def answer(
        self, method: str, n: int, parallel: int | None = None, progress: Callable[[int, int], None] | None = None
    ) -> Sensitivity:
        """Build every point, run them, and say what they tell."""
        start = time.perf_counter()
        check(parallel is None or parallel >= 1, "--parallel", parallel, "must be at least 1")
        cube = design(method, len(self.inputs), n, self.run.seed)
        ends = np.full((2 * len(self.inputs), len(self.inputs)), 0.5)
        for number, end in itertools.product(range(len(self.inputs)), (0, 1)):
            ends[2 * number + end, number] = end
        every = [self.values(place) for place in (*cube, *ends)]
        points = [self.point(values) for values in dict.fromkeys(every)]
        found, jobs = self.outcomes(points, parallel or cores(), progress)
        responses = tuple(
            self.response(name, method, cube, [found[values][number] for values in every])
            for number, name in enumerate(self.metrics)
        )
        return Sensitivity(
            self.scenario, self.run, method, self.inputs, n, np.array(every[: len(cube)], dtype=np.float64), responses,
            self.confidence, len(points), jobs, time.perf_counter() - start,
        )  # fmt: skip

    def values(self, place: Array) -> tuple[float, ...]:
        """The inputs at a place in the unit cube."""
        return tuple(one.at(float(u)) for one, u in zip(self.inputs, place, strict=True))

    def setting(self, values: tuple[float, ...]) -> dict[str, float]:
        """Values by path."""
        return {one.path: value for one, value in zip(self.inputs, values, strict=True)}

    def point(self, values: tuple[float, ...]) -> Point:
        """A point to run; ScenarioError where it cannot be."""
        setting = self.setting(values)
        with units_required(False):
            scenario = _at(self.scenario, setting)
        try:
            check_end(scenario, self.run)
            check_memory(scenario, self.run)
        except ScenarioError as error:
            raise ScenarioError("", f"{error} at {self.told(values)}", shown=False) from None
        return Point(values, scenario)

    def told(self, values: tuple[float, ...]) -> str:
        """A setting as people read it."""
        return ", ".join(f"{one.path} = {one.shown(value)}" for one, value in zip(self.inputs, values, strict=True))

    def outcomes(
        self, points: list[Point], parallel: int, progress: Callable[[int, int], None] | None
    ) -> tuple[dict[tuple[float, ...], list[Spread]], int]:
        """Each metric at each point, by the values of the inputs, and how many jobs that took."""
        engine = resolve("auto", max((point.scenario for point in points), key=lambda one: one.rate), self.run,
                         len(points))  # fmt: skip

        def work(number: int, halt: Event | None) -> tuple[list[Spread], int]:
            try:
                result = simulate(points[number].scenario, self.run, engine=engine, parallel=1, halt=halt)
            except (AuditError, LimitError, RuleError) as error:
                raise type(error)(f"{error} (at {self.told(points[number].values)})") from None
            jobs = sum(int(done.counter("arrived", WHOLE)) for done in result.outcomes)
            return [_seen(result, name) for name in self.metrics], jobs

        heavy = sorted(range(len(points)), key=lambda number: -points[number].scenario.rate)
        alone = parallel == 1 or engine == "simpy"
        pairs = ((n, work(n, None)) for n in heavy) if alone else in_threads(work, heavy, min(parallel, len(points)))
        found, jobs = {}, 0
        for done, (number, (spreads, count)) in enumerate(pairs, 1):
            found[points[number].values] = spreads
            jobs += count
            if progress is not None:
                progress(done, len(points))
        return found, jobs

    def response(self, name: str, method: str, cube: Array, spreads: list[Spread]) -> Response:
        """What a metric's values at the design and at the ends say of each input."""
        n, inputs = len(cube), len(self.inputs)
        values = np.array([one.value for one in spreads[:n]])
        errors = np.array([one.errors for one in spreads[:n]]).T
        found = indices(method, cube, values, errors, self.confidence, self.run.seed % 2**32)
        word = metric(named(name)[0])
        ends = [NOTHING if math.isnan(one.value) else word.within(one.interval(self.confidence)) for one in spreads[n:]]
        effects = [Effect(self.inputs[at], found[at], ends[2 * at], ends[2 * at + 1]) for at in range(inputs)]
        spread = values[independent(method, inputs, n)]
        spread = spread[np.isfinite(spread)]
        low, half, high = np.quantile(spread, [0.05, 0.5, 0.95]).tolist() if len(spread) else [math.nan] * 3
        return Response(name, tuple(sorted(effects, key=lambda one: -one.rank)), values, (low, half, high),
                        noise(values, errors))  # fmt: skip


__all__ = ["Effect", "Input", "Response", "Sensitivity", "sensitivity"]
