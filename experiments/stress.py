"""Metastability: from which faults does a system recover, at which loads, and what becomes of it in between?

The trigger itself, a map over (load, trigger), a load that goes up and down again, the load to which a stuck system
must be relieved, and the drift from each state. See ``recovery`` for how a run is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.components.arrivals import Sources
from backwater.components.cron import Cron
from backwater.components.faults import Fault
from backwater.components.trace import Trace
from backwater.errors import check
from backwater.experiments.recovery import SIZES, Array, Lab, Plan, Trial, Verdict, Watched, judge, struck
from backwater.run import Run
from backwater.scenario import Scenario

SLOW = 3.0  # recovering slowly: longer than so many times the trigger lasted
BISECTIONS = 5  # steps of a boundary between two sizes of the map
LOWERINGS = 7  # steps towards the largest load at which a stuck system recovers
STUCK = 3  # times the trigger's duration that get a system stuck
MOST_STEPS = 30  # loads of a ramp going up: a scenario has room for 64 faults
STEP_SAMPLES = 20  # of a ramp's series at each load
LEAST = 3  # samples in a state below which nothing is said of its drift
RECOVERS, SLOWLY, NEVER, NO_NEED = range(4)  # states of a map: what most runs do


class Hit(NamedTuple):
    """What a trigger did, in all replications of one setting.

    times   recovery time: from the end of the trigger until goodput and queue are back [s]; inf where they are not
    down    whether the twin is down, so that there is nothing to recover to
    series  by name: time [s], shape (samples,); the others of each replication, shape (replications, samples)
    twin    the same without the trigger
    """

    times: Array
    down: npt.NDArray[np.bool_]
    series: dict[str, Array]
    twin: dict[str, Array]

    @property
    def share(self) -> float:
        """Share of the runs that recovered [1]."""
        return Verdict(self.times, self.down).share

    @property
    def median(self) -> float:
        """Median recovery time [s]; inf where most do not recover."""
        return Verdict(self.times, self.down).median


def hit(scenario: Scenario, plan: Plan, lab: Lab | None = None) -> Hit:
    """Hit a scenario by the trigger; its own faults give way to it."""
    lab, trial = lab or Lab(), Trial(struck(scenario), plan)

    def make() -> dict[str, Any]:
        runs, twins = lab.watched([(trial.struck, plan.run()), (trial.twin, plan.run())])
        verdict = judge(runs, twins, plan.fault.stop)
        return _lists(Hit(*verdict, _stacked(runs), _stacked(twins)))

    return Hit(**_arrays(lab.kept(["hit", trial.struck.digest, plan.run().plain(), plan.fault.plain()], make)))


def _stacked(runs: list[Watched]) -> dict[str, Array]:
    names = [name for name in runs[0].series if name != "time"]
    return {"time": runs[0].series["time"], **{name: np.stack([run.series[name] for run in runs]) for name in names}}


def _lists(found: Any) -> dict[str, Any]:
    """A finding as a store holds it."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return value.tolist() if isinstance(value, np.ndarray) else value

    return {name: plain(value) for name, value in found._asdict().items()}


def _arrays(table: dict[str, Any]) -> dict[str, Any]:
    """A finding's fields from a store."""

    def filled(value: Any) -> Any:
        return _arrays(value) if isinstance(value, dict) else np.array(value) if isinstance(value, list) else value

    return {name: filled(value) for name, value in table.items()}


class Map(NamedTuple):
    """Which triggers a system recovers from, by load.

    loads     of first attempts [1]
    axis      what makes the triggers larger: duration, share or factor
    sizes     of the triggers: durations [s], shares or factors [1]
    slow      recovery times above which it recovers slowly [s], by size
    share     of the runs that recovered [1], shape (sizes, loads); ``time``: median recovery time [s], inf
    down      share of the runs that are down without any trigger [1], by load
    boundary  the largest trigger from which most runs recover, by load; inf where they do from all of these
    """

    loads: Array
    axis: str
    sizes: Array
    slow: Array
    share: Array
    time: Array
    down: Array
    boundary: Array

    def state(self) -> npt.NDArray[np.int64]:
        """RECOVERS, SLOWLY, NEVER while watched, or NO_NEED of a trigger to be down: most runs, (sizes, loads)."""
        slowly = self.time > self.slow[:, None]
        state = np.where(self.share < 0.5, NEVER, np.where(slowly, SLOWLY, RECOVERS))
        return np.where(self.down[None, :] > 0.5, NO_NEED, state)


