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
    policy = {
        "kind": draw(st.sampled_from(["constant", "exponential", "decorrelated"])),
        "base": draw(times), "cap": "5 s", "max_attempts": draw(st.sampled_from([1, 2, 4, "forever"])),
        "retry_probability": draw(st.sampled_from([1.0, 0.5])),
    }  # fmt: skip
    if policy["kind"] != "decorrelated":
        policy["jitter"] = draw(st.sampled_from(["full", "none", "equal", "exponential", 0.3]))
    return policy


@st.composite
def clients(draw) -> dict:
    """How senders behave."""
    client = {"on_timeout": draw(st.sampled_from(["leave", "cancel_waiting", "cancel"])), "retry": draw(retries())}
    if draw(st.booleans()):
        client["attempt_timeout"] = draw(times.flatmap(laws))
    if draw(st.booleans()):
        client["total_timeout"] = draw(st.sampled_from(["1 s", "4 s", "10 s"]))
    if draw(st.sampled_from([False, False, True])):
        client["mode"] = "async"
        client["notify"] = draw(st.sampled_from(["push", {"kind": "poll", "every": "500 ms"}]))
    return client


def sources() -> st.SearchStrategy:
    """Sources of about one job a second."""
    return st.sampled_from([
        {"kind": "poisson", "rate": "1/s"}, {"kind": "periodic", "interval": "500 ms"},
        {"kind": "periodic", "interval": "1 s", "jitter": "300 ms"}, {"kind": "renewal", "gap": "250 ms"},
        {"kind": "bursts", "base": "0/s", "peak": "5/s", "every": "10 s", "length": "4 s"},
        {"kind": "profile", "points": [["0 s", "0/s"], ["10 s", "4/s"], ["20 s", "0/s"]], "shape": "linear"},
    ])  # fmt: skip


@st.composite
def scenarios(draw) -> bw.Scenario:
    """A whole scenario; every field of the language varies."""
    jobs = {
        f"class{i}": {
            "share": i + 1, "priority": draw(st.integers(0, 2)), "size": draw(st.sampled_from(["100 B", "1 kB"])),
            "deadline": draw(st.sampled_from([None, "2 s"])), "service": draw(st.none() | times.flatmap(laws)),
        }
        for i in range(draw(st.integers(1, 3)))
    }  # fmt: skip
    slowdown = [None, {"above": 1, "factor": 2.0}, {"above": 0, "factor": 0.5, "at": "arrival"}]
    memory = {
        "limit": draw(st.sampled_from(["0 B", "250 B", "2 kB"])), "write": draw(st.sampled_from(["0 s", "500 ms"])),
        "read": draw(times), "bandwidth": "1 kB/s",
        "slowdown": draw(st.sampled_from(slowdown)),
    }  # fmt: skip
    capacity = draw(st.sampled_from([0, 1, 3, 10, None]))
    queue = {
        "capacity": capacity, "capacity_bytes": draw(st.sampled_from([None, "1500 B"])),
        "discipline": draw(st.sampled_from(["fifo", "lifo", "priority"])),
        "overflow": draw(st.sampled_from(["reject", "drop_oldest", "shed_oldest"])),
        "retry_after": draw(st.sampled_from([None, "1 s"])), "backlog": draw(st.sampled_from([0, 0, 2])),
        "memory": draw(st.sampled_from([None, memory])),
    }  # fmt: skip
    named = draw(st.lists(sources(), min_size=1, max_size=3))
    arrivals = {f"source{i}": {**source, "client": draw(st.none() | clients())} for i, source in enumerate(named)}
    arrivals["scale"] = draw(st.sampled_from([1.0, 2.0]))
    count = draw(st.integers(1, 3))
    queue["backlog"] = min(queue["backlog"], count)
    return bw.Scenario(
        arrivals=arrivals, jobs=jobs, client=draw(clients()), queue=queue,
        workers={"count": count, "service": draw(times.flatmap(laws)),
                 "demand": draw(st.sampled_from(["job", "attempt"]))},
    )  # fmt: skip
