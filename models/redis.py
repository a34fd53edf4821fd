"""Redis as a broker: a list, a list with a janitor, a stream with a consumer group.

Every default of the system is a line of its function's table: the field, its value ("-": none), where that is from, and
how sure it is: V read in the documentation or the source, M measured (redis 7.0.15, 2 cores, one run: an order of
magnitude), R remembered, A an assumption, because it is the application's choice.
"""

from __future__ import annotations

from typing import Any

from backwater.components.broker import Broker, Durability, Watermark
from backwater.components.queue import Queue
from backwater.errors import check
from backwater.models.work import RUN as RUN
from backwater.models.work import Work
from backwater.scenario import Scenario

PERIODS = {None: "5 min", "always": "always", "everysec": "1 s", "no": "30 s"}  # how often all is written to disk


def durability(appendfsync: str | None) -> Durability:
    """What a crash of Redis leaves: with an append-only file (always, everysec, no), or by snapshots only (None)."""
    must = "must be always, everysec, no, or None for snapshots only"
    check(appendfsync in PERIODS, "appendfsync", appendfsync, must)
    return Durability(fsync=PERIODS[appendfsync])


def maxmemory(work: Work, *, receive: bool) -> Watermark | None:
    """What ``maxmemory`` does under ``noeviction``; ``receive``: whether it refuses the command that receives, too."""
    return None if work.memory is None else Watermark(limit=work.memory, full="refuse", receive=receive)


def redis_list(appendfsync: str | None = None, **work: Any) -> Scenario:
    """A Redis list, LPUSH and BRPOP: what is popped is gone, whatever becomes of its consumer.

    appendfsync  how often the append-only file is written: always, everysec (1 s), no (30 s); None, the default, for
                 no such file: snapshots only, every 5 min at this rate
    work         see ``Work``; length is what an atomic bounded push (LLEN and LPUSH in a script) allows

    field                    default  source                           known
    broker.ack               none     redis-doc:commands/lmove.md      V
    broker.disconnect        never    redis-doc:commands/lmove.md      V
    broker.durability.fsync  5 min    redis.conf: save 300 100         V
    broker.watermark         -        redis.conf: maxmemory 0          V
    queue.capacity           -        redis.conf: maxmemory only       V
    broker.publish_delay     660 us   LPUSH, 50 clients, p50           M
    broker.delivery_delay    1.6 ms   overhead per message 1.2-2.0 ms  M

    With a memory, ``noeviction`` (redis.conf, V) refuses LPUSH once more than that is used, and lets BRPOP pass (M).
    Left out: a pop since the last write to disk, which a crash undoes, so that its message comes twice; the pause of a
    fork; that the consumer that has waited longest is first (here nodes take turns); memory beside the messages.
    """
    given = Work(**work)
    broker = Broker(
        ack="none", disconnect="never", durability=durability(appendfsync), watermark=maxmemory(given, receive=False),
        publish_delay="660 us", delivery_delay="1.6 ms",
    )  # fmt: skip
    return given.behind(broker, "Redis list")


def redis_reliable(
    visibility: Any = "60 s", janitor: Any = "10 s", appendfsync: str | None = None, **work: Any
) -> Scenario:
    """A Redis list with LMOVE to processing lists, and a janitor who pushes back what has been there too long.

    visibility   how long a message may be in a processing list [s]
    janitor      how often these are looked through [s]
    appendfsync  see ``redis_list``
    work         see ``Work``; length is what an atomic bounded push allows

    field                      default  source                           known
    broker.ack                 late     redis-doc:commands/lmove.md      V
    broker.disconnect          never    redis-doc:commands/lmove.md      V
    broker.visibility_timeout  60 s     the application's janitor        A
    broker.sweep               10 s     the application's janitor        A
    broker.position            back     LPUSH by the janitor             A
    broker.durability.fsync    5 min    redis.conf: save 300 100         V
    broker.watermark           -        redis.conf: maxmemory 0          V
    queue.capacity             -        redis.conf: maxmemory only       V
    broker.publish_delay       660 us   LPUSH, 50 clients, p50           M
    broker.delivery_delay      1.6 ms   overhead per message 1.2-2.0 ms  M

    With a memory, LPUSH and LMOVE are refused once more than that is used (COMMAND INFO, M): consumers that rest
    when it is full cannot drain it. A message takes memory until LREM. No dead letters: Redis has none (V).
    Left out: LREM's walk through the processing list, and as in ``redis_list``.
    """
    given = Work(**work)
    broker = Broker(
        ack="late", disconnect="never", visibility_timeout=visibility, sweep=janitor, position="back",
        durability=durability(appendfsync), watermark=maxmemory(given, receive=True),
        publish_delay="660 us", delivery_delay="1.6 ms",
    )  # fmt: skip
    return given.behind(broker, "Redis list with LMOVE and a janitor")


def redis_stream(
    min_idle: Any = "60 s", claim: Any = "10 s", max_deliveries: int | None = None, appendfsync: str | None = None,
    **work: Any,
) -> Scenario:  # fmt: skip
    """A Redis stream with a consumer group: XADD, XREADGROUP, XACK; XAUTOCLAIM takes over what has been idle.

    min_idle        of XAUTOCLAIM: how long an entry is pending before another consumer claims it [s]
    claim           how often consumers call it [s]
    max_deliveries  deliveries before the application moves an entry to a dead-letter stream
    appendfsync     see ``redis_list``
    work            see ``Work``; length is MAXLEN of XADD

    field                      default      source                            known
    broker.ack                 late         redis-doc:streams-tutorial        V
    broker.disconnect          never        redis-doc:streams-tutorial        V
    broker.visibility_timeout  60 s         min-idle-time of the application  A
    broker.sweep               10 s         XAUTOCLAIM by the application     A
    broker.position            front        the claimer gets it at once       V
    broker.acked_by            any          XACK names the entry              V
    broker.max_deliveries      -            redis-doc:streams-tutorial        V
    queue.overflow             drop_oldest  redis-doc:streams-tutorial        V
    queue.capacity             -            redis-doc:streams-tutorial        V
    broker.durability.fsync    5 min        redis.conf: save 300 100          V
    broker.watermark           -            redis.conf: maxmemory 0           V
    broker.publish_delay       660 us       as LPUSH                          A
    broker.delivery_delay      1.6 ms       as BRPOP; published 99.9 % <= 2   A

    With a memory, XADD is refused once more than that is used; XREADGROUP, XACK and XAUTOCLAIM pass (M).
    Left out: XACK counts for an entry that is idle and not claimed yet, too (here it is claimed all the same); entries
    stay in memory after XACK until XDEL or XTRIM (here they go with it); MAXLEN counts pending entries, too, and drops
    them (here only those that nobody has); ~ leaves up to about 100 more; XAUTOCLAIM takes 10 at a time (here all); and
    as in ``redis_list``.
    """
    given = Work(**work)
    broker = Broker(
        ack="late", disconnect="never", visibility_timeout=min_idle, sweep=claim, max_deliveries=max_deliveries,
        acked_by="any", durability=durability(appendfsync), watermark=maxmemory(given, receive=False),
        publish_delay="660 us", delivery_delay="1.6 ms",
    )  # fmt: skip
    queue = Queue(capacity=given.length, overflow="drop_oldest")
    return given.behind(broker, "Redis stream with a consumer group", queue=queue)
