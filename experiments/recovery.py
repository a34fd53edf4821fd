"""Does a system recover from a fault, and how fast? Trials of scenarios against their twins, on all cores.

A run is hit by one fault, the *trigger*. Its *twin* is the same run without it. The system has recovered when goodput
and queue are within 10 % of those of its replications' twins and stay so. The queue stands for the wait: by Little's
law one is the other times a rate, and the queue is known at each instant. A twin that is *down* itself, with fewer than
half of the jobs that come towards the end served in time before it, is nothing to recover to.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.components.faults import Fault
from backwater.errors import ScenarioError, check, nearest
from backwater.experiments.store import Store, digest
from backwater.outcome import COUNTER
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import check_memory, cores, in_threads, replicate, resolve
from backwater.units import parse

Array = npt.NDArray[np.float64]
# What is kept was found by this code, and only by it is it taken up again.
CODE = [Path(__file__).with_name(f"{part}.py").read_text("utf-8") for part in ("recovery", "stress")]
SAMPLES = 400  # of a run's series
SMOOTH = 12  # samples over which goodput and queue are averaged before they are judged
GOOD = 0.9  # share of the twins' goodput from which it is back; the queue may be a tenth longer
LASTING = 0.8  # share of the time left in which it must be good from then on
TAIL = 1 / 8  # share of the time watched that must be left, or nobody can say that it stays good
DOWN = 0.5  # share of the jobs that come in the last TAIL of a run and succeed in it, below which a twin is down


class Size(NamedTuple):
    """What may make a trigger larger: its dimension, and the value at which there is no trigger."""

    dimension: str
    none: float


SIZES = {"duration": Size("time", 0.0), "share": Size("share", 0.0), "factor": Size("", 1.0)}


class Plan(NamedTuple):
    """How a system is hit and watched.

    fault    the trigger; it has an end
    observe  how long the system is watched after it [s]
    """

    fault: Fault
    observe: float
    replications: int = 5
    seed: int = 1

    @property
    def horizon(self) -> float:
        """When the run ends [s]."""
        return self.fault.stop + self.observe

    @property
    def lasts(self) -> float:
        """How long the trigger lasts [s]."""
        return self.fault.stop - self.fault.start

    @property
    def resolution(self) -> float:
        """Time over which a run is averaged before it is judged [s]."""
        return SMOOTH * self.horizon / SAMPLES

    def run(self) -> Run:
        """The run of this plan: sampled, and its last part is a window of its own."""
        late = (1 - TAIL) * self.horizon, self.horizon
        return Run(horizon=self.horizon, replications=self.replications, seed=self.seed, windows={"late": late},
                   sample=self.horizon / SAMPLES)  # fmt: skip

    def sized(self, name: str, size: float) -> Plan:
        """The same with a trigger of another duration [s], share or factor [1]; the run ends when it did."""
        fault = Fault(**{**self.fault.plain(), name: size})
        return self._replace(fault=fault, observe=self.horizon - fault.stop)

    def widest(self, name: str, sizes: Array) -> Plan:
        """The plan whose run is long enough for triggers of all these sizes; they go up from no trigger at all."""
        known = SIZES.get(name)
        check(known is not None, "--over", name, f"must be a load or the size of a trigger{nearest(name, SIZES)}")
        up = bool(np.all(np.diff(sizes) > 0)) and sizes[0] > SIZES[name].none
        check(up, f"--over {name}", [float(size) for size in sizes], f"must go up, above {SIZES[name].none:g}")
        largest = Fault(**{**self.fault.plain(), name: float(np.max(sizes))})
        return self._replace(fault=largest)


def plan_of(
    scenario: Scenario, fault: Fault | None = None, observe: float | None = None, replications: int = 5, seed: int = 1
) -> Plan:
    """The plan for a scenario: its own last fault is the trigger unless one is given; watched 20 times as long.

    Raises ScenarioError where there is no trigger, or one that does not end.
    """
    fault = fault or next(reversed(scenario.faults), None)
    if fault is None:
        raise ScenarioError("--fault", 'is missing, such as "workers_down start=60s duration=10s"', shown=False)
    if math.isinf(fault.stop):
        raise ScenarioError("--fault", "must have a duration: a trigger ends", shown=False)
    check(fault.start > 0, "--fault", f"start = {fault.start:g} s", "must start after 0 s, to show how it was before")
    observe = 20 * (fault.stop - fault.start) if observe is None else observe
    check(observe > 0, "--observe", f"{observe:g} s", "must be above 0")
    plan = Plan(fault, observe, replications, seed)
    check_memory(struck(scenario, fault), plan.run())
    return plan


class Trial(NamedTuple):
    """A setting that is judged: a scenario as it is without the trigger (the twin), and the plan."""

    twin: Scenario
    plan: Plan

    @property
    def struck(self) -> Scenario:
        """The scenario with the trigger."""
        return struck(self.twin, *self.twin.faults, self.plan.fault)


class Verdict(NamedTuple):
    """What became of the runs of a trial, one value per replication.

    times  recovery time: from the end of the trigger until goodput and queue are back [s]; inf where they are not
    down   whether the twin is down, so that there is nothing to recover to
    """

    times: Array
    down: npt.NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Share of the runs that recovered [1]."""
        return float(np.isfinite(self.times).mean())

    @property
    def median(self) -> float:
        """Median recovery time [s]; inf where most do not recover."""
        return float(np.sort(self.times)[(len(self.times) - 1) // 2])


class Watched(NamedTuple):
    """One replication as it is judged: its series by name, and the share of the late jobs that succeed [1]."""

    series: dict[str, Array]
    late: float


def struck(scenario: Scenario, *faults: Fault) -> Scenario:
    """A scenario with these faults in place of its own."""
    return scenario.model_copy(update={"faults": ()}).with_({"faults": [fault.plain() for fault in faults]})


def recovery_time(series: dict[str, Array], twins: list[dict[str, Array]], stop: float) -> float:
    """Time from the end of a disturbance until goodput and queue are within 10 % of the twins', for good [s]; inf.

    Averages over SMOOTH samples are compared with the range of all twins' within SMOOTH samples, for the jobs of a run
    and of its twin need not be the same after the trigger; one job or attempt is no difference. For good: in LASTING of
    the rest of the time, of which at least TAIL must be left.
    """
    least = _around(np.min([_smooth(twin["completed"]) for twin in twins], axis=0), np.min)
    most = _around(np.max([_smooth(twin["waiting"]) for twin in twins], axis=0), np.max)
    goodput, queue = _smooth(series["completed"]), _smooth(series["waiting"])
    good = (goodput + 1 / SMOOTH >= GOOD * least) & (queue <= (2 - GOOD) * most + 1.0)
    judged = np.flatnonzero(series["time"] >= stop)[:-SMOOTH]
    fine, left = good[judged], np.arange(len(judged), 0, -1)
    rest = np.cumsum(fine[::-1])[::-1] / left  # share of good ones from here on
    back = np.flatnonzero(fine & (rest >= LASTING) & (left >= TAIL * len(fine)))
    return float(series["time"][judged[back[0]]] - stop) if len(back) else math.inf


def recovery(
    scenario: Scenario, seed: int, replication: int, *, fault: Fault | None = None, observe: str | float | None = None,
    twins: int = 5,
) -> dict[str, float]:  # fmt: skip
    """Whether a replication recovers from a fault (1 or 0), and its recovery time [s], NaN where it does not.

    fault    the trigger, in place of the scenario's own faults; the last of these unless given
    observe  how long it is watched after that [s]; 20 times as long as it lasts unless given
    twins    how many replications without the trigger say what is normal, its own among them
    Raises ScenarioError where there is no trigger, or one that does not end. In a function of one's own it is swept:

        def model(seed, replication, **point):
            return bw.recovery(scenario.with_(point), seed, replication)

        bw.sweep(model, {"workers.count": [8, 12, 16]}, replications=5)
    """
    watched = None if observe is None else parse(observe, "time")
    plan = plan_of(scenario, fault, watched, max(twins, replication + 1), seed)
    trial, run = Trial(struck(scenario), plan), plan.run()
    normal = _normal(trial.twin, run)
    engine = resolve("auto", trial.struck, run, 1)
    seen = _watch(trial.struck, run, replication, engine, Event())
    verdict = judge([seen], [normal[replication], *(each for each in normal if each is not normal[replication])],
                    plan.fault.stop)  # fmt: skip
    time = float(verdict.times[0])
    return {"recovered": float(math.isfinite(time)), "recovery_time": time if math.isfinite(time) else math.nan}


@lru_cache(maxsize=16)
def _normal(twin: Scenario, run: Run) -> list[Watched]:
    """All replications of a twin, once for all replications of a point."""
    return Lab().watched([(twin, run)])[0]


def _smooth(values: Array) -> Array:
    """Mean over the next SMOOTH samples; fewer at the end."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.minimum(np.arange(len(values)) + SMOOTH, len(values))
    return np.asarray((sums[ends] - sums[:-1]) / (ends - np.arange(len(values))))


def _around(values: Array, which: Any) -> Array:
    """The least, or the most, within SMOOTH samples on either side."""
    wide = np.pad(values, SMOOTH, mode="edge")
    return np.asarray(which(np.lib.stride_tricks.sliding_window_view(wide, 2 * SMOOTH + 1), axis=1))


def judge(runs: list[Watched], twins: list[Watched], stop: float) -> Verdict:
    """The verdict on a trial's replications, given those of its twin."""
    down = np.array([twin.late < DOWN for twin in twins])
    normal = [twin.series for twin in twins if twin.late >= DOWN]
    times = [recovery_time(run.series, normal, stop) if normal else math.inf for run in runs]
    return Verdict(np.where(down, math.inf, times), down)


class Lab:
    """Where trials are run: on all cores, the twins once each; what is finished is kept in a store, if there is one.

    progress  called for each trial that is done
    """

    def __init__(
        self, store: Store | None = None, parallel: int | None = None, progress: Callable[[], None] | None = None
    ) -> None:
        check(parallel is None or parallel >= 1, "--parallel", parallel, "must be at least 1")
        self.store, self.parallel, self.progress = store, parallel or cores(), progress or (lambda: None)
        self._twins: dict[tuple[Any, ...], list[Watched]] = {}

    def kept(self, said: list[Any], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``make`` gives, or gave when it was kept under what is ``said``."""
        name = self._name(said)
        have = self.store.load(name) if self.store is not None else None
        if have is None:
            have = make()
            if self.store is not None:
                self.store.save(name, have)
        return have

    def _name(self, said: list[Any]) -> str:
        return digest([said, CODE])

    def judged(self, trials: list[Trial]) -> list[Verdict]:
        """The verdicts on these trials; those that are kept are not run again."""
        said = [["trial", trial.struck.digest, trial.plan.run().plain(), trial.plan.fault.plain()] for trial in trials]
        names = [self._name(each) for each in said]
        found: dict[int, Verdict] = {}
        for n, name in enumerate(names):
            if self.store is not None and (have := self.store.load(name)) is not None:
                found[n] = Verdict(np.array(have["times"]), np.array(have["down"]))
                self.progress()
        todo = [n for n in range(len(trials)) if n not in found]
        twins = self._twins_of([trials[n] for n in todo])
        for place, runs in self._done([(trials[n].struck, trials[n].plan.run()) for n in todo]):
            n = todo[place]
            found[n] = judge(runs, twins[place], trials[n].plan.fault.stop)
            if self.store is not None:
                self.store.save(names[n], {"times": found[n].times.tolist(), "down": found[n].down.tolist()})
            self.progress()
        return [found[n] for n in range(len(trials))]

    def watched(self, runs: list[tuple[Scenario, Run]]) -> list[list[Watched]]:
        """All replications of these runs."""
        found = dict(self._done(runs))
        return [found[n] for n in range(len(runs))]

    def _twins_of(self, trials: list[Trial]) -> list[list[Watched]]:
        runs = [(trial.twin, trial.plan.run()) for trial in trials]
        keys = [(twin.digest, repr(run)) for twin, run in runs]
        new = {key: run for key, run in zip(keys, runs, strict=True) if key not in self._twins}
        self._twins |= dict(zip(new, self.watched(list(new.values())), strict=True))
        return [self._twins[key] for key in keys]

    def _done(self, runs: list[tuple[Scenario, Run]]) -> Iterator[tuple[int, list[Watched]]]:
        """Runs with their numbers, as their last replication ends."""
        if not runs:
            return
        for scenario, run in runs:
            check_memory(scenario, run)
        engine = resolve("auto", *runs[0], len(runs))
        # The heaviest first: the last ones then end together.
        order = sorted(range(len(runs)), key=lambda n: -runs[n][0].rate)
        work = [(n, replication) for n in order for replication in range(runs[n][1].replications)]

        def one(item: tuple[int, int], halt: Event) -> Watched:
            scenario, run = runs[item[0]]
            return _watch(scenario, run, item[1], engine, halt)

        parts: dict[int, dict[int, Watched]] = {n: {} for n in order}
        left = Counter(n for n, _ in work)
        for (n, replication), seen in in_threads(one, work, 1 if engine == "simpy" else self.parallel):
            parts[n][replication] = seen
            left[n] -= 1
            if not left[n]:
                whole = parts.pop(n)
                yield n, [whole[replication] for replication in range(len(whole))]


def _watch(scenario: Scenario, run: Run, replication: int, engine: str, halt: Event) -> Watched:
    outcome = replicate(scenario, run, replication, engine, halt)
    names = ("time", "completed", "attempts", "waiting", "backoff")
    counts = outcome.counters[-1, 0]  # of the jobs that arrived in the last window, "late"
    arrived = counts[COUNTER["arrived"]]
    late = counts[COUNTER["completed"]] / arrived if arrived else 1.0
    return Watched({name: outcome.series[name] for name in names}, float(late))
