"""Scenarios that together touch every field of the language, each with ties, an empty room or an overload.

Small enough for the reference engine: 30 s of simulated time, some hundred jobs each. Whoever adds a field to the
language adds it here; ``test_agreement.py`` refuses one that nothing touches.
"""

from pathlib import Path

from gallery_clients import DISK, LOADS, PAIR, RETRY, STIFF, TICK, clients, one

import backwater as bw
from backwater.distributions import Mixture


def traces(recorded: dict, linear: dict, sized: dict) -> dict[str, bw.Scenario]:
    """Recorded arrivals: once, again, thinned, more than once, two of them, put together anew."""
    return {
        "trace": one(bw.Trace(**recorded), linear),
        "trace, again and thinned": one(bw.Trace(**recorded, repeat=True, scale=0.7), linear, jobs=sized,
                                        queue={"memory": {**DISK, "limit": "150 B"}}),
        "trace, taken more than once": one(bw.Trace(**recorded, scale=2.3, unit="500 ms"), linear, 2, jobs=sized,
                                           workers={"demand": "attempt"}),
        "trace, again": one(bw.Trace(**recorded, repeat=True), linear, client={"attempt_timeout": "4 s"}),
        "trace, put together anew": one(bw.Trace(**recorded, repeat=True, scale=1.3, resample="5 s",
                                        within="6 s"), linear),
        "two traces, again": bw.Scenario(
            arrivals={"one": bw.Trace(**recorded, repeat=True, scale=0.4), "two": bw.Trace(**recorded, unit="300 ms",
                      repeat=True)}, workers={"count": 2, "service": linear}, queue={"capacity": 3}),
    }  # fmt: skip


def sources(folder: Path) -> dict[str, bw.Scenario]:
    """One per kind of source."""
    times = folder / "trace.csv"
    lines = [f"{0.7 * n if n % 5 else 0.7 * (n - 1)},{1 + n % 3},{100 * (n % 4)}" for n in range(1, 25)]
    times.write_text("t,work,bytes\n" + "\n".join(lines) + "\n")
    rates = folder / "rates.csv"
    rates.write_text("time,rate\n0,4\n10,0\n15,8\n")
    recorded = {"file": str(times), "time": "t", "columns": ("work", "bytes")}
    linear = {"kind": "linear", "constant": "100 ms", "per": {"work": "300 ms"}}
    sized = {"job": bw.Job(size={"kind": "linear", "per": {"bytes": "1 B"}})}
    return {
        "poisson": one(bw.Poisson(rate="3/s"), "300 ms"),
        "poisson, scaled": one(bw.Poisson(rate="3/s", scale=2.5), "300 ms", queue={"capacity": 2}),
        "periodic, all ties": one(),
        "periodic, late": one(bw.Periodic(interval="500 ms", jitter="300 ms"), "400 ms"),
        "renewal": one(bw.Renewal(gap=bw.Uniform(low="0 s", high="1 s")), "400 ms"),
        "renewal, several at once": one(bw.Renewal(gap={"kind": "mixture", "parts": [
            {"share": 3, "law": "0 s"}, {"share": 1, "law": "2 s"}]}), "300 ms", 2, queue={"capacity": 3}),
        "bursts": one(bw.Bursts(base="0/s", peak="6/s", every="8 s", length="2 s"), "300 ms", client={"retry": RETRY},
                      queue={"capacity": 1}),
        "profile, steps": one(bw.Profile(points=[("0 s", "1/s"), ("10 s", "6/s"), ("20 s", "0/s")]), "300 ms"),
        "profile, lines, again": one(bw.Profile(file=str(rates), shape="linear", repeat=True), "200 ms"),
        **traces(recorded, linear, sized),
        "mmpp": one(bw.MMPP(rates=("1/s", "9/s"), sojourns=("4 s", "1 s")), "300 ms", 2, queue={"capacity": 4}),
        "mmpp, three states, one silent": one(bw.MMPP(rates=("0/s", "3/s", "8/s"), sojourns=("2 s", "3 s", "500 ms"),
                                              scale=1.4), "300 ms", faults=LOADS),
        "batches": one(bw.Poisson(rate="1/s", batch=3), "300 ms", 2),
        "batches, ties": one(bw.Periodic(interval="1 s", batch=2), "400 ms", queue={"capacity": 2}),
        "batches by chance": one(bw.Bursts(base="1/s", peak="3/s", every="6 s", length="2 s", batch={1: 3, 4: 1}),
                                 "200 ms", faults=LOADS),
        "batches, modulated": one(bw.MMPP(rates=(1, 4), sojourns=(2, 2), batch={2: 1, 5: 1}), "100 ms", 2),
        "more load": one(bw.Poisson(rate="2/s"), "300 ms", queue={"capacity": 5}, client={"retry": RETRY},
                         faults=LOADS),
        "more load, renewal": one(bw.Renewal(gap=bw.Uniform(low="0 s", high="1 s")), "300 ms", faults=LOADS),
        "more load, periodic": one(bw.Periodic(interval="500 ms", jitter="100 ms"), "300 ms", faults=LOADS),
        "more load, ties": one(faults=LOADS),
        "more load, profile": one(bw.Profile(points=[("0 s", "1/s"), ("9 s", "4/s"), ("12 s", "0/s")], shape="linear",
                                  repeat=True), "300 ms", faults=LOADS),
        "more load, profile that ends": one(bw.Profile(points=[("0 s", "1/s"), ("9 s", "4/s"), ("20 s", "0/s")]),
                                            "300 ms", faults=LOADS),
        "closed": one(bw.Closed(clients=5, think=bw.Exponential(mean="1 s")), "400 ms"),
        "closed, ties": one(bw.Closed(clients=4, think="1 s"), "500 ms", 2, faults=LOADS),
        "closed, many, impatient": one(bw.Closed(clients=700, think="90 s", scale=5.0), "50 ms", 2, client={
            "attempt_timeout": "2 s", "retry": STIFF, "on_timeout": "cancel"}, queue={"capacity": 4}),
        "closed and open, no time to think": bw.Scenario(
            arrivals={"people": bw.Closed(clients=3, think={"kind": "mixture", "parts": [{"share": 1, "law": "0 s"},
                      {"share": 1, "law": "1 s"}]}), "robot": TICK}, jobs=PAIR, workers={"service": "250 ms"},
            queue={"capacity": 2, "overflow": "drop_oldest", "backlog": 2}),
        "several sources": bw.Scenario(
            arrivals={"scale": 1.5, "web": bw.Poisson(rate="1/s", jobs=("a",)), "batch": {
                "kind": "periodic", "interval": "1 s", "jobs": "b", "client": {"retry": STIFF}}},
            jobs=PAIR, queue={"capacity": 2}, workers={"count": 1, "service": "600 ms"}),
    }  # fmt: skip


