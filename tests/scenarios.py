"""Random scenarios: everything that the language can say, small enough to run by the hundred, with many ties."""

from hypothesis import strategies as st

import backwater as bw

times = st.sampled_from(["100 ms", "250 ms", "500 ms", "1 s", "2 s", "3 s"])


def laws(mean: str) -> st.SearchStrategy:
    """Laws of times of about this mean; constants tie."""
    return st.sampled_from([
        mean, {"kind": "exponential", "mean": mean}, {"kind": "lognormal", "mean": mean, "cv": 1.5},
        {"kind": "erlang", "mean": mean, "k": 3}, {"kind": "uniform", "low": "0 s", "high": mean},
        {"kind": "hyperexponential", "mean": mean, "cv": 2.0},
        {"kind": "mixture", "parts": [{"share": 1, "law": mean}, {"share": 1, "law": "0 s"}]},
    ])  # fmt: skip


@st.composite
def retries(draw) -> dict | None:
    """A retry policy, or none."""
    if draw(st.booleans()):
        return None
    if draw(st.integers(0, 3)) == 0:
        rule = draw(st.sampled_from(["full", "decorrelated", "fibonacci"]))
        return {"kind": "own", "rule": f"own_rules:{rule}", "base": draw(times), "cap": "5 s", "max_attempts": 4}
    policy = {
        "kind": draw(st.sampled_from(["constant", "linear", "exponential", "decorrelated", "decorrelated_v2"])),
        "base": draw(times), "cap": "5 s", "max_attempts": draw(st.sampled_from([1, 2, 4, "forever"])),
        "retry_probability": draw(st.sampled_from([1.0, 0.5])),
    }  # fmt: skip
    policy |= {"floor": draw(st.sampled_from(["0 s", "500 ms"])), "rejected_base": draw(st.none() | times)}
    if not policy["kind"].startswith("decorrelated"):
        policy["jitter"] = draw(st.sampled_from(["full", "none", "equal", "exponential", 0.3, "500 ms"]))
        policy["first"] = draw(st.none() | times)
    if policy["kind"] in ("linear", "exponential"):
        policy["step"] = draw(st.none() | times)
    return policy


def budgets() -> st.SearchStrategy:
    """A retry budget, or none."""
    tokens = {"kind": "token_bucket", "capacity": 6, "cost": 2, "timeout_cost": 3, "per_success": 1}
    return st.sampled_from([
        None, {**tokens, "refund": True}, {**tokens, "per_request": 0.1, "reserve": 1},
        {**tokens, "rejection_cost": 1}, {"kind": "concurrent", "most": 2},
        {"kind": "concurrent", "most": 1, "share": 0.3},
        {"kind": "grpc", "max_tokens": 6, "token_ratio": 0.3},
        {"kind": "ratio", "share": 0.3, "window": "4 s", "min_rate": "1/s"},
    ])  # fmt: skip


@st.composite
def gates(draw) -> dict:
    """What keeps a client from sending, and what sends for it; often nothing."""
    seldom, out = st.sampled_from([False, False, True]), {}
    if draw(seldom):
        out["breaker"] = {"share": 0.4, "min_attempts": 3, "window": "2 s", "open_for": "1 s",
                          "probes": draw(st.sampled_from([1, 2]))}  # fmt: skip
    if draw(seldom):
        out["throttle"] = {"k": 1.5, "window": "5 s"}
    policy = draw(retries()) if draw(seldom) else None
    if policy is not None:
        out["proxy"] = {"retry": {**policy, "max_attempts": 3}, "retry_budget": draw(budgets())}
    return out


@st.composite
def clients(draw) -> dict:
    """How senders behave."""
    client = {"on_timeout": draw(st.sampled_from(["leave", "cancel_waiting", "cancel"])), "retry": draw(retries())}
    hints = [True, False, {"exactly": True}, {"most": "500 ms", "beyond": "250 ms"},
             {"exactly": True, "resets": True, "least": "100 ms"}]  # fmt: skip
    client |= {"honours_retry_after": draw(st.sampled_from(hints)), **draw(gates())}
    client["rate_limiter"] = draw(st.sampled_from([None, None, {}, {"least": "2/s", "slice": "1 s"}]))
    if client["retry"] is not None:
        client["retry_budget"] = draw(budgets())
    if draw(st.booleans()):
        client["attempt_timeout"] = draw(times.flatmap(laws))
    if draw(st.booleans()):
        client["total_timeout"] = draw(st.sampled_from(["1 s", "4 s", "10 s"]))
    which = draw(st.sampled_from(["plain", "plain", "async", "hedge"]))
    if which == "hedge" and {"attempt_timeout", "total_timeout"} & set(client):
        client["hedge"] = {"after": draw(times.flatmap(laws)), "most": draw(st.integers(1, 3)),
                           "losers": draw(st.sampled_from(["leave", "cancel_waiting", "cancel"]))}  # fmt: skip
    if which == "async":
        client["mode"] = "async"
        client["notify"] = draw(st.sampled_from(["push", {"kind": "poll", "every": "500 ms"}]))
    return client


