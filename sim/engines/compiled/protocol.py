"""A broker as flat numbers, and the records of what it and the nodes behind it hold."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from backwater.components.broker import Broker
from backwater.components.workers import Workers
from backwater.engines.compiled.world import HUB, MANY, MESSAGE, NODE, NONE, OUTBOX, PROTOCOL, Ints, Records
from backwater.measure import alone

ACK_NONE, ACK_EARLY, ACK_LATE = range(3)
ACKS = {"none": ACK_NONE, "early": ACK_EARLY, "late": ACK_LATE}
ACK_ERROR, RETURN_ERROR, EXPIRE_ERROR = range(3)
ON_ERROR = {"ack": ACK_ERROR, "return": RETURN_ERROR, "expire": EXPIRE_ERROR}


def protocol(broker: Broker | None, workers: Workers, add: Callable[[np.ndarray], int]) -> Records:
    """What a broker promises, one record; none without one. ``add`` keeps the table of a law, and says where."""
    out = np.zeros(int(broker is not None), PROTOCOL)
    if broker is None:
        return out
    its, poll, mark = out[0], broker.poll, broker.watermark
    its["ack"], its["on_error"] = ACKS[broker.ack], ON_ERROR[broker.on_error]
    its["hides"], its["sweep"], its["notices"] = broker.hides, broker.sweep or 0.0, broker.notices
    its["front"], its["return_delay"] = broker.position == "front", broker.return_delay
    its["most"], its["by_any"] = broker.max_deliveries or 2**62, broker.acked_by == "any"
    its["duplicates"], its["groups"] = broker.duplicates, broker.groups or 0
    its["publish"] = NONE if broker.publish_delay is None else add(broker.publish_delay.table)
    its["deliver"] = NONE if broker.delivery_delay is None else add(broker.delivery_delay.table)
    its["confirm"] = math.inf if broker.confirm is None else broker.confirm
    its["worker_holds"] = broker.delays_held_by == "workers"
    its["retention"] = math.inf if broker.retention is None else broker.retention
    its["fsync"], its["lag"] = broker.durability.period, broker.durability.lag
    its["limit"] = broker.limit
    if mark is not None:
        its["blocks"], its["looks_every"], its["receive"] = mark.full == "block", mark.every, mark.receive
    its["batch"], its["resends"] = 1, broker.retries == "message"
    its["time_limit"] = math.inf if workers.time_limit is None else workers.time_limit
    if broker.send is not None:
        its["sends"], its["linger"] = broker.send.size, broker.send.linger
    if poll is not None:
        its["polls"], its["every"], its["wait"] = 1, poll.every, poll.wait
        its["batch"], its["misses"] = poll.batch, poll.misses
    return out


def nodes(broker: Broker | None, workers: Workers) -> tuple[Records, Ints]:
    """The nodes at time 0, and on which one each worker lives; none without a broker."""
    if broker is None:
        return alone(0, NODE), alone(0, np.int64)
    out, firsts = alone(workers.nodes, NODE), workers.firsts
    out["first"], out["stop"] = firsts[:-1], firsts[1:]
    out["idle"] = out["stop"] - out["first"]
    each = math.inf if workers.prefetch == "unlimited" else workers.prefetch
    out["credit"] = each * out["idle"]
    out["alive"] = out["asks"] = 1
    out["due"] = math.inf
    for name in ("first_coming", "last_coming", "first_waiting", "last_waiting"):
        out[name] = NONE
    homes = alone(workers.count, np.int64)
    homes[:] = np.repeat(np.arange(workers.nodes), out["idle"])
    return out, homes


def hub(broker: Broker | None) -> Records:
    """What a broker is at time 0; none without one."""
    out = alone(int(broker is not None), HUB)
    out["up"], out["changed"] = 1, MANY
    for name in ("oldest", "newest", "fresh", "first_hidden", "last_hidden"):
        out[name] = NONE
    return out


def outboxes(broker: Broker | None, sources: int) -> Records:
    """What each source has collected: nothing; none without a broker that lets them collect."""
    out = alone(sources if broker is not None and broker.send is not None else 0, OUTBOX)
    out["first"] = out["last"] = NONE
    return out


def messages(broker: Broker | None, slots: int) -> Records:
    """A message for each slot of an attempt; none without a broker."""
    return alone(slots if broker is not None else 0, MESSAGE)
