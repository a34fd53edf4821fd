"""Run a grid of scenarios on all cores or on a cluster, point by point, and label what comes out."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Event
from typing import Any

import numpy as np
import xarray as xr

from backwater.contents import digest_of
from backwater.errors import AuditError, LimitError, RuleError, ScenarioError, check
from backwater.experiments.cell import BOUNDS, Array, Cell, measured
from backwater.experiments.experiment import Axis, Design, Experiment, Grid, Point, experiment_from, flat, read_scenario
from backwater.experiments.own_model import Function, OwnModel, call
from backwater.experiments.precision import LEAST, MOST, Goal, allocate, goals, needed, precise, shortfall
from backwater.experiments.store import Store
from backwater.metrics import METRICS
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import cores, in_threads, resolve, simulate, versions

Folder = str | os.PathLike[str]
ROUNDS = 3  # in which a budget is shared out: what the first ones did not need others may have


def run_point(
    scenario: Scenario, run: Run, engine: str = "auto", parallel: int | None = None, halt: Event | None = None,
    extra: Iterable[str] = (),
) -> Cell:  # fmt: skip
    """One point: estimates with intervals, and the value of each replication, by metric, class and window.

    ``extra`` names metrics besides the usual ones.
    """
    return measured(simulate(scenario, run, engine=engine, parallel=parallel, halt=halt), tuple(extra))


def precise_point(
    scenario: Scenario, run: Run, wanted: Sequence[Goal], most: int, parallel: int | None = None,
    halt: Event | None = None, extra: Iterable[str] = (),
) -> Cell:  # fmt: skip
    """One point, run until its intervals are as narrow as is wanted, or so many replications are done."""
    result = precise(scenario, run, wanted, max(most, LEAST), parallel=parallel, halt=halt)
    return measured(result, tuple(extra))._replace(short=shortfall(result, wanted))


@dataclass(frozen=True)
class Sweep:
    """The finished grid of an experiment.

    numbers    of every point, shape (axes..., case, classes, windows, metrics, 3 + replications), as in ``Cell``
    ends       when the longest run of each point ended [s], shape (axes..., case)
    jobs       how many were simulated
    data       Dataset: a variable per metric, dims (axes..., case, class, window, replication)
    estimates  Dataset: the same metrics, dims (axes..., case, class, window, bound): estimate, ci_low, ci_high (95 %)
    """

    experiment: Grid
    axes: tuple[Axis, ...]
    metrics: list[str]
    classes: list[str]
    windows: list[str]
    numbers: Array
    ends: Array
    jobs: int
    manifest: dict[str, Any]
    store: Store | None = None

    def cell(self, place: tuple[int, ...]) -> Cell:
        """One point: index along each axis, then of the case."""
        return Cell(self.metrics, self.classes, self.windows, self.numbers[place], float(self.ends[place]))

    @cached_property
    def data(self) -> xr.Dataset:
        """Every replication's value of every metric."""
        times = range(self.numbers.shape[-1] - len(BOUNDS))
        return self._dataset("replication", times, self.numbers[..., len(BOUNDS) :])

    @cached_property
    def estimates(self) -> xr.Dataset:
        """Every metric's estimate with its interval."""
        return self._dataset("bound", BOUNDS, self.numbers[..., : len(BOUNDS)])

    def _dataset(self, last: str, labels: Iterable[Any], numbers: Array) -> xr.Dataset:
        dims = [*(axis.name for axis in self.axes), "case", "class", "window", last]
        coords: dict[str, Any] = {}
        for axis in self.axes:
            coords[axis.name] = axis.name, list(axis.values), {"units": axis.unit or "1"}
            for path, (unit, values) in axis.along.items():
                coords[path] = axis.name, list(values), {"units": unit or "1"}
        coords |= {
            "case": list(self.experiment.cases),
            "class": self.classes,
            "window": self.windows,
            last: list(labels),
        }
        variables = {
            name: (dims, numbers[..., index, :], {"units": METRICS[name].unit, "long_name": METRICS[name].meaning}
                   if name in METRICS else {})
            for index, name in enumerate(self.metrics)
        }  # fmt: skip
        return xr.Dataset(variables, coords, {"question": self.experiment.question})


