"""More of the gallery: brokers, each promise with ties, crashes and little room."""

from gallery_clients import DISK, PAIR, RETRY, STIFF, TICK, one

import backwater as bw

CRASHES = [{"kind": "workers_crash", "share": 0.5, "start": "5 s", "duration": "3 s"},
           {"kind": "broker_down", "start": "12 s", "duration": "2 s"},
           {"kind": "errors", "share": 0.3, "start": "3 s", "duration": "20 s"},
           {"kind": "workers_crash", "start": "18 s", "duration": "1500 ms"}]  # fmt: skip
FLOOD, SLOW = bw.Poisson(rate="5/s"), bw.Exponential(mean="500 ms")
PATIENT = {"attempt_timeout": "2 s", "retry": RETRY}
AWAY = {"mode": "async", "retry": STIFF}


def brokered(broker=None, **parts) -> bw.Scenario:
    """Three workers behind a broker, too few for what comes, which crash."""
    given = {"arrivals": FLOOD, "service": SLOW, "count": 3, "client": PATIENT, "faults": CRASHES}
    return one(**{**given, **parts}, broker=broker or {})


def promises() -> dict[str, bw.Scenario]:
    """Acknowledgement, redelivery, the dead-letter queue, durability."""
    hidden, ties = {"visibility_timeout": "700 ms"}, {"arrivals": TICK, "service": "700 ms", "client": {"retry": STIFF}}
    return {
        "broker": brokered(),
        "broker, ties": brokered(**ties),
        "broker, no ack": brokered({"ack": "none"}),
        "broker, early ack": brokered({"ack": "early"}, workers={"prefetch": 3}),
        "broker, hidden": brokered(hidden),
        "broker, hidden, ties": brokered(hidden, **ties),
        "broker, swept, to the back": brokered({**hidden, "sweep": "2 s", "position": "back"}, client=AWAY),
        "broker, dead letters": brokered({**hidden, "max_deliveries": 2, "return_delay": "400 ms"}),
        "broker, errors return": brokered({"on_error": "return", "max_deliveries": 3}, client=AWAY),
        "broker, errors expire": brokered({**hidden, "on_error": "expire", "disconnect": "never"}, client=AWAY),
        "broker, late notice": brokered({"disconnect": "1 s"}, client={**PATIENT, "total_timeout": "5 s"}),
        "broker, twice": brokered({"duplicates": 0.3}, client=AWAY),
        "broker, one receipt for all": brokered({**hidden, "sweep": "500 ms", "acked_by": "any"}),
        "broker, written seldom": brokered({"durability": {"fsync": "5 s", "lag": "300 ms"}}),
        "broker, never written": brokered({"durability": {"fsync": "never"}, "ack": "early"}, client=AWAY),
        "broker, always written": brokered({"durability": {"fsync": "always"}, "retention": "2 s"}, client=AWAY),
        "broker, groups": brokered({"groups": 3, **hidden}, queue={"capacity": 6, "overflow": "drop_oldest"}),
        "broker, groups, ties": brokered({"groups": 2, "return_delay": "500 ms"}, **ties),
    }


def ways() -> dict[str, bw.Scenario]:
    """How messages come and go: delays, confirms, several at once, nodes that ask, ETAs, time limits."""
    nodes = {"workers": {"nodes": 3, "prefetch": 4}, "count": 5}
    late = {"job": bw.Job(delay=bw.Uniform(low="0 s", high="2 s"), size="100 B")}
    spent = {"queue": {"memory": DISK}, "jobs": PAIR}
    return {
        "broker, far away": brokered({"publish_delay": "100 ms", "delivery_delay": SLOW}),
        "broker, far away by chance": brokered({"publish_delay": SLOW, "delivery_delay": SLOW}, client=AWAY),
        "broker, confirms": brokered({"publish_delay": "100 ms", "confirm": "200 ms"}, client={**AWAY, **PATIENT}),
        "broker, fire and forget": brokered({"confirm": "never"}, client=AWAY, queue={"capacity": 2}),
        "broker, several at once": brokered({"send": {"size": 3, "linger": "1 s"}}, client=AWAY),
        "broker, nodes": brokered(**nodes),
        "broker, nodes, early": brokered({"ack": "early"}, **nodes),
        "broker, all at once": brokered({"ack": "none"}, workers={"nodes": 2, "prefetch": "unlimited"}),
        "broker, asked": brokered({"poll": {"every": "300 ms", "misses": 0.4}}, workers={"nodes": 2}),
        "broker, asked for several": brokered({"poll": {"every": "1 s", "wait": "2 s", "batch": 4}}, client=AWAY),
        "broker, later": brokered(jobs=late, client=AWAY),
        "broker, later, hidden": brokered(
            {"delays_held_by": "workers", "visibility_timeout": "500 ms", "max_deliveries": 4}, jobs=late, client=AWAY
        ),
        "broker, again later": brokered(
            {"retries": "message", "delays_held_by": "workers"}, client=AWAY, workers={"time_limit": "800 ms"}
        ),
        "broker, from disk": brokered({"position": "back"}, **spent),
        "broker, from disk, lifo": brokered(
            queue={"memory": DISK, "discipline": "lifo", "capacity": 5, "overflow": "shed_oldest"}, jobs=PAIR
        ),
        "broker, skipped": brokered(workers={"abandoned": "skip"}, client={**PATIENT, "on_timeout": "cancel_waiting"}),
        "broker, backlog": brokered(queue={"backlog": 9}, faults=CRASHES[2:3]),
    }


def rooms() -> dict[str, bw.Scenario]:
    """Full brokers: memory that refuses or blocks, lengths, producers that wait."""
    sized, refuses = {"jobs": PAIR}, {"limit": "500 B"}
    blocks = {"watermark": {**refuses, "full": "block"}}
    return {
        "broker, full": brokered({"watermark": {**refuses, "full": "refuse"}}, **sized),
        "broker, full, stuck": brokered({"watermark": {**refuses, "receive": True}}, **sized, client=AWAY),
        "broker, alarm": brokered(blocks, **sized),
        "broker, alarm, seldom looked at": brokered(
            {"watermark": {**blocks["watermark"], "every": "2500 ms"}, "publish_delay": "50 ms"}, **sized, client=AWAY
        ),
        "broker, reject": brokered(queue={"capacity": 2}, workers={"prefetch": 2}),
        "broker, drop": brokered(queue={"capacity": 2, "overflow": "drop_oldest"}, client=AWAY),
        "broker, block": brokered(queue={"capacity": 2, "overflow": "block"}, arrivals={"a": FLOOD, "b": TICK}),
        "broker, codel": brokered(queue={"admission": {"kind": "codel", "target": "100 ms", "interval": "400 ms"}}),
    }


def brokers() -> dict[str, bw.Scenario]:
    """All of them."""
    return {**promises(), **ways(), **rooms()}
