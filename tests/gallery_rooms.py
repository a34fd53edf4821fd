"""More of the gallery: producers that wait where the queue is full, and workers that serve several at once."""

from pathlib import Path

from gallery_clients import DISK, PAIR, RETRY, STIFF, TICK, TIED, one

import backwater as bw


def blocking(folder: Path) -> dict[str, bw.Scenario]:
    """Producers that wait: every kind of source, bounds, patience, disciplines, workers that break."""
    flood, load = bw.Poisson(rate="5/s"), {"kind": "load", "start": "6 s", "duration": "9 s", "factor": 4.0}
    recorded = {"file": str(folder / "trace.csv"), "time": "t", "columns": ("work", "bytes")}
    linear = {"kind": "linear", "constant": "300 ms", "per": {"work": "500 ms"}}
    patient = {"attempt_timeout": "2 s", "retry": STIFF}

    def block(queue=None, **parts) -> bw.Scenario:
        queue = {"capacity": 2, "overflow": "block", **(queue or {})}
        return one(**{"arrivals": flood, "service": "400 ms", "queue": queue, **parts})

    down = [{"kind": "workers_down", "share": "50 %", "start": "5 s", "duration": "4 s"}]
    return {
        "block": block(), "block, ties": block(arrivals=TICK, service="1 s", client={"attempt_timeout": "4500 ms"}),
        "block, no waiting room": block({"capacity": 0}, arrivals={"a": flood, "b": TICK}, count=2, client=patient),
        "block, withdrawn": block(client={**patient, "on_timeout": "cancel_waiting"}, service=bw.Exponential(mean=1)),
        "block, stopped by chance": block(client={**patient, "attempt_timeout": bw.Exponential(mean="1 s"),
                                          "on_timeout": "cancel"}, arrivals={"a": flood, "b": TICK}),
        "block, patience with the job": block(client={"total_timeout": "1500 ms", "retry": TIED}, service="700 ms"),
        "block, bytes": block({"capacity": 4, "capacity_bytes": "500 B"}, jobs=PAIR, client=patient, arrivals={
            "a": flood, "b": {"kind": "poisson", "rate": "3/s", "jobs": "b"}, "c": TICK}),
        "block, bytes, too big, backlog": block(
            {"capacity": None, "capacity_bytes": "500 B", "backlog": 5, "discipline": "lifo"}, client=patient,
            jobs={"a": bw.Job(size="200 B"), "big": bw.Job(size="600 B", share=0.2)}, workers={"count": 2}),
        "block, closed": block(arrivals=bw.Closed(clients=12, think="1 s"), client=patient),
        "block, periodic": block(arrivals=bw.Periodic(interval="300 ms", jitter="200 ms"), faults=[load]),
        "block, periodic, batches": block(arrivals=bw.Periodic(interval="1 s", batch={1: 1, 4: 1}), faults=[load]),
        "block, renewal, batches": block(arrivals=bw.Renewal(gap=bw.Uniform(low=0, high=2), batch=3)),
        "block, mmpp": block(arrivals=bw.MMPP(rates=(1, 9), sojourns=(3, 2), batch={1: 2, 3: 1}), faults=[load]),
        "block, bursts": block(arrivals=bw.Bursts(base=1, peak=9, every=6, length=2), faults=[load]),
        "block, profile that ends": block(arrivals=bw.Profile(points=[("0 s", "6/s"), ("20 s", "0/s")])),
        "block, traces again": bw.Scenario(
            arrivals={name: bw.Trace(**recorded, repeat=True, scale=scale, unit="200 ms")
                      for name, scale in (("one", 0.2), ("two", 0.3), ("three", 1.0))},
            workers={"service": linear}, jobs={"job": bw.Job(size={"kind": "linear", "per": {"bytes": "1 B"}})},
            queue={"capacity_bytes": "300 B", "overflow": "block"}, client={"attempt_timeout": "9 s"}),
        "block, breaker": block(client={**patient, "breaker": {"share": 0.4, "min_attempts": 4, "window": "2 s",
                                "open_for": "1 s", "probes": 2}}, arrivals={"a": flood, "b": TICK, "c": flood}),
        "block, codel, skipped": block({"capacity": 6, "admission": {"kind": "codel", "target": "100 ms",
                                       "interval": "400 ms"}}, client=patient, workers={"abandoned": "skip"},
                                       arrivals={"a": flood, "b": TICK}),
        "block, limit, no waiting room": block({"capacity": 0, "admission": {"kind": "limit", "initial": 5}}, count=2,
                                               client=patient, arrivals={"a": flood, "b": TICK, "c": flood, "d": TICK}),
        "block, down, read from disk": block(
            {"capacity": 3, "memory": {**DISK, "slowdown": {"above": 1, "factor": 1.5, "at": "now"}},
             "discipline": "priority"}, count=3, jobs=PAIR, faults=[*down, load], service="900 ms",
            arrivals={"a": flood, "b": TICK, "c": flood, "d": flood}, client={**patient, "on_timeout": "cancel"}),
        "block, async": block(client={**patient, "mode": "async", "attempt_timeout": "1 s", "total_timeout": "4 s",
                              "breaker": {"share": 0.4, "min_attempts": 4, "window": "2 s", "open_for": "1 s"}},
                              arrivals={"a": flood, "b": TICK, "c": flood}, service="700 ms"),
        "block, async, by chance, polled": block({"capacity": 0}, client={
            "mode": "async", "notify": {"kind": "poll", "every": "300 ms"}, "attempt_timeout": bw.Exponential(mean=1),
            "retry": STIFF}, arrivals={"a": flood, "b": bw.Closed(clients=5, think="1 s")}, faults=[
                {"kind": "errors", "share": 0.3, "start": "5 s", "duration": "9 s"}]),
        "block, edf, slow on arrival": block({"discipline": "edf", "memory": {"slowdown": {
            "above": 1, "factor": 1.5, "at": "arrival"}}}, jobs=PAIR, client=patient, arrivals={"a": flood, "b": TICK}),
    }  # fmt: skip


