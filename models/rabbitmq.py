"""RabbitMQ: classic and quorum queues, with prefetch, length limits and the memory alarm.

Every default of the system is a line of its function's table: the field, its value ("-": none), where that is from, and
how sure it is: V read in the documentation or the source, M measured (rabbitmq-server 3.10.8, 2 cores, one run: an
order of magnitude), R remembered, A an assumption, because it is the application's choice.
"""

from __future__ import annotations

from typing import Any, Literal

from backwater.components.broker import Broker, Durability, Watermark
from backwater.components.queue import Queue
from backwater.models.work import RUN as RUN
from backwater.models.work import Work
from backwater.scenario import Scenario
from backwater.units import parse

Overflow = Literal["drop-head", "reject-publish"]
OVERFLOW = {"drop-head": "drop_oldest", "reject-publish": "reject"}
WATERMARK, INTERVAL = 0.4, "2.5 s"  # vm_memory_high_watermark, memory_monitor_interval: rabbit.app, V
FLUSH = "200 ms"  # how often messages are written: "a few hundred ms" in rmq-web:confirms, V; the number itself is R


def alarm(work: Work) -> Watermark | None:
    """The memory alarm: publishers wait while messages are more than 0.4 of the memory."""
    if work.memory is None:
        return None
    return Watermark(limit=WATERMARK * parse(work.memory, "size"), full="block", every=INTERVAL)


def bounded(work: Work, overflow: Overflow) -> Queue:
    """A queue with ``max-length``, which counts messages that are ready."""
    return Queue(capacity=work.length, overflow=OVERFLOW.get(overflow, overflow))


def rabbitmq_classic(
    prefetch: int | Literal["unlimited"] = "unlimited", overflow: Overflow = "drop-head", confirm: Any = "never",
    ack: Literal["late", "none"] = "late", persistent: bool = True, **work: Any,
) -> Scenario:  # fmt: skip
    """A classic queue of RabbitMQ: prefetch, a memory alarm, and what comes back goes to the front.

    prefetch    unacknowledged messages of a consumer, of which each worker is one; the documentation recommends 100-300
    overflow    what yields beyond ``max-length``: the oldest (drop-head) or the new one (reject-publish)
    confirm     time from acceptance to the publisher confirm [s]; never, the default: no confirms, so that nobody is
                told of what is refused
    ack         late: manual acknowledgement; none: automatic, which forgets a message as it is sent
    persistent  whether messages are (delivery mode 2, in a durable queue): what was not written yet is lost in a crash,
                else all is
    work        see ``Work``; length is ``max-length``, memory that of the machine

    field                      default      source                                      known
    broker.ack                 late         no-ack of AMQP is off                       R
    workers.prefetch           unlimited    rabbit.app: default_consumer_prefetch       V
    broker.visibility_timeout  30 min       rmq-web:consumers: consumer_timeout         V
    broker.sweep               1 min        rmq-web:consumers                           V
    broker.disconnect          0 s          rmq-web:confirms: as the connection closes  V
    broker.position            front        rmq-web:confirms                            V
    broker.max_deliveries      -            rmq-web:quorum-queues: none for classic     V
    broker.on_error            ack          the application's choice                    A
    broker.confirm             never        rmq-web:confirms: off                       V
    broker.durability.fsync    200 ms       rmq-web:confirms: a few hundred ms          V
    queue.overflow             drop_oldest  rmq-web:maxlength: drop-head                V
    queue.capacity             -            rmq-web:maxlength                           V
    broker.publish_delay       1 ms         half an ack round trip of 1.5-2.2 ms        M
    broker.delivery_delay      1.8 ms       ack and delivery, 1.5-2.2 ms                M

    With a memory, an alarm blocks every publisher while messages are more than 0.4 of it, checked every 2.5 s (V).
    Left out: credit flow; that version 2 queues keep at most 2,048 messages in memory, and disk alarms; that a consumer
    timeout returns all that its channel holds (here the one message); half-open connections (120 s by heartbeat);
    that a publisher without confirms hears of a closed connection; priorities; message TTL (see ``broker.retention``).
    """
    given, waits = Work(**work), ack == "late"
    broker = Broker(
        ack=ack, visibility_timeout="30 min" if waits else None, sweep="1 min" if waits else None, confirm=confirm,
        durability=Durability(fsync=FLUSH if persistent else "never"), watermark=alarm(given),
        publish_delay="1 ms", delivery_delay="1.8 ms",
    )  # fmt: skip
    return given.behind(broker, "RabbitMQ, classic queue", queue=bounded(given, overflow), prefetch=prefetch)


def rabbitmq_quorum(
    prefetch: int | Literal["unlimited"] = "unlimited", overflow: Overflow = "drop-head", confirm: Any = "never",
    delivery_limit: int | None = 20, **work: Any,
) -> Scenario:  # fmt: skip
    """A quorum queue of RabbitMQ on three nodes: nothing that a majority has is lost, and a delivery limit.

    prefetch, overflow, confirm  as of ``rabbitmq_classic``
    delivery_limit  how often a message may come back; once more, and it is dead-lettered. None for no limit (3.x)
    work            see ``Work``; length is ``max-length``, memory that of a machine. A broker that is down has lost its
                    majority

    field                      default      source                                           known
    broker.ack                 late         no-ack of AMQP is off                            R
    workers.prefetch           unlimited    rabbit.app: default_consumer_prefetch            V
    broker.visibility_timeout  30 min       rmq-web:consumers: consumer_timeout              V
    broker.sweep               1 min        rmq-web:consumers                                V
    broker.disconnect          0 s          rmq-web:confirms: as the connection closes       V
    broker.position            front        rmq-web:confirms: with a delivery limit          V
    broker.max_deliveries      21           rmq-web:quorum-queues: 20 returns, from 4.0      V
    broker.on_error            return       nack with requeue, the application's choice      A
    broker.confirm             never        rmq-web:confirms: off                            V
    broker.durability.fsync    always       rmq-web:quorum-queues: a majority has it         V
    queue.overflow             drop_oldest  rmq-web:maxlength: drop-head                     V
    queue.capacity             -            rmq-web:maxlength                                V
    broker.publish_delay       4 ms         rmq-blog 2020-04-21: p75 at 2000/s, SSD          V
    broker.delivery_delay      1.8 ms       as a classic queue                               A

    With a memory, an alarm as of ``rabbitmq_classic``. Without a limit a message that comes back goes to the back (V).
    Left out: the election of a leader; ``reject-publish`` lets in as many more as are in flight; the write-ahead log in
    memory; that throughput falls with a long backlog; and as in ``rabbitmq_classic``.
    """
    given, limited = Work(**work), delivery_limit is not None
    broker = Broker(
        ack="late", visibility_timeout="30 min", sweep="1 min", position="front" if limited else "back",
        max_deliveries=None if delivery_limit is None else delivery_limit + 1, confirm=confirm,
        on_error="return" if limited else "ack", watermark=alarm(given),
        publish_delay="4 ms", delivery_delay="1.8 ms",
    )  # fmt: skip
    return given.behind(broker, "RabbitMQ, quorum queue", queue=bounded(given, overflow), prefetch=prefetch)
