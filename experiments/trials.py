"""Trials of settings against requirements, in every case, with as many replications as it takes to be sure.

All trials share their random numbers: settings see the same jobs, so they differ by what was set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any, NamedTuple

from backwater.errors import LimitError, ScenarioError, check
from backwater.experiments.experiment import flat
from backwater.experiments.require import Requirement
from backwater.outcome import WHOLE
from backwater.random import SEEDS
from backwater.result import Result
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import check_end, check_memory, extend, simulate
from backwater.statistics import NOTHING, Estimate

Setting = dict[str, Any]
HOUR = 3600.0


class Prices(NamedTuple):
    """What things cost: a worker on duty for an hour, and a job that fails."""

    worker_hour: float = 0.0
    lost_job: float = 0.0


FREE = Prices()


@dataclass(frozen=True)
class Question:
    """What is asked of every setting.

    require     what must be met, each in every case
    cases       named changes of the scenario; the first one is the usual state, to which costs refer
    confidence  how sure an answer must be
    most        replications of one setting in one case, at most
    """

    scenario: Scenario
    run: Run
    require: tuple[Requirement, ...]
    cases: Mapping[str, Mapping[str, Any]]
    prices: Prices = FREE
    confidence: float = 0.95
    most: int = 200

    def at(self, setting: Setting, case: str, load: float = 1.0) -> Scenario:
        """The scenario with a setting, in a case, at so many times its load; ScenarioError where that is refused."""
        changed = self.scenario.with_(setting | flat(self.cases[case]))
        return changed if load == 1.0 else changed.with_({"load": changed.load * load})

    def decided(self, judged: Iterable[Judged]) -> bool:
        """Whether all requirements are surely met, or one surely is not: more runs would say nothing new."""
        sure = (1 + self.confidence) / 2  # looked at several times, so a little surer than is asked for
        return any(one.confidence <= 1 - sure for one in judged) or all(one.confidence >= sure for one in judged)


class Judged(NamedTuple):
    """One requirement in one case: what was estimated, how far on the good side, and how sure.

    met      whether it is met as surely as was asked for
    refused  why it could not be run at all
    """

    require: Requirement
    case: str
    found: Estimate
    margin: float
    confidence: float
    met: bool
    refused: str = ""


class Failed(NamedTuple):
    """What goes wrong in one case: the share of attempts that got a 503, and of jobs that failed."""

    case: str
    attempts: Estimate = NOTHING
    jobs: Estimate = NOTHING


class Trial(NamedTuple):
    """A setting in all cases.

    cost    per hour, in the first case
    failed  in each case
    """

    setting: Setting
    judged: tuple[Judged, ...]
    cost: float
    failed: tuple[Failed, ...]

    @property
    def met(self) -> bool:
        """Whether every requirement is surely met."""
        return all(one.met for one in self.judged)

    @property
    def worst(self) -> Judged:
        """The requirement that is nearest to being missed, or missed by most."""
        return min(self.judged, key=lambda one: one.margin)

    @property
    def confidence(self) -> float:
        """How sure the least sure of the requirements is; 0 where one could not be judged."""
        return min((0.0 if math.isnan(one.confidence) else one.confidence) for one in self.judged)


@dataclass
class Lab:
    """Tries settings and keeps what came of them.

    seed  of all trials; a lab of another seed is independent
    """

    question: Question
    seed: int
    parallel: int | None = None
    halt: Event | None = None
    progress: Callable[[Trial], None] | None = None
    kept: dict[tuple[Any, ...], Trial] = field(default_factory=dict)
    runs: int = 0
    jobs: int = 0

    def independent(self) -> Lab:
        """A lab whose random numbers no trial of this one has seen."""
        return Lab(self.question, (self.seed + 1) % SEEDS, self.parallel, self.halt, self.progress)

    def trial(self, setting: Setting, load: float = 1.0) -> Trial:
        """Try a setting in all cases, until each requirement is surely met or surely not, or enough was tried."""
        name = (*sorted(setting.items()), load)
        if name not in self.kept:
            judged, prices, failed = list[Judged](), list[float](), list[Failed]()
            for case in self.question.cases:
                found, price, shares = self._case(setting, case, load)
                judged += found
                prices.append(price)
                failed.append(shares)
            self.kept[name] = Trial(setting, tuple(judged), prices[0], tuple(failed))
            if self.progress is not None:
                self.progress(self.kept[name])
        return self.kept[name]

    def _case(self, setting: Setting, case: str, load: float) -> tuple[list[Judged], float, Failed]:
        question = self.question
        run = question.run.model_copy(update={"seed": self.seed, "record": (), "sample": None})
        try:
            scenario = question.at(setting, case, load)
            check_end(scenario, run)
            check_memory(scenario, run)
            result = simulate(scenario, run, parallel=self.parallel, halt=self.halt)
            judged = self._judge(case, result)
            while not question.decided(judged) and len(result.outcomes) < question.most:
                more = min(2 * len(result.outcomes), question.most)
                result = extend(result, more, parallel=self.parallel, halt=self.halt)
                judged = self._judge(case, result)
        except (ScenarioError, LimitError) as error:
            # Such as a queue that outgrows memory: no answer, but no reason to stop looking.
            nothing = [Judged(one, case, NOTHING, -math.inf, 0.0, False, str(error)) for one in question.require]
            return nothing, math.inf, Failed(case)
        self.runs += len(result.outcomes)
        self.jobs += sum(int(done.counter("arrived", WHOLE)) for done in result.outcomes)
        failed = Failed(case, *(result.estimate(name) for name in ("rejection_ratio", "failure_ratio")))
        return judged, cost(result, question.prices), failed

    def _judge(self, case: str, result: Result) -> list[Judged]:
        judged = []
        for one in self.question.require:
            found, sure = one.estimate(result), one.confidence(result)
            judged.append(
                Judged(one, case, found, one.margin(found.value), sure, sure >= self.question.confidence)
            )  # fmt: skip
        return judged


def cost(result: Result, prices: Prices) -> float:
    """What the workers on duty and the failed jobs cost per hour."""
    cells = result.cells()
    lost = (cells.count("resolved") - cells.count("completed")).sum() / cells.length.sum()
    return prices.worker_hour * result["workers_mean"] + prices.lost_job * float(lost) * HOUR


def check_question(question: Question, settings: list[Setting]) -> None:
    """Refuse a question whose cases or settings no scenario can take, before any work."""
    check(question.cases, "cases", {}, "must hold at least one")
    searched = set(settings[0])
    for case in question.cases:
        changes = flat(question.cases[case])
        clash = sorted(searched & set(changes))
        advice = 'a share of the workers is taken by faults = [{ kind = "workers_down", share = "1/3" }]'
        check(not clash, f"cases.{case}", clash[:1], f"must not set what is searched; {advice}")
        tied = "load" in changes and any(path.startswith("workers.") for path in searched)
        advice = "set arrivals.scale in place of load, which follows the workers"
        check(not tied, f"cases.{case}", "load", f"must not move as workers are searched; {advice}")
        try:
            question.scenario.with_(changes)
        except ScenarioError as error:
            raise error.under(f"cases.{case}") from None
    for setting in settings:
        question.scenario.with_(setting)
