"""Celery on Redis and on RabbitMQ: early and late acknowledgement, prefetch by node, countdowns held by workers.

Every default of the system is a line of its function's table: the field, its value ("-": none), where that is from, and
how sure it is: V read in the documentation or the source (celery and kombu 5.7.0), M measured (2 cores, one run: an
order of magnitude), R remembered, A an assumption, because it is the application's choice.
"""

from __future__ import annotations

from typing import Any

from backwater.components.broker import Broker, Durability
from backwater.components.client import Client, Proxy, Retry
from backwater.models.rabbitmq import FLUSH, alarm
from backwater.models.redis import durability, maxmemory
from backwater.models.work import RUN as RUN
from backwater.models.work import Work
from backwater.scenario import Scenario

# task_publish_retry_policy: again after 0, 0.2 and 0.4 s; celery:app/defaults.py, V.
PUBLISH = Retry(kind="linear", base="0 s", step="200 ms", cap="1 s", jitter="none", max_attempts=4)


def sender(retries: int, countdown: Any) -> Client:
    """Who calls ``task.delay()``: it goes on once the broker has the message, and publishes again if it has not.

    retries    of a task that fails
    countdown  of each [s]
    """
    again = Retry(kind="constant", base=countdown, jitter="none", max_attempts=retries + 1) if retries else None
    return Client(mode="async", proxy=Proxy(retry=PUBLISH), retry=again)


def timed(scenario: Scenario, limit: Any) -> Scenario:
    """The same with a hard time limit of tasks."""
    return scenario if limit is None else scenario.with_({"workers.time_limit": limit})


def celery_redis(
    late: bool = False, multiplier: int = 4, visibility: Any = "1 h", sweep: Any = "100 s", max_retries: int = 0,
    countdown: Any = "180 s", time_limit: Any = None, appendfsync: str | None = None, **work: Any,
) -> Scenario:  # fmt: skip
    """Celery on Redis: what is not acknowledged within the visibility timeout comes back, at the front.

    late         task_acks_late: acknowledge once a task is done, not as it starts
    multiplier   worker_prefetch_multiplier: messages that a node holds per process; 0 for no limit
    visibility   visibility_timeout: how long a message may be unacknowledged, in a buffer or until its ETA, too [s]
    sweep        how often workers look for such messages [s]
    max_retries  how often a task that fails is tried again: 0, because only a task that asks for it is; 3 for one that
                 does and says no more
    countdown    until such a retry, which is a new message that is sent at once [s]
    time_limit   task_time_limit: a task that takes longer is ended, and has failed [s]
    appendfsync  as of ``redis_list``
    work         see ``Work``; task_delay is a countdown, which a worker holds. A ``canvas`` is sent by
                 the worker that ends the task before; a chord's body by the one that ends the last of its header,
                 which counts in Redis (R)

    field                            default  source                                            known
    broker.ack                       early    celery:app/defaults.py: task_acks_late            V
    workers.prefetch                 4        celery:app/defaults.py: prefetch_multiplier       V
    broker.visibility_timeout        1 h      kombu:transport/redis.py                          V
    broker.sweep                     100 s    kombu:transport/redis.py: 10 s x throttle 10      V
    broker.position                  front    kombu:transport/redis.py: RPUSH                   V
    broker.acked_by                  any      kombu:transport/redis.py: one delivery tag        V
    broker.disconnect                never    kombu:transport/redis.py                          V
    broker.delays_held_by            workers  celery:worker/strategy.py                         V
    broker.on_error                  ack      celery:app/defaults.py: acks_on_failure           V
    broker.retries                   message  celery:app/task.py                                V
    client.retry                     -        celery:app/autoretry.py: autoretry_for ()         V
    workers.time_limit               -        celery:app/defaults.py: task_time_limit           V
    broker.max_deliveries            -        kombu:transport/redis.py                          V
    broker.durability.fsync          5 min    redis.conf: save 300 100                          V
    broker.watermark                 -        redis.conf: maxmemory 0                           V
    queue.capacity                   -        celery docs: none                                 V
    client.proxy.retry.kind          linear   celery:app/defaults.py: publish_retry_policy      V
    client.proxy.retry.base          0 s      celery:app/defaults.py: interval_start            V
    client.proxy.retry.step          200 ms   celery:app/defaults.py: interval_step             V
    client.proxy.retry.cap           1 s      celery:app/defaults.py: interval_max              V
    client.proxy.retry.jitter        none     celery:app/defaults.py                            V
    client.proxy.retry.max_attempts  4        celery:app/defaults.py: max_retries 3             V
    broker.publish_delay             660 us   LPUSH, 50 clients, p50                            M
    broker.delivery_delay            1 ms     overhead per message 0.5-1.2 ms                   M

    With a memory, publishing is refused once more than that is used, and so is receiving: a worker's bookkeeping fails,
    it exits, and cannot come back before memory is freed (M).
    Left out: the loss between BRPOP and the bookkeeping; the second that ETAs are rounded to; a killed process whose
    node lives, which acknowledges even late (here its message comes back); that a sender gives up once it could not
    publish (here a ``max_retries`` holds for that, too); rate limits of tasks, beat (see ``Cron``). A
    caller that begins a canvas itself is a task here.
    """
    given = Work(**work)
    broker = Broker(
        ack="late" if late else "early", visibility_timeout=visibility, sweep=sweep, disconnect="never",
        acked_by="any", delays_held_by="workers", retries="message", durability=durability(appendfsync),
        watermark=maxmemory(given, receive=True), publish_delay="660 us", delivery_delay="1 ms",
    )  # fmt: skip
    client = sender(max_retries, countdown)
    whole = given.behind(broker, "Celery on Redis", prefetch=multiplier or "unlimited", client=client)
    return timed(whole, time_limit)


