"""The same jobs through several systems: what each gives, and how far they differ, pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from backwater.errors import ScenarioError, check
from backwater.experiments.experiment import read_scenario
from backwater.metrics import metric, named
from backwater.outcome import WHOLE
from backwater.result import Result
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import check_end, check_memory, simulate
from backwater.statistics import Estimate, difference, simultaneous

# What most comparisons are about; of those only what moves in one of the systems is shown.
SHOWN = (
    "rejection_ratio", "failure_ratio", "goodput", "latency_mean", "latency_p50", "latency_p99", "wait_mean",
    "attempts_per_job", "duplicate_ratio", "dropped_ratio", "give_up_ratio", "wasted_ratio", "utilization",
    "queue_mean", "queue_max", "memory_max", "spill_ratio", "workers_mean",
)  # fmt: skip
# And what they are about where one of the systems is a broker.
BROKERED = ("blocked_p99", "lost_ratio", "redelivery_ratio", "dead_letter_ratio", "unacked_max", "stored_max",
            "unfinished_ratio")  # fmt: skip
# And where jobs lead to others.
LED = ("workflow_failure_ratio", "workflow_mean", "workflow_p50", "workflow_p99")


class Difference(NamedTuple):
    """A metric of one system beside that of the first one.

    found   the difference, system minus first, with its simultaneous 95 % interval
    alone   the half-width that independent random numbers would have given
    """

    found: Estimate
    alone: float

    @property
    def sure(self) -> bool:
        """Whether they differ for sure."""
        return self.found.low > 0 or self.found.high < 0


@dataclass(frozen=True)
class Comparison:
    """Several systems that saw the same jobs; the first one is what the others are compared with.

    names    of the systems
    metrics  that were compared
    """

    names: tuple[str, ...]
    results: tuple[Result, ...]
    metrics: tuple[str, ...]

    @property
    def jobs(self) -> int:
        """How many jobs were simulated."""
        return sum(int(done.counter("arrived", WHOLE)) for result in self.results for done in result.outcomes)

    def estimate(self, name: str, system: int) -> Estimate:
        """A metric of one system, 95 %."""
        return self.results[system].estimate(name)

    def difference(self, name: str, system: int) -> Difference:
        """A metric of one system minus that of the first, from pairs of replications that saw the same jobs.

        All differences of the comparison hold together at 95 %.
        """
        word, job_class, window = named(name)
        one, other = (
            metric(word).spread(self.results[at].cells(job_class, window)) for at in (system, 0)
        )  # fmt: skip
        level = simultaneous(0.95, (len(self.names) - 1) * len(self.metrics))
        found = difference(one, other).interval(level)
        apart = difference(one, other)._replace(errors=np.hypot(one.errors, other.errors)).interval(level)
        return Difference(found, apart.high - apart.value)

    @cached_property
    def moving(self) -> list[str]:
        """The metrics that are not the same number in all systems, 503s and failures in any case."""
        always = ("rejection_ratio", "failure_ratio", "workflow_failure_ratio")

        def moves(name: str) -> bool:
            values = [self.estimate(name, at).value for at in range(len(self.names))]
            return len({value for value in values if value == value}) > 1

        return [name for name in self.metrics if name in always or moves(name)]


def compare(
    *what: Scenario | str, names: Iterable[str] | None = None, run: Run | None = None,
    metrics: Iterable[str] | None = None, parallel: int | None = None, progress: Callable[[int], None] | None = None,
) -> Comparison:  # fmt: skip
    """Send the same jobs through several scenarios (or models' names, files).

    names    of the systems; as given, or the scenarios' own, unless given
    run      how long and how often; that of the first of ``what`` that carries one unless given
    metrics  such as ``"latency_p99[invoice]"``; a usual set unless given
    Jobs are the same where arrivals are: same seed, same sources. Raises ScenarioError before any work.
    """
    check(len(what) >= 2, "compare", len(what), "must be given at least two scenarios")
    pairs = [(one, {}) if isinstance(one, Scenario) else read_scenario(one) for one in what]
    carried = next((given for _, given in pairs if given), None)
    if run is None and carried is None:
        raise ScenarioError("run", "must be given: how long and how often", shown=False)
    run = run or Run(**(carried or {}))
    check(run.replications >= 2, "run.replications", run.replications, "must be at least 2 for an interval")
    usual = (*SHOWN, *BROKERED) if any(scenario.broker is not None for scenario, _ in pairs) else SHOWN
    usual = (*usual, *LED) if any(scenario.follow_up is not None for scenario, _ in pairs) else usual
    wanted = tuple(metrics) if metrics is not None else usual
    for name in wanted:
        word, job_class, window = named(name)
        metric(word)
        check(window in ["all", *run.windows], "metric", window, "must name a window of the run")
        for scenario, _ in pairs:
            check(job_class in ["all", *scenario.jobs], "metric", job_class, "must name a class of every scenario")
    for scenario, _ in pairs:
        check_end(scenario, run)
        check_memory(scenario, run)
    results = []
    for number, (scenario, _) in enumerate(pairs):
        results.append(simulate(scenario, run, parallel=parallel))
        if progress is not None:
            progress(number + 1)
    told = tuple(names) if names is not None else _names(what, [scenario for scenario, _ in pairs])
    return Comparison(told, tuple(results), wanted)


def _names(what: Iterable[Scenario | str], scenarios: list[Scenario]) -> tuple[str, ...]:
    """A name each: as given, or the scenario's own; numbered where two are the same."""
    given = [one if isinstance(one, str) else scenario.name for one, scenario in zip(what, scenarios, strict=True)]
    seen: dict[str, int] = {}
    out = []
    for name in given:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if given.count(name) == 1 else f"{name} ({seen[name]})")
    return tuple(out)
