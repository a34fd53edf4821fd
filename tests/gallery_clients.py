"""The part of the gallery that is about clients, and what all of it shares; see ``gallery.py``."""

import backwater as bw

TICK = bw.Periodic(interval="500 ms")  # everything happens at the same instants
RETRY = bw.Retry(base="200 ms", cap="2 s", max_attempts=4)
STIFF = bw.Retry(kind="constant", base="500 ms", jitter="none", max_attempts=3)
TIED = bw.Retry(kind="constant", base="250 ms", jitter="none", max_attempts=5)
PAIR = {"a": bw.Job(share=1, size="100 B", priority=1), "b": bw.Job(share=2, size="300 B", deadline="2 s")}
DISK = {"limit": "250 B", "write": "50 ms", "read": "100 ms", "bandwidth": "2 kB/s"}

LOADS = [{"kind": "load", "start": "4 s", "duration": "6 s", "factor": 3.0},
         {"kind": "load", "start": "8 s", "duration": "9 s", "factor": 0.5}]  # fmt: skip


def one(arrivals=None, service="1 s", count=1, **parts) -> bw.Scenario:
    """A scenario with as little as possible besides what is given."""
    workers = {"count": count, "service": service, **parts.pop("workers", {})}
    return bw.Scenario(arrivals=arrivals or TICK, workers=workers, **parts)


def clients() -> dict[str, bw.Scenario]:
    """Retries and timeouts."""
    flood, room = bw.Poisson(rate="5/s"), {"capacity": 2}

    def retrying(**policy) -> bw.Scenario:
        return one(
            flood, "500 ms", queue=room, client={"retry": bw.Retry(**{"base": "300 ms", "cap": "3 s", **policy})}
        )

    def patient(name, **client) -> bw.Scenario:
        parts = {"attempt_timeout": "1 s", "on_timeout": name, "retry": STIFF}
        return one(TICK, "700 ms", client={**parts, **client}, queue={"capacity": 3})

    return {
        "no room, no retries": one(flood, queue={"capacity": 0}),
        "no room, ties, retries": one(client={"retry": STIFF}, queue={"capacity": 0}),
        "full jitter": retrying(), "no jitter": retrying(jitter="none", factor=3.0),
        "equal jitter": retrying(jitter="equal"), "exponential jitter": retrying(jitter="exponential"),
        "jitter of a fraction": retrying(jitter=0.2), "decorrelated": retrying(kind="decorrelated"),
        "for ever": retrying(max_attempts="forever"), "retries by chance": retrying(retry_probability=0.5),
        "linear": retrying(kind="linear", step="100 ms", jitter="none"), "linear, of the base": retrying(kind="linear"),
        "an exponential with steps": retrying(step="200 ms", factor=1.5, max_attempts=20, base="10 ms"),
        "first at once, then not below": retrying(first="0 s", floor="800 ms", max_attempts=5),
        "added jitter": retrying(jitter="700 ms", max_attempts=6),
        "decorrelated v2": retrying(kind="decorrelated_v2", max_attempts=6, cap="2 s"),
        "longer after a 503": one(flood, "500 ms", queue=room, client={"attempt_timeout": "900 ms", "retry": {
            "base": "100 ms", "rejected_base": "1 s", "floor": "50 ms", "max_attempts": 5}}),
        "no cap": retrying(cap=None, max_attempts=5), "pauses of nothing": retrying(base="0 s", kind="constant"),
        "retry after": one(flood, queue={**room, "retry_after": "1 s"}, client={"retry": RETRY}),
        "left": patient("leave"), "taken from the queue": patient("cancel_waiting"), "stopped": patient("cancel"),
        "impatient by chance": patient("cancel", attempt_timeout=bw.Exponential(mean="1 s")),
        "impatient at once": patient("cancel_waiting", attempt_timeout="0 s"),
        "patience with the job": patient("leave", attempt_timeout=None, total_timeout="1500 ms"),
        "patience with both": patient("cancel", total_timeout="2 s"),
        "patience with the job, stopped": patient("cancel", attempt_timeout=None, total_timeout="1 s"),
        "one demand per attempt": one(flood, bw.Exponential(mean="300 ms"), queue=room, client={"retry": RETRY},
                                      workers={"demand": "attempt"}),
        **gated(), **asynchronous(), **hedged(),
        "an overload that retries": one(bw.Poisson(rate="20/s"), "500 ms", 2, queue={"capacity": 5}, client={
            "attempt_timeout": "2 s", "retry": RETRY}),
    }  # fmt: skip


