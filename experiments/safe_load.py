"""The load below which a system survives every finite trigger, from its retries alone.

Each job costs at most A attempts, so work comes at no more than load * A: below 1 every queue drains in the end. A is
1 + r with r retries, or 1 + b with a budget of b retries per job. Where a server does not know who still waits, and
nothing bounds its queue, all fail in the collapsed state and a job costs all of A: then no higher load is safe.
Source: Bronson et al., HotOS'21 (r = 1: half of the capacity); derived for budgets.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from backwater.components.budget import Budget, Ratio, TokenBucket
from backwater.components.client import Client, Retry
from backwater.components.closed import Closed
from backwater.scenario import Producer, Scenario

# What the argument knows of. A field besides these may change how much work an attempt is.
SCENARIO = {"name", "arrivals", "jobs", "client", "queue", "workers", "faults", "notes", "run"}
WORKERS = {"count", "service", "demand", "abandoned"}
CLIENT = {
    "attempt_timeout", "total_timeout", "on_timeout", "retry", "retry_budget", "breaker", "throttle", "proxy",
    "honours_retry_after", "mode", "notify",
}  # fmt: skip
# Of a client that sends all that it may once everything is late. A field besides these may spare the server some.
SIMPLE = {"attempt_timeout", "retry", "retry_budget", "honours_retry_after"}


class Bound(NamedTuple):
    """A load below which every finite trigger passes.

    load   of first attempts [1]
    words  why
    sharp  whether no higher load is safe
    """

    load: float
    words: str
    sharp: bool


class _Cost(NamedTuple):
    """What a job costs at most: ``attempts`` per job [1], and ``rate`` retries per second besides [1/s]."""

    attempts: float
    rate: float
    words: str
    sharp: bool


def bound(scenario: Scenario) -> Bound | None:
    """The load below which this scenario survives every finite trigger; None where nothing is known."""
    known = set(scenario.plain()) <= SCENARIO and set(scenario.workers.plain()) <= WORKERS
    known = known and all(set(part.client.plain()) <= CLIENT for part in scenario.producers)
    closed = any(isinstance(part.source, Closed) for part in scenario.producers)
    if not known or closed or scenario.follow_up is not None or scenario.queue.memory is not None or scenario.work <= 0:
        return None
    costs = [_cost(part.client, scenario) for part in scenario.producers]
    works = [_work(part, scenario) for part in scenario.producers]
    attempts = sum(cost.attempts * work for cost, work in zip(costs, works, strict=True)) / sum(works)
    besides = sum(
        cost.rate * scenario.mean_service(part) for cost, part in zip(costs, scenario.producers, strict=True)
    ) / scenario.workers.count  # fmt: skip
    load = max((1 - besides) / attempts, 0.0)
    words = costs[0].words if len(costs) == 1 else f"at most {attempts:.3g} attempts per job on average"
    return Bound(load, words, len(costs) == 1 and costs[0].sharp and _plain(scenario))


def _work(part: Producer, scenario: Scenario) -> float:
    return float(part.source.long_run_rate * part.scale * scenario.mean_service(part))


def _plain(scenario: Scenario) -> bool:
    """Whether the server serves whatever comes, in turn."""
    queue = scenario.queue
    return (
        queue.discipline == "fifo" and queue.admission is None and math.isinf(min(queue.bounds))
        and scenario.workers.abandoned == "serve"
    )  # fmt: skip


def _cost(client: Client, scenario: Scenario) -> _Cost:
    """What a job of this client costs at most."""
    queue = scenario.queue
    fails = client.attempt_timeout is not None or queue.admission is not None or not math.isinf(min(queue.bounds))
    if not fails or (client.retry is None and client.proxy is None):
        return _Cost(1.0, 0.0, "one attempt per job", True)
    sync, proxy = client.mode == "sync", client.proxy  # to an async client's budget acceptance is success
    inner = _layer(client.retry, client.retry_budget if sync else None)
    outer = _layer(None, None) if proxy is None else _layer(proxy.retry, proxy.retry_budget if sync else None)
    attempts, rate = inner.attempts * outer.attempts, inner.rate * outer.attempts + outer.rate
    words = "no limit to the attempts per job"
    if not math.isinf(attempts):
        words = f"at most {attempts:.3g} attempts per job" + (f" and {rate:.3g} retries/s" if rate else "")
    simple = client.attempt_timeout is not None and set(client.plain()) <= SIMPLE
    return _Cost(attempts, rate, words, inner.sharp and simple)


def _layer(retry: Retry | None, budget: Budget | None) -> _Cost:
    """What one layer that tries again makes of an attempt, all of which fail."""
    if retry is None:
        return _Cost(1.0, 0.0, "", True)
    p, most = retry.retry_probability, retry.most
    attempts = most if p == 1 else 1 / (1 - p) if math.isinf(most) else (1 - p**most) / (1 - p)
    if isinstance(budget, Ratio) and 1 + budget.share < attempts:
        return _Cost(1 + budget.share, budget.min_rate, "", budget.min_rate == 0)
    if isinstance(budget, TokenBucket) and not budget.refund:
        others = [cost for cost in (budget.timeout_cost, budget.rejection_cost) if cost is not None]
        back = (budget.per_request + budget.per_success) / min([budget.cost, *others])
        if 1 + back < attempts:
            return _Cost(1 + back, 0.0, "", budget.per_success == 0 and not others)
    return _Cost(attempts, 0.0, "", budget is None or isinstance(budget, (Ratio, TokenBucket)))
