"""How a sender behaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from backwater import order, random
from backwater.components import client as rules
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.clock import After, at
from backwater.engines.reference.jobs import Attempt, LiveJob
from backwater.engines.reference.ledger import Ledger
from backwater.engines.reference.queue import BoundedQueue
from backwater.outcome import BACKOFF, COMPLETED, DROPPED, JOB_COMPLETED, JOB_DROPPED, JOB_GAVE_UP, REJECTED

TIMED_OUT = -1  # what a client learns when its patience with an attempt ends


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
        self.retry = None if self.part.retry is None else self.part.retry.policy
        self.patience = None if self.part.attempt_timeout is None else self.part.attempt_timeout.table
        self.expires = self.patience is not None or self.part.total_timeout is not None
        self.retry_after = queue.part.retry_after or 0.0

    def send(self, job: LiveJob) -> simpy.Process:
        """Start a job, now; its process ends with the job's outcome."""
        return self.env.process(self._life(job))

    def _life(self, job: LiveJob) -> Generator[simpy.Event, Any, int]:
        """One job's story: send, wait for the answer, back off, send again; until done or out of patience."""
        self.ledger.begin(job)
        if self.part.total_timeout is not None:
            self._limit(job)
        outcome = JOB_GAVE_UP
        try:
            while True:
                answer = simpy.Event(self.env)
                attempt, result = self._attempt(job, answer), REJECTED
                if self.queue.offer(attempt):
                    if self.patience is not None:
                        self._watch(attempt, self.patience)
                    result = yield answer
                    attempt.answer = None
                job.attempt = None
                if result in (COMPLETED, DROPPED):
                    outcome = JOB_COMPLETED if result == COMPLETED else JOB_DROPPED
                    break
                pause = self._pause(job, result)
                if pause is None:
                    break
                self.ledger.change((self.env.now, BACKOFF, job.job_class, 1.0))
                try:
                    yield After(self.env, pause, at(order.RETRY, job, job.attempts))
                finally:
                    self.ledger.change((self.env.now, BACKOFF, job.job_class, -1.0))
        except simpy.Interrupt:  # the total timeout
            if job.attempt is not None:
                self._abandon(job.attempt)
        self.ledger.end(job, outcome)
        return outcome

    def _attempt(self, job: LiveJob, answer: simpy.Event) -> Attempt:
        """The job's next attempt, about to be sent; ``answer`` will fire with what comes of it."""
        job.attempts += 1
        demand = job.demand if self.demand is None else self.demand(job)
        attempt = job.attempt = Attempt(job, self.env.now, demand, answer)
        attempt.expires = self.expires
        return attempt

    def _watch(self, attempt: Attempt, law: npt.NDArray[np.float64]) -> None:
        """Give up waiting for this attempt when its timeout has passed."""
        job = attempt.job
        patience = self.chance.draw(law, job.source, job.number, random.TIMEOUT, attempt.number)
        timer = After(self.env, patience, at(order.TIMEOUT, job, attempt.number))

        def expire(_: simpy.Event) -> None:
            answer = attempt.answer
            if answer is not None and not answer.triggered:
                self._abandon(attempt)
                answer.succeed(TIMED_OUT)

        timer.callbacks.append(expire)

    def _limit(self, job: LiveJob) -> None:
        """Give up the job when its total timeout has passed."""
        process = self.env.active_process
        timer = After(self.env, self.part.total_timeout or 0.0, at(order.TIMEOUT, job, 0))

        def expire(_: simpy.Event) -> None:
            if process is not None and process.is_alive:
                process.interrupt()

        timer.callbacks.append(expire)

    def _abandon(self, attempt: Attempt) -> None:
        """Nobody waits for the attempt any more; it is left, taken from the queue or stopped."""
        attempt.timed_out, attempt.answer = 1.0, None
        if attempt.outcome == DROPPED:
            self.ledger.close(attempt)
        elif attempt.waiting and self.part.on_timeout != "leave":
            self.queue.withdraw(attempt)
        elif attempt.in_hand and self.part.on_timeout == "cancel":
            self.queue.workers.stop(attempt)  # type: ignore[union-attr]

    def _pause(self, job: LiveJob, result: int) -> float | None:
        """How long to back off before the next attempt [s]; None for no more attempts."""
        failed, policy = job.attempts, self.retry
        if policy is None or failed >= policy[6]:
            return None
        if policy[7] < 1.0:
            u = self.chance.uniform(job.source, job.number, random.RETRY, failed)
            if not rules.tries_again(policy, failed, u):
                return None
        previous = policy[1] if math.isnan(job.pause) else job.pause
        u = self.chance.uniform(job.source, job.number, random.BACKOFF, failed)
        job.pause = rules.backoff(policy, failed, previous, u)
        return max(job.pause, self.retry_after) if result == REJECTED else job.pause