def gated() -> dict[str, bw.Scenario]:
    """Budgets, breakers, throttles, proxies, what workers skip."""
    flood, bad = bw.Poisson(rate="5/s"), [{"kind": "errors", "share": 0.5, "start": "5 s", "duration": "9 s"}]

    def client(given, policy=RETRY, **parts) -> bw.Scenario:
        given = {"retry": policy, "attempt_timeout": "2 s", **given}
        return one(**{"arrivals": flood, "service": "300 ms", "client": given, "queue": {"capacity": 4},
                      "faults": bad, **parts})  # fmt: skip

    aws = {"kind": "token_bucket", "capacity": 20, "cost": 5, "timeout_cost": 10, "per_success": 1, "refund": True}
    brooker = {"kind": "token_bucket", "capacity": 5, "per_request": 0.1, "reserve": 0.1}
    grpc, ratio = {"kind": "grpc", "max_tokens": 6, "token_ratio": 0.3}, {"kind": "ratio", "share": 0.2}
    breaker = {"share": 0.4, "min_attempts": 4, "window": "2 s", "open_for": "1 s", "probes": 2}
    throttle = {"k": 1.5, "window": "5 s"}
    proxy = {"retry": STIFF, "retry_budget": {**ratio, "min_rate": "1/s", "window": "4 s"}}
    return {
        "budget: tokens with refund": client({"retry_budget": aws}),
        "budget: tokens by request": client({"retry_budget": brooker, "total_timeout": "4 s"}, TIED),
        "budget: grpc": client({"retry_budget": grpc}), "budget: ratio": client({"retry_budget": ratio}),
        "breaker": client({"breaker": breaker}), "breaker, ties": client({"breaker": breaker}, TIED, arrivals=TICK),
        "breaker, no retries": client({"breaker": breaker, "retry": None, "total_timeout": "1 s"}),
        "throttle": client({"throttle": throttle}), "throttle and breaker": client(
            {"throttle": throttle, "breaker": breaker, "retry_budget": grpc, "total_timeout": "6 s"}),
        **limited(client), **asked(client, proxy, grpc, breaker),
        "proxy": client({"proxy": {"retry": STIFF}}), "proxy with a budget": client({"proxy": proxy}),
        "proxy, client without retries": client({"proxy": {"retry": bw.Retry(
            kind="decorrelated", base="100 ms", cap="1 s", retry_probability=0.6)}, "retry": None}),
        "proxy and everything": client({"proxy": proxy, "breaker": breaker, "throttle": throttle, "retry_budget": aws,
                                        "total_timeout": "5 s", "on_timeout": "cancel"}),
        "budget: few at a time": client({"retry_budget": {"kind": "concurrent", "most": 2}, "total_timeout": "3 s",
                                         "breaker": breaker}, TIED, queue={"capacity": 1}),
        "budget: few at a time, proxy": client({"proxy": {"retry": STIFF, "retry_budget": {"kind": "concurrent"}},
                                                "total_timeout": "3 s"}, queue={"capacity": 1}),
        "budget: 503s cost less": client({"retry_budget": {**aws, "rejection_cost": 2}}, queue={"capacity": 1}),
        "budget: a share of what is active": client(
            {"retry_budget": {"kind": "concurrent", "most": 1, "share": 0.3}, "total_timeout": "3 s",
             "breaker": breaker}, TIED, arrivals=bw.Poisson(rate="12/s"), count=3, queue={"capacity": 3}),
        "budget: a share, proxy": client({"preset": "envoy_budget", "retry_budget": {
            "kind": "concurrent", "share": 0.5}}, arrivals=bw.Poisson(rate="20/s"), count=5, queue={"capacity": 2}),
        "skipped": client({}, workers={"abandoned": "skip"}, service="700 ms"),
        "skipped, all": client({"attempt_timeout": "600 ms"}, TIED, arrivals=TICK, service="1 s",
                               workers={"abandoned": "skip"}, queue={}),
        "skipped, from disk": client({}, jobs=PAIR, service="700 ms", workers={"abandoned": "skip"}, queue={
            "memory": DISK, "discipline": "priority", "capacity": 6, "overflow": "drop_oldest"}),
    }  # fmt: skip


