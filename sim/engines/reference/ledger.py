"""What the processes write down: rows of ended attempts and jobs, changes of state, in the order of events."""

from __future__ import annotations

from array import array
from typing import Protocol

import numpy as np
import numpy.typing as npt
import simpy

from backwater.books import Fold
from backwater.engines.reference.jobs import Attempt, LiveJob
from backwater.outcome import ALIVE, ATTEMPT, JOB, JOB_UNFINISHED, NOTE, REJECTED, SERVED, WORKFLOW

CHUNK = 50_000  # numbers that are held before they are folded


class Workflows(Protocol):
    """What hears of jobs that lead to others."""

    def begin(self, job: LiveJob) -> None:
        """A job arrives."""

    def served(self, job: LiveJob) -> None:
        """A service of a job has completed."""

    def ended(self, job: LiveJob) -> None:
        """A job has ended."""

    def leave(self) -> None:
        """The run ends."""


class Ledger:
    """Buffers rows and changes and hands them to a ``Fold`` in chunks, or drops them where there is none.

    alive      the jobs in progress
    workflows  what hears of each that arrives, is served or ends, where jobs lead to others
    """

    def __init__(self, env: simpy.Environment, fold: Fold | None = None) -> None:
        self.env, self.fold = env, fold
        self.alive: set[LiveJob] = set()
        self.workflows: Workflows | None = None
        self._changes, self._attempts, self._jobs, self._workflows = array("d"), array("d"), array("d"), array("d")
        self._notes = array("d")
        #: ``change((now, gauge, job_class, by))`` notes a change of state; bound once, for it is called most of all.
        self.change = self._changes.extend

    def begin(self, job: LiveJob) -> None:
        """A job arrives, now."""
        job.arrived = self.env.now
        self.alive.add(job)
        self.change((job.arrived, ALIVE, job.job_class, 1.0))
        if self.workflows is not None:
            self.workflows.begin(job)

    def served(self, job: LiveJob) -> None:
        """A service of a job has completed without an error, now."""
        if self.workflows is not None:
            self.workflows.served(job)

    def workflow(self, first: LiveJob, outcome: int) -> None:
        """A workflow has ended, now, or remains at the end of the run."""
        self._workflows.extend((first.job_class, first.arrived, self.env.now, outcome))

    def end(self, job: LiveJob, outcome: int) -> None:
        """A job's client is done with it, now."""
        self.alive.discard(job)
        self._write(job, outcome)
        self.change((self.env.now, ALIVE, job.job_class, -1.0))
        if self.workflows is not None:
            self.workflows.ended(job)

    def leave(self, job: LiveJob) -> None:
        """The run ends and the job is still alive."""
        self._write(job, JOB_UNFINISHED)

    def _write(self, job: LiveJob, outcome: int) -> None:
        now = self.env.now
        if outcome != JOB_UNFINISHED and job.released != job.released:
            job.released = now
        self._jobs.extend(
            (job.source, job.number, job.job_class, job.arrived, now, job.attempts, outcome, job.released, *job.origin)
        )

    def reject(self, attempt: Attempt) -> None:
        """An attempt is turned away, now."""
        attempt.ended, attempt.outcome = self.env.now, REJECTED
        self.close(attempt)

    def close(self, attempt: Attempt) -> None:
        """Write the row of an attempt that has ended."""
        job = attempt.job
        self._attempts.extend((
            job.source, job.number, job.job_class, attempt.number, job.arrived, attempt.sent, attempt.accepted,
            attempt.taken, attempt.started, attempt.ended, attempt.worker, attempt.spilled, attempt.disk, job.size,
            attempt.timed_out, job.served if attempt.outcome in SERVED else 0, attempt.outcome,
            attempt.withheld, attempt.hedge, attempt.superseded, attempt.delivery, attempt.delivered, attempt.returned,
        ))  # fmt: skip
        if len(self._changes) + len(self._attempts) > CHUNK:
            self.flush()

    def note(self, what: int, job: LiveJob | None = None, number: int = 0, before: int = 0) -> None:
        """Write down what no row tells: of a job's attempt, or of the staff."""
        source, of, number = (-1, -1, number) if job is None else (job.source, job.number, job.attempts)
        self._notes.extend((self.env.now, what, source, of, number, before))

    def close_workflows(self) -> None:
        """The run ends, and so do the workflows that are still under way."""
        if self.workflows is not None:
            self.workflows.leave()

    def flush(self) -> None:
        """Fold what is held."""
        for rows, width, name in (
            (self._changes, 4, "changes"), (self._attempts, len(ATTEMPT), "attempts"), (self._jobs, len(JOB), "jobs"),
            (self._workflows, len(WORKFLOW), "workflows"),
            (self._notes, len(NOTE), "notes"),
        ):  # fmt: skip
            if self.fold is not None:
                getattr(self.fold, name)(_table(rows, width))
            del rows[:]


def _table(rows: array[float], width: int) -> npt.NDArray[np.float64]:
    # A copy: an array cannot be emptied while somebody still looks at it.
    return np.array(rows, dtype=np.float64).reshape(-1, width)