def celery_rabbitmq(
    late: bool = False, multiplier: int = 4, confirm: Any = "never", max_retries: int = 0, countdown: Any = "180 s",
    time_limit: Any = None, **work: Any,
) -> Scenario:  # fmt: skip
    """Celery on RabbitMQ, a classic queue: what a node held comes back as soon as its connection closes.

    late, multiplier, max_retries, countdown, time_limit  as of ``celery_redis``
    confirm  time from acceptance to the publisher confirm [s]; never, the default: no confirms
    work     see ``Work``; length is ``max-length``, memory that of the machine. A result back-end that does not count,
             as RabbitMQ's, is asked every second whether the header of a chord is done (result_chord_retry_interval, V;
             by a task, celery.chord_unlock, whose own work is left out)

    field                            default  source                                            known
    broker.ack                       early    celery:app/defaults.py: task_acks_late            V
    workers.prefetch                 4        celery:app/defaults.py: prefetch_multiplier       V
    broker.visibility_timeout        30 min   rmq-web:consumers: consumer_timeout               V
    broker.sweep                     1 min    rmq-web:consumers                                 V
    broker.position                  front    rmq-web:confirms                                  V
    broker.disconnect                0 s      celery docs: as the connection closes             V
    broker.delays_held_by            workers  celery:worker/strategy.py                         V
    broker.on_error                  ack      celery:app/defaults.py: acks_on_failure           V
    broker.retries                   message  celery:app/task.py                                V
    client.retry                     -        celery:app/autoretry.py: autoretry_for ()         V
    workers.time_limit               -        celery:app/defaults.py: task_time_limit           V
    broker.max_deliveries            -        rmq-web:quorum-queues: none for classic           V
    broker.confirm                   never    confirm_publish is off                            R
    broker.durability.fsync          200 ms   celery:app/defaults.py: delivery mode 2           V
    queue.overflow                   reject   see below                                         A
    queue.capacity                   -        celery docs: none                                 V
    client.proxy.retry.kind          linear   celery:app/defaults.py: publish_retry_policy      V
    client.proxy.retry.base          0 s      celery:app/defaults.py: interval_start            V
    client.proxy.retry.step          200 ms   celery:app/defaults.py: interval_step             V
    client.proxy.retry.cap           1 s      celery:app/defaults.py: interval_max              V
    client.proxy.retry.jitter        none     celery:app/defaults.py                            V
    client.proxy.retry.max_attempts  4        celery:app/defaults.py: max_retries 3             V
    broker.publish_delay             1 ms     half an ack round trip of 1.5-2.2 ms              M
    broker.delivery_delay            1 ms     overhead per message 0.5-1.2 ms                   M

    A ``max-length`` is a policy of the broker, here with reject-publish. With a memory, an alarm as of
    ``rabbitmq_classic``. A publisher without confirms does not hear of a refusal, and so does not publish again.
    Left out: quorum queues' native delays; and as in ``celery_redis`` and ``rabbitmq_classic``.
    """
    given = Work(**work)
    broker = Broker(
        ack="late" if late else "early", visibility_timeout="30 min", sweep="1 min", delays_held_by="workers",
        retries="message", confirm=confirm, durability=Durability(fsync=FLUSH), watermark=alarm(given),
        publish_delay="1 ms", delivery_delay="1 ms",
    )  # fmt: skip
    client = sender(max_retries, countdown)
    prefetch = multiplier or "unlimited"
    whole = given.behind(broker, "Celery on RabbitMQ", prefetch=prefetch, client=client, looks="1 s")
    return timed(whole, time_limit)
