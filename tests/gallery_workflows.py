"""More of the gallery: jobs that lead to others, beside everything that a service may end in."""

from gallery_brokers import AWAY, CRASHES, brokered
from gallery_clients import RETRY, STIFF, TICK, one

import backwater as bw

FEW = bw.Uniform(low=0, high=3)


def canvas(**parts) -> dict[str, bw.Job]:
    """A chain into a chord, of which one part leads on; ``parts`` are those of every class."""
    chord = {"send": {"c": 2, "d": FEW}, "join": "e", "join_every": "700 ms"}
    return {
        "a": bw.Job(then="b", **parts), "b": bw.Job(then=chord, priority=1, **parts),
        "c": bw.Job(then={"send": {"d": 1, "f": 2}}, **parts), "d": bw.Job(**parts), "e": bw.Job(**parts),
        "f": bw.Job(service="250 ms", **parts),
    }  # fmt: skip


def workflows() -> dict[str, bw.Scenario]:
    """All of them."""
    slow, ties = {"count": 3, "service": bw.Exponential(mean="200 ms")}, {"count": 3, "service": "250 ms"}
    flaky = [{"kind": "errors", "share": 0.3, "start": "5 s", "duration": "10 s"}]
    chains = {"a": bw.Job(then={"send": {"b": 3}, "join": "b"}), "b": bw.Job()}
    hidden = {"visibility_timeout": "500 ms", "max_deliveries": 3}
    return {
        "workflow": one(bw.Poisson(rate="1/s"), jobs=canvas(), **slow),
        "workflow, ties": one(bw.Periodic(interval="2 s"), jobs=canvas(), **ties),
        "workflow, drawn anew": one(jobs=canvas(), **slow, workers={"demand": "attempt"}, queue={"capacity": 5}),
        "workflow, impatient": one(
            TICK, jobs=canvas(size="100 B"), **slow, client={"attempt_timeout": "600 ms", "retry": RETRY}, faults=flaky,
            queue={"capacity": 6, "memory": {"limit": "250 B", "read": "50 ms"}, "overflow": "drop_oldest"},
        ),
        "workflow, own budget": one(
            TICK, jobs=chains, **ties, queue={"capacity": 2, "discipline": "fair"},
            client={"retry": STIFF, "proxy": {"retry": RETRY}, "retry_budget": {"kind": "token_bucket", "capacity": 6}},
        ),
        "workflow, hedged": one(
            jobs=chains, **slow, client={"hedge": {"after": "200 ms"}, "attempt_timeout": "2 s", "total_timeout": "3 s"}
        ),
        "workflow, batches": one(
            TICK, jobs=chains, **slow, workers={"batch": {"size": 4, "least": 2, "wait": "300 ms"}}, faults=flaky
        ),
        "workflow, closed": one(
            bw.Closed(clients=5, think="500 ms"), jobs=canvas(), **ties, client=AWAY, queue={"backlog": 2}
        ),
        "workflow, blocked": one(TICK, jobs=chains, **ties, queue={"capacity": 1, "overflow": "block"}, client=AWAY),
        "workflow, two sources": one(
            {"x": bw.Poisson(rate="1/s", jobs=("a", "f")), "y": bw.Periodic(interval="3 s", jobs=("b",), batch=2)},
            jobs=canvas(), **slow, client={"mode": "async", "notify": {"kind": "poll", "every": "500 ms"}},
        ),
        "workflow, broker": brokered(hidden, jobs=canvas(), client=AWAY, arrivals=bw.Poisson(rate="1/s")),
        "workflow, broker, early": brokered(
            {"ack": "early", "publish_delay": "50 ms", "delivery_delay": "50 ms", "retries": "message"},
            jobs=canvas(delay="500 ms"), client=AWAY, workers={"nodes": 2, "prefetch": 4}, arrivals=TICK,
        ),
        "workflow, broker, ties": brokered(
            {"groups": 2, "duplicates": 0.2}, jobs=canvas(), **ties,
            arrivals=bw.Periodic(interval="2 s"), faults=CRASHES,
        ),
        "workflow, broker, alarm": brokered(
            {"watermark": {"limit": "500 B", "full": "block"}, "send": {"size": 3, "linger": "500 ms"}},
            jobs=canvas(size="100 B"), client=AWAY, arrivals=bw.Poisson(rate="1/s"),
        ),
    }  # fmt: skip
