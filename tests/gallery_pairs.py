"""More of the gallery: features that meet in one worker, in one place of the queue or in one call."""

from gallery_clients import DISK, PAIR, RETRY, STIFF, TICK, TIED, one

import backwater as bw

AGAIN = {"attempt_timeout": "2 s", "retry": STIFF}
SLOW_NOW = {"memory": {"slowdown": {"above": 2, "factor": 1.6, "at": "now"}}, "capacity": 9}
CODEL = {"kind": "codel", "target": "100 ms", "interval": "400 ms"}
ERRORS = [{"kind": "errors", "share": 0.4, "start": "5 s", "duration": "9 s"}]
LEADING = {"a": bw.Job(then={"send": {"b": 2}, "join": "b"}), "b": bw.Job()}
HALF_DOWN = {"kind": "workers_down", "share": "1/2", "start": "5 s", "duration": "7 s"}


def staffed_batches() -> dict[str, bw.Scenario]:
    """Workers that serve several at once, and fail, work in shifts or are called by an autoscaler."""
    often = {"up": bw.Exponential(mean="3 s"), "repair": bw.Exponential(mean="1 s")}
    tied = {"up": "2 s", "repair": "1 s"}
    day = {"points": [("0 s", 1), ("4 s", 4), ("7 s", 0), ("8 s", 2)], "every": "10 s"}
    busy = {"max": 6, "target": "60 %", "every": "1 s", "lag": "500 ms", "step": 2, "cooldown": "2 s"}
    queue = {"on": "queue", "min": 0, "max": 5, "target": 3, "every": "700 ms", "cooldown_in": "3 s"}
    impatient = {"attempt_timeout": bw.Exponential(mean="1500 ms"), "retry": STIFF, "on_timeout": "cancel"}
    flood = bw.Poisson(rate="12/s")

    def serves(workers, batch=None, **parts) -> bw.Scenario:
        workers = {"batch": {"size": 4, "overhead": "50 ms", **(batch or {})}, **workers}
        return one(**{"arrivals": flood, "service": bw.Exponential(mean="500 ms"), "client": impatient,
                      "workers": workers, **parts})  # fmt: skip

    return {f"batch, {name}, {how}": serves(workers, **parts) for name, workers in {
        **{f"fail, {word}": {"count": 3, "failures": {**often, "in_hand": word}} for word in (
            "pause", "finish", "restart")},
        "fail together": {"count": 3, "failures": {**tied, "in_hand": "restart"}},
        "shifts": {"shifts": day}, "shifts, start up, fail": {
            "shifts": {**day, "every": None}, "start_up": "1 s", "failures": often},
        "autoscale": {"autoscale": busy, "count": 2},
        "autoscale, queue": {"autoscale": queue, "start_up": bw.Exponential(mean="1 s"), "failures": {
            **tied, "in_hand": "finish"}},
    }.items() for how, parts in {
        "flood": {"batch": {"least": 2, "wait": "300 ms"}, "jobs": PAIR, "queue": {"backlog": 1}},
        "ties": {"batch": {"time": "sum"}, "arrivals": TICK, "service": "1 s"},
        "spill, down": {"jobs": PAIR, "queue": {"memory": DISK, "capacity": 9}, "faults": [HALF_DOWN]},
        "slow now, stopped": {"batch": {"least": 3, "wait": "1 s", "time": "first"}, "queue": SLOW_NOW, "faults": [
            {"kind": "workers_slow", "factor": 2.0, "start": "6 s", "duration": "8 s"}]},
        "block": {"batch": {"least": 3}, "arrivals": {str(n): flood if n % 2 else TICK for n in range(5)},
                  "queue": {"capacity": 2, "overflow": "block"}, "client": AGAIN},
    }.items()}  # fmt: skip


