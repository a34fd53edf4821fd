"""HTTP front ends with their limits: what each does with one request too many.

| front end | limit (its default) | waiting room | one too many | hint |
|---|---|---|---|---|
| ``envoy_proxy`` | ``max_connections`` (1024) | ``max_pending_requests`` (1024) | 503 at once | none |
| ``haproxy`` | server ``maxconn`` (none) | ``maxqueue`` (endless) | 503 after ``timeout queue`` | none |
| ``nginx_limit_req`` | ``rate`` | ``burst`` (0) | 503 at once | none |
| ``gunicorn`` | ``workers`` x ``threads`` (1 x 1) | the kernel's backlog (2048) | no answer: the SYN is dropped | - |
| ``uvicorn`` | ``limit_concurrency`` (none) | none | 503 at once | none |
| ``knative`` | ``containerConcurrency`` (0: none) | ten times as many | 503 at once | none |

No hint: none of them sends a Retry-After of its own accord. Where a default is "none" it bounds nothing, answers no
503, and there is nothing to see; the default here is then a number that people set. nginx without ``limit_req`` has no
queue, and answers 502 when all servers are at ``max_conns``; nginx Plus and Angie, whose ``queue`` has one, answer 502,
too. Envoy's local rate limit answers 429. For a client that is the same refusal: it is ``rejection_ratio`` in all.

Sources: envoy, circuit_breaker.proto; haproxy 2.6, configuration.txt; nginx.org, ngx_http_limit_req_module and its
code; gunicorn 27.0 and uvicorn 0.54, config.py and h11_impl.py; knative/serving, pkg/queue/breaker.go. The load of
each model, and how long the work behind it takes, are chosen here: enough to meet the limit.
"""

from __future__ import annotations

from typing import Any

from backwater.components.admission import CoDel, RateLimit
from backwater.components.arrivals import Bursts
from backwater.components.client import Client, Proxy, Retry
from backwater.components.queue import Queue
from backwater.components.workers import Workers
from backwater.distributions import LogNormal
from backwater.errors import check
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.units import parse

RUN = Run(horizon="2 min", warmup="30 s", replications=10)
NAMES = ("envoy_proxy", "haproxy", "nginx_limit_req", "gunicorn", "uvicorn", "knative")
SYNS = 7  # that a Linux client sends before it gives up: tcp_syn_retries = 6, after 1, 3, 7, 15, 31 and 63 s


def envoy_proxy(
    max_connections: int = 1024, max_pending_requests: int = 1024, timeout: Any = "15 s", service: Any = None
) -> Scenario:
    """Envoy before a cluster, with the default circuit breakers: the 1025th that waits for a connection gets the 503.

    max_connections       to the cluster, of HTTP/1.1: requests under way
    max_pending_requests  requests that may wait for a connection
    timeout               of the route: then the client gets a 504, and what is under way is reset [s]
    service               of the cluster [s]

    Source: circuit_breaker.proto and the router's documentation. Left out: with HTTP/2 the limit is ``max_requests``
    (1024) and nobody waits, which is ``queue.capacity = 0``; a request counts as pending while its connection is being
    made; limits are per worker thread for a moment. Envoy does not retry unless told: ``client = "envoy"`` does.
    """
    return Scenario(
        name="Envoy before a cluster",
        arrivals=Bursts(base="1500/s", peak="4500/s", every="30 s", length="2 s"),
        client=Client(total_timeout=timeout, on_timeout="cancel"),
        queue=Queue(capacity=max_pending_requests),
        workers=Workers(count=max_connections, service=service or LogNormal(mean="500 ms", cv=1.0)),
    )


def haproxy(maxconn: int = 100, timeout_queue: Any = "5 s", maxqueue: int = 0, service: Any = None) -> Scenario:
    """HAProxy before servers with a maxconn: the queue is endless, and who waits for too long gets the 503.

    maxconn        connections to the servers, in all; by default there is no limit and so no queue
    timeout_queue  longest time in the queue; by default that of ``timeout connect`` [s]
    maxqueue       requests that may wait; 0 for no limit, the default
    service        of the servers [s]

    Source: haproxy 2.6, configuration.txt; that a full queue of the only server is a 503 at once is remembered. Here
    the 503 comes when the request's turn would have come, there at the end of its patience: who is served is the same,
    who is refused hears of it later. Left out: queues of several servers and redispatch between them, ``timeout
    server`` (504), retries of connections.
    """
    patience = CoDel(variant="facebook", target=timeout_queue, interval=timeout_queue)
    return Scenario(
        name="HAProxy before servers with a maxconn",
        arrivals=Bursts(base="300/s", peak="1000/s", every="60 s", length="5 s"),
        queue=Queue(capacity=maxqueue or None, admission=patience),
        workers=Workers(count=maxconn, service=service or LogNormal(mean="200 ms", cv=1.0)),
    )


