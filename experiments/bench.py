"""How fast: our engine beside plain SimPy scripts of the same systems, in one run: ``make bench``.

The scripts are what one writes by hand: processes, resources, the standard library's random numbers, a list of waits;
no audit, no histograms, no intervals, no addressed random numbers. Speed is simulated jobs per second of wall time.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import simpy

from backwater.components.arrivals import Poisson
from backwater.components.workers import Workers
from backwater.distributions import Exponential
from backwater.models import model
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import replicate

ROUNDS = 5
Events = Generator[simpy.Event, Any, None]


class System(NamedTuple):
    """One benchmark: both sides take a seed and return the number of jobs that they simulated."""

    name: str
    ours: Callable[[int], int]
    script: Callable[[int], int]


def mm1_script(seed: int, jobs: int = 40_000) -> int:
    """M/M/1 at load 0.8, as a textbook writes it."""
    env, rng, waits = simpy.Environment(), random.Random(seed), []
    server = simpy.Resource(env)

    def customer() -> Events:
        arrived = env.now
        with server.request() as turn:
            yield turn
            waits.append(env.now - arrived)
            yield env.timeout(rng.expovariate(1.0))

    def source() -> Events:
        for _ in range(jobs):
            yield env.timeout(rng.expovariate(0.8))
            env.process(customer())

    env.process(source())
    env.run()
    return len(waits)


def mm1_ours(seed: int, jobs: int = 40_000) -> int:
    """The same through the language."""
    scenario = Scenario(arrivals=Poisson(rate=0.8), workers=Workers(service=Exponential(mean="1 s")))
    replicate(scenario, Run(arrivals=jobs, seed=seed), 0, "simpy")
    return jobs


class Thumbnails:
    """The thumbnails model as one writes it by hand: bursts, a bounded queue, retries, memory and disk."""

    def __init__(self, seed: int, horizon: float) -> None:
        self.env, self.rng, self.horizon = simpy.Environment(), random.Random(seed), horizon
        self.workers = simpy.Resource(self.env, 8)
        self.disk = simpy.Resource(self.env, 1)
        self.memory, self.jobs = 0.0, 0
        self.latencies: list[float] = []
        self.env.process(self.source())
        self.env.run(until=horizon)

    def source(self) -> Events:
        """Poisson bursts by thinning."""
        while True:
            yield self.env.timeout(self.rng.expovariate(240))
            rate = 240 if self.env.now % 60 >= 50 else 100
            if self.rng.random() * 240 < rate:
                self.jobs += 1
                self.env.process(self.client())

    def client(self) -> Events:
        """Up to six attempts with full jitter; after 30 s an attempt is left and tried again."""
        arrived = self.env.now
        size, demand = self.rng.lognormvariate(12.55, 0.8326), self.rng.lognormvariate(-3.259, 0.944)
        for attempt in range(6):
            if len(self.workers.queue) < 200:
                served = self.env.process(self.serve(size, demand))
                yield served | self.env.timeout(30)
                if served.triggered:
                    self.latencies.append(self.env.now - arrived)
                    return
            if attempt < 5:
                yield self.env.timeout(self.rng.uniform(0, min(2.0, 0.1 * 2**attempt)))

    def serve(self, size: float, demand: float) -> Events:
        """Wait in memory or on disk, then be served."""
        with self.workers.request() as turn:
            spilled, write = False, None
            if not turn.triggered:
                spilled = self.memory + size > 2**26
                if spilled:
                    write = self.env.process(self.operation(0.002 + size / 2e8))
                else:
                    self.memory += size
                yield turn
                if not spilled:
                    self.memory -= size
            if write is not None:
                yield write
                yield self.env.process(self.operation(0.008 + size / 2e8))
            yield self.env.timeout(demand)

    def operation(self, seconds: float) -> Events:
        """One disk operation, after its turn."""
        with self.disk.request() as turn:
            yield turn
            yield self.env.timeout(seconds)


def thumbnails_script(seed: int, horizon: float = 120.0) -> int:
    """The thumbnails model by hand."""
    return Thumbnails(seed, horizon).jobs


def thumbnails_ours(seed: int, horizon: float = 120.0) -> int:
    """The same through the language."""
    outcome = replicate(model("thumbnails"), Run(horizon=horizon, seed=seed), 0, "simpy")
    return int(outcome.counter("arrived"))


SYSTEMS = (
    System("M/M/1, load 0.8", mm1_ours, mm1_script),
    System("thumbnails", thumbnails_ours, thumbnails_script),
)


def speed(run: Callable[[int], int], seed: int) -> float:
    """Jobs per second of one run [1/s]."""
    start = time.perf_counter()
    return run(seed) / (time.perf_counter() - start)


def measure(system: System, rounds: int = ROUNDS) -> tuple[list[float], list[float]]:
    """Speeds of our engine and of the script, in turn, after one run of each that is not counted [1/s]."""
    system.ours(0)
    system.script(0)
    pairs = [(speed(system.ours, seed), speed(system.script, seed)) for seed in range(1, rounds + 1)]
    return [ours for ours, _ in pairs], [script for _, script in pairs]


def main() -> None:
    """Print the table."""
    print(f"Simulated jobs per second, median of {ROUNDS} rounds, both sides in turn; ratio with its spread")
    print(f"{'system':<18} {'simpy engine':>13} {'plain script':>13} {'ratio':>7}   spread")
    for system in SYSTEMS:
        ours, script = measure(system)
        ratios = sorted(a / b for a, b in zip(ours, script, strict=True))
        print(
            f"{system.name:<18} {statistics.median(ours):>13,.0f} {statistics.median(script):>13,.0f} "
            f"{statistics.median(ratios):>7.2f}   {ratios[0]:.2f} .. {ratios[-1]:.2f}"
        )


if __name__ == "__main__":
    main()