def held_outside() -> dict[str, bw.Scenario]:
    """Producers that wait for room, whose clients hedge or wait for tokens."""
    flood = bw.Poisson(rate="5/s")
    crowd, tokens = {"after": "300 ms", "most": 3}, {"rate_limiter": {"least": "2/s", "slice": "1 s"}}
    people = bw.Closed(clients=8, think="1 s")
    three = {"a": flood, "b": TICK, "c": flood}

    def block(client, queue=None, **parts) -> bw.Scenario:
        return one(**{"arrivals": three, "service": "400 ms", "client": {**AGAIN, **client},
                      "queue": {"capacity": 2, "overflow": "block", **(queue or {})}, **parts})  # fmt: skip

    limit, unequal = {"admission": {"kind": "limit", "initial": 5}}, {
        "a": bw.Job(size="200 B"), "big": bw.Job(size="600 B", share=0.2)}  # fmt: skip
    stops, bounds = {"on_timeout": "cancel"}, {"capacity": None, "capacity_bytes": "500 B"}
    gated = {"breaker": {"share": 0.4, "min_attempts": 4, "window": "2 s", "open_for": "1 s"}, "throttle": {}}
    return {f"block, {name}": scenario for name, scenario in {
        "hedge": block({"hedge": {"after": "1 s"}}), "hedge, a crowd": block({"hedge": crowd}, count=2),
        "hedge, left": block({"hedge": {**crowd, "losers": "leave"}, "total_timeout": "3 s"}),
        "hedge, ties": block({"hedge": {"after": "500 ms", "losers": "cancel_waiting"}, "retry": TIED}, arrivals={
            "a": TICK, "b": TICK, "c": TICK}, service="1 s"),
        "hedge, no waiting room": block({"hedge": crowd, **stops}, {"capacity": 0}, count=2),
        "hedge, closed": block({"hedge": crowd, **stops}, arrivals={"a": people, "b": TICK}),
        "hedge, bytes, spill": block({"hedge": {"after": "0 s", "most": 2}}, {**bounds, "memory": DISK,
                                     "discipline": "lifo", "backlog": 2}, jobs=unequal),
        "hedge, codel, skipped": block({"hedge": crowd}, {"capacity": 6, "admission": CODEL}, workers={
            "abandoned": "skip"}, faults=ERRORS),
        "limiter": block(tokens, {"capacity": 6, **limit}), "limiter, too big": block(tokens, bounds, jobs=unequal),
        "limiter, ties": block({**tokens, "retry": TIED}, bounds, jobs=unequal, arrivals={"a": TICK, "b": TICK}),
        "limiter, little patience": block({"rate_limiter": {}, "total_timeout": "700 ms"}, bounds, jobs=unequal),
        "limiter, closed": block({**tokens, **gated}, {"capacity": 4, **limit}, arrivals={"a": people, "b": TICK}),
        "limiter, async": block({**tokens, "mode": "async", "total_timeout": "2 s"}, {"capacity": 4, **limit},
                                arrivals={**three, "d": people}),
        "limiter, traces that wait": block({**tokens, "total_timeout": "4 s"}, {"capacity": 3, **limit}, arrivals={
            "a": bw.Periodic(interval="200 ms", batch=2), "b": bw.MMPP(rates=(1, 9), sojourns=(3, 2))}),
        "limiter, workflow": block(tokens, {"capacity": 4, **limit}, jobs=LEADING, count=3),
        "limiter, hedge": block({**tokens, "hedge": crowd}, {"capacity": 4, **limit}, count=2),
        "limiter, hedge, proxy, batch": block({**tokens, "hedge": crowd, "proxy": {"retry": STIFF}}, {
            "capacity": 4, **limit}, count=2, workers={"batch": {"size": 3}}, arrivals={**three, "d": flood}),
    }.items()}  # fmt: skip