def asked(client, proxy, grpc, breaker) -> dict[str, bw.Scenario]:
    """503s that say when to come back, or never."""
    return {
        "retry after, ignored": client({"honours_retry_after": False}, queue={"capacity": 1, "retry_after": "2 s"}),
        "retry after, exactly": client({"honours_retry_after": {"exactly": True, "most": "900 ms"}},
                                       queue={"capacity": 1, "retry_after": "2 s"}),
        "retry after, a little": client({"honours_retry_after": {"beyond": "500 ms"}, "proxy": {"retry": {
            "kind": "decorrelated_v2", "base": "100 ms", "rejected_base": "300 ms"}}},
            queue={"capacity": 1, "retry_after": "2 s"}),
        "retry after, anew": client({"honours_retry_after": {"exactly": True, "resets": True, "least": "100 ms"}},
                                    queue={"capacity": 1, "retry_after": "700 ms"}),
        "retry after, anew, decorrelated": client(
            {"honours_retry_after": {"resets": True}, "proxy": {"retry": STIFF}}, bw.Retry(
                kind="decorrelated", base="100 ms", cap="3 s", max_attempts=9),
            queue={"capacity": 1, "retry_after": "700 ms"}),
        "retry after, at once": client({"honours_retry_after": {"exactly": True}}, bw.Retry(base="1 s", max_attempts=9),
                                       queue={"capacity": 1, "retry_after": "0 s"}),
        "never again": client({"retry_budget": grpc}, queue={"capacity": 1, "retry_after": "never"}),
        "never again, proxy": client({"proxy": proxy, "breaker": breaker}, queue={
            "capacity": 1, "retry_after": "never"}),
        "never again, hardly believed": client({"honours_retry_after": {"most": "2 s"}}, queue={
            "capacity": 1, "retry_after": "never"}),
        "retry after, proxy": client({"proxy": proxy}, queue={"capacity": 1, "retry_after": "700 ms"}),
    }  # fmt: skip


def asynchronous() -> dict[str, bw.Scenario]:
    """Callers that go on once their job is accepted."""
    flood, errors = bw.Poisson(rate="5/s"), [{"kind": "errors", "share": 0.5, "start": "5 s", "duration": "9 s"}]
    poll, slow_poll = {"kind": "poll", "every": "700 ms"}, {"kind": "poll", "every": "250 ms"}

    def client(given=None, policy=RETRY, **parts) -> bw.Scenario:
        given = {"mode": "async", "retry": policy, "attempt_timeout": "2 s", **(given or {})}
        return one(**{"arrivals": flood, "service": "300 ms", "client": given, "queue": {"capacity": 4},
                      "faults": errors, **parts})  # fmt: skip

    people = bw.Closed(clients=6, think=bw.Exponential(mean="2 s"))
    shedding = {"capacity": 2, "overflow": "shed_oldest", "retry_after": "600 ms", "backlog": 2}
    proxy = {"retry": STIFF, "retry_budget": {"kind": "ratio", "share": 0.2, "min_rate": "1/s", "window": "4 s"}}
    return {
        "async": client(), "async, polled": client({"notify": poll}),
        "async, ties": client({"notify": slow_poll}, TIED, arrivals=TICK, service="500 ms"),
        "async, no retries, polled": client({"notify": poll, "retry": None}),
        "async, given up": client({"total_timeout": "500 ms"}, queue={"capacity": 0}, faults=()),
        "async, given up, closed": client({"total_timeout": "700 ms", "notify": poll}, arrivals=bw.Closed(
            clients=90, think="3 s"), queue={"capacity": 3}),
        "async, shed": client({"notify": poll}, queue=shedding), "async, shed, told": client({}, queue=shedding),
        "async, dropped": client({"notify": poll}, queue={"capacity": 2, "overflow": "drop_oldest"}),
        "async, turned out": client({"notify": poll}, service="700 ms", queue={"admission": {
            "kind": "codel", "target": "100 ms", "interval": "400 ms"}}),
        "async, closed": client({}, arrivals=people, queue={}),
        "async, closed, ties": client({"notify": slow_poll}, STIFF, arrivals=bw.Closed(clients=3, think="500 ms"),
                                      queue={"capacity": 2}),
        "async, closed, two kinds": bw.Scenario(
            arrivals={"fire": bw.Closed(clients=4, think="1 s", client={"mode": "async", "retry": STIFF}),
                      "wait": bw.Closed(clients=4, think="1 s")}, workers={"service": "250 ms"},
            queue={"capacity": 2}),
        "async, from disk": client({"notify": poll}, jobs=PAIR, queue={"memory": DISK, "discipline": "lifo"}),
        "async, a share of what is active": client({"notify": poll, "retry_budget": {
            "kind": "concurrent", "most": 1, "share": 0.5}}, TIED, arrivals=bw.Poisson(rate="12/s"), queue=shedding),
        "async, everything": client({"notify": poll, "proxy": proxy, "breaker": {"min_attempts": 4, "open_for": "1 s"},
                                     "throttle": {"k": 1.5, "window": "5 s"}, "total_timeout": "3 s",
                                     "retry_budget": {"kind": "token_bucket", "capacity": 20, "cost": 5,
                                                      "per_success": 1, "refund": True}}, queue={"capacity": 1}),
    }  # fmt: skip


