"""The benchmark systems, and their speed on every side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from backwater.components.arrivals import Poisson
from backwater.components.client import Client, Retry
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.distributions import Exponential
from backwater.experiments.bench import peers, scripts
from backwater.experiments.experiment import load_experiment, shipped
from backwater.models import model
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import replicate

ROUNDS = 5
Side = Callable[[int, int], int]
# Jobs per round: enough that a round takes some tenths of a second.
JOBS = {"compiled": 3_000_000, "simpy": 40_000, "script": 40_000, "cimba": 1_000_000, "Ciw": 20_000, "salabim": 4_000}


class System(NamedTuple):
    """One benchmark: ``sides`` take a seed and a number of jobs and return how many they simulated.

    jobs  how many each side gets, where it is not the usual number
    """

    name: str
    scenario: Scenario
    sides: dict[str, Side]
    jobs: dict[str, int]


def mmc(workers: int) -> Scenario:
    """M/M/c at load 0.8 with services of mean 1 s."""
    return Scenario(
        arrivals=Poisson(rate=0.8 * workers), workers=Workers(count=workers, service=Exponential(mean="1 s"))
    )


def retries() -> Scenario:
    """Half as much again as 16 workers can do, 64 places, clients who come back up to seven times."""
    return Scenario(
        arrivals=Poisson(rate="24/s"),
        client=Client(retry=Retry(base="500 ms", cap="30 s", max_attempts=8)),
        queue=Queue(capacity=64),
        workers=Workers(count=16, service=Exponential(mean="1 s")),
    )


def ours(scenario: Scenario, engine: str) -> Side:
    """An engine of ours as a side."""

    def run(seed: int, jobs: int) -> int:
        done = replicate(scenario, Run(arrivals=jobs, seed=seed), 0, engine)
        return int(done.counter("arrived"))

    return run


def systems() -> list[System]:
    """All of them, with the sides that can run here."""
    recorded = load_experiment("llm_trace").scenario if "llm_trace" in shipped() and _trace_is_here() else None
    known: list[tuple[str, Scenario | None, Side | None, dict[str, int]]] = [
        ("M/M/1", mmc(1), scripts.mmc, {"compiled": 10_000_000, "cimba": 10_000_000}),
        ("M/M/16", mmc(16), scripts.mm16, {}),
        ("retries", retries(), scripts.retries, {"compiled": 1_000_000, "simpy": 10_000, "script": 10_000,
                                                 "cimba": 300_000}),
        ("thumbnails", model("thumbnails"), scripts.thumbnails, {"simpy": 15_000, "script": 15_000}),
        ("LLM trace", recorded, scripts.trace(str(_trace())), dict.fromkeys(("compiled", "simpy", "script"), 8_000)),
    ]  # fmt: skip
    others, found = peers.sides(), []
    for name, scenario, script, jobs in known:
        if scenario is not None and script is not None:
            sides = {"compiled": ours(scenario, "compiled"), "simpy": ours(scenario, "simpy"), "script": script}
            sides |= {peer: its[name] for peer, its in others.items() if name in its}
            found.append(System(name, scenario, sides, {**JOBS, **jobs}))
    return found


def _trace() -> Path:
    return Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "azure_llm_code_2023.csv"


def _trace_is_here() -> bool:
    return _trace().exists()


def speeds(system: System, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Jobs per second of wall time [1/s] by side, one per round, the sides in turn; a first round is not counted."""
    found: dict[str, list[float]] = {name: [] for name in system.sides}
    for seed in range(rounds + 1):
        for name, side in system.sides.items():
            jobs = system.jobs[name] if seed else max(system.jobs[name] // 20, 100)
            start = time.perf_counter()
            done = side(seed, jobs)
            if seed:
                found[name].append(done / (time.perf_counter() - start))
    return found


def ratio(ours: list[float], theirs: list[float]) -> tuple[float, float, float]:
    """How many times as fast, round by round: median, lowest, highest."""
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    return statistics.median(ratios), ratios[0], ratios[-1]