def batches() -> dict[str, bw.Scenario]:
    """Workers that serve several at once: every rule, bounds, patience, disks, faults, producers that wait."""
    flood, slow = bw.Poisson(rate="12/s"), bw.Exponential(mean="500 ms")
    again = {"attempt_timeout": "2 s", "retry": STIFF}

    def serves(batch, **parts) -> bw.Scenario:
        workers = {"batch": {"size": 4, **batch}, **parts.pop("workers", {})}
        return one(**{"arrivals": flood, "service": slow, "count": 2, "workers": workers, **parts})

    down = [{"kind": "workers_down", "share": "50 %", "start": "5 s", "duration": "4 s"},
            {"kind": "workers_slow", "factor": 2.5, "start": "8 s", "duration": "9 s"},
            {"kind": "errors", "share": 0.3, "start": "3 s", "duration": "20 s"}]  # fmt: skip
    few = {"least": 3, "wait": "700 ms"}
    return {
        "batch": serves({}), "batch, sum": serves({"time": "sum", "overhead": "50 ms"}, queue={"capacity": 5}),
        "batch, first, lifo": serves({"time": "first"}, queue={"discipline": "lifo", "capacity": 9}, client=again),
        "batch of one": serves({"size": 1, "overhead": "20 ms"}, client=again, queue={"capacity": 5}),
        "batch, ties": serves({"least": 2, "wait": "1 s"}, arrivals=TICK, service="900 ms", client={
            **again, "on_timeout": "cancel"}),
        "batch, least, for ever": serves({"least": 4}, arrivals=TICK, queue={"capacity": 3}, client=again),
        "batch, wait": serves(few, arrivals=bw.Poisson(rate="3/s")),
        "batch, wait, stopped by chance": serves(few, count=3, queue={"capacity": 6}, client={
            "attempt_timeout": bw.Exponential(mean="1 s"), "on_timeout": "cancel", "retry": RETRY}),
        "batch, wait, withdrawn": serves({**few, "wait": "1500 ms"}, arrivals=bw.Poisson(rate="2/s"), client={
            "attempt_timeout": "1 s", "on_timeout": "cancel_waiting", "retry": TIED}),
        "batch, spill, down": serves(few, jobs=PAIR, faults=down, client={**again, "on_timeout": "cancel"}, queue={
            "memory": {**DISK, "slowdown": {"above": 3, "factor": 1.5}}, "capacity": 9, "discipline": "priority"}),
        "batch, slow now, yielding": serves({"time": "sum"}, faults=down, client=again, queue={
            "memory": {"slowdown": {"above": 2, "factor": 1.7, "at": "now"}}, "capacity": 8,
            "overflow": "shed_oldest"}),
        "batch, codel, skipped": serves({"least": 2}, client=again, jobs=PAIR, workers={"abandoned": "skip"}, queue={
            "admission": {"kind": "codel", "target": "100 ms", "interval": "400 ms"}, "backlog": 9}),
        "batch, limit": serves({"least": 2, "wait": "0 s"}, client=again, queue={"admission": {
            "kind": "limit", "initial": 6}}),
        "batch, block": serves({"least": 3, "wait": "500 ms"}, arrivals={"a": flood, "b": TICK, "c": flood},
                               queue={"capacity": 2, "overflow": "block"}, client=again, faults=down),
        "batch, block, spill, no waiting room": serves({}, arrivals={"a": flood, "b": TICK, "c": flood}, jobs=PAIR,
                                                       queue={"capacity_bytes": "500 B", "overflow": "block",
                                                              "memory": DISK}, client=again),
        "batch, block, no waiting room": serves({}, arrivals={str(n): flood for n in range(6)}, queue={
            "capacity": 0, "overflow": "block"}, client={**again, "on_timeout": "cancel"}),
        "batch, async, block": serves({"least": 2, "wait": "300 ms"}, arrivals={"a": flood, "b": TICK, "c": flood},
                                      queue={"capacity": 2, "overflow": "block"}, client={**again, "mode": "async"}),
        "batch, closed": serves({"least": 3, "wait": "1 s"}, arrivals=bw.Closed(clients=9, think="1 s"), count=1),
    }  # fmt: skip
