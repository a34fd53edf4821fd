"""How a sender behaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from backwater import order, random
from backwater.components import client as rules
from backwater.components import own
from backwater.components.budget import ERROR, REJECTION, TIMEOUT
from backwater.components.hedge import Hedge
from backwater.components.notify import Poll, poll_delay
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.clock import After, at
from backwater.engines.reference.gates import Gates
from backwater.engines.reference.hedges import Share
from backwater.engines.reference.jobs import Attempt, LiveJob
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.queue import BoundedQueue
from backwater.outcome import (
    BACKOFF,
    COMPLETED,
    DEAD,
    DROPPED,
    FAILED,
    HEDGE_UNPAID,
    JOB_COMPLETED,
    JOB_DEAD_LETTERED,
    JOB_DROPPED,
    JOB_GAVE_UP,
    JOB_LOST,
    LOST,
    PROXY_UNPAID,
    REJECTED,
    UNHEARD,
    UNPAID,
)

Policy = npt.NDArray[np.float64]
TIMED_OUT, WITHHELD = -1, -3  # what a client learns when its patience with an attempt ends, or when it was not let go

FINAL = {COMPLETED: JOB_COMPLETED, DROPPED: JOB_DROPPED, LOST: JOB_LOST, DEAD: JOB_DEAD_LETTERED}
WHY = {TIMED_OUT: TIMEOUT, REJECTED: REJECTION}  # to a budget; anything else is an error


class Client:
    """Sends jobs to a queue, waits for answers, and tries again, as ``part`` says.

    ``demand(job)`` draws the service time of the job's next attempt [s]; unless given, it is the job's own at each.
    """

    def __init__(
        self, env: simpy.Environment, queue: BoundedQueue, part: rules.Client | None = None,
        chance: Chance | None = None, demand: Callable[[LiveJob], float] | None = None,
    ) -> None:  # fmt: skip
        self.env, self.queue, self.part = env, queue, part or rules.Client()
        self.chance, self.demand = chance or Chance(), demand
        self.ledger: Ledger = queue.ledger
        self.asked = queue.part.asked
        stops = math.isinf(self.part.waits_exactly(self.asked))
        self.retry = _policies(self.part.retry, stops)
        self.proxy_retry = _policies(None if self.part.proxy is None else self.part.proxy.retry, stops)
        policies = {random.BACKOFF: self.part.retry}
        policies[random.PROXY_BACKOFF] = None if self.part.proxy is None else self.part.proxy.retry
        self.own_rules = {purpose: (part.rule, part.frame) for purpose, part in policies.items() if part is not None}
        self.gates = Gates(env, self.part, self.chance, self.ledger)
        self.patience = None if self.part.attempt_timeout is None else self.part.attempt_timeout.table
        self.hedge = self.part.hedge
        self.goes_on = self.part.mode == "async"
        self.poll = self.part.notify.every if isinstance(self.part.notify, Poll) else None
        self.expires = not self.goes_on and (self.patience is not None or self.part.total_timeout is not None)

    def send(self, job: LiveJob) -> simpy.Process:
        """Start a job, now; its process ends with the job's outcome."""
        if self.goes_on:
            job.unblocked = simpy.Event(self.env)
        return self.env.process(self._life(job))

    def _life(self, job: LiveJob) -> Generator[simpy.Event, Any, int]:
        """One job's story: send, wait for the answer, back off, send again; until done or out of patience."""
        self.ledger.begin(job)
        if self.part.total_timeout is not None:
            self._limit(job)
        outcome = JOB_GAVE_UP
        try:
            while True:
                if self.gates.limiter is not None and job.tries == 0:
                    yield from self.gates.limiter.turn(job)
                result = yield from self._call(job)
                if result in FINAL:
                    if not job.heard:
                        self.gates.hear(job, ok=result == COMPLETED)
                    outcome = FINAL[result]
                    break
                pause = self._pause(job, result)
                if pause is None:
                    break
                job.later = pause if result == FAILED and self.queue.resends else 0.0
                pause = 0.0 if job.later > 0 else pause
                self.ledger.change((self.env.now, BACKOFF, job.job_class, 1.0))
                try:
                    yield After(self.env, pause, at(order.RETRY, job, job.attempts))
                finally:
                    self.ledger.change((self.env.now, BACKOFF, job.job_class, -1.0))
        except simpy.Interrupt:  # the total timeout
            if job.attempt is not None or job.live or job.tries > 0:
                self.gates.hear(job, ok=False)
            else:
                self.gates.budget.release(job.paid)
            if job.attempt is not None or job.live:
                self.gates.under_way(-1.0)
            if job.attempt is not None:
                self._abandon(job.attempt)
            self._leave_all(job.live, self.part.on_timeout, timed_out=True)
            job.attempt = None  # nobody hears of it any more, be it accepted later
        self.ledger.end(job, outcome)
        if job.unblocked is not None and not job.unblocked.triggered:
            job.unblocked.succeed()
        return outcome

    def _call(self, job: LiveJob) -> Generator[simpy.Event, Any, int]:
        """Send an attempt; returns what comes of it when the client learns that."""
        answer = simpy.Event(self.env)
        live: list[Attempt] = []
        attempt, result = self._attempt(job, answer, live), REJECTED
        if not self.gates.let(job):
            attempt.withheld, result = True, WITHHELD
            self.ledger.reject(attempt)
        elif self.queue.offer(attempt):
            pending = self.queue.pending(attempt)
            if self.goes_on and pending is None:
                self._go_on(job)
            elif self.patience is not None:
                self._watch(attempt, self.patience)
            if self.goes_on and pending is not None:
                pending.callbacks.append(lambda event: self._go_on_if(attempt, accepted=event.value))
            if self.hedge is None:
                result = yield answer
                attempt.latest.answer = None
            else:
                self.env.process(self._hedge(job, answer, live, self.hedge))
                result = yield answer
                self._leave_all(live, self.hedge.losers, timed_out=False)
        if result != WITHHELD and not job.heard:
            self.gates.under_way(-1.0)
        job.attempt, job.live = None, ()
        if self.poll is not None and job.heard and result not in (DROPPED, LOST, DEAD):
            self.ledger.change((self.env.now, UNHEARD, job.job_class, 1.0))
            delay = poll_delay(job.accepted, self.poll, self.env.now)
            yield After(self.env, delay, at(order.POLL, job, job.attempts))
            self.ledger.change((self.env.now, UNHEARD, job.job_class, -1.0))
        return result

    def _hedge(
        self, job: LiveJob, answer: simpy.Event, live: list[Attempt], part: Hedge
    ) -> Generator[simpy.Event, Any, None]:
        """A call's hedges: while no answer comes, the job is sent again."""
        for _ in range(part.most):
            delay = self.chance.draw(part.after.table, job.source, job.number, random.HEDGE, job.attempts)
            yield After(self.env, delay, at(order.HEDGE, job, job.attempts))
            if not live:
                return
            if self.gates.limiter is not None and not self.gates.limiter.takes():
                return
            paid = self.gates.budget.pay(self.env.now, ERROR)
            if paid < 0:
                self.ledger.note(HEDGE_UNPAID, job)
                return
            job.paid += paid
            attempt = self._attempt(job, answer, live)
            attempt.hedge = True
            if not self.queue.offer(attempt):
                attempt.answer.succeed(REJECTED)  # type: ignore[union-attr]
                if not live:
                    return
            elif self.patience is not None:
                self._watch(attempt, self.patience)

    def _leave_all(self, live: Sequence[Attempt], how: str, *, timed_out: bool) -> None:
        """Nobody waits for these attempts any more, the newest first: the job is given up, or another one has won."""
        left = live[::-1]
        for attempt in left:
            attempt.answer.leave()  # type: ignore[union-attr]
            attempt.timed_out, attempt.superseded = float(timed_out), not timed_out
        for attempt in left:
            if attempt.outcome == DROPPED:
                self.ledger.close(attempt)
            elif attempt in self.queue.outside:
                self.queue.leave_outside(attempt)
            elif attempt.waiting and how != "leave":
                self.queue.withdraw(attempt)
        for attempt in left:
            if attempt.in_hand and how == "cancel":
                self.queue.workers.stop(attempt)  # type: ignore[union-attr]

    def _go_on_if(self, attempt: Attempt, *, accepted: bool) -> None:
        """It is known whether an attempt is accepted; its caller goes on if it is, and still waits for that."""
        current = attempt.job.attempt
        if accepted and current is not None and current.number == attempt.number and not attempt.job.heard:
            self._go_on(attempt.job)

    def _go_on(self, job: LiveJob) -> None:
        """The job is accepted, now: its caller goes on, and nobody will give it up any more."""
        job.accepted, job.heard = self.env.now, True
        self.gates.hear(job, ok=True)
        self.gates.under_way(-1.0)
        job.tries, job.proxy_pause, job.proxy_paid = 0, math.nan, 0.0
        if job.unblocked is not None and not job.unblocked.triggered:
            job.released = self.env.now
            job.unblocked.succeed()

    def _attempt(self, job: LiveJob, answer: simpy.Event, live: list[Attempt]) -> Attempt:
        """The job's next attempt, about to be sent; ``answer`` will fire with what comes of it, or of all ``live``."""
        job.attempts += 1
        job.heard = False
        demand = job.demand if self.demand is None else self.demand(job)
        attempt = Attempt(job, self.env.now, demand, answer)
        attempt.expires, attempt.goes_on, attempt.patient = self.expires, self.goes_on, self.patience is not None
        if self.hedge is None:
            job.attempt = attempt
        else:
            job.live, attempt.answer = live, Share(attempt, live, answer, self.ledger)
        return attempt

    def _watch(self, attempt: Attempt, law: npt.NDArray[np.float64]) -> None:
        """Give up waiting for this attempt when its timeout has passed."""
        job = attempt.job
        patience = self.chance.draw(law, job.source, job.number, random.TIMEOUT, attempt.number)
        timer = After(self.env, patience, at(order.TIMEOUT, job, attempt.number))

        def expire(_: simpy.Event) -> None:
            current = attempt.latest
            answer = current.answer
            if answer is not None and not answer.triggered and not job.heard:
                answer.succeed(TIMED_OUT)
                self._abandon(current)

        timer.callbacks.append(expire)

    def _limit(self, job: LiveJob) -> None:
        """Give up the job when its total timeout has passed."""
        process = self.env.active_process
        timer = After(self.env, self.part.total_timeout or 0.0, at(order.TIMEOUT, job, 0))

        def expire(_: simpy.Event) -> None:
            if process is not None and process.is_alive and job.released != job.released:
                process.interrupt()

        timer.callbacks.append(expire)

    def _abandon(self, attempt: Attempt) -> None:
        """Nobody waits for the attempt any more; it is left, taken from the queue or stopped."""
        attempt.timed_out, attempt.answer = 1.0, None
        if attempt.outcome in (DROPPED, LOST):
            self.ledger.close(attempt)
        elif attempt in self.queue.outside:
            self.queue.leave_outside(attempt)
        elif attempt.waiting and self.part.on_timeout != "leave":
            self.queue.withdraw(attempt)
        elif attempt.in_hand and self.part.on_timeout == "cancel":
            self.queue.workers.stop(attempt)  # type: ignore[union-attr]

    def _pause(self, job: LiveJob, result: int) -> float | None:
        """How long to back off before the next attempt [s]; None for no more attempts."""
        pause = None
        if result != WITHHELD and not job.heard:
            pause = self._proxy_pause(job, result) if self.part.proxy is not None else None
            if pause is None:
                self.gates.hear(job, ok=False, rejected=result == REJECTED)
        own = pause is None
        if own:
            pause = self._own_pause(job, result)
        honours, *how = self.part.hint
        if pause is None or result != REJECTED or not honours:
            return pause
        if own and self.part.resets and self.asked >= how[-1]:
            job.since, job.pause = job.calls, math.nan
        return rules.heeds(pause, self.asked, *how)

    def _own_pause(self, job: LiveJob, result: int) -> float | None:
        policy = self.retry[result == REJECTED]
        job.calls, job.tries, job.proxy_pause, job.proxy_paid = job.calls + 1, 0, math.nan, 0.0
        if result == WITHHELD:
            self.gates.budget.release(job.paid)
        job.paid = 0.0
        if policy is None or not self._tries_again(policy, job, job.calls, random.RETRY):
            return None
        job.paid = self.gates.budget.pay(self.env.now, WHY.get(result, ERROR))
        if job.paid < 0:
            self.ledger.note(UNPAID, job)
            return None
        failed = job.calls - job.since
        pause, job.pause = self._backoff(policy, job, failed, job.pause, random.BACKOFF, result)
        return pause

    def _proxy_pause(self, job: LiveJob, result: int) -> float | None:
        """The same of the proxy; None where the client hears of the failure."""
        policy, budget = self.proxy_retry[result == REJECTED], self.gates.proxy
        job.tries += 1
        budget.release(job.proxy_paid)
        job.proxy_paid = 0.0
        if policy is not None and self._tries_again(policy, job, job.tries, random.PROXY_RETRY):
            paid = budget.pay(self.env.now, WHY.get(result, ERROR))
            if paid >= 0:
                budget.hear(job.proxy_paid, ok=False)
                job.proxy_paid = paid
                previous = job.proxy_pause
                pause, job.proxy_pause = self._backoff(
                    policy, job, job.tries, previous, random.PROXY_BACKOFF, result
                )  # fmt: skip
                return pause
            self.ledger.note(PROXY_UNPAID, job)
        return None

    def _tries_again(self, policy: Policy, job: LiveJob, failed: int, purpose: int) -> bool:
        if failed >= policy[6]:
            return False
        if policy[7] == 1.0:
            return True
        u = self.chance.uniform(job.source, job.number, purpose, job.attempts)
        return bool(rules.tries_again(policy, failed, u))

    def _backoff(
        self, policy: Policy, job: LiveJob, failed: int, previous: float, purpose: int, result: int
    ) -> tuple[float, float]:  # fmt: skip
        """How long to back off [s], and what the next pause needs to know of this one."""
        u = self.chance.uniform(job.source, job.number, purpose, job.attempts)
        before = policy[1] if math.isnan(previous) else previous
        rule, frame = self.own_rules[purpose]
        if rule is None:
            pause: float = rules.backoff(policy, failed, before, u)
        else:
            timed_out = result == TIMED_OUT
            pause = own.pause(rule.address, frame, self.env.now, u, failed, before, *policy[1:4], timed_out)
            rule.check(frame)
        return pause, rules.remembers(policy, failed, pause, u)


def _policies(part: rules.Retry | None, stops: bool) -> tuple[Policy | None, Policy | None]:
    """What is done after a failure, and after a 503, which may stop it."""
    return (None, None) if part is None else (part.policy, None if stops else part.rejected_policy)
