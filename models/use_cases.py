"""What people put on a queue, and what they should not: ready-made systems, each with when it fits.

Numbers whose origin is not given are chosen here, of the order that such systems have; change them. Brokers are plain
ones with the promise that the use case needs (``redis_list`` and its like are the real ones): a job is acknowledged
once it is done, so that a crash repeats it and loses none; publishing takes 2 ms, delivery 1 ms, of the order that was
measured for Redis and RabbitMQ on one machine (``async_queue`` has others').
"""

from __future__ import annotations

from typing import Any

from backwater.components.admission import RateLimit
from backwater.components.arrivals import Bursts, Poisson, Sources
from backwater.components.broker import Broker
from backwater.components.client import Client, Retry
from backwater.components.cron import Cron
from backwater.components.faults import Fault
from backwater.components.jobs import Job
from backwater.components.notify import Poll
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.components.workflow import Then
from backwater.distributions import Constant, LogNormal, Mixture
from backwater.errors import check
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.units import parse

RUNS = {
    "email_notifications": Run(horizon="30 min", replications=10),
    "media_processing": Run(horizon="6 h", warmup="1 h", replications=10),
    "analytics": Run(horizon="2 h", warmup="5 min", replications=10, sample="1 min"),
    "batch_processing": Run(horizon="1 h", replications=10),
    "long_computation": Run(horizon="36 h", replications=20),
    "third_party_api": Run(horizon="12 min", warmup="2 min", replications=10, sample="1 s"),
    "report_generation": Run(horizon="9 h", warmup="1 h", replications=10),
    "post_fan_out": Run(horizon="20 min", warmup="1 min", replications=10),
}
LATER = Client(mode="async")
PUBLISH, DELIVERY = "2 ms", "1 ms"


def _broker(**parts: Any) -> Broker:
    return Broker(**{"publish_delay": PUBLISH, "delivery_delay": DELIVERY, **parts})


def email_notifications(workers: int = 16, apart: bool = True, failing: Any = "2 %") -> Scenario:
    """E-mail notifications: the caller goes on after some milliseconds, and campaigns must not hold up password mails.

    workers  each sending one mail at a time
    apart    whether mails that somebody waits for go before newsletters
    failing  share of the sends that the provider refuses for now [1]

    A send takes 200 ms (of the order of one call of a provider's API). What it refuses comes back after 30 s, five
    times at most, then to the dead letters, where somebody looks at it. Every ten minutes a newsletter goes out to
    6,000 (chosen here), more than the workers send in a minute.

    It fits: nobody waits for the answer, a late mail is a mail, a provider that is slow or down for minutes is
    outlasted, and a crash between sending and acknowledging sends twice, which readers forgive. It does not fit where
    the user looks at the inbox meanwhile (a login code) behind a queue that bulk shares: give those a queue or a
    priority of their own, as here; without it (``apart = False``) they wait for the newsletter.
    """
    urgent, bulk = (0, 1) if apart else (0, 0)
    return Scenario(
        name="E-mail notifications",
        arrivals=Sources(sources={
            "web": Poisson(rate="20/s", jobs=("notice",)),
            "campaign": Cron(expression="*/10 * * * *", count=6000, start="2024-01-01 00:09:00", jobs=("newsletter",)),
        }),
        jobs={"notice": Job(priority=urgent, deadline="30 s"), "newsletter": Job(priority=bulk)},
        client=LATER,
        queue=Queue(discipline="priority"),
        workers=Workers(count=workers, nodes=min(2, workers), service=LogNormal(mean="200 ms", cv=1.0)),
        broker=_broker(on_error="return", return_delay="30 s", max_deliveries=5, position="back"),
        faults=(Fault(kind="errors", share=failing),),
    )  # fmt: skip


def media_processing(workers: int = 16, prefetch: int = 1, visibility: Any = "1 h") -> Scenario:
    """Image and video processing: short and very long jobs on one queue, whose messages must outlast the longest.

    workers     four nodes of them
    prefetch    messages that a node holds per worker
    visibility  time after which a message that was not acknowledged is handed out again [s]

    A message names the upload; the bytes lie in a store of their own. 95 % are images of 0.8 s, 5 % videos of 2 min,
    with a long tail (cv 1.5). Chosen here; measure yours, the tail of the videos above all.

    It fits: far too slow for a request, worth a try again, bought by the worker. It does not fit with the defaults of
    brokers: a prefetch of 4 lets images wait at a node behind a video while other nodes rest; a visibility timeout of
    30 s (that of SQS) hands every video out again and again while it is being made. Where images must be fast, give
    videos workers of their own: nothing takes a worker back from a video.
    """
    return Scenario(
        name="Image and video processing",
        arrivals=Poisson(rate="1.2/s"),
        jobs={
            "image": Job(share=95, service=LogNormal(mean="800 ms", cv=1.0)),
            "video": Job(share=5, service=LogNormal(mean="2 min", cv=1.5)),
        },
        client=LATER,
        workers=Workers(count=workers, nodes=min(4, workers), prefetch=prefetch),
        broker=_broker(visibility_timeout=visibility),
    )


