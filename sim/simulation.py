"""Run a scenario: ``simulate`` gives a Result."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from threading import Event
from typing import Any

from backwater.components.closed import Closed
from backwater.errors import AuditError, LimitError, RuleError, ScenarioError, check, nearest
from backwater.outcome import Outcome
from backwater.random import REPLICATIONS
from backwater.result import Result
from backwater.run import Run
from backwater.scenario import Scenario

ENGINES = ("auto", "compiled", "simpy")
AHEAD = 4  # items per thread that are given to threads before they are needed
SMALL = 50_000  # jobs that the reference engine simulates sooner than the kernels are compiled


def simulate(
    scenario: Scenario, run: Run | None = None, *, engine: str = "auto", parallel: int | None = None,
    progress: Callable[[int], None] | None = None, halt: Event | None = None, **fields: Any,
) -> Result:  # fmt: skip
    """Run all replications of a scenario.

    run       how long and how often; or its fields by name: horizon, arrivals, warmup, replications, seed, windows, ...
    engine    "compiled", "simpy" or "auto": the compiled one, but for small runs while its kernels are not compiled yet
    parallel  threads of the compiled engine; as many as there are cores unless given. The result does not depend on it
    progress  called with the number of replications done
    halt      once it is set, the compiled engine stops: KeyboardInterrupt
    Raises ScenarioError for wrong input, before any work; AuditError, LimitError and RuleError from a run, naming the
    replication.
    """
    check(isinstance(scenario, Scenario), "scenario", scenario, "must be a Scenario")
    check(parallel is None or parallel >= 1, "parallel", parallel, "must be at least 1")
    plan = _plan(run, fields)
    check_end(scenario, plan)
    name = _meant(engine, scenario, plan)
    check_memory(scenario, plan, name)
    resolve(name, scenario, plan)
    start = time.perf_counter()
    done = _outcomes(scenario, plan, range(plan.replications), name, parallel or cores(), halt, progress)
    return Result(scenario, plan, done, manifest(scenario, plan, name, time.perf_counter() - start))


def extend(
    result: Result, replications: int, *, parallel: int | None = None, halt: Event | None = None
) -> Result:  # fmt: skip
    """The same result with more replications, so many in all: what ``simulate`` would have given at once."""
    start, plan = time.perf_counter(), result.run.model_copy(update={"replications": replications})
    check(replications < REPLICATIONS, "replications", replications, f"must be below {REPLICATIONS:,}")
    name, new = result.manifest["engine"], range(len(result.outcomes), replications)
    done = result.outcomes + _outcomes(result.scenario, plan, new, name, parallel or cores(), halt)
    seconds = result.manifest["seconds"] + time.perf_counter() - start
    return Result(result.scenario, plan, done, manifest(result.scenario, plan, name, seconds))


def resolve(engine: str, scenario: Scenario, run: Run, points: int = 1) -> str:
    """The engine that a word means for a run of so many points; where that is the compiled one, it is ready then."""
    name = _meant(engine, scenario, run, points)
    if name == "compiled":
        from backwater.engines import compiled

        compiled.prepare()
    return name


def _meant(engine: str, scenario: Scenario, run: Run, points: int = 1) -> str:
    if engine not in ENGINES:  # what is near takes long to find, and each replication asks
        raise ScenarioError("engine", f"must be an engine{nearest(engine, ENGINES)}", engine)
    if engine != "auto":
        return engine
    from backwater.engines import compiled

    arrivals = (run.arrivals or float("inf")) * scenario.jobs_each
    jobs = min(run.end * scenario.rate, arrivals) + scenario.queue.backlog
    return "simpy" if not compiled.is_ready() and jobs * run.replications * points <= SMALL else "compiled"


def replicate(
    scenario: Scenario, run: Run, replication: int, engine: str = "auto", halt: Event | None = None
) -> Outcome:
    """Run one replication; ``halt``, once it is set, ends it on the compiled engine with KeyboardInterrupt."""
    name = resolve(engine, scenario, run)
    try:
        if name == "compiled":
            from backwater.engines import compiled

            return compiled.run(scenario, run, replication, halt)
        from backwater.engines import reference

        return reference.run(scenario, run, replication)
    except (AuditError, LimitError, RuleError) as error:
        raise type(error)(f"{error} (replication {replication})") from None


def _outcomes(
    scenario: Scenario, run: Run, numbers: range, engine: str, parallel: int, halt: Event | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Outcome, ...]:  # fmt: skip
    """The replications of these numbers, in order."""

    def work(replication: int, stop: Event | None) -> Outcome:
        return replicate(scenario, run, replication, engine, stop)

    alone = parallel == 1 or len(numbers) <= 1 or engine == "simpy"
    pairs = ((n, work(n, halt)) for n in numbers) if alone else in_threads(work, numbers, parallel, halt)
    found = {}
    for replication, outcome in pairs:
        found[replication] = outcome
        if progress is not None:
            progress(len(found))
    return tuple(found[replication] for replication in numbers)


def in_threads(
    work: Callable[[Any, Event], Any], items: Iterable[Any], parallel: int, halt: Event | None = None
) -> Iterator[tuple[Any, Any]]:
    """``(item, work(item, halt))`` for all items, as they end. An error or Ctrl-C sets ``halt`` and ends the rest.

    Items are taken as they are needed: there may be millions.
    """
    halt = halt or Event()
    pool, left = ThreadPoolExecutor(parallel, "backwater"), iter(items)
    running: dict[Future[Any], Any] = {}
    try:
        while True:
            for item in islice(left, 0 if halt.is_set() else AHEAD * parallel - len(running)):
                running[pool.submit(work, item, halt)] = item
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                item = running.pop(done)
                if not isinstance(done.exception(), KeyboardInterrupt):  # halted: who did it says why
                    yield item, done.result()
        if halt.is_set():
            raise KeyboardInterrupt
    except BaseException:
        halt.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plan(run: Run | None, fields: dict[str, Any]) -> Run:
    if run is None:
        return Run(**fields)
    return Run(**{**run.plain(), **fields}) if fields else run


def live_jobs(engine: str) -> int:
    """How many jobs may be alive at once on an engine."""
    if engine == "compiled":
        from backwater.engines import compiled

        return compiled.LIVE_JOBS
    from backwater.engines import reference

    return reference.LIVE_JOBS


def check_end(scenario: Scenario, run: Run) -> None:
    """Refuse a run that may never end: no more jobs come, or producers wait, but workers come and go for ever."""
    waits = scenario.queue.overflow == "block"
    endless = scenario.workers.never_ends and (waits or all(part.source.may_end for part in scenario.producers))
    must = "must be given: workers come and go for ever" + (", and producers may wait for good" if waits else "")
    check(run.horizon is not None or not endless, "run.horizon", None, must)


def check_memory(scenario: Scenario, run: Run, engine: str = "compiled") -> None:
    """Refuse a run whose queue would outgrow the memory allowed: more jobs alive than ``live_jobs``."""
    most = live_jobs(engine)
    capacity = scenario.queue.bounds[0]
    backlog = scenario.queue.backlog
    check(backlog <= most, "queue.backlog", backlog, f"must be at most {most:,}, or it outgrows memory")
    patient = any(
        part.client.attempt_timeout is None and part.client.total_timeout is None
        for part in scenario.senders if not isinstance(part.source, Closed)
    )  # fmt: skip
    arrivals = (run.arrivals or float("inf")) * scenario.jobs_each
    horizon = min(run.end, arrivals / max(scenario.rate, 1e-300))
    expected = backlog + max(scenario.rate - scenario.rate / max(scenario.load, 1e-300), 0.0) * horizon
    if patient and min(capacity, expected) > most:
        raise ScenarioError(
            "queue.capacity",
            f"must bound the queue, or the load of {scenario.load:.3g} be below 1: about {expected:,.0f} jobs would "
            f"wait at the end, and {most:,} fit in the memory allowed", shown=False,
        )  # fmt: skip


def manifest(scenario: Scenario, run: Run, engine: str, seconds: float) -> dict[str, Any]:
    """What a result came from, so that it can be repeated."""
    rules = {rule.place: rule.digest for rule in scenario.rules}
    return {
        "scenario": scenario.name, "digest": scenario.digest, "run": run.plain(), "engine": engine,
        "seed": run.seed, "replications": run.replications, "seconds": round(seconds, 3), "versions": versions(),
        **({"rules": rules} if rules else {}),
    }  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    out = {"python": platform.python_version()}
    for name in ("backwater", "numpy", "numba", "simpy", "scipy"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            out[name] = "source"
    return out
