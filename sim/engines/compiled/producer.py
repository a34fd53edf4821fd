"""Who sends new jobs: what they are, and when the next one comes."""

from __future__ import annotations

import math

import numpy as np

from backwater import order, random
from backwater.components.flow import next_unsteady, pace_at
from backwater.components.steady import draw_gaps, next_arrival
from backwater.engines.compiled import calendar, ledger, timeouts, workflow
from backwater.engines.compiled.world import AHEAD
from backwater.gauges import change
from backwater.jit import compiled, inlined, inner
from backwater.outcome import ALIVE
from backwater.quantile import fill, quantile

BACKLOG = -1.0  # when the jobs come that wait at time 0: before all that happens then


@inner
def draw_ahead(world, source):  # type: ignore[no-untyped-def]
    """Draw the AHEAD jobs of a source among which its next one is: what chance decides before a job is sent."""
    plan, sender, its, numbers = world.plan[0], world.senders[source], world.drawn[source], world.numbers
    first, kind = world.sources[source].number & -AHEAD, source * plan.most_classes
    for n in range(AHEAD):
        its.gap[n], its.demand[n] = random.pair(plan.seed, plan.replication, source, first + n, random.GAP, 0)
    if sender.plan >= 0:
        draw_gaps(numbers, sender.plan, its.gap, its.gap)
    if sender.classes > 1 or plan.sized:
        _draw_classes(world, source, first)
    elif plan.once and world.kinds[kind].service >= 0:
        fill(numbers, world.kinds[kind].service, its.demand, its.demand)


@inner
def _draw_classes(world, source, first):  # type: ignore[no-untyped-def]
    """Draw classes and sizes, and then service times by class."""
    plan, sender, its, numbers = world.plan[0], world.senders[source], world.drawn[source], world.numbers
    for n in range(AHEAD):
        kind = source * plan.most_classes
        u, size = random.pair(plan.seed, plan.replication, source, first + n, random.CLASS, 0)
        while sender.classes > 1 and u >= world.kinds[kind].share:
            kind += 1
        its.kind[n], law = kind, world.kinds[kind]
        its.size[n] = np.rint(quantile(numbers, size, law.size)) if law.size >= 0 else 0.0
        if plan.once and law.service >= 0:
            its.demand[n] = quantile(numbers, its.demand[n], law.service)


@inner
def redraw(world):  # type: ignore[no-untyped-def]
    """Draw anew what was drawn ahead, as the plan's replication now says."""
    for source in range(world.plan[0].sources):
        draw_ahead(world, source)


@inlined
def make(world, source):  # type: ignore[no-untyped-def]
    """The next job of a source arrives, now; returns its slot."""
    state, sender, its = world.state[0], world.senders[source], world.sources[source]
    if its.number & (AHEAD - 1) == 0 and sender.plan < 0:
        draw_ahead(world, source)
    drawn, n = world.drawn[source], its.number & (AHEAD - 1)
    slot = ledger.begin(world)
    job, kind = world.jobs[slot], world.kinds[drawn.kind[n]]
    job.source, job.number, job.kind, job.job_class = source, its.number, drawn.kind[n], kind.job_class
    job.place = order.key(0, source, its.number, 0)
    job.size, job.demand = drawn.size[n], drawn.demand[n]
    if sender.besides:
        _make_besides(world, source, slot)
    change(world.books, state.now, ALIVE, job.job_class, 1.0)
    its.number += 1
    its.at += 1
    return slot


@inner
def _make_besides(world, source, slot):  # type: ignore[no-untyped-def]
    """What only some jobs have: a memory of budgets, a row of a trace, a workflow."""
    plan, sender, job = world.plan[0], world.senders[source], world.jobs[slot]
    kind = world.kinds[job.kind]
    if sender.gated or sender.proxy >= 0:
        job.paid, job.proxy_paid, job.proxy_pause = 0.0, 0.0, math.nan
    if sender.trace:
        job.row = world.trace_rows[world.sources[source].at]
        if kind.size_column >= 0:
            job.size = np.rint(world.numbers[kind.size_column + job.row])
        if kind.service_column >= 0 and plan.once:
            job.demand = world.numbers[kind.service_column + job.row]
    if plan.leads:
        workflow.begin(world, slot)


@inner
def make_led(world, group):  # type: ignore[no-untyped-def]
    """The next of the jobs that another one leads to arrives, now; returns its slot."""
    plan, state, numbers, source = world.plan[0], world.state[0], world.numbers, world.plan[0].sources + 1
    number, job_class = workflow.next_sent(world, group)
    sender, at = world.senders[source], source * plan.most_classes + job_class
    slot, kind = ledger.begin(world), world.kinds[at]
    job = world.jobs[slot]
    job.source, job.number, job.kind, job.job_class = source, number, at, job_class
    job.place = order.key(0, source, number, 0)
    job.size = job.demand = 0.0
    if kind.size >= 0:
        u = random.uniform(plan.seed, plan.replication, source, number, random.SIZE, 0)
        job.size = np.rint(quantile(numbers, u, kind.size))
    if plan.once:
        u = random.uniform(plan.seed, plan.replication, source, number, random.SERVICE, 0)
        job.demand = quantile(numbers, u, kind.service)
    if sender.gated or sender.proxy >= 0:
        job.paid, job.proxy_paid, job.proxy_pause = 0.0, 0.0, math.nan
    change(world.books, state.now, ALIVE, job_class, 1.0)
    workflow.belongs(world, slot, group)
    timeouts.limit(world, slot)
    return slot