def analytics(every: int = 5, reports: int = 40, views: Any = "1/s", in_advance: bool = True) -> Scenario:
    """Periodic aggregation done in advance on a schedule, against one per view of a dashboard.

    every       minutes between two turns: a divisor of 60
    reports     aggregates that are made at each turn
    views       of dashboards, which cost nothing but a read if made in advance [1/s]
    in_advance  whether aggregates are made by the clock, or when somebody looks

    An aggregate takes four workers 20 s (cv 0.8) each: by the clock 800 s of work per 5 min, load 0.67, however many
    look. When looked at, every view is work: at 1/s five times what the workers can do.

    It fits: many look at the same numbers, and numbers of some minutes ago will do: what is seen is as old as the last
    turn's end, at worst ``every`` and the time of a turn. It does not fit where few look or each asks something else:
    then most of what is made nobody sees. A turn that takes longer than ``every`` is not skipped by the clock: the
    queue grows for ever (``every = 1``).
    """
    ok = 1 <= every <= 60 and 60 % every == 0
    check(ok, "every", every, "must be a number of minutes that divides 60")
    clock = Cron(expression=f"*/{every} * * * *" if every < 60 else "0 * * * *", count=reports)
    return Scenario(
        name="Periodic aggregation",
        arrivals=clock if in_advance else Poisson(rate=views),
        client=LATER,
        workers=Workers(count=4, service=LogNormal(mean="20 s", cv=0.8)),
        broker=_broker(),
    )