def sources() -> st.SearchStrategy:
    """Sources of about one job a second."""
    return st.sampled_from([
        {"kind": "poisson", "rate": "1/s"}, {"kind": "periodic", "interval": "500 ms"},
        {"kind": "periodic", "interval": "1 s", "jitter": "300 ms"}, {"kind": "renewal", "gap": "250 ms"},
        {"kind": "cron", "expression": "* * * * *", "count": 4, "start": "2024-01-01 00:00:50"},
        {"kind": "bursts", "base": "0/s", "peak": "5/s", "every": "10 s", "length": "4 s"},
        {"kind": "profile", "points": [["0 s", "0/s"], ["10 s", "4/s"], ["20 s", "0/s"]], "shape": "linear"},
        {"kind": "mmpp", "rates": ["1/s", "6/s"], "sojourns": ["3 s", "1 s"]},
        {"kind": "poisson", "rate": "1/s", "batch": {"1": 2, "4": 1}},
        {"kind": "periodic", "interval": "1 s", "batch": 3},
        {"kind": "closed", "clients": 4, "think": {"kind": "exponential", "mean": "1 s"}},
        {"kind": "closed", "clients": 3, "think": "500 ms"},
    ])  # fmt: skip


@st.composite
def faults(draw, load) -> dict:
    """Something that breaks for a while; whether the load may multiply."""
    kinds = ["workers_down", "workers_slow", "disk_slow", "errors", *(["load"] if load else [])]
    kind = draw(st.sampled_from(kinds))
    fault = {"kind": kind, "start": draw(st.sampled_from(["0 s", "3 s", "5 s"])),
             "duration": draw(st.sampled_from(["2 s", "5 s", "10 s", None]))}  # fmt: skip
    if kind in ("workers_slow", "disk_slow", "load"):
        fault["factor"] = draw(st.sampled_from([0.5, 2.0, 3.0]))
    if kind in ("workers_down", "workers_slow", "errors"):
        fault["share"] = draw(st.sampled_from(["1/2", "1/3", 1.0]))
    if kind == "workers_down":
        fault["in_hand"] = draw(st.sampled_from(["pause", "finish"]))
    return fault


def admissions() -> st.SearchStrategy:
    """Admission control; most often none."""
    codel = {"kind": "codel", "target": "100 ms", "interval": "500 ms"}
    limit = {"kind": "limit", "initial": 4, "most": 20, "timeout": "1 s"}
    return st.none() | st.none() | st.sampled_from([
        {"kind": "token_bucket", "rate": "3/s", "burst": 2},
        {"kind": "red", "low": 1, "high": 6, "weight": 0.2, "probability": 0.3},
        *({**codel, "variant": variant} for variant in ("rfc", "folly", "facebook")),
        *({**limit, "algorithm": algorithm} for algorithm in ("aimd", "gradient2", "vegas")),
        {"kind": "dagor", "target": "200 ms", "window": "3 s", "requests": 15, "alpha": 0.2, "beta": 0.1},
        "own_rules:choosy", "own_rules:bucket",
    ])  # fmt: skip


@st.composite
def staff(draw, count: int) -> dict:
    """How workers come and go, beside ``count`` of them at time 0."""
    out = {"count": count}
    if draw(st.booleans()):
        words = st.sampled_from(["pause", "finish", "restart"])
        out["failures"] = {"up": draw(times.flatmap(laws)), "repair": draw(times.flatmap(laws)), "in_hand": draw(words)}
    way = draw(st.sampled_from([None, "shifts", "utilization", "queue"]))
    if way == "shifts":
        points = st.sampled_from([[("0 s", 2), ("3 s", 0), ("4 s", 3)], [("0 s", 0), ("2 s", 1)], [("0 s", 3)]])
        out["shifts"] = {"points": draw(points), "every": draw(st.sampled_from([None, "5 s", "7 s"]))}
        del out["count"]
    elif way is not None:
        out["autoscale"] = {
            "on": way, "min": 1, "max": draw(st.integers(3, 6)), "target": draw(st.sampled_from([0.3, 0.8, 1.0])),
            "every": draw(times), "lag": draw(st.sampled_from(["0 s", "500 ms", "3 s"])),
            "step": draw(st.sampled_from([None, 1, 2])), "tolerance": draw(st.sampled_from([0.0, 0.3])),
            "cooldown": draw(st.sampled_from(["0 s", "2 s"])), "cooldown_in": draw(st.sampled_from([None, "5 s"])),
        }  # fmt: skip
    if way is not None and draw(st.booleans()):
        out["start_up"] = draw(times.flatmap(laws))
    return out