@inner
def draw_demand(world, job):  # type: ignore[no-untyped-def]
    """The service time of the job's present attempt, where it is drawn anew at each [s]."""
    plan, kind = world.plan[0], world.kinds[job.kind]
    if kind.service_column >= 0:
        return world.numbers[kind.service_column + job.row]
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.SERVICE, job.attempts)
    return quantile(world.numbers, u, kind.service)


@inner
def _next_known(world, source):  # type: ignore[no-untyped-def]
    """``_next`` for a trace, and for the backlog, which comes before everything else."""
    plan, its, sender = world.plan[0], world.sources[source], world.senders[source]
    if source == plan.sources:
        return BACKLOG if its.number < plan.backlog else math.inf
    if its.at < its.stop:
        return world.trace_times[its.at]
    if sender.repeat:
        world.state[0].refill, its.spent = source, 1
    return math.inf


@inner
def _next_unsteady(world, source, gap):  # type: ignore[no-untyped-def]
    plan, state, sender, its = world.plan[0], world.state[0], world.senders[source], world.sources[source]
    return next_unsteady(
        world.numbers[sender.plan : sender.plan_stop], world.numbers[sender.batch : sender.batch_stop],
        world.numbers[plan.paces : plan.paces_stop], its, state.now, its.number, gap,
        plan.seed, plan.replication, source,
    )  # fmt: skip


@inlined
def _next(world, source):  # type: ignore[no-untyped-def]
    """When the next job of a source comes [s]; inf where none comes, or where its trace needs another pass."""
    state, sender, its = world.state[0], world.senders[source], world.sources[source]
    if sender.plan < 0:
        return _next_known(world, source)
    if its.number & (AHEAD - 1) == 0:
        draw_ahead(world, source)
    gap = world.drawn[source].gap[its.number & (AHEAD - 1)]
    if sender.unsteady:
        return _next_unsteady(world, source, gap)
    return next_arrival(world.numbers[sender.plan : sender.plan_stop], state.now, its.number, gap)


@inlined
def _comes(world, source):  # type: ignore[no-untyped-def]
    """When the next job of a source comes [s]: one that waits sends at once what its timetable had for before."""
    now, when, its = world.state[0].now, _next(world, source), world.sources[source]
    if world.senders[source].waits:
        its.due = when if when < now else 0.0
        when = max(when, now)
    # As the reference counts: now + (when - now), which rounding may part from ``when``.
    return now + (when - now)


@inlined
def _place(world, source):  # type: ignore[no-untyped-def]
    return order.key(order.ARRIVAL, source, world.sources[source].number, 0)


@inlined
def arrive(world):  # type: ignore[no-untyped-def]
    """The first of the arrivals happens; its source's next one is put down, unless it waits. Returns the job's slot."""
    state, source = world.state[0], world.arrivals.events[0].ref
    slot = make(world, source)
    state.arrived += 1
    time = math.inf if world.senders[source].waits else _comes(world, source)
    calendar.replace(world.arrivals, time, _place(world, source), source)
    timeouts.limit(world, slot)
    return slot


@inner
def think(world, source, client, job, index):  # type: ignore[no-untyped-def]
    """A client of a closed population thinks, from now; ``job`` and ``index`` are the address of how long."""
    plan, state, sender = world.plan[0], world.state[0], world.senders[source]
    u = random.uniform(plan.seed, plan.replication, source, job, random.THINK, index)
    pace, _ = pace_at(world.numbers[plan.paces : plan.paces_stop], state.now)
    pause = quantile(world.numbers, u, sender.think) / (sender.scale * pace)
    place = order.key(order.ARRIVAL, source, client, 0)
    calendar.add(world, state.now + pause, place, source << calendar.SLOT_BITS | client)


@inner
def think_over(world, ref):  # type: ignore[no-untyped-def]
    """A client of a closed population sends a job, or another job led to one. Returns the job's slot."""
    if ref >> calendar.SLOT_BITS > world.plan[0].sources:
        return make_led(world, calendar.slot_of(ref))
    slot = make(world, ref >> calendar.SLOT_BITS)
    world.jobs[slot].row = calendar.slot_of(ref)
    world.state[0].arrived += 1
    timeouts.limit(world, slot)
    return slot


@compiled
def populate(world, source):  # type: ignore[no-untyped-def]
    """All clients of a closed population begin to think."""
    for client in range(world.senders[source].clients):
        think(world, source, client, client, 1)


@compiled
def put_down(world, source):  # type: ignore[no-untyped-def]
    """Put down a source's first arrival, the first of another pass through its trace, or the next one after a wait."""
    arrivals, time = world.arrivals, _comes(world, source)
    for at in range(arrivals.size[0]):
        if arrivals.events[at].ref == source:
            calendar.replace_at(arrivals, at, time, _place(world, source), source)
            return
    calendar.push(arrivals, time, _place(world, source), source)


@inner
def go_on(world):  # type: ignore[no-untyped-def]
    """Sources that waited for their last job to be let in put down the next one."""
    world.state[0].freed = 0
    for source in range(len(world.sources)):
        if world.sources[source].freed:
            world.sources[source].freed = 0
            put_down(world, source)