def laws() -> dict[str, bw.Scenario]:
    """One per distribution, as the time of service or as a size."""
    random = {
        "constant": "400 ms", "exponential": bw.Exponential(mean="400 ms"), "erlang": bw.Erlang(mean="400 ms", k=3),
        "gamma": bw.Gamma(mean="400 ms", cv=0.7), "gamma, quantiles": bw.Gamma(p50="300 ms", p95="1 s"),
        "lognormal": bw.LogNormal(mean="400 ms", cv=1.5), "lognormal, quantiles": bw.LogNormal(p90="1 s", p99="2 s"),
        "weibull": bw.Weibull(mean="400 ms", cv=2.0), "weibull, quantiles": bw.Weibull(p50="300 ms", p99="2 s"),
        "hyperexponential": bw.HyperExponential(mean="400 ms", cv=3.0), "pareto": bw.Pareto(mean="400 ms", alpha=2.2),
        "pareto, cut": bw.Pareto(mean="400 ms", alpha=0.9, cap="20 s"), "uniform": bw.Uniform(low="0 s", high="800 ms"),
        "phasetype": bw.PhaseType(alpha=(1.0, 0.0), T=((-4.0, 4.0), (0.0, -6.0))),
        "empirical": bw.Empirical(values=("100 ms", "100 ms", "1 s")),
        "histogram": bw.Histogram(bounds=("100 ms", "500 ms", "2 s"), counts=(10, 60, 100)),
        "mixture": Mixture(parts=[{"share": 2, "law": "0 s"}, {"share": 1, "law": bw.Exponential(mean="1 s")}]),
        "scipy": bw.Scipy(name="gamma", params={"a": 2.0, "scale": 0.2}),
    }  # fmt: skip
    return {f"law: {name}": one(bw.Poisson(rate="2/s"), law) for name, law in random.items()}


def laws_from_files(folder: Path) -> dict[str, bw.Scenario]:
    """Observed values in a file."""
    file = folder / "observed.csv"
    file.write_text("ms\n120\n300\n300\n900\n")
    law = bw.Empirical(file=str(file), column="ms", unit="1 ms")
    return {"law: empirical, from a file": one(bw.Poisson(rate="2/s"), law)}