def hedged() -> dict[str, bw.Scenario]:
    """Clients that send another attempt while they wait for one."""
    flood, errors = bw.Poisson(rate="4/s"), [{"kind": "errors", "share": 0.4, "start": "5 s", "duration": "9 s"}]
    exponential, crowd = bw.Exponential(mean="600 ms"), {"after": "200 ms", "most": 3}

    def client(hedge, given=None, **parts) -> bw.Scenario:
        given = {"retry": RETRY, "attempt_timeout": "2 s", "hedge": hedge, **(given or {})}
        return one(**{"arrivals": flood, "service": exponential, "count": 3, "client": given, "queue": {"capacity": 6},
                      "workers": {"demand": "attempt"}, **parts})  # fmt: skip

    ties = {"arrivals": TICK, "service": "1 s", "workers": {}}
    codel = {"kind": "codel", "target": "100 ms", "interval": "400 ms"}
    cancel, left = {"on_timeout": "cancel"}, {"attempt_timeout": None, "retry": None}
    return {
        "hedge": client({"after": "400 ms"}), "hedge, a crowd": client(crowd),
        "hedge, never a queue": client(crowd, left, count=50, queue={}),
        "hedge, by chance": client({"after": exponential, "most": 2}, cancel),
        "hedge, at once": client({"after": "0 s", "most": 2, "losers": "cancel_waiting"}, count=4),
        "hedge, left": client({"after": "300 ms", "most": 2, "losers": "leave"}, left, queue={}),
        "hedge, left, skipped": client({"after": "200 ms", "losers": "leave"}, workers={"abandoned": "skip"}),
        "hedge, ties": client({"after": "500 ms", "most": 2}, {"retry": TIED, **cancel}, **ties),
        "hedge, ties, waiting": client({"after": "500 ms", "losers": "cancel_waiting"}, {"retry": TIED}, **ties,
                                       queue={"discipline": "lifo"}),
        "hedge, no room": client({"after": "250 ms", "most": 3}, {"retry": STIFF}, **ties, queue={"capacity": 0}),
        "hedge, shed": client(crowd, queue={"capacity": 2, "overflow": "shed_oldest", "backlog": 4}),
        "hedge, shed, ties": client({"after": "250 ms", "most": 3}, {"retry": TIED, "total_timeout": "3 s"}, **{
            **ties, "count": 1}, queue={"capacity": 1, "overflow": "shed_oldest", "retry_after": "300 ms"}),
        "hedge, dropped": client(crowd, queue={"capacity": 2, "overflow": "drop_oldest"}),
        "hedge, dropped, given up": client(crowd, {**left, "total_timeout": "1500 ms"},
                                           queue={"capacity": 2, "overflow": "drop_oldest"}),
        "hedge, turned out": client(crowd, cancel, queue={"admission": codel, "capacity": 20}),
        "hedge, turned out, skipped": client(crowd, {"total_timeout": "2 s"}, queue={"admission": codel},
                                             workers={"abandoned": "skip"}),
        "hedge, errors": client(crowd, faults=errors), "hedge, errors, no retries": client(
            {"after": "100 ms", "most": 2}, {"retry": None}, faults=errors, arrivals=TICK),
        "hedge, down": client({"after": "300 ms", "most": 2}, {**cancel, "total_timeout": "4 s"}, faults=[
            {"kind": "workers_down", "share": "1/3", "start": "4 s", "duration": "5 s"},
            {"kind": "workers_slow", "share": 1, "factor": 2.5, "start": "7 s", "duration": "9 s"}]),
        "hedge, from disk": client({"after": "300 ms", "most": 2}, cancel, jobs=PAIR, count=2, queue={
            "memory": DISK, "discipline": "priority", "capacity": 9}),
        "hedge, closed": client(crowd, cancel, arrivals=bw.Closed(clients=8, think="1 s"), workers={}),
        "hedge, budget": client(crowd, {"retry_budget": {"kind": "token_bucket", "capacity": 6, "per_success": 0.5,
                                                         "refund": True}}, faults=errors),
        "hedge, a share of what is active": client(crowd, {"total_timeout": "3 s", "retry_budget": {
            "kind": "concurrent", "most": 1, "share": 0.2}}, faults=errors, arrivals=bw.Poisson(rate="9/s")),
        "hedge, gated": client(crowd, {
            "retry_budget": {"kind": "grpc", "max_tokens": 6, "token_ratio": 0.3}, "total_timeout": "4 s",
            "breaker": {"share": 0.4, "min_attempts": 4, "window": "2 s", "open_for": "1 s", "probes": 2},
            "throttle": {"k": 1.5, "window": "5 s"}}, faults=errors, queue={"capacity": 1}),
    }  # fmt: skip


