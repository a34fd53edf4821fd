"""What can be said of a scenario before it runs: load, Kendall's notation, bytes, drain time, patience, in words."""

from __future__ import annotations

import math

from backwater.components.arrivals import Bursts, Periodic, Poisson
from backwater.components.broker import Broker
from backwater.components.client import JITTERS, Client, Retry, heeds
from backwater.components.closed import Closed
from backwater.components.hedge import Hedge
from backwater.components.notify import Poll
from backwater.components.trace import mean_of
from backwater.components.workers import Workers
from backwater.distributions import Constant, Exponential, Law, Linear
from backwater.quantile import quantile
from backwater.scenario import Producer, Scenario
from backwater.units import human, parse

WORDS = {
    "leave": "leaves the attempt where it is: it may be served for nobody",
    "cancel_waiting": "takes the attempt from the queue, but does not stop its service",
    "cancel": "takes the attempt from the queue or stops its service",
}


def napkin(scenario: Scenario) -> list[tuple[str, str]]:
    """(what, in words), in the order in which one would ask."""
    out = [("system", kendall(scenario)), ("load", _load(scenario)), ("steady state", _steady(scenario))]
    if scenario.workers.varies:
        out.append(("workers", _staff(scenario.workers)))
    out += _workflows(scenario)
    out += _room(scenario)
    if scenario.broker is not None:
        out += _broker(scenario, scenario.broker)
    clients = [producer.client for producer in scenario.producers]
    senders = [producer for producer in scenario.senders if producer in scenario.producers
               or producer.client not in clients]  # fmt: skip
    for producer in senders:
        name = "what is led to" if producer is scenario.follow_up else producer.name
        out += _patience(producer, scenario, "" if len(senders) == 1 else f" of {name}")
    return out


def _workflows(scenario: Scenario) -> list[tuple[str, str]]:
    """What jobs lead to."""
    out = []
    for name, job in scenario.jobs.items():
        if job.then is not None:
            means = {word: mean - (word == job.then.join) for word, mean in job.then.means.items()}
            sent = ", ".join(f"{human(mean, '')} {word}" for word, mean in means.items() if mean > 0) or "nothing"
            looks = f" (looked at every {human(job.then.join_every, 'time')})" if job.then.join_every else ""
            joined = f"; once all are served{looks}, 1 {job.then.join}" if job.then.join is not None else ""
            out.append((f"after {name}", f"{sent}{joined}"))
    return out


PROMISES = {
    "none": "at most once: forgotten as it leaves the broker",
    "early": "at most once from its start on: acknowledged as its service starts",
    "late": "at least once: acknowledged once it is served",
}


def _broker(scenario: Scenario, its: Broker) -> list[tuple[str, str]]:
    """What a broker promises, and what is served again though nothing broke."""
    out = [("broker", PROMISES[its.ack])]
    if its.ack != "none" and its.hides == its.notices == math.inf:
        out.append(("a crash", "nobody takes back what a node held: disconnect is never, and nothing else expires"))
    if its.visibility_timeout is None:
        return out
    hidden, told = its.visibility_timeout, human(its.visibility_timeout, "time")
    longer = max(1.0 - below(scenario.service_law(index), hidden) for index in range(len(scenario.jobs)))
    if its.ack == "late" and longer > 0:
        share = human(longer, "share")
        out.append(("visibility timeout", f"up to {share} of the services take longer than {told}: served again"))
    delays = [job.delay for job in scenario.jobs.values() if job.delay is not None]
    later = max((1.0 - below(law, hidden) for law in delays), default=0.0)
    if its.delays_held_by == "workers" and later > 0:
        share = human(later, "share")
        out.append(("ETA", f"up to {share} of the delays are longer than {told}: handed out again until they are due"))
    return out


def below(law: Law, limit: float) -> float:
    """The share of a law at or below a limit, to a thousandth [1]."""
    if isinstance(law, Linear):
        return 1.0
    return sum(quantile(law.table, (step + 0.5) / 1000) <= limit for step in range(1000)) / 1000


