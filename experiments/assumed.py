"""What a scenario assumes: each value with where it comes from, and what the model leaves out."""

from __future__ import annotations

from typing import Any

from backwater.components.arrivals import Bursts, Poisson, Profile
from backwater.components.closed import Closed
from backwater.distributions import Linear
from backwater.scenario import Producer, Scenario

ORIGINS = ("swept", "noted", "set", "default")
# Where defaults come from that are somebody's practice, by the end of their path.
CUSTOMS = {
    ".retry.factor": "Brooker, Exponential backoff and jitter, AWS Architecture Blog 2015",
    ".retry.jitter": "Brooker, Exponential backoff and jitter, AWS Architecture Blog 2015",
    ".retry.max_attempts": "three in all, as the AWS SDKs' standard mode",
    ".honours_retry_after": "RFC 9110, 10.2.3",
    "queue.standing": "Maurer, Fail at scale, ACM Queue 2015",
    "queue.discipline": "first come, first served, as queues are unless somebody chooses",
    "workers.demand": "a job that is tried again is the same work",
    "workers.abandoned": "a server seldom knows that its client has left",
    ".on_timeout": "a server seldom knows that its client has left",
}


def assumptions(scenario: Scenario, swept: set[str]) -> list[tuple[str, str, str]]:
    """(path, value, origin) of every field: swept, noted, set or default, in this order."""
    said, rows = _leaves(scenario.plain()), []
    settings = scenario.settings
    parts = {path.rsplit(".", 1)[0] for path in settings if "." in path} | {"name", "notes", "arrivals.sources"}
    for path, given in settings.items():
        if path in parts or (given is None and path not in said and _alternative(path, settings)):
            continue
        above = [path.rsplit(".", n)[0] for n in range(path.count(".") + 1)]
        note = next((scenario.notes[parent] for parent in above if parent in scenario.notes), None)
        origin = f"noted: {note}" if note else "set" if path in said else _default(path)
        if path in swept or ("load" in swept and path == "arrivals.scale"):
            origin = "swept"
        rows.append((path, _shown(given), origin))
    return sorted(rows, key=lambda row: ORIGINS.index(row[2].split(":")[0]))


def _alternative(path: str, settings: dict[str, Any]) -> bool:
    """Whether a field is another way of saying what its neighbours say: one of a law's moments and quantiles."""
    part, _, name = path.rpartition(".")
    return name in ("p50", "p90", "p95", "p99", "cv", "mean") and f"{part}.kind" in settings


def _default(path: str) -> str:
    source = next((words for end, words in CUSTOMS.items() if path.endswith(end)), "")
    return f"default: {source}" if source else "default"


def _leaves(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, given in table.items():
        out |= _leaves(given, f"{prefix}{name}.") if isinstance(given, dict) and given else {prefix + name: given}
    return out


def _shown(given: Any) -> str:
    text = _plain(given)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _plain(given: Any) -> str:
    """A value as a person would write it: tables without what is not set, one after the other."""
    if given is None or (isinstance(given, (dict, list, tuple)) and not given):
        return "none"
    if isinstance(given, dict):
        return ", ".join(f"{name} {_plain(value)}" for name, value in given.items() if value is not None)
    if isinstance(given, (list, tuple)):
        return ("; " if isinstance(given[0], (dict, list, tuple)) else ", ").join(_plain(each) for each in given)
    return f"{given:.6g}" if isinstance(given, float) else str(given)


def left_out(scenario: Scenario) -> list[str]:
    """What is not modelled, a sentence each; only what holds of this scenario."""
    out = ["The network: requests, answers and 503s take no time to travel, and none is lost on the way."]
    varied = any(fault.kind == "load" for fault in scenario.faults)
    for producer in scenario.producers:
        out += [words for words in _client(producer, varied) if words not in out]
    return out + _queue(scenario) + _workers(scenario)


def _client(producer: Producer, varied: bool) -> list[str]:
    client, source, out = producer.client, producer.source, list[str]()
    if not isinstance(source, Closed):
        out.append("Clients who stay away: new jobs come as they would anyway, however the earlier ones fared.")
    if isinstance(source, Poisson) and not varied:
        out.append("Hours and days: the rate of new jobs stays the same throughout.")
    if isinstance(source, (Poisson, Bursts, Profile)) and source.batch == 1:
        out.append("Clients who act together: apart from the rate, arrivals are independent of each other.")
    if client.retry is None and client.proxy is None and client.hedge is None:
        out.append("Retries: a client that is turned away does not come back.")
    if client.mode == "sync" and client.attempt_timeout is None and client.total_timeout is None:
        out.append("Impatience: a client that was accepted waits for as long as it takes.")
    if client.mode == "async" and client.notify.kind == "poll":
        out.append("The load of polling: asking for a result costs nothing.")
    return out


def _queue(scenario: Scenario) -> list[str]:
    queue, kinds, out = scenario.queue, {fault.kind for fault in scenario.faults}, list[str]()
    out.append("A crash of the queue: what was accepted is never lost by the machine that holds it.")
    beyond = "nothing downstream" if scenario.follow_up is None else "what jobs lead to goes through both again"
    out.append(f"Other stations: there is one queue before one pool of workers, and {beyond}.")
    out.append("The cost of a 503: turning an attempt away takes no worker's time.")
    if queue.memory is None:
        out.append("Memory: what waits takes none that could run out, and nothing is spilled to disk.")
    elif queue.memory.limit is not None:
        out.append("Other users of the memory and the disk: both belong to the queue alone.")
        if "disk_slow" not in kinds:
            out.append("A disk that gets slower: its latency and its bandwidth stay the same.")
    return out


def _workers(scenario: Scenario) -> list[str]:
    workers, kinds, out = scenario.workers, {fault.kind for fault in scenario.faults}, list[str]()
    if workers.failures is None and "workers_down" not in kinds:
        out.append("Failures of workers: each works for as long as it is on duty.")
    if "errors" not in kinds:
        out.append("Errors: what a worker finishes has succeeded.")
    if workers.autoscale is None and workers.shifts is None:
        out.append("Scaling: the number of workers stays the same.")
    memory, steady = scenario.queue.memory, "workers_slow" not in kinds and workers.batch is None
    if steady and (memory is None or memory.slowdown is None):
        reads = ", reads from disk apart" if memory is not None else ""
        out.append(f"Contention: a service takes no longer when others are busy or many wait{reads}.")
    if steady and not any(isinstance(scenario.service_law(index), Linear) for index in range(len(scenario.jobs))):
        out.append("Work that comes in streaks: service times of different jobs are independent of each other.")
    return out
