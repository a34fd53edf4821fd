"""Ready-made clients: how well-known libraries, proxies and budgets try again, each with its source.

A scenario's file names one, ``client = "aws_standard"``, or begins from it, ``client = { preset = "aws_standard",
attempt_timeout = "2 s" }``; in Python ``bw.Client(preset="aws_standard", attempt_timeout="2 s")`` or the function here.
Their numbers stand in ``backwater.components.presets``. Below, n is the number of the retry (1, 2, ...), U is uniform
in (0, 1), and a 503 is what libraries call transient. They have no timeouts where their policy has none: what a
library's sockets allow (60 s with AWS) is not how it tries again. A budget is shared by all clients of one source, as
by all threads that use one client object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backwater.components.client import Client
from backwater.components.presets import PRESETS


def _ready_made(name: str, changes: dict[str, Any]) -> Client:
    return Client(**{"preset": name, **changes})


def aws_legacy(**changes: Any) -> Client:
    """AWS SDKs, legacy mode: 5 attempts, U * 2^(n-1) s, no cap, no quota.

    Source: botocore 1.34 and 1.44, data/_retry.json and retryhandler.py.
    """
    return _ready_made("aws_legacy", changes)


def aws_legacy_dynamodb(**changes: Any) -> Client:
    """AWS SDKs, legacy mode, DynamoDB: 10 attempts, 50 ms * 2^(n-1) without jitter.

    Source: botocore, data/_retry.json.
    """
    return _ready_made("aws_legacy_dynamodb", changes)


def aws_standard(**changes: Any) -> Client:
    """AWS SDKs, standard mode until 2026: 3 attempts, U * 2^(n-1) s up to 20 s, a quota of 500 tokens.

    A retry costs 5, after a timeout 10; a success after a retry puts back its cost, one without puts back 1.
    Source: botocore 1.34, retries/standard.py and quota.py. There the cap cuts U * 2^(n-1), here 2^(n-1): the same for
    up to five retries.
    """
    return _ready_made("aws_standard", changes)


def aws_adaptive(**changes: Any) -> Client:
    """AWS SDKs, adaptive mode: aws_standard, and from the first 503 on every attempt waits for a token.

    Tokens come at a rate that a 503 cuts to 0.7 of it and that then grows again as CUBIC does; see ``RateLimiter``. The
    generation of 2026 is ``{ preset = "aws_standard_2026", rate_limiter = {} }``. Which 503s throttle is the service's
    choice; here all do. Source: botocore 1.44.5, retries/adaptive.py.
    """
    return _ready_made("aws_adaptive", changes)


def aws_standard_js(**changes: Any) -> Client:
    """AWS SDK for JavaScript v3, standard mode until 2026: as aws_standard from a base of 100 ms.

    Where 503s mean throttling, its base is 500 ms: ``retry = { rejected_base = "500 ms" }``. Source: smithy-core.
    """
    return _ready_made("aws_standard_js", changes)


def aws_standard_2026(**changes: Any) -> Client:
    """AWS SDKs, standard mode from 2026 on: 3 attempts, U * min(50 ms * 2^(n-1), 20 s), a retry costs 14 of 500.

    DynamoDB: ``retry = { base = "25 ms", max_attempts = 4 }``. A hint ra (x-amz-retry-after) makes a pause t into
    max(t, min(ra, t + 5 s)). Source: botocore 1.44.5, retries/standard.py.
    """
    return _ready_made("aws_standard_2026", changes)


def aws_throttling_2026(**changes: Any) -> Client:
    """AWS SDKs, standard mode from 2026 on, of a service whose 503s say that it throttles (SlowDown, or a 429).

    After a 503 the base is 1 s and a retry costs 5; other failures are as in aws_standard_2026. Source: as there.
    """
    return _ready_made("aws_throttling_2026", changes)


def grpc(**changes: Any) -> Client:
    """gRPC with the example of its specification: 4 attempts, min(100 ms * 2^(n-1), 1 s) * U(0.8, 1.2), its throttle.

    A pushback (``queue.retry_after``) is waited for exactly, 0 too, and begins the backoff anew; a negative one, or one
    that cannot be read, is ``queue.retry_after = "never"``: no retry. gRPC does not retry unless configured, and never
    makes more than 5 attempts. Source: gRFC A6.
    """
    return _ready_made("grpc", changes)


def google(**changes: Any) -> Client:
    """Google's client libraries: U(0, min(60 s, 2^(n-1) s)) until 120 s have passed.

    Source: google-api-core 2.44, retry.
    """
    return _ready_made("google", changes)


def google_pubsub(**changes: Any) -> Client:
    """Google Pub/Sub, publishing: U(0, min(60 s, 0.1 s * 4^(n-1))) until 600 s have passed.

    Source: google-cloud-pubsub 2.44.
    """
    return _ready_made("google_pubsub", changes)


def envoy(**changes: Any) -> Client:
    """Clients behind Envoy, which tries once more after U * min((2^n - 1) * 25 ms, 250 ms), within 15 s.

    At most three retries are under way at a time. Source: envoy, backoff_strategy.cc, circuit_breaker.proto and the
    documentation of the router. Whole milliseconds there, any time here. Newer versions double the pause instead:
    ``proxy = { retry = { step = "0 s" } }``. With its retry_budget instead of max_retries: envoy_budget.
    """
    return _ready_made("envoy", changes)


def envoy_budget(**changes: Any) -> Client:
    """Clients behind Envoy with a retry_budget: as envoy, but retries may be 20 % of what is active, and three always.

    Active is what is pending or sent and not answered. The request that has just failed is not among it here; there it
    is until its answer has been passed on, so that one retry in five may come where none comes here. Source: envoy,
    circuit_breaker.proto (budget_percent 20, min_retry_concurrency 3) and resource_manager_impl.h.
    """
    return _ready_made("envoy_budget", changes)


def linkerd(**changes: Any) -> Client:
    """Clients behind Linkerd, which tries again at once, for 20 % of the requests of 10 s and 10 a second besides.

    Source: linkerd.io, as remembered.
    """
    return _ready_made("linkerd", changes)


def finagle(**changes: Any) -> Client:
    """Finagle's RetryBudget: tries again at once, for 20 % of the requests of 10 s and 10 a second besides.

    Source: twitter/finagle, RetryBudget.scala.
    """
    return _ready_made("finagle", changes)


def urllib3(**changes: Any) -> Client:
    """urllib3's Retry(10, backoff_factor=0.1, status_forcelist=[503]): at once, then min(120 s, 0.1 s * 2^(n-1)).

    ``backoff_jitter`` is a time that is added, ``retry = { jitter = "300 ms" }``. Retry-After is waited for exactly,
    up to 6 h, and 0 says nothing. Without a backoff_factor all pauses are 0. Source: urllib3 2.8, util/retry.py.
    """
    return _ready_made("urllib3", changes)


def tenacity_exponential(**changes: Any) -> Client:
    """tenacity's wait_exponential(multiplier=1, min=4, max=10): max(4 s, min(2^(n-1) s, 10 s)), for ever.

    Source: tenacity 9.2, wait.py; the numbers are those of its manual.
    """
    return _ready_made("tenacity_exponential", changes)


def tenacity_random_exponential(**changes: Any) -> Client:
    """tenacity's wait_random_exponential(multiplier=1, max=60): U(0, min(2^(n-1) s, 60 s)), for ever.

    With ``min``, as here with ``floor``, U(min, the same). Source: as tenacity_exponential.
    """
    return _ready_made("tenacity_random_exponential", changes)


def tenacity_exponential_jitter(**changes: Any) -> Client:
    """tenacity's wait_exponential_jitter(initial=1, max=60, jitter=1): min(2^(n-1) s + U(0, 1 s), 60 s), for ever.

    Source: as tenacity_exponential; its own ``max`` is without bound.
    """
    return _ready_made("tenacity_exponential_jitter", changes)


def polly_constant(**changes: Any) -> Client:
    """Polly v8, constant with jitter: 3 retries, 2 s * U(0.75, 1.25); its default is without jitter.

    Source: App-vNext/Polly, RetryHelper.cs.
    """
    return _ready_made("polly_constant", changes)


def polly_linear(**changes: Any) -> Client:
    """Polly v8, linear with jitter: 3 retries, n * 2 s * U(0.75, 1.25). Source: as polly_constant."""
    return _ready_made("polly_linear", changes)


def polly_exponential(**changes: Any) -> Client:
    """Polly v8, exponential with jitter, which is decorrelated jitter v2: 3 retries of base 2 s.

    With t = n - 1 + U, the pause is the growth of 2^t * tanh(sqrt(4 t)) since the last retry, times 2 s / 1.4.
    Source: as polly_constant.
    """
    return _ready_made("polly_exponential", changes)


def dotnet_resilience(**changes: Any) -> Client:
    """.NET's standard resilience handler: 30 s in all, polly_exponential, a breaker (10 % of 100 in 30 s), 10 s a try.

    Its limit of 1000 calls at a time is left out. Source: dotnet/extensions, Http.Resilience; numbers as remembered.
    """
    return _ready_made("dotnet_resilience", changes)


def celery_task(**changes: Any) -> Client:
    """A Celery task's retry: 3 times, 180 s each. Source: celery 5.7, app/task.py."""
    return _ready_made("celery_task", changes)