def kendall(scenario: Scenario) -> str:
    """Kendall's notation: arrivals / service / workers / places, those in service included; [least,size] of batches."""
    kinds = {type(p.source) for p in scenario.producers}
    single = all(p.source.batch == 1 for p in scenario.producers)
    even = kinds == {Periodic} and len(scenario.producers) == 1
    arrivals = "M" if kinds == {Poisson} and single else "D" if even and single else "G"
    arrivals = "G" if scenario.follow_up is not None else arrivals
    laws = {scenario.service_law(index) for index in range(len(scenario.jobs))}
    service, batch = _letter(next(iter(laws))) if len(laws) == 1 else "G", scenario.workers.batch
    service += "" if batch is None else f"[{batch.least},{batch.size}]"
    room, count, least = scenario.queue.bounds[0], scenario.workers.most, scenario.workers.least
    places = "" if math.isinf(room) else f"/{count + int(room)}"
    workers = str(count) if least == count else f"{least}..{count}"
    retries = any(_tries_again(p.client) for p in scenario.senders)
    again = ", with retries" if retries else ""
    return f"{arrivals}/{service}/{workers}{places}, {scenario.queue.discipline}{again}"


def _letter(law: Law) -> str:
    return "M" if isinstance(law, Exponential) else "D" if isinstance(law, Constant) else "G"


def peak_load(scenario: Scenario) -> float:
    """Load of first attempts while every source is at its highest rate [1]."""
    work = sum(p.source.peak_rate * p.scale * scenario.mean_service(p) for p in scenario.producers)
    return scenario.load * work / scenario.work if scenario.work > 0 else 0.0


def _load(scenario: Scenario) -> str:
    rate, work = human(scenario.rate, "rate"), scenario.load * scenario.workers.count
    text = f"{scenario.load:.3g} from first attempts: {rate}, {work:.3g} workers' work"
    text += "" if scenario.workers.batch is None else " in full batches"
    peak = peak_load(scenario)
    return text + (f"; {peak:.3g} in bursts" if peak > 1.0001 * scenario.load else "")


def _staff(workers: Workers) -> str:
    """How many are on duty, and how often they are under repair."""
    parts, scale, failures = [], workers.autoscale, workers.failures
    if workers.shifts is not None:
        parts.append(f"{workers.least} to {workers.most} by shift, {workers.shifts.average:.3g} in the long run")
    if scale is not None:
        signal = f"{human(scale.target, 'share')} of them busy" if scale.on == "utilization" else (
            f"{scale.target:g} waiting for each")  # fmt: skip
        parts.append(
            f"{scale.min} to {scale.max}, {workers.count} at first, so as to keep {signal}; the load is that of "
            f"{scale.max}; it looks every {human(scale.every, 'time')} and acts {human(scale.lag, 'time')} later"
        )
    if workers.start_up is not None:
        parts.append(f"{human(workers.start_up.average, 'time')} to start up")
    if failures is not None:
        up, repair = human(failures.up.average, "time"), human(failures.repair.average, "time")
        parts.append(f"each fails after {up} and is repaired in {repair}: {human(failures.availability, 'share')} of "
                     "the time it can work")  # fmt: skip
    return "; ".join(parts)


def _steady(scenario: Scenario) -> str:
    if all(isinstance(p.source, Closed) for p in scenario.producers):
        return "yes: so many clients send no more than so many jobs at a time"
    bounded = not math.isinf(min(scenario.queue.bounds))
    if bounded:
        return "yes: the queue is bounded" + ("; overloaded, so it stays full" if scenario.load >= 1 else "")
    if scenario.load >= 1:
        patient = any(_stays(p.client) for p in scenario.senders)
        return (
            "no: more work comes than can be done, and nothing bounds the queue" if patient else "only through timeouts"
        )
    retries = any(_tries_again(p.client) for p in scenario.senders)
    return (
        "yes without retries; timeouts and retries may add work without bound"
        if retries
        else "yes: the load is below 1"
    )


