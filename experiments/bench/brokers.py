"""What a broker costs: the same jobs without one and behind several, whose callers go on once a job is accepted."""

from __future__ import annotations

import time
from typing import Any

from backwater.distributions import Exponential
from backwater.experiments.bench.systems import mmc
from backwater.models import SYSTEMS, ready
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import replicate

_RANDOM = Exponential(mean="5 ms")
#: The broker, and what workers are told besides.
BROKERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a broker": ({}, {}),
    "visibility timeout 30 s": ({"visibility_timeout": "30 s"}, {}),
    "4 nodes, prefetch 4": ({}, {"nodes": 4, "prefetch": 4}),
    "4 nodes, prefetch 4, early ack": ({"ack": "early"}, {"nodes": 4, "prefetch": 4}),
    "long polls of 10": ({"poll": {"wait": "20 s", "batch": 10}}, {"nodes": 4}),
    "5 ms to it, 5 ms from it": ({"publish_delay": "5 ms", "delivery_delay": "5 ms"}, {}),
    "the same, exponential": ({"publish_delay": _RANDOM, "delivery_delay": _RANDOM}, {}),
}


def costs(jobs: int, seed: int) -> dict[str, tuple[float, float]]:
    """Nanoseconds per job of an M/M/16 behind each broker, the sides in turn, and without one."""
    plain = mmc(16).with_({"client.mode": "async"})
    none = _cost(plain, jobs, seed)
    out = {"no broker": (none, none)}
    for name, (broker, workers) in BROKERS.items():
        told = {f"workers.{field}": value for field, value in workers.items()}
        out[name] = _cost(plain.with_({"broker": broker, **told}), jobs, seed), none
    return out


def ready_made(jobs: int, seed: int) -> dict[str, tuple[float, float]]:
    """Nanoseconds per job of the ready-made systems, and of their jobs and workers without the broker."""
    out = {}
    for name in SYSTEMS:
        scenario = ready(name).build()
        without = scenario.with_({"broker": None, "workers.nodes": 1, "workers.prefetch": 1})
        out[name] = _cost(scenario, jobs, seed), _cost(without, jobs, seed)
    return out


def _cost(scenario: Scenario, jobs: int, seed: int) -> float:
    began = time.perf_counter()
    replicate(scenario, Run(arrivals=jobs, seed=seed), 0, "compiled")
    return (time.perf_counter() - began) / jobs * 1e9
