"""What the attempts of a hedged call share: its answer."""

from __future__ import annotations

import simpy

from backwater.engines.reference.jobs import Attempt
from backwater.engines.reference.ledger import Ledger
from backwater.outcome import COMPLETED, HEDGING


class Share:
    """What an attempt of a hedged call answers to: the first success, or the last failure, answers the call.

    live    the call's attempts for which its client waits, oldest first; the new one is now among them
    answer  fires with what comes of the call
    """

    def __init__(self, attempt: Attempt, live: list[Attempt], answer: simpy.Event, ledger: Ledger) -> None:
        self.attempt, self.live, self.answer, self.ledger = attempt, live, answer, ledger
        live.append(attempt)
        if len(live) > 1:
            self._change(1.0)

    @property
    def triggered(self) -> bool:
        """Whether the call has its answer."""
        return self.answer.triggered

    def succeed(self, outcome: int) -> None:
        """The attempt has ended, for its client."""
        self.leave()
        if not self.answer.triggered and (outcome == COMPLETED or not self.live):
            self.answer.succeed(outcome)

    def leave(self) -> None:
        """The client no longer waits for the attempt."""
        if len(self.live) > 1:
            self._change(-1.0)
        self.live.remove(self.attempt)
        self.attempt.answer = None

    def _change(self, by: float) -> None:
        self.ledger.change((self.ledger.env.now, HEDGING, self.attempt.job.job_class, by))