def celery_publish(**changes: Any) -> Client:
    """Celery sending a task: 3 retries after 0, 0.2 and 0.4 s. Source: celery 5.7 and kombu 5.7 (retry_over_time)."""
    return _ready_made("celery_publish", changes)


def sre(**changes: Any) -> Client:
    """Google SRE's budgets: at most 3 attempts, and retries at most 10 % of requests.

    Source: Beyer et al., "Site Reliability Engineering", ch. 21. The pause, U * min(100 ms * 2^(n-1), 10 s), is chosen
    here, of the kind that ch. 22 asks for.
    """
    return _ready_made("sre", changes)


def sre_throttled(**changes: Any) -> Client:
    """sre with adaptive throttling: unsent with probability max(0, (requests - 2 accepts) / (requests + 1)), 2 min.

    Source: as sre.
    """
    return _ready_made("sre_throttled", changes)


def brooker(**changes: Any) -> Client:
    """Brooker's token bucket: a success adds 0.1 tokens, a retry takes one.

    Source: Brooker, "Fixing retries with token buckets and circuit breakers", 2022. Ten tokens at most, 4 attempts and
    the pause U * min(100 ms * 2^(n-1), 10 s) are chosen here.
    """
    return _ready_made("brooker", changes)


CLIENTS: dict[str, Callable[..., Client]] = {name: globals()[name] for name in PRESETS}
