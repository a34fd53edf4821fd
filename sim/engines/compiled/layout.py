"""A scenario as flat numbers: what the kernels read and never write.

``numbers`` holds every law, plan of arrivals, retry policy and trace column, one after the other; records hold where
each begins.
"""

from __future__ import annotations

import math
from threading import local
from typing import NamedTuple

import numpy as np

from backwater import random
from backwater.components.admission import Dagor, memory_of, params_of
from backwater.components.batch import TIMES
from backwater.components.broker import CRASHES
from backwater.components.faults import paces
from backwater.components.own import Own
from backwater.components.workers import Workers
from backwater.engines.compiled import workflow
from backwater.engines.compiled.protocol import protocol
from backwater.engines.compiled.senders import KIND, SENDER, Numbers, fill_kind, fill_sender
from backwater.engines.compiled.world import FAULT, NONE, Array, Records
from backwater.measure import alone
from backwater.rules import Rule
from backwater.run import Run
from backwater.scenario import Producer, Scenario

FIFO, LIFO, ADAPTIVE_LIFO, PRIORITY, RANDOM, EDF, SJF, FAIR, OWN, GROUPED = range(10)
DISCIPLINES = {
    "fifo": FIFO, "lifo": LIFO, "adaptive_lifo": ADAPTIVE_LIFO, "priority": PRIORITY, "random": RANDOM, "edf": EDF,
    "sjf": SJF, "fair": FAIR,
}  # fmt: skip
REJECT, DROP_OLDEST, SHED_OLDEST, BLOCK = range(4)
OVERFLOWS = {"reject": REJECT, "drop_oldest": DROP_OLDEST, "shed_oldest": SHED_OLDEST, "block": BLOCK}
NEVER, AT_START, AT_ARRIVAL, NOW = range(4)
SLOWDOWNS = {"start": AT_START, "arrival": AT_ARRIVAL, "now": NOW}
WORKERS_DOWN, WORKERS_SLOW, DISK_SLOW, ERRORS, LOAD, WORKERS_CRASH, BROKER_DOWN = range(7)
FAULTS = {
    "workers_down": WORKERS_DOWN, "workers_slow": WORKERS_SLOW, "disk_slow": DISK_SLOW, "errors": ERRORS, "load": LOAD,
    "workers_crash": WORKERS_CRASH, "broker_down": BROKER_DOWN,
}  # fmt: skip
PAUSE, FINISH, RESTART = range(3)
IN_HAND = {"pause": PAUSE, "finish": FINISH, "restart": RESTART}

FEW = 1024  # messages that may be handed out in one event, for which room is kept
HAND = 16  # events that handing out one answer may add at most, beside two for each message in it
SPARE = 5  # jobs, attempts, rows, events that one event may add at most, beside what the plan says
#: The queue, the workers and the run. evicts: whether the oldest may have to yield; blocks: or whether the producer
#: waits; once: one demand per job; retimes: whether a service may go on at another speed, or workers come and go;
#: skips: what nobody waits for; picky: or whether some may not be taken at all; admission: parameters of the rules
#: in ``numbers``, their memory from admission_at to admission_stop in ``gates``; user: one uniform per job decides,
#: not one per attempt; admitter, ranker: where the machine code of a rule of one's own begins, 0 without one, and
#: ranker_at what it shares with the engine in ``gates``; paces .. paces_stop: what faults multiply the load by;
#: workers: how many there are, at_first: how many of them are on duty at time 0; up, repair, start_up: where these
#: laws begin; in_hand: what those do that fail; shifts .. shifts_stop, autoscale: parameters of the rules in
#: ``numbers``, the autoscaler's memory at autoscale_at in ``gates``; hedges: of one call, at most; limited: whether
#: any client has a limiter; batch: how many a worker serves at once, 0 without batches; least, linger, together,
#: overhead: see there; spare: how many jobs, attempts, rows or events one event may add, spare_each: and for each that
#: yields or comes in; broker: whether there is one; spare_held: what a crash may add for each message that it holds;
#: reserve: deliveries for which one event other than a crash may need a slot; passes: a message may go to a node
#: without a look at the queue; floods: more of them may do so in one event than room is kept for;
#: lists: somebody may look through what the broker holds; empties: through what is on its way to a node; leads: how
#: many groups one event may begin, 0 where no job leads to others; settles: whether anything is to be seen to at the
#: end of an event; answers: whether more than the end of a service decides what its client hears; asks: whether
#: anything is asked before an attempt comes to the queue.
PLAN = np.dtype([
    ("seed", "u8"), ("replication", "i8"), ("sources", "i8"), ("most_classes", "i8"), ("once", "i8"), ("sized", "i8"),
    ("bounded", "i8"), ("evicts", "i8"), ("blocks", "i8"), ("discipline", "i8"), ("overflow", "i8"),
    ("slowdown", "i8"), ("slow_above", "i8"), ("slow_factor", "f8"), ("capacity", "f8"), ("capacity_bytes", "f8"),
    ("limit", "f8"), ("write", "f8"), ("read", "f8"), ("bandwidth", "f8"), ("retry_after", "f8"),
    ("workers", "i8"), ("retimes", "i8"), ("skips", "i8"), ("picky", "i8"),
    ("standing", "f8"), ("admission", "i8"), ("admission_at", "i8"), ("admission_stop", "i8"), ("user", "i8"),
    ("admitter", "i8"), ("ranker", "i8"), ("ranker_at", "i8"),
    ("paces", "i8"), ("paces_stop", "i8"), ("at_first", "i8"), ("up", "i8"), ("repair", "i8"), ("in_hand", "i8"),
    ("start_up", "i8"), ("shifts", "i8"), ("shifts_stop", "i8"), ("autoscale", "i8"), ("autoscale_at", "i8"),
    ("batch", "i8"), ("least", "i8"), ("linger", "f8"), ("together", "i8"), ("overhead", "f8"),
    ("arrivals", "i8"), ("backlog", "i8"), ("records", "i8"), ("hedges", "i8"), ("limited", "i8"),
    ("spare", "i8"), ("spare_each", "i8"), ("broker", "i8"), ("spare_held", "i8"), ("reserve", "i8"),
    ("passes", "i8"), ("floods", "i8"), ("lists", "i8"), ("empties", "i8"), ("leads", "i8"),
    ("settles", "i8"), ("answers", "i8"), ("asks", "i8"),
])  # fmt: skip