def limited(client) -> dict[str, bw.Scenario]:
    """Attempts that wait for tokens: one at a time, in a crowd, with little patience, beside other sources."""
    part, slow = {"rate_limiter": {}}, {"rate_limiter": {
        "beta": 0.5, "scale": 2.0, "slice": "1 s", "smoothing": 0.6, "least": "1/s", "headroom": 1.5}}  # fmt: skip
    breaker, small = {"share": 0.6, "min_attempts": 4, "window": "2 s", "open_for": "1 s"}, {"capacity": 1}
    proxy = {"retry": STIFF, "retry_budget": {"kind": "ratio", "share": 0.2, "min_rate": "1/s"}}
    shed = {"capacity": 2, "overflow": "shed_oldest", "backlog": 2}
    return {
        "limiter": client(part, queue=small), "limiter, ties": client(slow, TIED, arrivals=TICK, queue=small),
        "limiter, no retries": client({**part, "retry": None}, queue=small),
        "limiter, little patience": client({**slow, "total_timeout": "1500 ms"}, TIED, queue=small),
        "limiter, a crowd": client({**slow, "total_timeout": "20 s"}, arrivals=bw.Poisson(rate="40/s"), queue=shed),
        "limiter and everything": client({**part, "proxy": proxy, "breaker": breaker, "throttle": {}, "total_timeout":
                                          "5 s", "on_timeout": "cancel"}, queue=small),
        "limiter, async": client({**slow, "mode": "async", "total_timeout": "4 s", "proxy": {"retry": STIFF},
                                  "notify": {"kind": "poll", "every": "700 ms"}}, queue=small),
        "limiter, closed": client(slow, arrivals=bw.Closed(clients=40, think="500 ms"), queue=small),
        "limiter, two sources": client({}, arrivals={
            "a": bw.Poisson(rate="4/s", client=bw.Client(rate_limiter={}, retry=RETRY, total_timeout="4 s")),
            "b": bw.Periodic(interval="300 ms", batch=2, client=bw.Client(preset="aws_adaptive")),
            "c": bw.Poisson(rate="1/s")}, queue=shed),
    }  # fmt: skip
