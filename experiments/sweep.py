"""Run a grid of scenarios on all cores, point by point, and label what comes out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Event
from typing import Any

import numpy as np
import xarray as xr

from backwater.errors import AuditError, LimitError, ScenarioError, check
from backwater.experiments.experiment import Axis, Experiment, Point, experiment_from, flat, read_scenario
from backwater.experiments.store import Store, key
from backwater.metrics import METRICS
from backwater.outcome import WHOLE
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import cores, in_threads, resolve, simulate, versions

Cell = dict[str, Any]
BOUNDS = ("estimate", "ci_low", "ci_high")


def run_point(
    scenario: Scenario, run: Run, engine: str = "auto", parallel: int | None = None, halt: Event | None = None
) -> Cell:
    """One point: estimates with intervals, and the value of each replication, by metric, class and window."""
    result = simulate(scenario, run, engine=engine, parallel=parallel, halt=halt)
    rows = [
        [name, job_class, window, list(METRICS[name].estimate(cells, 0.95)[:3]), METRICS[name].each(cells).tolist()]
        for name, job_class, window, cells in result.each()
    ]
    end = max(done.end for done in result.outcomes)
    jobs = sum(int(done.counter("arrived", WHOLE)) for done in result.outcomes)
    return {"rows": rows, "classes": result.classes, "windows": result.windows, "end": end, "jobs": jobs}


@dataclass(frozen=True)
class Sweep:
    """The finished grid of an experiment.

    data       Dataset: a variable per metric, dims (axes..., case, class, window, replication)
    estimates  Dataset: the same metrics, dims (axes..., case, class, window, bound): estimate, ci_low, ci_high (95 %)
    """

    experiment: Experiment
    axes: tuple[Axis, ...]
    cells: dict[tuple[int, ...], Cell]
    manifest: dict[str, Any]
    store: Store | None = None

    @property
    def jobs(self) -> int:
        """How many jobs were simulated."""
        return sum(cell["jobs"] for cell in self.cells.values())

    @cached_property
    def data(self) -> xr.Dataset:
        """Every replication's value of every metric."""
        return self._dataset("replication", range(self.experiment.run.replications), 4)

    @cached_property
    def estimates(self) -> xr.Dataset:
        """Every metric's estimate with its interval."""
        return self._dataset("bound", BOUNDS, 3)

    def _dataset(self, last: str, labels: Iterable[Any], column: int) -> xr.Dataset:
        first = next(iter(self.cells.values()))
        names = {row[0]: None for row in first["rows"]}
        dims = [*(axis.name for axis in self.axes), "case", "class", "window", last]
        coords = {axis.name: (axis.name, list(axis.values), {"units": axis.unit or "1"}) for axis in self.axes}
        coords |= {
            name: (name, list(values), {})
            for name, values in {
                "case": self.experiment.cases,
                "class": first["classes"],
                "window": first["windows"],
                last: labels,
            }.items()
        }
        shape = [len(coords[dim][1]) for dim in dims]
        arrays = {name: np.full(shape, np.nan) for name in names}
        for place, cell in self.cells.items():
            for row in cell["rows"]:
                at = (*place, first["classes"].index(row[1]), first["windows"].index(row[2]))
                arrays[row[0]][at] = row[column]
        variables = {
            name: (dims, array, {"units": METRICS[name].unit, "long_name": METRICS[name].meaning})
            for name, array in arrays.items()
        }
        return xr.Dataset(variables, coords, {"question": self.experiment.question})