@st.composite
def batches(draw, queue) -> dict:
    """How workers serve several at once."""
    batch = {"size": draw(st.integers(1, 5)), "time": draw(st.sampled_from(["longest", "sum", "first"])),
             "overhead": draw(st.sampled_from(["0 s", "250 ms"]))}  # fmt: skip
    few = (queue["overflow"] == "block" and queue["capacity_bytes"]) or queue["capacity"] == 0
    least = draw(st.sampled_from([1] if few else [1, 2]))
    if batch["size"] >= least > 1:
        batch |= {"least": least, "wait": draw(st.sampled_from(["0 s", "500 ms"]))}
    return batch


@st.composite
def scenarios(draw) -> bw.Scenario:
    """A whole scenario; every field of the language varies."""
    jobs = {
        f"class{i}": {
            "share": i + 1, "priority": draw(st.integers(0, 2)), "size": draw(st.sampled_from(["100 B", "1 kB"])),
            "deadline": draw(st.sampled_from([None, "2 s"])), "service": draw(st.none() | times.flatmap(laws)),
            "weight": draw(st.sampled_from([1.0, 2.5])),
        }
        for i in range(draw(st.integers(1, 3)))
    }  # fmt: skip
    slowdown = [None, *({"above": 1, "factor": factor, "at": at} for factor, at in (
        (2.0, "start"), (0.5, "arrival"), (1.5, "now")))]  # fmt: skip
    memory = {
        "limit": draw(st.sampled_from(["0 B", "250 B", "2 kB"])), "write": draw(st.sampled_from(["0 s", "500 ms"])),
        "read": draw(times), "bandwidth": "1 kB/s",
        "slowdown": draw(st.sampled_from(slowdown)),
    }  # fmt: skip
    capacity = draw(st.sampled_from([0, 1, 3, 10, None]))
    queue = {
        "capacity": capacity, "capacity_bytes": draw(st.sampled_from([None, "1500 B"])),
        "discipline": draw(st.sampled_from(
            ["fifo", "fifo", "lifo", "priority", "edf", "sjf", "random", "fair", "adaptive_lifo",
             "own_rules:mixed"])),
        "standing": draw(st.sampled_from(["100 ms", "2 s"])), "admission": draw(admissions()),
        "overflow": draw(st.sampled_from(["reject", "drop_oldest", "shed_oldest", "block"])),
        "retry_after": draw(st.sampled_from([None, "1 s", "1 s", "never"])),
        "backlog": draw(st.sampled_from([0, 0, 2])),
        "memory": draw(st.sampled_from([None, memory])),
    }  # fmt: skip
    named = draw(st.lists(sources(), min_size=1, max_size=3))
    arrivals = {f"source{i}": {**source, "client": draw(st.none() | clients())} for i, source in enumerate(named)}
    arrivals["scale"] = draw(st.sampled_from([1.0, 2.0]))
    count = draw(st.integers(1, 3))
    # Where no source is sure to go on, a run of so many arrivals might never end.
    may_end = all(source["kind"] in ("profile", "closed") for source in named)
    workers = {"count": count} if may_end else draw(staff(count))
    queue["backlog"] = min(queue["backlog"], count if "shifts" not in workers else workers["shifts"]["points"][0][1])
    load = not any(source["kind"] == "cron" for source in named)
    everybody = draw(clients())
    workers["batch"] = draw(st.none() | batches(queue))
    return bw.Scenario(
        arrivals=arrivals, jobs=jobs, client=everybody, queue=queue,
        faults=draw(st.just([]) | st.lists(faults(load), max_size=3)),
        workers={**workers, "service": draw(times.flatmap(laws)),
                 "demand": draw(st.sampled_from(["job", "attempt"])),
                 "abandoned": draw(st.sampled_from(["serve", "skip"]))},
    )  # fmt: skip
