"""Amazon SQS: standard and FIFO queues, polled; what is not deleted in time is delivered again.

Every default of the system is a line of its function's table: the field, its value ("-": none), where that is from, and
how sure it is: V read in the documentation, R remembered, A an assumption: it is the application's choice, or not
published. SQS was not measured.
"""

from __future__ import annotations

from typing import Any

from backwater.components.admission import RateLimit
from backwater.components.broker import Broker, Polling
from backwater.components.queue import Queue
from backwater.distributions import LogNormal
from backwater.models.work import RUN as RUN
from backwater.models.work import Work
from backwater.scenario import Scenario
from backwater.units import parse

ROUND_TRIP = "16 ms"  # of a call, and so the pause of a loop that asks again at once


def trip() -> LogNormal:
    """The time of a call [s]."""
    # Not a constant: making a law compiles its rule, and importing models must not.
    return LogNormal(p50=ROUND_TRIP, p95="50 ms")


def polling(wait: Any, batch: int, misses: float) -> Polling:
    """A loop that asks again as soon as an answer is there."""
    return Polling(every=0.0 if parse(wait, "time") > 0 else ROUND_TRIP, wait=wait, batch=batch, misses=misses)


def sqs_standard(
    visibility: Any = "30 s", wait: Any = "0 s", batch: int = 1, max_receive: int | None = None,
    duplicates: Any = 1e-5, misses: float = 0.0, **work: Any,
) -> Scenario:  # fmt: skip
    """A standard queue of SQS: at least once, in about the order in which messages came.

    visibility   VisibilityTimeout: how long a message that was received is hidden [s]
    wait         WaitTimeSeconds: how long a question waits for a message [s]: 20 s for long polling; 0 for short
    batch        MaxNumberOfMessages of a question, at most 10
    max_receive  maxReceiveCount of a redrive policy (10 where there is one); no dead-letter queue unless given
    duplicates   share of the deleted messages that come once more: not published, an assumption
    misses       share of short polls that find nothing although messages are there: not published
    work         see ``Work``; length and memory change nothing: SQS has no such limits

    field                      default  source                                         known
    broker.ack                 late     sqs-model: DeleteMessage                       V
    broker.visibility_timeout  30 s     sqs-model: VisibilityTimeout                   V
    broker.disconnect          never    sqs-model: HTTP calls                          V
    broker.position            front    best-effort order: about its old place         A
    broker.on_error            expire   a consumer that fails does not delete          A
    broker.max_deliveries      -        sqs-model: no redrive policy                   V
    broker.duplicates          1e-5     not published                                  A
    broker.retention           4 days   sqs-model: MessageRetentionPeriod              V
    broker.poll.wait           0 s      sqs-model: ReceiveMessageWaitTimeSeconds       V
    broker.poll.every          16 ms    a loop without a pause, by the round trip      A
    broker.poll.batch          1        sqs-model: MaxNumberOfMessages                 V
    broker.poll.misses         0        not published; sqs-dg says only that it can    A
    queue.capacity             -        sqs-model: no limit                            V
    broker.publish_delay.p50   16 ms    AWS, 2012, of 1 kB (secondary)                 V
    broker.publish_delay.p95   50 ms    mqperf 2020: at most 50 ms                     V
    broker.delivery_delay.p50  16 ms    as a send                                      A
    broker.delivery_delay.p95  50 ms    as a send; end to end 90-113 ms in mqperf      A

    Left out: 120,000 messages in flight at most; a batch of sends; that a message is moved to the dead letters by the
    receive after the last one (here where it would be seen again, or as its last consumer fails).
    """
    given = Work(**work)
    broker = Broker(
        ack="late", visibility_timeout=visibility, disconnect="never", on_error="expire", max_deliveries=max_receive,
        duplicates=duplicates, retention="4 days", poll=polling(wait, batch, misses),
        publish_delay=trip(), delivery_delay=trip(),
    )  # fmt: skip
    return given.behind(broker, "SQS, standard queue", queue=Queue())


def sqs_fifo(
    visibility: Any = "30 s", wait: Any = "0 s", batch: int = 1, max_receive: int | None = None, groups: int = 100,
    rate_limit: Any = "300/s", **work: Any,
) -> Scenario:  # fmt: skip
    """A FIFO queue of SQS: of a message group one at a time, in order; no duplicates of its own.

    visibility, wait, batch, max_receive  as of ``sqs_standard``
    groups      message groups, to which jobs belong by chance
    rate_limit  sends that are let in [1/s]; the others get a 503 (ThrottlingException); None for high throughput
    work        see ``Work``; length and memory change nothing: SQS has no such limits

    field                      default       source                                         known
    broker.ack                 late          sqs-model: DeleteMessage                       V
    broker.visibility_timeout  30 s          sqs-model: VisibilityTimeout                   V
    broker.disconnect          never         sqs-model: HTTP calls                          V
    broker.position            front         sqs-dg: order within a group                   V
    broker.groups              100           the application's choice                       A
    broker.on_error            expire        a consumer that fails does not delete          A
    broker.max_deliveries      -             sqs-model: no redrive policy                   V
    broker.duplicates          0             sqs-model: deduplicated for 5 min              V
    broker.retention           4 days        sqs-model: MessageRetentionPeriod              V
    broker.poll.wait           0 s           sqs-model: ReceiveMessageWaitTimeSeconds       V
    broker.poll.every          16 ms         a loop without a pause, by the round trip      A
    broker.poll.batch          1             sqs-model: MaxNumberOfMessages                 V
    queue.capacity             -             sqs-model: no limit                            V
    queue.admission.kind       token_bucket  how calls are counted is not published         A
    queue.admission.rate       300/s         sqs-dg: quotas, calls per action               V
    queue.admission.burst      300           a second's worth                               A
    broker.publish_delay.p50   16 ms         AWS, 2012, of 1 kB (secondary)                 V
    broker.publish_delay.p95   50 ms         mqperf 2020: at most 50 ms, standard queues    V
    broker.delivery_delay.p50  16 ms         as a send                                      A
    broker.delivery_delay.p95  50 ms         as a send                                      A

    Left out: the same limit of receives and deletes; that a sender who repeats a send within 5 min is deduplicated;
    several messages of one group in one batch; 120,000 messages in flight at most; and as in ``sqs_standard``.
    """
    given = Work(**work)
    broker = Broker(
        ack="late", visibility_timeout=visibility, disconnect="never", on_error="expire", max_deliveries=max_receive,
        groups=groups, retention="4 days", poll=polling(wait, batch, 0.0), publish_delay=trip(), delivery_delay=trip(),
    )  # fmt: skip
    limit = None if rate_limit is None else RateLimit(rate=rate_limit, burst=max(parse(rate_limit, "rate"), 1.0))
    return given.behind(broker, "SQS, FIFO queue", queue=Queue(admission=limit))
