"""Random scenarios with a broker: everything that it can promise, with ties, crashes and little room."""

from hypothesis import strategies as st

import backwater as bw
from backwater.errors import ScenarioError

LAWS = ["250 ms", "500 ms", {"kind": "exponential", "mean": "500 ms"}, {"kind": "uniform", "low": 0, "high": "1 s"}]
SHORT = [None, None, "100 ms", {"kind": "exponential", "mean": "200 ms"}]
SIZED = {"a": {"size": {"kind": "uniform", "low": "50 B", "high": "300 B"}}, "b": {"size": "100 B", "priority": 1}}
PLAIN = {"a": {"deadline": "3 s"}, "b": {"priority": 1}}


def given_only(**fields):
    """Fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


@st.composite
def protocols(draw, **fixed) -> dict:
    """A broker's fields; ``fixed`` ones as they are."""

    def one(*values):
        return draw(st.sampled_from(values))

    ack, visible = one("none", "early", "late", "late", "late"), one(None, "500 ms", "1 s", "2500 ms")
    poll = one(None, None, {"every": "500 ms"}, {"every": "300 ms", "batch": 4}, {"wait": "1 s", "every": "500 ms"},
               {"wait": "1 s", "batch": 2}, {"every": "250 ms", "misses": 0.5})  # fmt: skip
    return given_only(**{
        "ack": ack, "visibility_timeout": visible, "sweep": visible and one(None, "500 ms", "1 s"),
        "disconnect": one("0 s", "0 s", "500 ms", "never"), "position": one("front", "front", "back"),
        "return_delay": one(None, None, "250 ms", "1 s"), "max_deliveries": one(None, 1, 2, 3),
        "on_error": one("ack", "ack", "return", "expire"), "duplicates": one(None, None, 0.2),
        "acked_by": one(None, None, "any"),
        "groups": one(None, None, 1, 3), "poll": poll, "publish_delay": one(*SHORT), "delivery_delay": one(*SHORT),
        "send": one(None, None, None, {"size": 3, "linger": "500 ms"}), "retries": one("client", "message"),
        "confirm": one(None, None, "200 ms", "never"), "delays_held_by": one("broker", "workers"),
        "retention": one(None, None, None, "1500 ms"), "durability": one(
            None, {"fsync": "1 s"}, {"fsync": "never"}, {"lag": "1 s"}, {"fsync": "2 s", "lag": "500 ms"}),
        "watermark": one(None, None, {"limit": "600 B"}, {"limit": "600 B", "full": "block"}, {
            "limit": "600 B", "full": "block", "every": "2500 ms"}, {"limit": "300 B", "receive": True}),
        **fixed,
    })  # fmt: skip


@st.composite
def crashes(draw) -> list[dict]:
    """What breaks, more often than not a crash."""
    out = []
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["workers_crash", "workers_crash", "broker_down", "errors", "workers_down"]))
        when = {"start": draw(st.sampled_from([2, 5, 7.3, 10])), "duration": draw(st.sampled_from([1, 2.5]))}
        share = {"workers_crash": [0.5, 1], "workers_down": [0.5], "errors": [0.4]}.get(kind)
        out.append({"kind": kind, **when, **({} if share is None else {"share": draw(st.sampled_from(share))})})
    return out


@st.composite
def brokered(draw, clients=None, capacities=(1, 2, 5, None), **fixed) -> bw.Scenario:
    """A scenario with a broker; ``fixed`` are fields of that."""

    def one(*values):
        return draw(st.sampled_from(values))

    broker, count = draw(protocols(**fixed)), one(1, 2, 3, 5)
    sized = "watermark" in broker or one(True, False)
    delay = one(None, None, "500 ms", {"kind": "uniform", "low": 0, "high": "2 s"})
    jobs = {name: {**job, **given_only(delay=delay if name == "a" else None)} for name, job in
            (SIZED if sized else PLAIN).items()}  # fmt: skip
    workers = {"count": count, "nodes": one(1, min(2, count), count), "service": one(*LAWS),
               "time_limit": one(None, None, "700 ms"), "abandoned": one("serve", "serve", "skip"),
               "prefetch": None if "poll" in broker else one(1, 1, 2, 4, "unlimited")}  # fmt: skip
    queue = {
        "capacity": one(*capacities),
        "overflow": one("reject", "reject", "drop_oldest", "shed_oldest", "block"),
        "discipline": None if "groups" in broker else one("fifo", "fifo", "lifo", "priority", "edf", "random"),
        "memory": one(None, None, {"limit": "300 B", "write": "50 ms", "read": "100 ms"}) if sized else None,
    }
    retry = one(None, {"base": "200 ms", "cap": "2 s", "max_attempts": 4},
                {"kind": "constant", "base": "500 ms", "jitter": "none"})  # fmt: skip
    client = {
        "mode": one("sync", "async"),
        "attempt_timeout": one(None, "2 s", {"kind": "exponential", "mean": 2}),
        "total_timeout": one(None, None, "4 s"),
        "retry": retry,
        "on_timeout": one("leave", "cancel_waiting"),
        "notify": one("push", {"kind": "poll", "every": "500 ms"}),
    }
    arrivals = one({"kind": "poisson", "rate": "4/s"}, {"kind": "periodic", "interval": "250 ms"},
                   {"kind": "closed", "clients": 6, "think": "1 s"})  # fmt: skip
    return fitting(arrivals=arrivals, jobs=jobs, workers=given_only(**workers), queue=given_only(**queue),
                   client=given_only(**(client if clients is None else clients)), broker=broker,
                   faults=draw(crashes()))  # fmt: skip


def fitting(**table) -> bw.Scenario:
    """The scenario without the fields that do not fit together."""
    broker, client = table["broker"], table["client"]
    if broker["ack"] == "none":
        for name in ("visibility_timeout", "sweep", "duplicates"):
            broker.pop(name, None)
    if broker["ack"] != "late" or (broker["on_error"] == "expire" and "visibility_timeout" not in broker):
        broker["on_error"] = "ack"
    if broker["ack"] == "none" or broker["on_error"] != "ack":
        broker.pop("acked_by", None)
    if broker["on_error"] == "return":
        broker.setdefault("max_deliveries", 3)
    if client.get("mode", "sync") == "sync":
        client.pop("notify", None)
        broker.pop("confirm", None)
    if "visibility_timeout" not in broker:
        broker.pop("sweep", None)
    try:
        return bw.Scenario(**table)
    except ScenarioError as refused:
        raise AssertionError(f"the strategy makes what does not fit: {refused}") from None
