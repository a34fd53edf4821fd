"""What our metrics are in a system's long run; the names and definitions are those of ``metrics.METRICS``."""

from __future__ import annotations

import math
from collections.abc import Iterable

from backwater.distributions import Constant, Law
from backwater.experiments.theory.steady import Steady
from backwater.experiments.theory.waits import ErlangMixture
from backwater.metrics import QUANTILES
from backwater.units import parse


def measures(found: Steady, fifo: bool, late: Law | None, asked: Iterable[str] = ()) -> dict[str, float]:
    """Every metric that is known, by name, in base units.

    fifo   whether attempts are served in the order in which they were accepted
    late   how long clients wait who then leave their attempt to be served, exponential or constant; None for ever
    asked  further metrics: served_within(T)
    """
    system = found.system
    accepted, queue = float(found.accepted.sum()), found.inside - found.busy
    out = {
        "arrival_rate": found.fresh, "attempt_rate": found.attempts, "accepted_rate": accepted,
        "throughput": accepted - found.stopped, "rejection_ratio": found.rejected / found.attempts,
        "attempts_per_job": found.attempts / found.fresh, "cancelled_ratio": found.stopped / found.attempts,
        "utilization": found.busy / system.c, "queue_mean": queue, "busy_mean": found.busy,
        "system_mean": found.inside, "backoff_mean": found.backoff,
    }  # fmt: skip
    if system.patience:
        return out | _impatient(found, fifo)
    out["wait_mean"], out["sojourn_mean"] = queue / accepted, found.inside / accepted
    wait = found.wait if fifo and isinstance(found.wait, ErlangMixture) else None
    sojourn = wait.then_one_of(system.c) if wait is not None else None
    out |= _quantiles("wait", wait) | _quantiles("sojourn", sojourn)
    if late is not None:
        assert sojourn is not None  # a scenario that is late without FIFO is not followed
        return out | _late(found, sojourn, late, asked)
    if not system.pauses:
        failed = found.rejected / found.fresh
        out |= {"failure_ratio": failed, "goodput": accepted, "latency_mean": out["sojourn_mean"], "wasted_ratio": 0.0}
        out |= _quantiles("latency", sojourn)
        return out if sojourn is None else out | _served_within(sojourn, 1 - failed, asked)
    everyone = system.forever and system.again == 1
    out |= {"goodput": accepted, "failure_ratio": 0.0 if everyone else max(1 - accepted / found.fresh, 0.0)}
    return out | ({"latency_mean": (found.inside + found.backoff) / found.fresh} if everyone else {})


def _quantiles(name: str, law: ErlangMixture | None, limit: float = math.inf) -> dict[str, float]:
    if law is None:
        return {}
    return {f"{name}_{word}": law.quantile(q, limit) for word, q in QUANTILES.items()}


def _served_within(
    sojourn: ErlangMixture, share: float, asked: Iterable[str], most: float = math.inf
) -> dict[str, float]:
    """Of the jobs, ``share`` are accepted (or, with a law of those in time, served in time)."""
    times = {name: parse(name.removeprefix("served_within(").removesuffix(")"), "time") for name in asked}
    return {name: share * sojourn.within(min(time, most)) for name, time in times.items()}


def _late(found: Steady, sojourn: ErlangMixture, late: Law, asked: Iterable[str]) -> dict[str, float]:
    """Where clients leave and their work is done all the same: the server does not know of it."""
    let_in = float(found.accepted.sum()) / found.fresh
    limit = late.average if isinstance(late, Constant) else math.inf
    shortened = sojourn if isinstance(late, Constant) else sojourn.shortened(1 / late.average)
    in_time = sojourn.within(limit) if isinstance(late, Constant) else sojourn.before(1 / late.average)
    mean = sojourn.mean_within(limit) if isinstance(late, Constant) else shortened.mean
    served = let_in if isinstance(late, Constant) else let_in * in_time
    return {
        "timeout_ratio": let_in * (1 - in_time), "failure_ratio": 1 - let_in * in_time,
        "goodput": found.fresh * let_in * in_time, "latency_mean": mean,
        **_quantiles("latency", shortened, limit), **_served_within(shortened, served, asked, limit),
    }  # fmt: skip


def _impatient(found: Steady, fifo: bool) -> dict[str, float]:
    """Where attempts are taken from the queue, or stopped too, when their client leaves."""
    system, accepted = found.system, float(found.accepted.sum())
    served = accepted - found.stopped
    ends = 1 / system.mean
    in_time = 1.0 if system.stops else ends / (ends + system.patience)  # of those whose service begins or that are done
    good = served * in_time
    out = {
        "goodput": good, "timeout_ratio": (accepted - good) / found.attempts,
        "failure_ratio": 0.0 if system.pauses and system.forever and system.again == 1 else 1 - good / found.fresh,
    }  # fmt: skip
    if not fifo or found.wait is None:
        return out
    wait = found.wait.mean
    out |= {"wait_mean": wait, "sojourn_mean": wait + 1 / (ends + (system.patience if system.stops else 0.0))}
    out |= {f"wait_{word}": found.wait.quantile(q) for word, q in QUANTILES.items()}
    return out if system.pauses else out | {"latency_mean": wait + 1 / (ends + system.patience)}