def trigger_map(
    scenario: Scenario, plan: Plan, loads: Array, sizes: Array, axis: str = "duration", lab: Lab | None = None
) -> Map:
    """Hit a scenario at these loads by triggers of these sizes, going up; then bisect for the boundary at each load."""
    lab, widest = lab or Lab(), plan.widest(axis, sizes)
    at = [struck(scenario.at_load(float(load))) for load in loads]
    plans = [widest.sized(axis, float(size)) for size in sizes]
    found = lab.judged([Trial(each, sized) for sized in plans for each in at])
    shape = len(sizes), len(loads)
    share = np.array([verdict.share for verdict in found]).reshape(shape)
    time = np.array([verdict.median for verdict in found]).reshape(shape)
    down = np.array([verdict.down.mean() for verdict in found[: len(loads)]])
    slow = np.array([max(SLOW * each.lasts, each.resolution) for each in plans])
    edge = _boundary(at, partial(widest.sized, axis), np.append(SIZES[axis].none, sizes), share, lab)
    return Map(loads, axis, sizes, slow, share, time, down, np.where(down > 0.5, SIZES[axis].none, edge))


def _boundary(at: list[Scenario], sized: Callable[[float], Plan], sizes: Array, share: Array, lab: Lab) -> Array:
    """Bisect between the last size from which most runs recover and the next one, for all loads at once.

    sizes  one more than the rows of ``share``: the first is that of no trigger at all
    """
    low, high = np.full(len(at), math.inf), np.full(len(at), math.inf)
    for load in range(len(at)):
        lost = np.flatnonzero(share[:, load] < 0.5)
        if len(lost):
            low[load], high[load] = sizes[lost[0]], sizes[lost[0] + 1]
    crossed = [load for load in range(len(at)) if math.isfinite(high[load])]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        verdicts = lab.judged([Trial(at[load], sized(float(middle[load]))) for load in crossed])
        for load, verdict in zip(crossed, verdicts, strict=True):
            (low if verdict.share >= 0.5 else high)[load] = middle[load]
    return (low + high) / 2


class Ramp(NamedTuple):
    """A load that goes up and down again in one run, and what the system does at each step.

    load     of first attempts, up and then down [1]; the others are means over the second half of each step
    goodput  jobs completed in time [1/s]
    queue    attempts waiting
    step     how long each load lasts [s]
    """

    load: Array
    goodput: Array
    queue: Array
    step: float

    @property
    def gap(self) -> Array:
        """Goodput going up less that coming down, over the larger one, by load [1]: how open the loop is."""
        n = (len(self.load) + 1) // 2
        up, down = self.goodput[:n], self.goodput[::-1][:n]
        return np.asarray((up - down) / np.maximum(np.maximum(up, down), 1e-12))


def ramp(
    scenario: Scenario, loads: Array, step: float, *, replications: int = 5, seed: int = 1, lab: Lab | None = None
) -> Ramp:
    """Ramp the load along these, going up and then down again, in one run: ``step`` seconds at each."""
    check_ramp(scenario, loads)
    lab, top = lab or Lab(), float(loads[-1])
    path = np.concatenate([loads, loads[-2::-1]])
    parts = [Fault(kind="load", factor=float(load) / top, start=step * n, duration=step)
             for n, load in enumerate(path)]  # fmt: skip
    run = Run(horizon=step * len(path), replications=replications, seed=seed, sample=step / STEP_SAMPLES,
              windows={"late": (step, step * len(path))})  # fmt: skip
    moved = struck(scenario.at_load(top), *parts)

    def make() -> dict[str, Any]:
        series = _stacked(lab.watched([(moved, run)])[0])
        half = STEP_SAMPLES // 2
        each = {
            name: series[name].mean(axis=0)[1 : STEP_SAMPLES * len(path) + 1].reshape(len(path), -1)[:, half:]
            for name in ("completed", "waiting")
        }
        goodput = each["completed"].mean(axis=1) * STEP_SAMPLES / step
        return _lists(Ramp(path, goodput, each["waiting"].mean(axis=1), step))

    return Ramp(**_arrays(lab.kept(["ramp", moved.digest, run.plain()], make)))


class Stuck(NamedTuple):
    """To which load a system that is stuck must be relieved to recover.

    load          the largest one found [1]; 0 where none was
    loads, times  those tried [1], and the median recovery time at each [s]; inf
    """

    load: float
    loads: Array
    times: Array