class Layout(NamedTuple):
    """A scenario's numbers, the same for all replications.

    levels  how many of priority, or classes
    own     rules of one's own, by where in ``gates`` is what they share with the engine
    """

    plan: Records
    senders: Records
    kinds: Records
    numbers: Array
    faults: Records
    gates: Array
    protocol: Records
    levels: int
    own: dict[int, Rule]


_of_thread = local()  # the latest scenario of each thread and its layout, which its replications share


def layout(scenario: Scenario) -> Layout:
    """The scenario as flat numbers."""
    scenario_then, made = getattr(_of_thread, "latest", (None, None))
    if scenario_then is not scenario or made is None:
        made = _made(scenario)
        _of_thread.latest = scenario, made
    return made


def _made(scenario: Scenario) -> Layout:
    numbers = Numbers()
    # After the sources comes what sends the backlog, and then what sends the jobs that others lead to.
    producers = [*scenario.producers, scenario.producers[0], *scenario.senders[len(scenario.producers) :]]
    most = max(len(producer.classes) for producer in producers)
    levels = scenario.levels
    load = paces(scenario.faults)
    senders, kinds = np.zeros(len(producers), SENDER), np.zeros(len(producers) * most, KIND)
    for index, producer in enumerate(producers):
        fill_sender(senders[index], producer, numbers, paced=len(load) > 0)
        for place in range(len(producer.classes)):
            fill_kind(kinds[index * most + place], scenario, producer, place, levels, numbers)
    sources = len(scenario.producers)
    senders["plan"][sources:], senders["trace"][sources:], senders["clients"][sources:] = NONE, 0, 0
    plan = _plan(scenario, most)
    plan["hedges"] = senders["hedges"].max()
    senders["waits"][:sources] = plan["blocks"] * (senders["clients"][:sources] == 0)
    gates = _gates(senders, producers, numbers)
    senders["honours"] &= plan["retry_after"] >= 0.0
    stops = [math.isinf(producer.client.waits_exactly(scenario.queue.asked)) for producer in producers]
    senders["rejected_policy"][stops] = senders["rejected_proxy"][stops] = NONE
    senders["guarded"] = senders["gated"] | senders["honours"] | (senders["proxy"] != NONE)
    plan["limited"] = (senders["limiter"] != NONE).any()
    gates = np.concatenate([gates, _admission(plan[0], scenario, len(gates), numbers)])
    gates = np.concatenate([gates, _staff(plan[0], scenario.workers, len(gates), numbers)])
    own, frames = _own(plan[0], senders, scenario, producers, len(gates))
    gates = np.concatenate([gates, *frames])
    plan["paces"] = numbers.add(load)
    plan["paces_stop"] = plan["paces"] + len(load)
    promises = protocol(scenario.broker, scenario.workers, numbers.add)
    flat = np.concatenate(numbers.parts) if numbers.parts else np.zeros(1)
    answers = plan["batch"] * (1 + plan["limited"]) + 2 * plan["hedges"] * np.maximum(plan["batch"], 1)
    _seldom(plan[0], senders, scenario)
    plan["spare"] = SPARE + answers + 2 * plan["workers"] * plan["retimes"] + plan["leads"]
    let_in = scenario.broker is None and plan["blocks"] & senders["goes_on"].any()
    plan["spare_each"] = (1 + plan["limited"]) * (plan["evicts"] | plan["picky"] | let_in)
    groups = _brokered(plan[0], scenario)
    most_levels = max(len(levels), len(scenario.jobs), groups)
    return Layout(plan, senders, kinds, flat, _faults(scenario), gates, promises, most_levels, own)


