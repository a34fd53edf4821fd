"""The benchmark systems as plain SimPy scripts: what one writes by hand.

Processes, resources, the standard library's random numbers, a list of waits; no audit, no histograms, no intervals, no
addressed random numbers. Each takes a seed and a number of jobs and returns how many jobs it simulated.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from pathlib import Path
from typing import Any

import simpy

from backwater.components.trace import Trace

Events = Generator[simpy.Event, Any, None]


def mmc(seed: int, jobs: int, workers: int = 1, rate: float = 0.8) -> int:
    """M/M/c, as a textbook writes it."""
    env, rng, waits = simpy.Environment(), random.Random(seed), []
    server = simpy.Resource(env, workers)

    def customer() -> Events:
        arrived = env.now
        with server.request() as turn:
            yield turn
            waits.append(env.now - arrived)
            yield env.timeout(rng.expovariate(1.0))

    def source() -> Events:
        for _ in range(jobs):
            yield env.timeout(rng.expovariate(rate))
            env.process(customer())

    env.process(source())
    env.run()
    return len(waits)


def mm16(seed: int, jobs: int) -> int:
    """M/M/16 at load 0.8."""
    return mmc(seed, jobs, 16, 12.8)


def retries(seed: int, jobs: int) -> int:
    """A bounded queue whose clients come back: 24/s, 16 workers of mean 1 s, 64 places, 8 attempts, full jitter."""
    env, rng, done = simpy.Environment(), random.Random(seed), []
    workers = simpy.Resource(env, 16)

    def client() -> Events:
        arrived = env.now
        for attempt in range(8):
            if workers.count < 16 or len(workers.queue) < 64:
                with workers.request() as turn:
                    yield turn
                    yield env.timeout(rng.expovariate(1.0))
                done.append(env.now - arrived)
                return
            if attempt < 7:
                yield env.timeout(rng.uniform(0, min(30.0, 0.5 * 2**attempt)))

    def source() -> Events:
        for _ in range(jobs):
            yield env.timeout(rng.expovariate(24))
            env.process(client())

    env.process(source())
    env.run()
    return jobs


class Thumbnails:
    """The thumbnails model as one writes it by hand: bursts, a bounded queue, retries, memory and disk."""

    def __init__(self, seed: int, jobs: int) -> None:
        self.env, self.rng, self.wanted = simpy.Environment(), random.Random(seed), jobs
        self.workers = simpy.Resource(self.env, 8)
        self.disk = simpy.Resource(self.env, 1)
        self.memory, self.jobs = 0.0, 0
        self.latencies: list[float] = []
        self.env.process(self.source())
        self.env.run()

    def source(self) -> Events:
        """Poisson bursts by thinning."""
        while self.jobs < self.wanted:
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


def thumbnails(seed: int, jobs: int) -> int:
    """The thumbnails model by hand."""
    return Thumbnails(seed, jobs).jobs


def trace(file: str) -> Any:
    """An hour of recorded requests by hand: 6 replicas, 16 places, up to 4 attempts, patience of 60 s."""
    if not Path(file).exists():
        return None
    source = Trace(file=file, time="TIMESTAMP", columns=("ContextTokens", "GeneratedTokens"))
    tokens = zip(source.values["ContextTokens"].tolist(), source.values["GeneratedTokens"].tolist(), strict=True)
    rows = [(t, 0.05 + 25e-5 * a + 25e-3 * b) for t, (a, b) in zip(source.times.tolist(), tokens, strict=True)]

    def run(seed: int, jobs: int) -> int:
        env, rng, waits = simpy.Environment(), random.Random(seed), []
        replicas = simpy.Resource(env, 6)

        def serve(demand: float) -> Events:
            arrived = env.now
            with replicas.request() as turn:
                yield turn
                waits.append(env.now - arrived)
                yield env.timeout(demand)

        def client(demand: float) -> Events:
            for attempt in range(4):
                if replicas.count < 6 or len(replicas.queue) < 16:
                    served = env.process(serve(demand))
                    yield served | env.timeout(60)
                    if served.triggered:
                        return
                if attempt < 3:
                    yield env.timeout(rng.uniform(0, min(20.0, 2.0**attempt)))

        def requests() -> Events:
            for when, demand in rows[:jobs]:
                yield env.timeout(when - env.now)
                env.process(client(demand))

        env.process(requests())
        env.run()
        return min(jobs, len(rows))

    return run