def hedged_calls() -> dict[str, bw.Scenario]:
    """Clients that hedge behind a proxy, under a rate limiter, before workers that serve several at once."""
    crowd, few = {"after": "300 ms", "most": 3}, {"capacity": 4}
    proxy = {"retry": STIFF, "retry_budget": {"kind": "ratio", "share": 0.2, "min_rate": "1/s", "window": "4 s"}}
    tokens, gated = {"rate_limiter": {"least": "2/s", "slice": "1 s"}}, {
        "breaker": {"share": 0.4, "min_attempts": 4, "window": "2 s", "open_for": "1 s", "probes": 2},
        "throttle": {"k": 1.5, "window": "5 s"}, "total_timeout": "4 s", "retry_budget": {
            "kind": "token_bucket", "capacity": 6, "per_success": 0.5, "refund": True}}  # fmt: skip

    def calls(client, hedge=None, **parts) -> bw.Scenario:
        client = {"retry": RETRY, "attempt_timeout": "2 s", "hedge": {**crowd, **(hedge or {})}, **client}
        return one(**{"arrivals": bw.Poisson(rate="5/s"), "service": bw.Exponential(mean="500 ms"), "count": 3,
                      "client": client, "queue": few, "faults": ERRORS, "workers": {"demand": "attempt"},
                      **parts})  # fmt: skip

    def together(batch=None, client=None, hedge=None, **parts) -> bw.Scenario:
        batch = {"batch": {"size": 4, **(batch or {})}, "demand": "attempt", **parts.pop("workers", {})}
        return calls(client or {}, hedge, **{"workers": batch, "arrivals": bw.Poisson(rate="9/s"), "count": 2, **parts})

    ties, stops = {"arrivals": TICK, "service": "1 s"}, {"on_timeout": "cancel"}
    linger, left = {"least": 3, "wait": "500 ms"}, {"losers": "leave"}
    often = {"failures": {"up": bw.Exponential(mean="2 s"), "repair": "1 s", "in_hand": "restart"}}
    return {f"hedge, {name}": scenario for name, scenario in {
        "proxy": calls({"proxy": proxy}), "proxy, ties": calls({"proxy": {"retry": TIED}, **stops}, **ties),
        "proxy, no retries": calls({"proxy": proxy, "retry": None, "total_timeout": "3 s"}, left),
        "proxy and everything": calls({"proxy": proxy, **gated, **tokens, **stops}),
        "limiter": calls(tokens, queue={"capacity": 1}), "limiter, ties": calls({**tokens, "retry": TIED}, **ties),
        "limiter, shed": calls({**tokens, **gated}, queue={"capacity": 1, "overflow": "shed_oldest", "backlog": 3}),
        "limiter, little patience": calls({**tokens, "total_timeout": "900 ms"}, {"after": "100 ms"}, count=1),
        "limiter, closed": calls({**tokens, **stops}, arrivals=bw.Closed(clients=30, think="1 s")),
        "batch": together(), "batch, sum, left": together({"time": "sum"}, hedge=left, queue={}),
        "batch, ties": together(linger, {**stops, "retry": TIED}, {"after": "500 ms"}, **ties),
        "batch, waiting": together(linger, hedge={"losers": "cancel_waiting"}, queue={"discipline": "lifo"}),
        "batch, all at once": together({"size": 9, "time": "first"}, stops, {"after": "0 s"}, queue={}, count=1),
        "batch, spill, priority": together(linger, stops, jobs=PAIR, queue={
            "memory": DISK, "discipline": "priority", "capacity": 9}),
        "batch, shed": together({"least": 2}, {"total_timeout": "3 s"}, queue={
            "capacity": 2, "overflow": "shed_oldest", "retry_after": "300 ms"}),
        "batch, dropped": together(queue={"capacity": 2, "overflow": "drop_oldest"}),
        "batch, codel, skipped": together({}, stops, queue={"admission": CODEL}, workers={"abandoned": "skip"}),
        "batch, limit, left": together({}, hedge=left, queue={"admission": {"kind": "limit", "initial": 6}}),
        "batch, slow now, fail": together({"time": "sum"}, stops, queue=SLOW_NOW, workers=often),
        "batch, shifts, proxy": together(linger, {"proxy": proxy, **gated}, count=1, workers={"shifts": {
            "points": [("0 s", 2), ("6 s", 1), ("9 s", 3)], "every": "12 s"}}),
        "batch, workflow": together({"size": 6}, stops, queue={"capacity": 9}, jobs=LEADING, count=4),
        "batch, closed": together({"least": 2, "wait": "1 s"}, stops, arrivals=bw.Closed(clients=12, think="1 s")),
    }.items()}  # fmt: skip


def published() -> dict[str, bw.Scenario]:
    """Clients of a broker that wait for tokens, give up while a message is on its way, wait for room."""
    client = {"mode": "async", "total_timeout": "4 s", "retry": RETRY, "rate_limiter": {}}
    broker = {"publish_delay": bw.Exponential(mean="200 ms")}
    down = [{"kind": "broker_down", "start": "2 s", "duration": "1 s"}]

    def sends(queue, **parts) -> bw.Scenario:
        return one(**{"arrivals": bw.Poisson(rate="4/s"), "service": "250 ms", "client": client, "broker": broker,
                      "queue": {"capacity": 2, **queue}, "faults": down, **parts})  # fmt: skip

    collected = {**broker, "send": {"size": 3, "linger": "500 ms"}}
    return {
        "limiter, broker, given up": sends({}), "limiter, broker, collected": sends({}, broker=collected),
        "block, limiter, broker": sends({"overflow": "block"}),
        "block, limiter, broker, collected": sends({"overflow": "block"}, broker=collected, arrivals={
            "a": TICK, "b": bw.Poisson(rate="6/s"), "c": bw.Closed(clients=4, think="500 ms")}),
    }  # fmt: skip


def pairs() -> dict[str, bw.Scenario]:
    """All of them by name."""
    return {**staffed_batches(), **held_outside(), **hedged_calls(), **published()}