def batch_processing(records: int = 200_000, chunk: int = 100, crash: bool = True) -> Scenario:
    """A nightly batch in chunks: small ones pay per message, large ones are lost in large pieces and end one by one.

    records  of the night, all there at 02:00
    chunk    records to a message
    crash    whether one of the four nodes dies five minutes after, for five

    A record takes 100 ms (cv 1), of a chunk their sum; fetching and acknowledging a message takes 20 ms besides, of the
    order of one call of a hosted queue. 32 workers, so ten and a half minutes if nothing is lost on the way.

    It fits: nobody waits, only the end of all counts (``latency_max``), and what a crash interrupted is done again,
    chunk by chunk, which needs records that may be done twice. It does not fit where records depend on each other's
    results, or the night is too short: a queue adds no worker.
    """
    check(1 <= chunk <= records, "chunk", chunk, f"must be from 1 to the number of records, {records:,}")
    parts = -(-records // chunk)
    dies = Fault(kind="workers_crash", share="1/4", start="6 min", duration="5 min")
    return Scenario(
        name="A nightly batch",
        arrivals=Cron(expression="0 2 * * *", count=parts, start="2024-01-01 01:59:00"),
        client=LATER,
        workers=Workers(count=32, nodes=4, service=LogNormal(mean=0.1 * chunk, cv=chunk**-0.5)),
        broker=_broker(delivery_delay="20 ms"),
        faults=(dies,) if crash else (),
    )


def long_computation(workers: int = 8, visibility: Any = "12 h", crashes: bool = True) -> Scenario:
    """Long-running computations: hours of work per message, and a broker that must not lose patience.

    workers     a node each
    visibility  time after which a message that was not acknowledged is handed out again [s]
    crashes     whether a quarter of the nodes die, at 6 h, for ten minutes

    An hour on average (cv 0.7), four an hour, results asked for once a minute. Twelve hours are the most that SQS
    hides a message; RabbitMQ closes a channel after 30 min without acknowledgement, Celery on Redis hands out again
    after an hour, by default.

    It fits: the caller is away by then, and a queue keeps the workers busy without an appointment. It does not fit as
    one message where hours of work cannot be lost: acknowledged late, a crash costs all that was done; acknowledged
    early, the job itself. Cut it into steps of minutes that keep their results, or keep checkpoints.
    """
    dies = Fault(kind="workers_crash", share="1/4", start="6 h", duration="10 min")
    return Scenario(
        name="Long-running computations",
        arrivals=Poisson(rate=4 / 3600),
        client=Client(mode="async", notify=Poll(every="1 min")),
        workers=Workers(count=workers, nodes=workers, service=LogNormal(mean="1 h", cv=0.7)),
        broker=_broker(visibility_timeout=visibility),
        faults=(dies,) if crashes else (),
    )


def third_party_api(limit: Any = "10/s", workers: int = 5, queued: bool = True) -> Scenario:
    """Calls of a third party's API under its rate limit: paced from a queue, or sent at once and refused.

    limit    calls that the third party allows [1/s]
    workers  that share it
    queued   whether calls wait in a queue; else each is made at once, and a 429 is tried again

    From the queue, each of n workers begins a call every n/limit at most, so that no more than ``limit`` begin in a
    second, whatever comes; a call must then be over within n/limit (0.5 s here; more workers for slower calls). Calls
    come at 5/s, and at 25/s for 20 s of every two minutes. Sent at once, they meet the third party's token bucket with
    a burst of a second, and clients try five times, with full jitter from 500 ms on.

    It fits: the result may come some minutes late, and every 429 costs (an account that is blocked, a bill). It does
    not fit where a person waits for the call. A rate limit of Celery's holds per worker, not for all: n workers with
    ``rate_limit = limit`` are n times too fast.
    """
    per_second = parse(limit, "rate")
    check(per_second > 0, "limit", limit, "must be above 0")
    call = LogNormal(mean="200 ms", cv=0.5)
    again = Retry(base="500 ms", cap="30 s", max_attempts=5)
    return Scenario(
        name="Calls of a third party's API",
        arrivals=Bursts(base="5/s", peak="25/s", every="2 min", length="20 s"),
        client=LATER if queued else Client(retry=again),
        queue=Queue() if queued else Queue(admission=RateLimit(rate=per_second, burst=max(per_second, 1.0))),
        workers=Workers(count=workers, service=Constant(value=workers / per_second)) if queued
        else Workers(count=1000, service=call),
        broker=_broker() if queued else None,
    )  # fmt: skip


def report_generation(workers: int = 8, queued: bool = True, asks: Any = "5 s") -> Scenario:
    """Reports on request: 45 s of work, within the request or behind a page that asks whether it is ready.

    workers  that make one report at a time
    queued   whether the request only puts it on a queue
    asks     how often the page asks for it [s]

    Three a minute, and twelve in ten minutes of each hour (everybody's Monday). A report takes 45 s (cv 1). Within the
    request the gateway gives up after 60 s (the default of nginx and of AWS's load balancers), the user presses again,
    twice, and the report that nobody waits for is made all the same: of the first busy hour it never recovers.

    It fits: nobody holds a connection for a minute, the page asks, and the busy hour only makes it later. Half of
    ``asks`` is added to each report on average. It does not fit for a report of a second: then asking is what takes
    longest.
    """
    within = Client(attempt_timeout="60 s", retry=Retry(base="2 s", jitter="equal", max_attempts=3))
    return Scenario(
        name="Reports on request",
        arrivals=Bursts(base=3 / 60, peak=12 / 60, every="1 h", length="10 min"),
        jobs={"report": Job(deadline="5 min")},
        client=Client(mode="async", notify=Poll(every=asks)) if queued else within,
        workers=Workers(count=workers, service=LogNormal(mean="45 s", cv=1.0)),
        broker=_broker() if queued else None,
    )


def post_fan_out(workers: int = 4, alpha: float = 1.2, apart: bool = True, chunk: int = 100) -> Scenario:
    """A post that is shown at once and then fanned out to its followers: few, or hundreds of thousands.

    workers  that write to followers' timelines
    alpha    of the tail of the number of followers: P(more than n) falls as n^-alpha; chosen here
    apart    whether posts to many wait for posts to few
    chunk    followers to a message

    A post is on its author's page as soon as it is accepted (``blocked_*[few]``: visible-at). A worker then looks its
    followers up, 2 ms, and sends a message for each ``chunk`` of them, which writes to their timelines, 10 ms (cv 0.5):
    ``latency_*[to_few]`` is one chunk's, ``workflow_*[few]`` is delivered-to-all. 60 posts a second make a load of
    0.59. Followers are 2^k chunks, k from 0 to 13, in shares that fall as a Pareto's. What is not modelled: that
    timelines of those who never look need not be written.

    It fits: the author sees the post, and nobody knows when it should have come. It does not fit for authors whom
    hundreds of thousands follow: one post keeps all workers busy for twenty seconds, and the others' wait (``apart =
    False``); let readers fetch such posts instead.
    """
    check(0 < alpha <= 10, "alpha", alpha, "must be above 0 and at most 10")
    many = 64  # chunks from which on a post waits for the others
    shares = {2**k: 2.0 ** (-alpha * k) for k in range(14)}
    few = {size: share for size, share in shares.items() if size < many}
    rest = {size: share for size, share in shares.items() if size >= many}
    posts, part = 60.0, sum(few.values()) / sum(shares.values())
    looked_up, written = "2 ms", LogNormal(mean=0.0001 * chunk, cv=0.5)
    return Scenario(
        name="Posts fanned out to followers",
        arrivals=Sources(sources={
            "to few": Poisson(rate=posts * part, jobs=("few",)),
            "to many": Poisson(rate=posts * (1 - part), jobs=("many",)),
        }),
        jobs={
            "few": Job(service=looked_up, then=Then(send={"to_few": _either(few)})),
            "many": Job(service=looked_up, then=Then(send={"to_many": _either(rest)})),
            "to_few": Job(),
            "to_many": Job(priority=1 if apart else 0),
        },
        client=LATER,
        queue=Queue(discipline="priority"),
        workers=Workers(count=workers, nodes=min(2, workers), service=written),
        broker=_broker(),
    )  # fmt: skip


def _either(shares: dict[int, float]) -> Mixture:
    """Either of these numbers, by their shares."""
    return Mixture(parts=[{"share": share, "law": size} for size, share in shares.items()])
