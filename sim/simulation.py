"""Run a scenario: ``simulate`` gives a Result."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from backwater.engines import reference
from backwater.errors import ScenarioError, check, nearest
from backwater.outcome import Outcome
from backwater.result import Result
from backwater.run import Run
from backwater.scenario import Scenario

ENGINES = {"simpy": reference.run}
LIVE_JOBS = reference.LIVE_JOBS


def simulate(
    scenario: Scenario, run: Run | None = None, *, engine: str = "auto",
    progress: Callable[[int], None] | None = None, **fields: Any,
) -> Result:  # fmt: skip
    """Run all replications of a scenario, one after the other.

    run       how long and how often; or its fields by name: horizon, arrivals, warmup, replications, seed, windows, ...
    engine    "simpy" or "auto"
    progress  called with the number of replications done
    Raises ScenarioError for wrong input, before any work; AuditError and LimitError from a run, naming the replication.
    """
    check(isinstance(scenario, Scenario), "scenario", scenario, "must be a Scenario")
    plan = _plan(run, fields)
    check_memory(scenario, plan)
    start, outcomes = time.perf_counter(), []
    for replication in range(plan.replications):
        outcomes.append(replicate(scenario, plan, replication, engine))
        if progress is not None:
            progress(replication + 1)
    return Result(scenario, plan, tuple(outcomes), manifest(scenario, plan, engine, time.perf_counter() - start))


def replicate(scenario: Scenario, run: Run, replication: int, engine: str = "auto") -> Outcome:
    """Run one replication."""
    name = "simpy" if engine == "auto" else engine
    check(name in ENGINES, "engine", engine, f"must be an engine{nearest(engine, [*ENGINES, 'auto'])}")
    return ENGINES[name](scenario, run, replication)


def _plan(run: Run | None, fields: dict[str, Any]) -> Run:
    if run is None:
        return Run(**fields)
    return Run(**{**run.plain(), **fields}) if fields else run


def check_memory(scenario: Scenario, run: Run) -> None:
    """Refuse a run whose queue would outgrow the memory allowed: more jobs alive than ``LIVE_JOBS``."""
    capacity = scenario.queue.bounds[0]
    backlog = scenario.queue.backlog
    check(backlog <= LIVE_JOBS, "queue.backlog", backlog, f"must be at most {LIVE_JOBS:,}, or it outgrows memory")
    patient = any(
        part.client.attempt_timeout is None and part.client.total_timeout is None for part in scenario.producers
    )
    horizon = min(run.end, (run.arrivals or float("inf")) / max(scenario.rate, 1e-300))
    expected = backlog + max(scenario.rate - scenario.rate / max(scenario.load, 1e-300), 0.0) * horizon
    if patient and min(capacity, expected) > LIVE_JOBS:
        raise ScenarioError(
            "queue.capacity",
            f"must bound the queue, or the load of {scenario.load:.3g} be below 1: about {expected:,.0f} jobs would "
            f"wait at the end, and {LIVE_JOBS:,} fit in the memory allowed", shown=False,
        )  # fmt: skip


def manifest(scenario: Scenario, run: Run, engine: str, seconds: float) -> dict[str, Any]:
    """What a result came from, so that it can be repeated."""
    return {
        "scenario": scenario.name, "digest": scenario.digest, "run": run.plain(), "engine": engine,
        "seed": run.seed, "replications": run.replications, "seconds": round(seconds, 3), "versions": versions(),
    }  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    out = {"python": platform.python_version()}
    for name in ("backwater", "numpy", "numba", "simpy", "scipy"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "source"
    return out
