"""Which metrics a scenario has anything to say to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backwater.scenario import Scenario


def concerns(metric: str, scenario: Scenario) -> bool:
    """Whether a metric may be other than what it is of every scenario: false where it is about a part that is missing.

    Such a metric is 0, or, of the workers on duty and of full batches, how many there are.
    """
    return all(there(scenario) for start, there in PARTS.items() if metric.startswith(start))


def _client(*parts: str) -> Callable[[Scenario], bool]:
    """Whether any client has one of these parts."""

    def there(scenario: Scenario) -> bool:
        return any(getattr(sender.client, part) is not None for sender in scenario.senders for part in parts)

    return there


def _broker(scenario: Scenario) -> bool:
    return scenario.broker is not None


def _overflow(word: str) -> Callable[[Scenario], bool]:
    return lambda scenario: scenario.queue.overflow == word or _broker(scenario)


def _sized(scenario: Scenario) -> bool:
    return any(job.size is not None for job in scenario.jobs.values())


def _stored(scenario: Scenario) -> bool:
    memory = scenario.queue.memory
    return memory is not None and memory.limit is not None


def _errs(scenario: Scenario) -> bool:
    return scenario.workers.time_limit is not None or any(fault.kind == "errors" for fault in scenario.faults)


def _any(*conditions: Any) -> Callable[[Scenario], bool]:
    return lambda scenario: any(there(scenario) for there in conditions)


_gives_up = _client("attempt_timeout", "total_timeout", "hedge")
#: What metrics whose names begin so are about.
PARTS: dict[str, Callable[[Scenario], bool]] = {
    "withheld_ratio": _client("breaker", "throttle"),
    "hedge_ratio": _client("hedge"),
    "timeout_ratio": _client("attempt_timeout", "total_timeout"),
    "cancelled_ratio": _gives_up,
    "duplicate_ratio": _any(_gives_up, _broker, _errs),
    "backoff_": _client("retry", "proxy"),
    "error_ratio": _errs,
    "dropped_ratio": _overflow("drop_oldest"),
    "outside_": _overflow("block"),
    "memory_": _sized,
    "disk_": _stored,
    "spill_ratio": _stored,
    **dict.fromkeys(("lost_ratio", "dead_letter_ratio", "redelivery_ratio"), _broker),
    **dict.fromkeys(("prefetched_", "unacked_", "stored_"), _broker),
    "batch_mean": lambda scenario: scenario.workers.batch is not None,
    "workers_": lambda scenario: scenario.workers.varies,
    "workflow": lambda scenario: scenario.follow_up is not None,
}