def _seldom(plan: np.void, senders: Records, scenario: Scenario) -> None:
    """What only some scenarios have, under as few words as possible: the kernel asks each at every event."""
    plan["leads"] = workflow.leads(scenario)
    senders["besides"] = senders["gated"] | (senders["proxy"] != NONE) | senders["trace"] | (plan["leads"] > 0)
    errs = any(fault.kind == "errors" for fault in scenario.faults)
    plan["answers"] = errs or plan["admission"] != NONE or plan["hedges"] > 0
    brokered = scenario.broker is not None
    plan["asks"] = brokered or plan["admission"] != NONE or not plan["once"] or senders["gated"].any()
    calls = senders["goes_on"] | senders["gated"] | (senders["hedge"] != NONE)
    senders["simple"] = calls == 0
    plan["settles"] = plan["retimes"] or plan["blocks"] or brokered or senders["trace"].any()


def _brokered(plan: np.void, scenario: Scenario) -> int:
    """What a broker changes in the plan; how many groups it has."""
    broker = scenario.broker
    if broker is None:
        return 0
    plan["broker"], plan["reserve"] = 1, 2 + scenario.workers.count
    plan["picky"] |= broker.retention is not None
    crashes = any(fault.kind in CRASHES for fault in scenario.faults)
    plan["spare_held"], plan["empties"], plan["lists"] = 2 * crashes, crashes, crashes or broker.acked_by == "any"
    plan["spare_each"] |= 2 * crashes | plan["picky"]
    plan["spare"] += 0 if broker.send is None else 2 * broker.send.size
    plan["spare"] += HAND + 2 * (1 if broker.poll is None else broker.poll.batch) + scenario.workers.nodes
    if broker.groups is not None:
        plan["discipline"] = GROUPED
    plain = plan["discipline"] <= LIFO and plan["admission"] == NONE and plan["slowdown"] == NEVER
    apart = plain and broker.poll is None and broker.send is None
    plan["passes"] = apart and math.isinf(plan["limit"]) and plan["backlog"] == 0
    each = math.inf if scenario.workers.prefetch == "unlimited" else scenario.workers.prefetch
    credit = each * scenario.workers.count
    handed = credit if broker.poll is None else broker.poll.batch * scenario.workers.nodes
    plan["floods"] = handed > FEW
    plan["spare"] += 0 if plan["floods"] else 3 * handed
    return broker.groups or 0


def _gates(senders: Records, producers: list[Producer], numbers: Numbers) -> Array:
    """What the rules of the senders' gates remember at time 0, one after the other."""
    memory, size = [np.zeros(0)], 0
    for record, producer in zip(senders, producers, strict=True):
        client = producer.client
        proxy = client.proxy
        parts = {
            "budget": client.retry_budget, "proxy_budget": None if proxy is None else proxy.retry_budget,
            "breaker": client.breaker, "throttle": client.throttle, "limiter": client.rate_limiter,
        }  # fmt: skip
        record["gated"] = any(part is not None for part in parts.values())
        for name, part in parts.items():
            record[name] = NONE if part is None else numbers.add(part.params)
            record[f"{name}_at"] = size
            memory.append(np.zeros(0) if part is None else part.memory)
            size += len(memory[-1])
        record["proxy"] = NONE if proxy is None else numbers.add(proxy.retry.policy)
        record["rejected_proxy"] = NONE if proxy is None else numbers.add(proxy.retry.rejected_policy)
        record["honours"], record["exactly"], *limits = client.hint
        record["hint_most"], record["hint_beyond"], record["hint_least"] = limits
        record["resets"] = client.resets
    return np.concatenate(memory)


def _admission(plan: np.void, scenario: Scenario, at: int, numbers: Numbers) -> Array:
    """What the rules of admission remember at time 0; they keep it from ``at`` on."""
    part = scenario.queue.admission
    memory = np.zeros(0) if part is None else memory_of(part, len(scenario.levels))
    plan["admission"] = NONE if part is None else numbers.add(params_of(part))
    plan["admitter"] = part.rule.address if isinstance(part, Own) else 0
    plan["admission_at"], plan["admission_stop"] = at, at + len(memory)
    plan["user"], plan["picky"] = isinstance(part, Dagor), part is not None or plan["skips"]
    return memory