class _Table:
    """Takes the points of a grid as they end, in any order; a point's numbers are kept once, in one array."""

    def __init__(self, experiment: Grid, points: list[Point]) -> None:
        self.experiment, self.axes = experiment, points[0].axes
        self.shape = (*(len(axis.values) for axis in self.axes), len(experiment.cases))
        self.first: Cell | None = None
        self.numbers, self.ends = np.empty(0), np.full(self.shape, np.nan)
        self.done = self.jobs = 0

    def put(self, points: list[Point], cell: Cell) -> None:
        """What these points gave."""
        if self.first is None:
            self.first, self.numbers = cell, np.full((*self.shape, *cell.numbers.shape), np.nan)
        more = cell.numbers.shape[-1] - self.numbers.shape[-1]
        if more > 0:
            wider = [(0, 0)] * (self.numbers.ndim - 1) + [(0, more)]
            self.numbers = np.pad(self.numbers, wider, constant_values=math.nan)
        for point in points:
            if cell.metrics != self.first.metrics:
                must = f"must give the metrics {', '.join(self.first.metrics)} at every point"
                raise RuleError(f"the model {must} (got {', '.join(cell.metrics)} at {point.where})")
            self.done += bool(np.isnan(self.ends[point.place]))
            self.numbers[point.place], self.ends[point.place] = math.nan, cell.end
            self.numbers[point.place][..., : cell.numbers.shape[-1]] = cell.numbers
        self.jobs += cell.jobs * len(points)

    def sweep(self, manifest: dict[str, Any], store: Store | None) -> Sweep:
        """The grid, once every point is there."""
        cell = self.first
        assert cell is not None
        self.numbers.flags.writeable = self.ends.flags.writeable = False
        labels = cell.metrics, cell.classes, cell.windows
        return Sweep(self.experiment, self.axes, *labels, self.numbers, self.ends, self.jobs, manifest, store)


def sweep(
    what: Scenario | Experiment | Function | str, over: Mapping[str, Any] | Design | None = None, *,
    set: Mapping[str, Any] | None = None, cases: Mapping[str, Any] | None = None, run: Run | None = None,
    store: Folder | None = None, **options: Any,
) -> Sweep:  # fmt: skip
    """Sweep a scenario (or a model's name, a file, an Experiment) over axes: dotted path -> values; or over a Design.

    set    values that hold at every point
    cases  named changes under each of which the whole grid runs
    store  folder in which finished points are kept; it is of one experiment
    Options: ``pool`` (a folder in which experiments find each other's points), ``cluster`` (address of a Dask
    scheduler), ``parallel`` (threads; all cores unless given), ``resume``, ``progress(done, points)``.

    ``what`` may also be a function ``(seed, replication, **point) -> {metric: value}``, somebody's own model: ``over``
    names its parameters, and ``replications`` (10) and ``seed`` (1) are given in place of ``run``. The same seed and
    replication at two points are meant to draw the same random numbers. It runs on one thread unless ``parallel`` says
    otherwise, as most Python code gains nothing from more; a cluster of processes does. Where its points are kept, it
    stands at the top of a module or script, and any change of that file makes all of its points new.

    Raises ScenarioError before any work where anything is wrong.
    """
    if isinstance(what, Grid):
        return run_experiment(what, store, **options)
    check(over, "over", over, "must name at least one axis")
    axes = {"design": over} if isinstance(over, Design) else {"sweep": dict(over or {})}
    parts: dict[str, Any] = {**axes, **({"cases": dict(cases)} if cases else {})}
    if callable(what):
        times = {"times": options.pop("replications", 10), "seed": options.pop("seed", 1)}
        check(run is None, "run", run, "must be left out for a function: give replications and seed")
        fixed = {name: {**(set or {}), **given} for name, given in (cases or {"as is": {}}).items()}
        return run_experiment(OwnModel(**{**parts, "function": what, "cases": fixed, **times}), store, **options)
    scenario, carried = (what, {}) if isinstance(what, Scenario) else read_scenario(what)
    if run is None and not carried:
        raise ScenarioError("run", "must be given: how long and how often", shown=False)
    given = {"scenario": scenario.with_(set or {}), "run": run or Run(**carried)}
    return run_experiment(Experiment(**parts, **given), store, **options)


