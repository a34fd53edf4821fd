"""What the clients of one source remember together: retry budgets, a breaker, a throttle, a rate limiter."""

from __future__ import annotations

from backwater import random
from backwater.components import breaker, budget
from backwater.components.window import WINDOW
from backwater.engines.compiled import limiter
from backwater.engines.compiled.world import NONE
from backwater.jit import inner


@inner
def pay(world, job, of_proxy, why):  # type: ignore[no-untyped-def]
    """What a retry costs a budget; below 0 where that does not allow it."""
    sender = world.senders[job.source]
    params, at = (sender.proxy_budget, sender.proxy_budget_at) if of_proxy else (sender.budget, sender.budget_at)
    if params == NONE:
        return 0.0
    memory = world.gates[at : at + budget.MEMORY]
    return budget.pay(world.numbers[params : params + budget.PARAMS], memory, world.state[0].now, why)


@inner
def release(world, job, of_proxy):  # type: ignore[no-untyped-def]
    """The retry that the job has last paid for is over, or is not made after all."""
    sender = world.senders[job.source]
    params, at = (sender.proxy_budget, sender.proxy_budget_at) if of_proxy else (sender.budget, sender.budget_at)
    if params != NONE:
        memory, paid = world.gates[at : at + budget.MEMORY], job.proxy_paid if of_proxy else job.paid
        budget.release(world.numbers[params : params + budget.PARAMS], memory, paid)


@inner
def _job_sent(world, params, at):  # type: ignore[no-untyped-def]
    if params != NONE:
        memory = world.gates[at : at + budget.MEMORY]
        budget.job_sent(world.numbers[params : params + budget.PARAMS], memory, world.state[0].now)


@inner
def _budget_hears(world, params, at, ok, paid):  # type: ignore[no-untyped-def]
    if params != NONE:
        budget.hear(world.numbers[params : params + budget.PARAMS], world.gates[at : at + budget.MEMORY], ok, paid)


@inner
def proxy_hears(world, job, ok):  # type: ignore[no-untyped-def]
    """A try of the proxy has succeeded or failed."""
    sender = world.senders[job.source]
    _budget_hears(world, sender.proxy_budget, sender.proxy_budget_at, ok, job.proxy_paid)


@inner
def _budget_under_way(world, params, at, by):  # type: ignore[no-untyped-def]
    if params != NONE:
        memory = world.gates[at : at + budget.MEMORY]
        budget.under_way(world.numbers[params : params + budget.PARAMS], memory, by)


@inner
def under_way(world, job, by):  # type: ignore[no-untyped-def]
    """An attempt is sent (1), or answered or left (-1)."""
    sender = world.senders[job.source]
    _budget_under_way(world, sender.budget, sender.budget_at, by)
    _budget_under_way(world, sender.proxy_budget, sender.proxy_budget_at, by)


@inner
def let(world, job):  # type: ignore[no-untyped-def]
    """Whether the job's present attempt is let go; what a proxy tries again is not asked."""
    lets = _lets(world, job)
    if lets:
        under_way(world, job, 1.0)
    return lets


@inner
def _lets(world, job):  # type: ignore[no-untyped-def]
    plan, now, sender = world.plan[0], world.state[0].now, world.senders[job.source]
    if job.attempts == 1:
        _job_sent(world, sender.budget, sender.budget_at)
        _job_sent(world, sender.proxy_budget, sender.proxy_budget_at)
    if job.tries > 0:
        return True
    probes = world.gates[sender.breaker_at : sender.breaker_at + breaker.HEAD + WINDOW]
    if sender.breaker != NONE:
        if not breaker.breaker_lets(world.numbers[sender.breaker : sender.breaker + breaker.BREAKER], probes, now):
            return False
        job.let_after = probes[breaker.CHANGES]
    if sender.throttle == NONE:
        return True
    u = random.uniform(plan.seed, plan.replication, job.source, job.number, random.THROTTLE, job.attempts)
    memory = world.gates[sender.throttle_at : sender.throttle_at + WINDOW]
    sends = breaker.throttle_lets(world.numbers[sender.throttle : sender.throttle + breaker.THROTTLE], memory, now, u)
    if not sends and sender.breaker != NONE:
        breaker.breaker_unsent(probes)
    return sends


@inner
def hear(world, job, ok, rejected):  # type: ignore[no-untyped-def]
    """A call that was let go has succeeded or failed, or got a 503, whatever a proxy tried for it."""
    now, sender = world.state[0].now, world.senders[job.source]
    _budget_hears(world, sender.budget, sender.budget_at, ok, job.paid)
    proxy_hears(world, job, ok)
    if sender.breaker != NONE:
        memory = world.gates[sender.breaker_at : sender.breaker_at + breaker.HEAD + WINDOW]
        params = world.numbers[sender.breaker : sender.breaker + breaker.BREAKER]
        breaker.breaker_hears(params, memory, now, ok, job.let_after)
    if sender.throttle != NONE:
        memory = world.gates[sender.throttle_at : sender.throttle_at + WINDOW]
        breaker.throttle_hears(world.numbers[sender.throttle : sender.throttle + breaker.THROTTLE], memory, now, ok)
    if world.plan[0].limited:
        limiter.hears(world, job, rejected)