def _tries_again(client: Client) -> bool:
    return client.retry is not None or client.proxy is not None


def _stays(client: Client) -> bool:
    """Whether no timeout ends a job that has been accepted."""
    return client.mode == "async" or (client.attempt_timeout is None and client.total_timeout is None)


def _room(scenario: Scenario) -> list[tuple[str, str]]:
    """Bytes of a full queue against memory, and how long it takes to drain."""
    capacity, memory = scenario.queue.bounds[0], scenario.queue.memory
    out = []
    rate = scenario.rate / scenario.load if scenario.load > 0 else math.inf
    if not math.isinf(capacity):
        drain = human(capacity / rate if rate > 0 else math.inf, "time")
        blocks = "; then its producers wait" if scenario.queue.overflow == "block" else ""
        out.append(("full queue", f"{capacity:,.0f} waiting{blocks}; drains in {drain} if nothing more comes"))
    size = mean_size(scenario)
    if size and memory is not None and memory.limit is not None:
        fit = memory.limit / size
        full = "" if math.isinf(capacity) else f"; a full queue holds {human(capacity * size, 'size')}"
        out.append(
            ("memory", f"{human(memory.limit, 'size')} hold about {fit:,.0f} jobs of {human(size, 'size')}{full}")
        )
        write, read, bandwidth = memory.disk
        per_job = write + read + 2 * size / bandwidth
        if per_job > 0:
            held = human(1 / per_job, "rate")
            out.append(
                (
                    "disk",
                    f"{human(per_job, 'time')} per spilled job, so at most {held}; workers do {human(rate, 'rate')}",
                )
            )
    return out


def mean_size(scenario: Scenario) -> float:
    """Mean bytes of a job over all sources; 0 without sizes [B]."""
    total, jobs = 0.0, list(scenario.jobs.values())
    for producer in scenario.producers:
        before, rate = 0.0, producer.source.long_run_rate * producer.scale
        for index, share in zip(producer.classes, producer.shares, strict=True):
            law = jobs[index].size
            total += rate * (share - before) * (mean_of(law, producer.source) if law is not None else 0.0)
            before = share
    for job, rate in zip(jobs, scenario.led_rates, strict=True):
        total += rate * job.size.average if job.size is not None else 0.0
    return total / scenario.rate


def _patience(producer: Producer, scenario: Scenario, whose: str) -> list[tuple[str, str]]:
    """What each timeout is in words, and how long a client persists against how long a burst lasts."""
    client = producer.client
    out = [(f"timeouts{whose}", _timeouts(client))]
    if client.hedge is not None:
        out.append((f"hedges{whose}", _hedges(client.hedge)))
    if client.mode == "async":
        out.append((f"callers{whose}", f"go on once their job is accepted; its result {_news(client)}"))
    out += _limits(client, whose)
    if client.retry is None:
        return [*out, (f"retries{whose}", "none: a 503 is final" if client.proxy is None else "none but the proxy's")]
    lasts = persistence(client, scenario.queue.asked)
    attempts = client.retry.max_attempts
    text = f"up to {attempts} attempts" if attempts != "forever" else "for ever"
    text += f"; against 503s a client persists for {human(lasts, 'time')} on average" if math.isfinite(lasts) else ""
    if isinstance(producer.source, Bursts) and math.isfinite(lasts):
        length = producer.source.length
        verdict = "outlasts" if lasts > length else "does not outlast"
        text += f", which {verdict} a burst of {human(length, 'time')}"
    return [*out, (f"retries{whose}", text)]


