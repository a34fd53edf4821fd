"""What the clients of one source remember together: retry budgets, a breaker, a throttle, a rate limiter."""

from __future__ import annotations

import simpy

from backwater import random
from backwater.components import budget, client
from backwater.components.breaker import (
    CHANGES,
    breaker_hears,
    breaker_lets,
    breaker_unsent,
    throttle_hears,
    throttle_lets,
)
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.jobs import LiveJob
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.limiter import Limiter


class Budget:
    """A retry budget, or none, which allows everything."""

    def __init__(self, part: budget.Budget | None) -> None:
        self.part = part
        if part is not None:
            self.params, self.memory = part.params, part.memory

    def job_sent(self, now: float) -> None:
        """A job is sent for the first time."""
        if self.part is not None:
            budget.job_sent(self.params, self.memory, now)

    def pay(self, now: float, why: int) -> float:
        """What a retry cost; below 0 where it is not allowed."""
        return 0.0 if self.part is None else budget.pay(self.params, self.memory, now, why)

    def hear(self, paid: float, *, ok: bool) -> None:
        """An attempt for which so much was paid has succeeded or failed."""
        if self.part is not None:
            budget.hear(self.params, self.memory, ok, paid)

    def under_way(self, by: float) -> None:
        """So many more attempts are under way."""
        if self.part is not None:
            budget.under_way(self.params, self.memory, by)

    def release(self, paid: float) -> None:
        """A retry for which so much was paid is over, or is not made after all."""
        if self.part is not None:
            budget.release(self.params, self.memory, paid)


class Gates:
    """The budgets of a client and of its proxy, and what may keep it from sending."""

    def __init__(self, env: simpy.Environment, part: client.Client, chance: Chance, ledger: Ledger) -> None:
        self.env, self.part, self.chance = env, part, chance
        self.budget = Budget(part.retry_budget)
        self.proxy = Budget(None if part.proxy is None else part.proxy.retry_budget)
        self.limiter = None if part.rate_limiter is None else Limiter(env, part.rate_limiter, ledger)
        if part.breaker is not None:
            self.breaker = part.breaker.params, part.breaker.memory
        if part.throttle is not None:
            self.throttle = part.throttle.params, part.throttle.memory

    def let(self, job: LiveJob) -> bool:
        """Whether the job's present attempt is let go; what a proxy tries again is not asked."""
        lets = self._lets(job)
        if lets:
            self.under_way(1.0)
        return lets

    def under_way(self, by: float) -> None:
        """An attempt is sent (1), or answered or left (-1)."""
        self.budget.under_way(by)
        self.proxy.under_way(by)

    def _lets(self, job: LiveJob) -> bool:
        now = self.env.now
        if job.attempts == 1:
            self.budget.job_sent(now)
            self.proxy.job_sent(now)
        if job.tries > 0:
            return True
        if self.part.breaker is not None:
            if not breaker_lets(*self.breaker, now):
                return False
            job.let_after = self.breaker[1][CHANGES]
        if self.part.throttle is None:
            return True
        u = self.chance.uniform(job.source, job.number, random.THROTTLE, job.attempts)
        sends = bool(throttle_lets(*self.throttle, now, u))
        if not sends and self.part.breaker is not None:
            breaker_unsent(self.breaker[1])
        return sends

    def hear(self, job: LiveJob, *, ok: bool, rejected: bool = False) -> None:
        """A call that was let go has succeeded or failed, or got a 503, whatever a proxy tried for it."""
        now = self.env.now
        self.budget.hear(job.paid, ok=ok)
        self.proxy.hear(job.proxy_paid, ok=ok)
        if self.part.breaker is not None:
            breaker_hears(*self.breaker, now, ok, job.let_after)
        if self.part.throttle is not None:
            throttle_hears(*self.throttle, now, ok)
        if self.limiter is not None:
            self.limiter.hear(rejected=rejected)