def queues() -> dict[str, bw.Scenario]:
    """Disciplines, overflows, bounds, memory, slowdowns, backlogs."""
    flood, both = bw.Poisson(rate="4/s"), {"retry": STIFF, "attempt_timeout": "2 s", "on_timeout": "cancel_waiting"}
    again = {"retry": STIFF}

    def waiting(queue, **parts) -> bw.Scenario:
        return one(**{"arrivals": flood, "service": "400 ms", "jobs": PAIR, "queue": queue, **parts})

    return {
        "fifo": waiting({"discipline": "fifo"}), "lifo": waiting({"discipline": "lifo", "capacity": 4}),
        "priority": waiting({"discipline": "priority", "capacity": 4}),
        "priority, withdrawn": waiting({"discipline": "priority"}, client=both),
        "drop oldest, nobody is told": waiting({"capacity": 2, "overflow": "drop_oldest"}),
        "drop oldest, found out": waiting({"capacity": 2, "overflow": "drop_oldest"}, client=both),
        "drop oldest, given up": waiting({"capacity": 2, "overflow": "drop_oldest"}, client={"total_timeout": "3 s"}),
        "shed oldest": waiting({"capacity": 2, "overflow": "shed_oldest"}, client={"retry": STIFF}),
        "shed oldest, ties": waiting({"capacity": 1, "overflow": "shed_oldest"}, arrivals=TICK, client=again),
        "bytes": waiting({"capacity_bytes": "500 B"}), "bytes, too big": waiting({"capacity_bytes": "200 B"}),
        "bytes, several yield": waiting({"capacity_bytes": "500 B", "overflow": "shed_oldest"}, client=again),
        "spill": waiting({"memory": DISK}), "spill, lifo": waiting({"memory": DISK, "discipline": "lifo"}),
        "spill, all": waiting({"memory": {**DISK, "limit": "0 B"}}),
        "spill, stopped": waiting({"memory": DISK}, client={**both, "on_timeout": "cancel"}),
        "spill, shed": waiting({"memory": DISK, "capacity": 3, "overflow": "shed_oldest"}),
        "sizes by chance": waiting({"memory": DISK}, jobs={"job": bw.Job(size=bw.LogNormal(mean="200 B", cv=1.0))}),
        "slow at the start": waiting({"memory": {"slowdown": {"above": 2, "factor": 1.5}}, "capacity": 6}),
        "slow on arrival": waiting({"memory": {"slowdown": {"above": 1, "factor": 0.5, "at": "arrival"}}}),
        "backlog": waiting({"backlog": 6}, count=2),
        "backlog, impatient, no room": waiting({"backlog": 3, "capacity": 2}, client=both),
        "backlog, yielding": waiting({"backlog": 5, "capacity_bytes": "300 B", "overflow": "shed_oldest"},
                                     client={"retry": STIFF}),
        "backlog, yielding and turned away": waiting(
            {"backlog": 9, "capacity_bytes": "500 B", "overflow": "shed_oldest"},
            jobs={"a": bw.Job(size="200 B"), "big": bw.Job(size="600 B")}, workers={"count": 2}),
        "own service": waiting({"capacity": 3}, jobs={"a": bw.Job(service="200 ms"), "b": bw.Job(share=0.3)}),
        "many workers": waiting({"capacity": 3}, arrivals=bw.Poisson(rate="40/s"), count=17),
    }  # fmt: skip