def stuck(scenario: Scenario, plan: Plan, lab: Lab | None = None) -> Stuck:
    """Hit with a trigger STUCK times as long, then lower the load for good: the largest one at which that recovers."""
    refuse_traces(scenario)
    lab, full = lab or Lab(), scenario.load
    long = plan._replace(fault=Fault(**{**plan.fault.plain(), "duration": STUCK * plan.lasts}))
    tried: dict[float, float] = {}

    def recovers(load: float) -> bool:
        calm = Fault(kind="load", factor=load / full, start=long.fault.stop)
        tried[load] = lab.judged([Trial(struck(scenario, calm), long)])[0].median
        return math.isfinite(tried[load])

    low, high = 0.0, full
    if recovers(full):
        low = full
    else:
        for _ in range(LOWERINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if recovers(middle) else (low, middle)
    loads = np.array(sorted(tried))
    return Stuck(low, loads, np.array([tried[load] for load in loads]))


class Drift(NamedTuple):
    """Where queue and clients in backoff go from each state, on average.

    waiting, backoff        edges of the cells, ever wider; only one cell of backoff where nobody backs off
    to_waiting, to_backoff  mean change [1/s], NaN where hardly a run has been, shape (backoff, waiting) cells
    change, error           mean change of the queue whatever the backoff, and its standard error [1/s], by waiting
    """

    waiting: Array
    backoff: Array
    to_waiting: Array
    to_backoff: Array
    change: Array
    error: Array

    @property
    def tip(self) -> float:
        """The shortest queue from which it grows, though it shrinks from a shorter one; inf where there is none.

        What is within three standard errors of 0 is neither.
        """
        shrinks = np.flatnonzero(self.change < -3 * self.error)
        grows = np.flatnonzero(self.change > 3 * self.error)
        beyond = grows[grows > shrinks[0]] if len(shrinks) else grows[:0]
        return float(self.waiting[beyond[0]]) if len(beyond) else math.inf


def drift(scenario: Scenario, plan: Plan, sizes: Array, axis: str = "duration", lab: Lab | None = None) -> Drift:
    """The drift seen in runs hit by triggers of these sizes, from the end of the trigger on."""
    lab, widest, bare = lab or Lab(), plan.widest(axis, sizes), struck(scenario)
    plans = [widest.sized(axis, float(size)) for size in sizes]

    def make() -> dict[str, Any]:
        found = lab.watched([(Trial(bare, each).struck, each.run()) for each in plans])
        rows = []
        for each, runs in zip(plans, found, strict=True):
            series = _stacked(runs)
            after = series["time"] >= each.fault.stop
            waiting, backoff = series["waiting"][:, after], series["backoff"][:, after]
            rows.append(np.stack([waiting[:, :-1], backoff[:, :-1], np.diff(waiting), np.diff(backoff)], axis=-1))
        return _lists(_cells(np.concatenate([each.reshape(-1, 4) for each in rows]), plans[0].run().sample or 1.0))

    run = plans[0].run().plain()
    return Drift(**_arrays(lab.kept(["drift", bare.digest, run, plan.fault.plain(), axis, sizes.tolist()], make)))


def _cells(seen: Array, step: float, cells: int = 14) -> Drift:
    """Mean change by cell; ``seen`` has rows of (waiting, backoff, change of waiting, change of backoff) in a step."""
    across, along = (_edges(float(seen[:, column].max()), cells) for column in (0, 1))
    bins = [along, across]
    count = np.histogram2d(seen[:, 1], seen[:, 0], bins=bins)[0]
    sums = [np.histogram2d(seen[:, 1], seen[:, 0], bins=bins, weights=seen[:, column])[0] for column in (2, 3)]
    squares = np.histogram(seen[:, 0], bins=across, weights=seen[:, 2] ** 2)[0]
    mean = [_over(part, count * step, count) for part in sums]
    number, change = count.sum(axis=0), _over(sums[0].sum(axis=0), count.sum(axis=0) * step, count.sum(axis=0))
    spread = _over(squares, number * step**2, number) - change**2
    return Drift(across, along, mean[0], mean[1], change, np.sqrt(_over(np.maximum(spread, 0.0), number, number)))


def _edges(most: float, cells: int) -> Array:
    """Edges of cells for whole numbers up to the largest: each wider than the one before; one cell where all are 0."""
    top = math.floor(most) + 1
    return np.unique(np.round(np.append(0.0, np.geomspace(1, top, cells))))


def _over(total: Array, parts: Array, count: Array) -> Array:
    """A mean, NaN where too few have been seen."""
    return np.divide(total, parts, out=np.full(total.shape, math.nan), where=count >= LEAST)


def check_ramp(scenario: Scenario, loads: Array) -> None:
    """Refuse what cannot be ramped."""
    check(2 <= len(loads) <= MOST_STEPS, "--over load", len(loads), f"must have 2 to {MOST_STEPS} points for a ramp")
    refuse_traces(scenario)


def refuse_traces(scenario: Scenario) -> None:
    """Ramps and lower loads need sources whose load a fault can multiply."""
    parts = scenario.arrivals.sources.values() if isinstance(scenario.arrivals, Sources) else [scenario.arrivals]
    listed = next((part.kind for part in parts if isinstance(part, (Cron, Trace))), "")
    check(not listed, "arrivals.kind", listed, "must not be a trace or cron here: its load cannot change in a run")