def nginx_limit_req(rate: Any = "100/s", burst: int = 20, nodelay: bool = False, service: Any = None) -> Scenario:
    """nginx with limit_req: what is above the rate is delayed to it, up to a burst, and the rest gets the 503.

    rate     of one key (an address, or all): 10/s is one per 100 ms
    burst    requests above it that are let in
    nodelay  they pass at once; their places fill up again at the rate
    service  of what is behind, of ``nodelay`` only [s]

    Source: ngx_http_limit_req_module. Its leaky bucket is, without ``nodelay``, a queue of ``burst`` places before one
    worker that takes 1/rate: a request passes nginx as its service starts, so ``wait_*`` is the delay, and what is
    behind is not seen; with it, a token bucket of ``burst`` + 1. Left out: ``delay=N``, whole milliseconds, a zone that
    is full, many keys.
    """
    per_second = parse(rate, "rate")
    check(per_second > 0, "rate", rate, "must be above 0")
    bucket = RateLimit(rate=per_second, burst=burst + 1) if nodelay else None
    behind = Workers(count=1000, service=service or LogNormal(mean="50 ms", cv=1.0))
    return Scenario(
        name="nginx with limit_req",
        arrivals=Bursts(base=0.7 * per_second, peak=3 * per_second, every="20 s", length="1 s"),
        queue=Queue(admission=bucket) if nodelay else Queue(capacity=burst),
        workers=behind if nodelay else Workers(service=1 / per_second),
    )


def gunicorn(
    workers: int = 4, threads: int = 1, backlog: int = 2048, somaxconn: int = 4096, patience: Any = "30 s",
    service: Any = None,
) -> Scenario:  # fmt: skip
    """gunicorn with sync workers: it never answers 503; what its backlog does not hold, the kernel drops.

    workers, threads  requests under way: their product; 1 and 1 by default, twice the cores and one are advised
    backlog           connections that wait in the kernel
    somaxconn         the kernel's own bound on that (4096 from Linux 5.4 on, 128 before)
    patience          of the client [s]
    service           of a request [s]

    Source: gunicorn 27.0, config.py; the kernel's part is remembered. A dropped SYN is sent again after 1, 3, 7, 15, 31
    and 63 s, without the client's knowledge: ``rejection_ratio`` is that of SYNs, nobody sees a 503, and latencies show
    the whole seconds. A sync worker does not learn that a client has left: it serves the backlog, wanted or not. Left
    out: that a worker is killed after ``timeout`` (30 s) in one request, which is then lost; the one connection by
    which Linux exceeds a backlog.
    """
    again = Retry(base="1 s", factor=2.0, jitter="none", max_attempts=SYNS)
    return Scenario(
        name="gunicorn with sync workers",
        arrivals=Bursts(base="25/s", peak="400/s", every="60 s", length="10 s"),
        client=Client(total_timeout=patience, proxy=Proxy(retry=again)),
        queue=Queue(capacity=min(backlog, somaxconn)),
        workers=Workers(count=workers * threads, service=service or LogNormal(mean="100 ms", cv=1.0)),
    )


def uvicorn(limit_concurrency: int = 100, service: Any = None) -> Scenario:
    """uvicorn with limit_concurrency: of N, N - 1 can be used, and the rest get the 503 at once.

    limit_concurrency  connections from which on a request gets the 503; none by default
    service            of a handler that waits for others, not for the processor [s]

    Source: uvicorn 0.54, h11_impl.py: a request is refused where ``len(connections) >= N``, its own included. Here each
    connection carries one request. Left out: idle connections that are kept alive count too, and while N are open every
    request on any of them is refused; handlers that compute share one thread, and each slows all others.
    """
    check(limit_concurrency >= 2, "limit_concurrency", limit_concurrency, "must be at least 2: one less can be used")
    return Scenario(
        name="uvicorn with limit_concurrency",
        arrivals=Bursts(base="200/s", peak="600/s", every="20 s", length="2 s"),
        queue=Queue(capacity=0),
        workers=Workers(count=limit_concurrency - 1, service=service or LogNormal(mean="250 ms", cv=1.0)),
    )


def knative(container_concurrency: int = 10, timeout: Any = "300 s", service: Any = None) -> Scenario:
    """A pod of Knative: its queue-proxy holds ten requests for each that is under way, and then answers 503.

    container_concurrency  requests under way; 0, the default, bounds nothing, and cannot be given here
    timeout                of the revision: what still waits then gets a 503, too [s]
    service                of a request [s]

    Source: knative/serving, pkg/queue/breaker.go (slots: 11 x containerConcurrency) and defaults.yaml. Left out: the
    activator before it (10 000 places), other pods, and the autoscaler, which is what one looks at next.
    """
    must = "must be at least 1: Knative's 0 bounds nothing"
    check(container_concurrency >= 1, "container_concurrency", container_concurrency, must)
    return Scenario(
        name="A pod of Knative",
        arrivals=Bursts(base="35/s", peak="150/s", every="30 s", length="3 s"),
        client=Client(total_timeout=timeout, on_timeout="cancel"),
        queue=Queue(capacity=10 * container_concurrency),
        workers=Workers(count=container_concurrency, service=service or LogNormal(mean="200 ms", cv=1.0)),
    )