def sweep(
    what: Scenario | Experiment | str, over: Mapping[str, Any] | None = None, *, set: Mapping[str, Any] | None = None,
    cases: Mapping[str, Any] | None = None, run: Run | None = None, store: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Sweep:  # fmt: skip
    """Sweep a scenario (or a model's name, a file, an Experiment) over axes: dotted path -> values.

    set    values that hold at every point
    cases  named changes under each of which the whole grid runs
    store  folder in which finished points are kept
    Options: ``parallel`` (threads; all cores unless given), ``resume``, ``progress(done, points)``.
    Raises ScenarioError before any work where anything is wrong.
    """
    if isinstance(what, Experiment):
        return run_experiment(what, store, **options)
    scenario, carried = (what, {}) if isinstance(what, Scenario) else read_scenario(what)
    check(over, "over", over, "must name at least one axis")
    if run is None and not carried:
        raise ScenarioError("run", "must be given: how long and how often", shown=False)
    parts: dict[str, Any] = {
        "scenario": scenario.with_(set or {}),
        "run": run or Run(**carried),
        "sweep": dict(over or {}),
    }
    return run_experiment(Experiment(**parts, **({"cases": dict(cases)} if cases else {})), store, **options)


def run_experiment(
    experiment: Experiment, store: str | os.PathLike[str] | None = None, *, parallel: int | None = None,
    resume: bool = False, command: str = "", progress: Callable[[int, int], None] | None = None,
) -> Sweep:  # fmt: skip
    """Run every point of an experiment that is not yet in ``store``."""
    experiment.check()
    check(parallel is None or parallel >= 1, "--parallel", parallel, "must be at least 1")
    points, kept = experiment.points(), None if store is None else Store(store)
    keys = {point.place: key(point.scenario, experiment.run) for point in points}
    manifest = {"command": command, "versions": versions(), "digest": experiment.scenario.digest,
                "points": list(keys.values())}  # fmt: skip
    if kept is not None:
        for rule in dict.fromkeys(rule for point in points for rule in point.scenario.rules):
            rule.check_importable()  # what is kept must be read again
        kept.begin(resume=resume)
        kept.keep("experiment", experiment.plain())
        kept.keep("manifest", manifest)
    cells: dict[tuple[int, ...], Cell] = {}
    todo = []
    for point in points:
        have = kept.load(keys[point.place]) if kept is not None else None
        if have is None:
            todo.append(point)
        else:
            cells[point.place] = have
    if progress is not None:
        progress(len(cells), len(points))
    for point, cell in _all(todo, experiment.run, parallel or cores()):
        cells[point.place] = cell
        if kept is not None:
            kept.save(keys[point.place], cell)
        if progress is not None:
            progress(len(cells), len(points))
    ordered = {point.place: cells[point.place] for point in points}
    return Sweep(experiment, tuple(experiment.axes()), ordered, manifest, kept)


def load_sweep(folder: str | os.PathLike[str]) -> Sweep:
    """A finished sweep from its folder, whichever code made it. Raises ScenarioError where points are missing."""
    store = Store(folder)
    experiment, manifest = experiment_from(store.tables("experiment")), store.tables("manifest")
    points, cells = experiment.points(), {}
    names = manifest.get("points", [])
    for point, name in zip(points, names, strict=len(names) == len(points)):
        cell = store.load(name)
        if cell is not None:
            cells[point.place] = cell
    advice = "run the sweep again with --resume"
    check(len(cells) == len(points), str(folder), f"{len(cells)} of {len(points)}", f"must hold every point: {advice}")
    return Sweep(experiment, tuple(experiment.axes()), cells, manifest, store)


def _all(points: list[Point], run: Run, parallel: int) -> Iterator[tuple[Point, Cell]]:
    """Run points on threads, in any order; what an error leaves finished has been yielded before it."""
    if not points:
        return
    # The heaviest first: the last points then end together.
    heavy = sorted(points, key=lambda point: -point.scenario.rate)
    engine = resolve("auto", heavy[0].scenario, run, len(points))
    threads = max(1, parallel // len(points))

    def work(point: Point, halt: Event) -> Cell:
        return _named(point, lambda: run_point(point.scenario, run, engine, threads, halt))

    if parallel == 1 or engine == "simpy":
        for point in points:
            yield point, work(point, Event())
    else:
        yield from in_threads(work, heavy, min(parallel, len(points)))


def _named(point: Point, work: Callable[[], Cell]) -> Cell:
    """Run, and say at which point what went wrong."""
    try:
        return work()
    except (AuditError, LimitError) as error:
        where = ", ".join(f"{name} = {value}" for name, value in point.label.items())
        raise type(error)(f"{error} (at {where})") from None


__all__ = ["Sweep", "flat", "load_sweep", "run_experiment", "run_point", "sweep"]
