"""More of the gallery: rules of one's own, and jobs by the clock."""

import own_rules
from gallery import DISK, PAIR, STIFF, TICK, one

import backwater as bw


def rules() -> dict[str, bw.Scenario]:
    """Rules of one's own in every place, told everything, among all that may happen to an attempt."""
    flood, bursts = bw.Poisson(rate="6/s"), bw.Bursts(base="2/s", peak="14/s", every="9 s", length="3 s")
    kinds = {"a": bw.Job(size="200 B", priority=2, deadline="5 s", weight=3.0), "b": bw.Job(
        size="50 B", deadline="1 s"), "c": bw.Job(share=2, size="100 B", priority=1, service="500 ms")}  # fmt: skip
    fibonacci = {"kind": "own", "rule": own_rules.fibonacci, "params": {"step": 0.3}, "max_attempts": 5}
    client = {"attempt_timeout": "2 s", "retry": fibonacci, "on_timeout": "cancel_waiting"}
    bad = [{"kind": "errors", "share": 0.4, "start": "5 s", "duration": "9 s"},
           {"kind": "workers_down", "start": "12 s", "duration": "2 s", "share": 0.5}]  # fmt: skip

    def own(**parts) -> bw.Scenario:
        queue = {"admission": own_rules.choosy, "discipline": own_rules.mixed, **parts.pop("queue", {})}
        return one(**{"arrivals": flood, "service": "400 ms", "count": 2, "jobs": kinds, "client": client,
                      "queue": queue, **parts})  # fmt: skip

    proxy = {"retry": {"kind": "own", "rule": own_rules.decorrelated, "base": "100 ms", "cap": "1 s"}}
    return {f"own rules, {how}": own(**parts) for how, parts in {
        "flood": {}, "bursts": {"arrivals": bursts, "service": bw.Exponential(mean="300 ms")},
        "ties": {"arrivals": TICK, "count": 1, "service": "700 ms"}, "faults": {"faults": bad},
        "proxy": {"client": {**client, "proxy": proxy}, "faults": bad},
        "yielding": {"queue": {"capacity": 3, "overflow": "shed_oldest", "backlog": 4}},
        "spilling": {"queue": {"memory": DISK, "discipline": own_rules.first}, "workers": {"abandoned": "skip"}},
        "tokens": {"queue": {"admission": {"kind": "own", "rule": own_rules.bucket, "params": {"rate": 2}}}},
        "edf, for ever": {"queue": {"discipline": {"kind": "own", "rule": own_rules.earliest}, "capacity": 4},
                          "client": {"retry": {"rule": own_rules.plain, "base": "300 ms", "cap": "2 s",
                                               "max_attempts": "forever"}}},
    }.items()}  # fmt: skip


def clocks() -> dict[str, bw.Scenario]:
    """Jobs by cron: from time 0, from half a minute on, across midnight, in company."""
    return {
        "cron": one(bw.Cron(expression="* * * * *", count=7, start="2024-01-01 09:59:55"), queue={"capacity": 3},
                    client={"retry": STIFF}),
        "cron, by chance": one(bw.Cron(expression="*/1 9 * * MON", start="2024-01-01 09:58:40", count=3, scale=1.5),
                               "2 s", 2),
        "cron, twice, and others": bw.Scenario(
            arrivals={"scale": 0.7, "a": bw.Cron(expression="0-5 0 1 JAN *", count=5), "b": bw.Cron(
                expression="* * * * *", count=4, start="2024-02-28 23:59:45"), "web": TICK},
            jobs=PAIR, workers={"service": "400 ms", "count": 2}, queue={"capacity": 4, "overflow": "shed_oldest"}),
    }  # fmt: skip


def more() -> dict[str, bw.Scenario]:
    """All of them by name."""
    return {**rules(), **clocks()}