def _staff(plan: np.void, workers: Workers, at: int, numbers: Numbers) -> Array:
    """How workers come and go; what the autoscaler remembers at time 0, and keeps from ``at`` on."""
    failures, shifts, scale = workers.failures, workers.shifts, workers.autoscale
    plan["at_first"], plan["in_hand"] = workers.at_first, IN_HAND["pause" if failures is None else failures.in_hand]
    plan["up"] = NONE if failures is None else numbers.add(failures.up.table)
    plan["repair"] = NONE if failures is None else numbers.add(failures.repair.table)
    plan["start_up"] = NONE if workers.start_up is None else numbers.add(workers.start_up.table)
    plan["shifts"] = NONE if shifts is None else numbers.add(shifts.table)
    plan["shifts_stop"] = plan["shifts"] + (0 if shifts is None else len(shifts.table))
    plan["autoscale"], plan["autoscale_at"] = NONE if scale is None else numbers.add(scale.params), at
    return np.zeros(0) if scale is None else scale.memory


def _own(
    plan: np.void, senders: Records, scenario: Scenario, producers: list[Producer], at: int
) -> tuple[dict[int, Rule], list[Array]]:
    """Rules of one's own by where what they share with the engine is; for backoff and discipline, from ``at`` on."""
    admission, discipline = scenario.queue.admission, scenario.queue.discipline
    own: dict[int, Rule] = {}
    frames: list[Array] = []
    if isinstance(admission, Own):
        own[int(plan["admission_at"])] = admission.rule
    if isinstance(discipline, Own):
        plan["ranker"], plan["ranker_at"] = discipline.rule.address, at
        own[at] = discipline.rule
        frames.append(discipline.frame)
    for record, producer in zip(senders, producers, strict=True):
        client = producer.client
        of_proxy = None if client.proxy is None else client.proxy.retry
        for name, policy in (("own_at", client.retry), ("own_proxy_at", of_proxy)):
            if policy is not None and policy.rule is not None:
                record[name] = at + sum(map(len, frames))
                own[int(record[name])] = policy.rule
                frames.append(policy.frame)
    return own, frames


def _faults(scenario: Scenario) -> Records:
    faults = np.zeros(len(scenario.faults), FAULT)
    for record, part in zip(faults, scenario.faults, strict=True):
        record["kind"], record["start"], record["stop"] = FAULTS[part.kind], part.start, part.stop
        record["share"], record["factor"] = part.portion, part.times
        record["pauses"] = part.in_hand == "pause"
    return faults


def _plan(scenario: Scenario, most_classes: int) -> Records:
    plan = np.zeros(1, PLAN)
    record, queue, memory = plan[0], scenario.queue, scenario.queue.memory
    capacity, capacity_bytes = queue.bounds
    record["sources"], record["most_classes"] = len(scenario.producers), most_classes
    record["once"] = scenario.workers.demand == "job"
    record["sized"] = any(job.size is not None for job in scenario.jobs.values())
    record["capacity"], record["capacity_bytes"] = capacity, capacity_bytes
    record["bounded"] = not math.isinf(min(capacity, capacity_bytes))
    record["discipline"] = OWN if isinstance(queue.discipline, Own) else DISCIPLINES[queue.discipline]
    record["overflow"] = OVERFLOWS[queue.overflow]
    mark = None if scenario.broker is None else scenario.broker.watermark
    record["blocks"] = (record["bounded"] and queue.overflow == "block") or (mark is not None and mark.full == "block")
    record["evicts"] = record["bounded"] and queue.overflow in ("drop_oldest", "shed_oldest")
    record["backlog"], record["standing"] = queue.backlog, queue.standing
    record["retry_after"] = queue.asked
    record["limit"] = math.inf if memory is None else memory.bound
    record["write"], record["read"], record["bandwidth"] = (0.0, 0.0, math.inf) if memory is None else memory.disk
    slowdown = None if memory is None else memory.slowdown
    if slowdown is not None:
        record["slowdown"] = SLOWDOWNS[slowdown.at]
        record["slow_above"], record["slow_factor"] = slowdown.above, slowdown.factor
    record["workers"], record["skips"] = scenario.workers.most, scenario.workers.abandoned == "skip"
    paces = any(part.kind in ("workers_down", "workers_slow", "workers_crash") for part in scenario.faults)
    record["retimes"] = paces or record["slowdown"] == NOW or scenario.workers.varies
    record["least"], batch = scenario.workers.enough, scenario.workers.batch
    if batch is not None:
        record["batch"], record["linger"], record["together"] = batch.size, batch.patience, TIMES[batch.time]
        record["overhead"] = batch.overhead
    return plan


def for_run(base: Layout, run: Run, replication: int, records: bool) -> Records:
    """The plan of one replication."""
    plan = alone(1, PLAN)
    plan[:] = base.plan
    record = plan[0]
    record["seed"], record["replication"] = random.seed_word(run.seed), replication
    record["arrivals"] = run.arrivals or 2**62
    record["records"] = records
    return plan
