"""From a scenario to an exponential system, or to what stands in the way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from backwater.components.arrivals import Poisson
from backwater.components.client import HEAD, STEPS, Retry
from backwater.components.closed import Closed
from backwater.components.flow import MMPP
from backwater.distributions import Constant, Exponential
from backwater.experiments.theory.reading import Facts, Obstacle, alike, at_random
from backwater.experiments.theory.system import System

STAGES = 4  # pauses that a chain tells apart, at most
# Mean of a pause after jitter, for those of which it is known, in units of the pause before [1].
MEAN_JITTER = {"none": 1.0, "full": 0.5, "equal": 0.75, "exponential": 1.0}
RETRY = {
    "kind", "base", "rejected_base", "factor", "step", "cap", "jitter", "max_attempts", "retry_probability",
}  # fmt: skip


def system_of(facts: Facts) -> System:
    """The scenario as an exponential system; only where ``in_the_way`` is empty."""
    system = System(facts.c, facts.exponential or 0.0, facts.places, **_arrivals(facts))
    if facts.slowdown is not None:
        slow = facts.slowdown
        system = replace(system, above=slow.above, factor=slow.factor, at=slow.at)
    if facts.patience is not None and facts.client.on_timeout != "leave":
        system = replace(system, patience=1 / facts.patience.average, stops=facts.client.on_timeout == "cancel")
    return system if facts.retry is None else replace(system, **_retries(facts.retry))


def _arrivals(facts: Facts) -> dict[str, Any]:
    source, scale = facts.source, facts.producers[0].scale
    if isinstance(source, Closed):
        return {"rates": (scale / source.think.average,), "clients": source.clients}
    weights = source.batch if isinstance(source.batch, dict) else {source.batch: 1.0}
    batch = tuple((size, weight / sum(weights.values())) for size, weight in weights.items() if weight)
    if isinstance(source, MMPP):
        return {"rates": tuple(scale * rate for rate in source.rates), "sojourns": source.sojourns, "batch": batch}
    return {"rates": (facts.rate / source.mean_batch,), "batch": batch}


def _retries(retry: Retry) -> dict[str, Any]:
    pauses, forever = _pauses(retry)
    return {
        "pauses": tuple(1 / pause for pause in pauses), "again": retry.retry_probability, "forever": forever,
    }  # fmt: skip


def _pauses(retry: Retry) -> tuple[list[float], bool]:
    """Means of the pauses after 503s, those told apart, and whether the last goes on for ever; no more than needed."""
    endless = math.isinf(retry.most)
    known = [float(pause) for pause in retry.rejected_policy[HEAD : HEAD + STEPS]]
    known = known if endless else known[: int(retry.most) - 1]
    while endless and len(known) > 1 and known[-1] == known[-2]:
        known.pop()
    return known, endless


def in_the_way(facts: Facts) -> list[Obstacle]:
    """What keeps the scenario from being an exponential system that is followed here; empty where nothing does."""
    found = [*facts.obstacles, *_of_services(facts), *_of_arrivals(facts), *_of_slowdown(facts)]
    found += [*_of_retries(facts), *_of_patience(facts)]
    return [*found, *_of_load(facts)]


def _of_services(facts: Facts) -> Iterator[Obstacle]:
    if facts.sorts and facts.exponential is None and facts.mean > 0:
        kinds = sorted({sort.law.kind for sort in facts.sorts})  # type: ignore[attr-defined]
        same = kinds == ["exponential"]
        why = "its classes have different means" if same else f"{', '.join(kinds)} services remember how long they took"
        yield Obstacle(
            "workers.service", why, "exponential services of the same mean", alike(facts.scenario, facts.mean)
        )


def _of_arrivals(facts: Facts) -> Iterator[Obstacle]:
    words = "Poisson arrivals at the long-run rate"
    source = facts.source
    if not isinstance(source, (Poisson, MMPP, Closed)) and source.kind in ("renewal", "periodic"):
        yield Obstacle("arrivals", f"{source.kind} arrivals remember the last one", words, at_random(facts.scenario))
    if isinstance(source, Closed) and not isinstance(source.think, Exponential):
        think = {"arrivals.think": {"kind": "exponential", "mean": f"{source.think.average!r} s"}}
        yield Obstacle("arrivals.think", "times to think are not exponential", "exponential times to think", think)
    if source.batch != 1 and (facts.retry is not None or facts.patience is not None):
        why = "jobs that come together are followed only where clients wait and do not retry"
        yield Obstacle("arrivals.batch", why, words, at_random(facts.scenario))


def _of_slowdown(facts: Facts) -> Iterator[Obstacle]:
    if facts.slowdown is None:
        return
    path = "queue.memory.slowdown"
    if facts.slowdown.at == "arrival":
        yield Obstacle(
            f"{path}.at", "who is slow depends on places in the queue", 'at = "start"', {f"{path}.at": "start"}
        )
    if facts.patience is not None:
        why = "timeouts beside a slowdown are not followed"
        yield Obstacle("client.attempt_timeout", why, "clients without timeouts", {"client.attempt_timeout": None})


def _of_retries(facts: Facts) -> Iterator[Obstacle]:
    retry, path = facts.retry, _client(facts)
    if retry is None:
        return
    unknown = sorted(set(retry.plain()) - RETRY)
    why = f"it has {unknown[0]}" if unknown else ""
    if retry.kind not in ("constant", "linear", "exponential"):
        why = f"{retry.kind} pauses are not exponential"
    elif facts.patience is not None and not _may_retry_timeouts(facts, retry):
        why = "retries after timeouts are followed only where attempts are cancelled, for ever, with demand drawn anew"
    elif len(_pauses(retry)[0]) > STAGES or min(_pauses(retry)[0]) == 0:
        why = f"a chain follows 1 to {STAGES} different pauses, none of them 0"
    if why:
        yield without_retries(facts, why)
    elif retry.jitter != "exponential":
        factor = MEAN_JITTER.get(str(retry.jitter), 1.0)
        known = {name: given for name in ("base", "rejected_base", "step", "cap") if (given := getattr(retry, name))}
        changes = {f"{path}.retry.{name}": f"{factor * given!r} s" for name, given in known.items()}
        changes[f"{path}.retry.jitter"] = "exponential"
        yield Obstacle(f"{path}.retry.jitter", "pauses are not exponential", "exponential pauses", changes)


def without_retries(facts: Facts, why: str) -> Obstacle:
    """Retries as an obstacle, for this reason."""
    path = _client(facts)
    changes = {f"{path}.retry": None, f"{path}.retry_budget": None, f"{path}.proxy": None}
    return Obstacle(f"{path}.retry", why, "clients that never retry", changes)


def _may_retry_timeouts(facts: Facts, retry: Retry) -> bool:
    """Whether the number of failures of a job does not matter, nor what its services were."""
    same = retry.rejected_base in (None, retry.base) and len(_pauses(retry)[0]) == 1 and math.isinf(retry.most)
    return same and facts.client.on_timeout == "cancel" and facts.scenario.workers.demand == "attempt"


def _of_patience(facts: Facts) -> Iterator[Obstacle]:
    law, path = facts.patience, f"{_client(facts)}.attempt_timeout"
    if law is None:
        return
    leaves = facts.client.on_timeout == "leave"
    if isinstance(facts.source, Closed) and facts.client.on_timeout != "cancel":
        yield Obstacle(path, "clients think while their work goes on", "clients without timeouts", {path: None})
    elif not isinstance(law, (Exponential, Constant) if leaves else Exponential):
        words = "exponential patience of the same mean"
        changes = {path: {"kind": "exponential", "mean": f"{law.average!r} s"}}
        yield Obstacle(path, "patience is not exponential", words, changes)
    elif leaves and facts.scenario.queue.discipline != "fifo":
        yield Obstacle(
            "queue.discipline", "who is late is followed under FIFO only", "FIFO", {"queue.discipline": "fifo"}
        )
    if law.average == 0:
        yield Obstacle(path, "no patience leaves nothing to ask", "", {})


def _of_load(facts: Facts) -> Iterator[Obstacle]:
    """A queue that grows for ever, or a crowd of clients in backoff, has no steady state."""
    stays = facts.patience is None or facts.client.on_timeout == "leave"
    retry = facts.retry
    lasts = retry is not None and math.isinf(retry.most) and retry.retry_probability == 1
    grows = lasts or (math.isinf(facts.places) and stays)
    if not grows or isinstance(facts.source, Closed) or not facts.sorts:
        return
    load = facts.load * (max(facts.slowdown.factor, 1.0) if facts.slowdown is not None else 1.0)
    if load >= 1:
        why = "without a bound" if math.isinf(facts.places) else "with clients that retry for ever"
        yield Obstacle("queue.capacity", f"{why}, a load of {load:.3g} has no steady state", "", {})


def _client(facts: Facts) -> str:
    """Where the client is written."""
    own = facts.source.client is not None
    return "arrivals.client" if own and len(facts.producers) == 1 else "client"
