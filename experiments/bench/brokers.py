"""What a broker costs: the same M/M/16, whose callers go on once a job is accepted, without one and behind several."""

from __future__ import annotations

import time
from typing import Any

from backwater.experiments.bench.systems import mmc
from backwater.run import Run
from backwater.simulation import replicate

#: The broker, and what workers are told besides.
BROKERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a broker": ({}, {}),
    "visibility timeout 30 s": ({"visibility_timeout": "30 s"}, {}),
    "4 nodes, prefetch 4": ({}, {"nodes": 4, "prefetch": 4}),
    "4 nodes, prefetch 4, early ack": ({"ack": "early"}, {"nodes": 4, "prefetch": 4}),
    "long polls of 10": ({"poll": {"wait": "20 s", "batch": 10}}, {"nodes": 4}),
    "5 ms to it, 5 ms from it": ({"publish_delay": "5 ms", "delivery_delay": "5 ms"}, {}),
}


def costs(jobs: int, seed: int) -> dict[str, float]:
    """Nanoseconds per job of each, the sides in turn; the first is without a broker."""
    plain = mmc(16).with_({"client.mode": "async"})
    sides = {"no broker": plain}
    for name, (broker, workers) in BROKERS.items():
        sides[name] = plain.with_({"broker": broker, **{f"workers.{field}": value for field, value in workers.items()}})
    out = {}
    for name, scenario in sides.items():
        began = time.perf_counter()
        replicate(scenario, Run(arrivals=jobs, seed=seed), 0, "compiled")
        out[name] = (time.perf_counter() - began) / jobs * 1e9
    return out