def admissions() -> dict[str, bw.Scenario]:
    """Every kind of admission, and every discipline under pressure."""
    flood, bursts = bw.Poisson(rate="6/s"), bw.Bursts(base="2/s", peak="14/s", every="9 s", length="3 s")
    ranks = {"a": bw.Job(share=1, priority=1, deadline="5 s", weight=3.0), "b": bw.Job(share=2, deadline="2 s"),
             "c": bw.Job(share=1, priority=4, service="900 ms")}  # fmt: skip
    patient = {"attempt_timeout": "3 s", "retry": STIFF, "on_timeout": "cancel_waiting"}

    def let(admission, **parts) -> bw.Scenario:
        queue = {"admission": admission, "capacity": 30, **parts.pop("queue", {})}
        return one(**{"arrivals": flood, "service": "350 ms", "count": 2, "jobs": ranks, "client": patient,
                      "queue": queue, **parts})  # fmt: skip

    def waits(discipline, **parts) -> bw.Scenario:
        queue = {"discipline": discipline, "capacity": 12, **parts.pop("queue", {})}
        return one(**{"arrivals": bursts, "service": bw.Exponential(mean="300 ms"), "jobs": ranks, "client": patient,
                      "queue": queue, **parts})  # fmt: skip

    fast = {"target": "100 ms", "interval": "400 ms"}
    codel = {variant: {"kind": "codel", "variant": variant, **fast} for variant in ("rfc", "folly", "facebook")}
    limit = {name: {"kind": "limit", "algorithm": name, "initial": 6, "timeout": "1 s", "least": 2, "most": 12,
                    "backoff": 0.7, "smoothing": 0.5, "room": 2, "window": 20, "tolerance": 1.5}
             for name in ("aimd", "gradient2", "vegas")}  # fmt: skip
    dagor = {"kind": "dagor", "target": "200 ms", "window": "3 s", "requests": 15, "alpha": 0.2, "beta": 0.1}
    out = {f"{name}, {how}": waits(name, **parts) for name in (
        "edf", "sjf", "random", "fair", "adaptive_lifo") for how, parts in {
            "bursts": {}, "ties": {"arrivals": TICK, "service": "600 ms", "queue": {"standing": "2 s"}},
            "yielding": {"queue": {"capacity": 3, "overflow": "shed_oldest"}, "client": {"retry": STIFF}},
            "left alone": {"queue": {"capacity": None, "memory": {"slowdown": {"above": 3, "factor": 1.5}}}},
        }.items()}  # fmt: skip
    return out | {f"{name}, {how}": let(part, **parts) for name, part in {
        **{f"codel {name}": part for name, part in codel.items()},
        **{f"limit {name}": part for name, part in limit.items()}, "dagor": dagor,
        "rate limit": {"kind": "token_bucket", "rate": "3/s", "burst": 2},
        "red": {"kind": "red", "low": 1, "high": 6, "weight": 0.2, "probability": 0.3},
    }.items() for how, parts in {
        "flood": {}, "bursts": {"arrivals": bursts, "service": bw.Exponential(mean="300 ms")},
        "ties": {"arrivals": TICK, "count": 1, "service": "700 ms"},
        "down, lifo": {"faults": [{"kind": "workers_down", "start": "4 s", "duration": "3 s"}],
                       "queue": {"discipline": "lifo", "capacity": None}},
        "skipped, yielding": {"workers": {"abandoned": "skip"}, "queue": {"capacity": 4, "overflow": "drop_oldest",
                              "backlog": 3}, "client": {**patient, "on_timeout": "leave"}},
    }.items()}  # fmt: skip


def faults() -> dict[str, bw.Scenario]:
    """What breaks: each kind, several at once, beginning and ending together, for good."""
    patient = {"attempt_timeout": "1500 ms", "retry": STIFF}

    def broken(*parts, **more) -> bw.Scenario:
        given = [{"start": "5 s", "duration": "4 s", **part} for part in parts]
        return one(**{"arrivals": bw.Poisson(rate="4/s"), "service": "600 ms", "count": 3, "faults": given, **more})

    down, half = {"kind": "workers_down"}, {"kind": "workers_down", "share": "50 %", "duration": "7 s"}
    slow = {"kind": "workers_slow", "factor": 2.5, "share": "1/3"}
    errors = {"kind": "errors", "share": 0.4}
    again = {"kind": "errors", "share": 0.5, "start": "7 s", "duration": "9 s"}
    return {
        "all down": broken(down, client=patient, queue={"capacity": 9}),
        "all down, ties": broken(down, arrivals=TICK, client={**patient, "on_timeout": "cancel"}, count=1),
        "down twice, back together": broken(half, {**down, "start": "8 s"}, client=patient),
        "down from the start": broken({**half, "start": "0 s"}, queue={"backlog": 7}),
        "down for good": broken({**half, "duration": None}, client=patient, queue={"capacity": 2}),
        "down, finishing": broken({**half, "in_hand": "finish"}, {**down, "start": "10 s", "in_hand": "finish"}, slow,
                                  client=patient),
        "down, finishing and pausing": broken({**half, "in_hand": "finish"}, {**half, "start": "6 s"}, arrivals=TICK),
        "slow, then down": broken(slow, half, {**slow, "start": "6 s", "share": 1}, service=bw.Exponential(mean="1 s")),
        "slow, ties": broken(slow, arrivals=TICK, service="1 s", client={**patient, "on_timeout": "cancel"}),
        "errors": broken(errors, client={"retry": RETRY}), "errors, no retries": broken(errors, again, arrivals=TICK),
        "errors and patience": broken(errors, slow, client={**patient, "total_timeout": "3 s"}),
        "slow disk": broken({"kind": "disk_slow", "factor": 3.0}, slow, half, jobs=PAIR, queue={"memory": DISK}),
        "down, read from disk": broken(down, half, jobs=PAIR, queue={"memory": {**DISK, "limit": "0 B"}, "capacity": 5,
                                       "overflow": "shed_oldest"}, client={**patient, "on_timeout": "cancel"}),
        "slow now": broken(queue={"memory": {"slowdown": {"above": 2, "factor": 1.7, "at": "now"}}, "capacity": 8}),
        "slow now, ties, yielding": broken(slow, arrivals=TICK, client=patient, count=1, queue={
            "memory": {"slowdown": {"above": 1, "factor": 1.5, "at": "now"}}, "capacity": 3,
            "overflow": "drop_oldest"}),
    }  # fmt: skip


