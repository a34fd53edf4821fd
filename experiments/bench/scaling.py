"""What a job costs as queues and crowds grow, over threads, in memory and at the start; and what it cannot be below."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from backwater import random
from backwater.components.arrivals import Poisson
from backwater.components.client import Client, Retry
from backwater.components.queue import Queue
from backwater.components.steady import draw_gaps
from backwater.components.workers import Workers
from backwater.distributions import Exponential
from backwater.experiments.bench.systems import mmc
from backwater.jit import compiled
from backwater.quantile import fill, quantile
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import cores, replicate, simulate

SIZES = (10, 1_000, 100_000, 1_000_000)
BATCH = 64


@compiled
def drawn_ahead(law, plan, seed, jobs, gaps, demands, alone):  # type: ignore[no-untyped-def]
    """The draws of an M/M/1 as the engine makes them, many at once; summed (``alone``), or put into the recursion."""
    wait, total = 0.0, 0.0
    for first in range(0, jobs, len(gaps)):
        for n in range(len(gaps)):
            gaps[n], demands[n] = random.pair(seed, 0, 0, first + n, random.GAP, 0)
        draw_gaps(plan, 0, gaps, gaps)
        fill(law, 0, demands, demands)
        for n in range(len(gaps)):
            wait = 0.0 if alone else max(wait - gaps[n], 0.0)
            total += gaps[n] + demands[n] if alone else wait
            wait += demands[n]
    return total


@compiled
def lindley(law, gap_law, seed, jobs):  # type: ignore[no-untyped-def]
    """Waiting times of an M/M/1 by Lindley's recursion, job by job, with the same draws."""
    wait, total = 0.0, 0.0
    for job in range(jobs):
        u, v = random.pair(seed, 0, 0, job, random.GAP, 0)
        wait = max(wait - quantile(gap_law, u), 0.0)
        total += wait
        wait += quantile(law, v)
    return total


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of a call [s]."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bounds(jobs: int, seed: int) -> dict[str, float]:
    """Nanoseconds per job of an M/M/1: the engine's, a bare recursion's, and those of the draws alone."""
    law, source, scenario = Exponential(mean=1.0).table, Poisson(rate=0.8), mmc(1)
    gaps, demands, word = np.empty(BATCH), np.empty(BATCH), random.seed_word(seed)
    works: dict[str, Callable[[], Any]] = {
        "engine": lambda: replicate(scenario, Run(arrivals=jobs, seed=seed), 0, "compiled"),
        "Lindley": lambda: lindley(law, Exponential(mean=1.25).table, word, jobs),
        "Lindley, drawn ahead": lambda: drawn_ahead(law, source.plan(1.0), word, jobs, gaps, demands, False),
        "draws alone": lambda: drawn_ahead(law, source.plan(1.0), word, jobs, gaps, demands, True),
    }
    return {name: seconds(work) / jobs * 1e9 for name, work in works.items()}


def waiting(size: int) -> tuple[Scenario, int]:
    """A queue in which about so many wait all the time, and how many jobs to run through it."""
    rate = 1.0 - 1.0 / size if size < 1_000 else 1.0  # M/M/1: load / (1 - load), or a backlog that stays
    backlog = 0 if size < 1_000 else size
    scenario = mmc(1).with_({"arrivals.rate": rate, "queue.backlog": backlog})
    return scenario, max(2_000_000, 8 * size)


def backing_off(size: int) -> tuple[Scenario, int]:
    """A system without room in which about so many clients are between two attempts, and how many jobs to run."""
    client = Client(retry=Retry(kind="constant", base=2.0 * size, max_attempts=2))
    workers = Workers(service="1000000 h")
    return Scenario(arrivals=Poisson(rate=1.0), client=client, queue=Queue(capacity=0), workers=workers), 3_000_000


def costs(make: Callable[[int], tuple[Scenario, int]], seed: int) -> dict[int, float]:
    """Nanoseconds per job by how many there are at a time: of the later jobs of a run, when they are all there."""
    found = {}
    for size in SIZES:
        scenario, jobs = make(size)
        short, long = (
            seconds(lambda s=scenario, n=n: replicate(s, Run(arrivals=n, seed=seed), 0, "compiled"))  # type: ignore[misc]
            for n in (jobs, 3 * jobs)
        )
        found[size] = (long - short) / (2 * jobs) * 1e9
    return found


def threads(seed: int) -> dict[int, float]:
    """Jobs per second [1/s] by how many threads run the replications of an M/M/1."""
    run = Run(arrivals=1_500_000, replications=8, seed=seed)
    return {
        n: 8 * 1_500_000 / seconds(lambda n=n: simulate(mmc(1), run, engine="compiled", parallel=n))  # type: ignore[misc]
        for n in sorted({1, min(2, cores()), cores()})
    }


def _python(code: str, **environment: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return told.stdout


def peak_memory(jobs: int) -> float:
    """Peak memory of a process that runs so many jobs through an M/M/1 [MB]."""
    code = (
        "from backwater.experiments.bench.systems import mmc; from backwater.run import Run;"
        f"from backwater.simulation import replicate; replicate(mmc(1), Run(arrivals={jobs}), 0, 'compiled');"
        "print(open('/proc/self/status').read())"
    )
    # Not getrusage, which also knows what the parent held when it forked.
    return float(re.findall(r"VmHWM:\s+(\d+) kB", _python(code))[0]) / 1000


def starts() -> Iterator[tuple[str, float]]:
    """How long a small ``backwater run`` takes in a new process [s], with the kernels kept and without."""
    code = "import sys; sys.argv = ['backwater', 'run', 'thumbnails', '--replications', '2']\n"
    code += "from backwater.experiments.cli import main; main()"
    _python(code)
    yield "backwater run in a new process", seconds(lambda: _python(code))
    with tempfile.TemporaryDirectory() as folder:
        compile_ = "from backwater.engines import compiled; compiled.prepare()"
        yield "first compilation of the kernels", seconds(lambda: _python(compile_, NUMBA_CACHE_DIR=folder))