def _limits(client: Client, whose: str) -> list[tuple[str, str]]:
    """What keeps a client from sending, or sends for it."""
    out = []
    if client.proxy is not None:
        tries = client.proxy.retry.max_attempts
        out.append((f"proxy{whose}", f"tries up to {tries} times for each call of the client"))
    gates = {"a breaker": client.breaker, "a throttle": client.throttle}
    parts = [name for name, gate in gates.items() if gate is not None]
    if client.retry_budget is not None:
        parts.insert(0, f"a retry budget ({client.retry_budget.kind})")
    return [*out, (f"held back{whose}", "by " + " and ".join(parts))] if parts else out


def _hedges(hedge: Hedge) -> str:
    after = human(hedge.after.average, "time")
    losers = WORDS[hedge.losers].replace("the attempt", "each of the others")
    return f"after {after} without an answer another attempt is sent, at most {hedge.most}; who has one {losers}"


def _news(client: Client) -> str:
    notify = client.notify
    return f"is asked for every {human(notify.every, 'time')}" if isinstance(notify, Poll) else "is told them at once"


def _timeouts(client: Client) -> str:
    if client.mode == "async":
        given = client.attempt_timeout is not None or client.total_timeout is not None
        return "cover acceptance only" if given else "none"
    parts = []
    if client.attempt_timeout is not None and not isinstance(client.attempt_timeout, Linear):
        patience = human(client.attempt_timeout.average, "time")
        parts.append(f"after {patience} of waiting and service, a client {WORDS[client.on_timeout]}")
    if client.total_timeout is not None:
        parts.append(f"after {human(client.total_timeout, 'time')} in all it gives up")
    return "; ".join(parts) or "none: clients wait as long as it takes"


def persistence(client: Client, asked: float = -1.0) -> float:
    """Mean time from the first 503 to giving up, if every attempt is turned away at once [s].

    asked  for how long a 503 asks the client to stay away [s], see ``Queue.asked``
    """
    retry, (honours, *how) = client.retry, client.hint
    if retry is None or math.isinf(client.waits_exactly(asked)):
        return 0.0
    if retry.rule is not None:
        return math.inf
    if retry.most > 1e6:
        return math.inf if client.total_timeout is None else client.total_timeout
    total, previous, reached = 0.0, math.nan, 1.0
    for failed in range(1, min(int(retry.most), 10_000)):
        reached *= retry.retry_probability
        previous = _mean_pause(retry, failed, previous)
        total += reached * (heeds(previous, asked, *how) if honours else previous)
    return min(total, math.inf if client.total_timeout is None else client.total_timeout)


def _mean_pause(retry: Retry, failed: int, previous: float) -> float:
    """Mean pause after so many 503s, the mean of the last one being ``previous`` [s]; near enough for a napkin."""
    base = retry.base if retry.rejected_base is None else retry.rejected_base
    cap, n = math.inf if retry.cap is None else retry.cap, min(failed - 1, 1000)
    if failed == 1 and retry.first is not None:
        return retry.first
    if retry.kind == "decorrelated":
        return max(retry.floor, min(cap, (base + 3 * (base if failed == 1 else previous)) / 2))
    if retry.kind == "decorrelated_v2":
        before = _polly(n - 1) if failed > 1 else 0.0
        return max(retry.floor, min(cap, (_polly(n) - before) / 1.4 * base))
    factor, step = retry.growth
    power = min(factor**n, 1e300) if n * math.log(factor) < 690 else 1e300
    steps = (power - 1) / (factor - 1) if factor > 1 else failed - 1
    b = max(retry.floor, min(cap, base * power + step * steps))
    if retry.jitter == "full":
        return (retry.floor + b) / 2
    if isinstance(retry.jitter, str) and retry.jitter not in JITTERS:
        return min(cap, b + parse(retry.jitter, "time") / 2)
    return b * (0.75 if retry.jitter == "equal" else 1.0)


def _polly(n: int) -> float:
    """Mean of 2**t tanh(sqrt(4 t)) over t from n to n + 1."""
    return sum(2.0**t * math.tanh(math.sqrt(4 * t)) for t in (n + (k + 0.5) / 16 for k in range(16))) / 16