def staff() -> dict[str, bw.Scenario]:
    """Workers that fail, work in shifts, are called by an autoscaler, start up: alone, in company, with ties."""
    patient = {"attempt_timeout": "1500 ms", "retry": STIFF, "on_timeout": "cancel"}
    often = {"up": bw.Exponential(mean="3 s"), "repair": bw.Exponential(mean="1 s")}
    tied = {"up": "2 s", "repair": "1 s"}
    day = {"points": [("0 s", 1), ("4 s", 4), ("7 s", 0), ("8 s", 2)], "every": "10 s"}
    busy = {"max": 6, "target": "60 %", "every": "1 s", "lag": "500 ms", "step": 2, "cooldown": "2 s"}
    queue = {"on": "queue", "min": 0, "max": 5, "target": 1.5, "every": "700 ms", "tolerance": 0.3,
             "cooldown_in": "3 s"}  # fmt: skip
    slow_start, tied_start = bw.Exponential(mean="1 s"), "1 s"
    bursts = bw.Bursts(base="1/s", peak="12/s", every="9 s", length="3 s")
    half = [{"kind": "workers_down", "share": "1/2", "start": "5 s", "duration": "7 s"}]
    slow_now = {"memory": {"slowdown": {"above": 1, "factor": 1.6, "at": "now"}}, "capacity": 9}

    def manned(workers, **parts) -> bw.Scenario:
        return one(**{"arrivals": bw.Poisson(rate="4/s"), "service": bw.Exponential(mean="600 ms"),
                      "client": patient, "workers": workers, **parts})  # fmt: skip

    return {f"{name}, {how}": manned(workers, **parts) for name, workers in {
        **{f"fail, {word}": {"count": 3, "failures": {**often, "in_hand": word}} for word in (
            "pause", "finish", "restart")},
        "fail together": {"count": 3, "failures": {**tied, "in_hand": "restart"}},
        "shifts": {"shifts": day}, "shifts, start up": {"shifts": day, "start_up": tied_start},
        "shifts, no more": {"shifts": {**day, "every": None}, "start_up": slow_start, "failures": often},
        "autoscale": {"autoscale": busy, "count": 2},
        "autoscale, start up": {"autoscale": busy, "start_up": tied_start},
        "autoscale, queue": {"autoscale": queue, "start_up": slow_start},
        "autoscale and fail": {"autoscale": {**busy, "step": None, "cooldown": "0 s"}, "start_up": slow_start,
                               "failures": {**tied, "in_hand": "finish"}},
    }.items() for how, parts in {
        "flood": {"queue": {"backlog": 1}, "jobs": PAIR}, "ties": {"arrivals": TICK, "service": "1 s"},
        "bursts": {"arrivals": bursts, "client": {"retry": RETRY, "attempt_timeout": "4 s"}, "queue": {
            "capacity": 6, "overflow": "shed_oldest", "discipline": "lifo"}},
        "faults, spill": {"faults": half, "jobs": PAIR, "queue": {"memory": DISK, "capacity": 9}},
        "slow now": {"faults": [{**half[0], "in_hand": "finish"}], "queue": slow_now},
    }.items()}  # fmt: skip


def gallery(folder: Path) -> dict[str, bw.Scenario]:
    """All of them by name; files that they need are written into ``folder``."""
    from gallery_rooms import batches, blocking

    return {**sources(folder), **laws(), **laws_from_files(folder), **clients(), **queues(), **admissions(), **faults(),
            **staff(), **blocking(folder), **batches()}  # fmt: skip