def run_experiment(
    experiment: Grid, store: Folder | None = None, *, pool: Folder | None = None, cluster: str | None = None,
    parallel: int | None = None, resume: bool = False, command: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:  # fmt: skip
    """Run every point of an experiment that is neither in ``store`` nor in ``pool``; see ``sweep``."""
    check(parallel is None or parallel >= 1, "--parallel", parallel, "must be at least 1")
    asked = isinstance(experiment, Experiment) and experiment.precision
    stores = [Store(folder) for folder in (store, pool) if folder is not None]
    if isinstance(experiment, OwnModel) and stores:
        experiment.check_kept()
    points: dict[str, list[Point]] = {}  # by name: what is the same is run once
    weights: dict[str, float] = {}
    names = []
    for point, scenario in experiment.checked():
        if scenario is not None and (stores or cluster):
            for rule in scenario.rules:
                rule.check_importable()  # what is kept or shipped must be read again
        names.append(experiment.key(point, scenario))
        points.setdefault(names[-1], []).append(point)
        weights[names[-1]] = 0.0 if scenario is None else scenario.rate
    manifest: dict[str, Any] = {"command": command, "versions": versions(), "points": names}
    if isinstance(experiment, Experiment):
        manifest["digest"] = experiment.scenario.digest
    if store is not None:
        stores[0].begin(resume=resume, experiment=experiment.plain())
        stores[0].keep("manifest", manifest)
    if pool is not None:
        stores[-1].make("--pool")
    table, cells = _Table(experiment, next(iter(points.values()))), dict[str, Cell]()
    todo = []
    for name, alike in points.items():
        have = _found(stores, name)
        if have is None:
            todo.append(name)
        else:
            cell = Cell(**have)
            table.put(alike, cell)
            if asked:  # else a point's numbers are kept once
                cells[name] = cell
    tell = progress or (lambda done, total: None)
    tell(table.done, len(names))
    todo.sort(key=lambda name: -weights[name])  # the heaviest first: the last points then end together
    for name, cell in _all(experiment, [(name, points[name][0]) for name in todo], parallel, cluster):
        for each in stores:
            each.save(name, cell._asdict())
        table.put(points[name], cell)
        if asked:
            cells[name] = cell
        tell(table.done, len(names))
    if isinstance(experiment, Experiment) and asked:
        renamed = _refine(experiment, points, cells, table, stores, parallel, cluster, tell)
        manifest["points"] = [renamed.get(name, name) for name in names]
        manifest["imprecise"] = sum(len(points[name]) for name, cell in cells.items() if cell.short > 1)
        if store is not None:
            stores[0].keep("manifest", manifest)
    return table.sweep(manifest, stores[0] if store is not None else None)


def _refine(
    experiment: Experiment, points: dict[str, list[Point]], cells: dict[str, Cell], table: _Table, stores: list[Store],
    parallel: int | None, cluster: str | None, tell: Callable[[int, int], None],
) -> dict[str, str]:  # fmt: skip
    """Run again, longer, the points that are not precise enough, as far as the budget goes; their new names."""
    renamed: dict[str, str] = {}
    for _ in range(ROUNDS):
        again = _shares(experiment, cells)
        renamed |= {name: experiment.key(points[name][0], None, most) for name, most in again.items()}
        kept = {name: Cell(**have) for name in again if (have := _found(stores, renamed[name])) is not None}
        todo = sorted((name for name in again if name not in kept), key=lambda name: -again[name])
        fresh = _all(experiment, [(name, points[name][0]) for name in todo], parallel, cluster, again)
        for number, (name, cell) in enumerate(itertools.chain(kept.items(), fresh)):
            if name not in kept:
                for each in stores:
                    each.save(renamed[name], cell._asdict())
            cells[name] = cell
            table.put(points[name], cell)
            tell(len(points) - len(again) + number + 1, len(points))
    return renamed


def _shares(experiment: Experiment, cells: dict[str, Cell]) -> dict[str, int]:
    """How many replications each point may have that needs more than it has."""
    done = {name: cell.replications for name, cell in cells.items()}
    names = [name for name, cell in cells.items() if cell.short > 1]
    budget = 100 * len(cells) if experiment.budget is None else experiment.budget
    left = max(budget - sum(done.values()), 0) + sum(done[name] for name in names)
    needs = [min(needed(done[name], cells[name].short), MOST) for name in names]
    shares = zip(names, allocate(needs, [done[name] for name in names], left), strict=True)
    return {name: most for name, most in shares if most > done[name]}


def _found(stores: list[Store], name: str) -> dict[str, Any] | None:
    """A finished point from the first store that has it; those before it keep it too."""
    for number, store in enumerate(stores):
        have = store.load(name)
        if have is not None:
            for other in stores[:number]:
                other.save(name, have)
            return have
    return None


def load_sweep(folder: Folder) -> Sweep:
    """A finished sweep from its folder, whichever code made it. Raises ScenarioError where points are missing."""
    store = Store(folder)
    said, manifest = store.tables("experiment"), store.tables("manifest")
    experiment = OwnModel(**said) if "function" in said else experiment_from(said)
    points, names = experiment.points(), manifest.get("points", [])
    table = _Table(experiment, points)
    for point, name in zip(points, names, strict=len(names) == len(points)):
        have = store.load(name)
        if have is not None:
            table.put([point], Cell(**have))
    advice = "run the sweep again with --resume"
    check(table.done == len(points), str(folder), f"{table.done} of {len(points)}", f"must hold every point: {advice}")
    return table.sweep(manifest, store)


def _all(
    experiment: Grid, todo: list[tuple[str, Point]], parallel: int | None, cluster: str | None,
    most: Mapping[str, int] | None = None,
) -> Iterator[tuple[str, Cell]]:  # fmt: skip
    """Run points, in any order; what an error leaves finished has been yielded before it.

    most  replications by name, at most, where a precision is asked for; those of the run unless given
    """
    if not todo:
        return
    points = dict(todo)
    if cluster is not None:
        from backwater.experiments.cluster import on_cluster

        work, arguments = _shipped(experiment, len(todo), most or {})
        yield from on_cluster(cluster, work, ((name, arguments(name, point)) for name, point in todo))
        return
    if isinstance(experiment, Experiment):
        engine = resolve("auto", todo[0][1].scenario, experiment.run, len(todo))
        serial, parallel = engine == "simpy", parallel or cores()
    else:
        engine, serial, parallel = "", False, parallel or 1
    threads = max(1, parallel // len(todo))

    def work_here(name: str, halt: Event) -> Cell:
        point = points[name]
        if isinstance(experiment, OwnModel):
            return _named(
                point.where, lambda: call(experiment.function, experiment.seed, experiment.times, point.changes)
            )
        assert isinstance(experiment, Experiment)
        run, wanted, extra = experiment.run, experiment.goals, experiment.extra
        if wanted:
            limit = (most or {}).get(name, run.replications)
            return _named(point.where, lambda: precise_point(point.scenario, run, wanted, limit, threads, halt, extra))
        return _named(point.where, lambda: run_point(point.scenario, run, engine, threads, halt, extra))

    if parallel == 1 or (serial and most is None):  # longer runs may be worth compiling for
        for name in points:
            yield name, work_here(name, Event())
    else:
        yield from in_threads(work_here, points, min(parallel, len(points)))


def _shipped(
    experiment: Grid, points: int, most: Mapping[str, int]
) -> tuple[Callable[..., Cell], Callable[[str, Point], tuple[Any, ...]]]:
    """What a worker elsewhere does for a point, and the plain data that it is told; ``most`` as in ``_all``."""
    if isinstance(experiment, OwnModel):
        said = experiment.function, experiment.seed, experiment.times
        return called_far, lambda name, point: (*said, point.changes, point.where)
    assert isinstance(experiment, Experiment)
    run, extra, wanted = experiment.run, experiment.extra, dict(experiment.precision)

    def told(name: str, point: Point) -> tuple[Any, ...]:
        table = point.scenario.plain()
        asked = (wanted, most.get(name, run.replications)) if wanted else points
        return table, run.plain(), digest_of(table), asked, point.where, extra

    return point_far, told


def point_far(
    table: dict[str, Any], run: dict[str, Any], digest: str, asked: int | tuple[dict[str, str], int], where: str,
    extra: tuple[str, ...] = (),
) -> Cell:  # fmt: skip
    """A point of a scenario, on a worker of a cluster; ``digest`` tells whether its files are the same there.

    asked  how many points there are; or a precision, and the replications that it may take
    """
    scenario, plan = Scenario(**table), Run(**run)
    must = f"must find the same files on every worker, as at {where} it does not"
    check(digest_of(table) == digest, "--cluster", digest[:16], must)
    if isinstance(asked, tuple):
        wanted, most = goals(asked[0]), asked[1]
        return _named(where, lambda: precise_point(scenario, plan, wanted, most, 1, None, extra))
    return _named(where, lambda: run_point(scenario, plan, resolve("auto", scenario, plan, asked), 1, None, extra))


def called_far(function: Function, seed: int, times: int, changes: Mapping[str, Any], where: str) -> Cell:
    """A point of somebody's own model, on a worker of a cluster."""
    return _named(where, lambda: call(function, seed, times, changes))


def _named(where: str, work: Callable[[], Cell]) -> Cell:
    """Run, and say at which point what went wrong."""
    try:
        return work()
    except (AuditError, LimitError, RuleError) as error:
        raise type(error)(f"{error} (at {where})") from error.__cause__


__all__ = ["Cell", "Sweep", "flat", "load_sweep", "run_experiment", "run_point", "sweep"]
