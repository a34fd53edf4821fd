"""Who is let into a queue, and who is turned out of it again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import simpy

from backwater import random
from backwater.components import admission as rules
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.jobs import Attempt, LiveJob


class Door:
    """Admission control as ``part`` says; ``levels`` are the priorities that there are, in order."""

    def __init__(
        self, env: simpy.Environment, part: rules.Admission, chance: Chance, levels: Sequence[int] = (0,)
    ) -> None:
        self.env, self.chance, self.levels = env, chance, list(levels)
        self.by_job = isinstance(part, rules.Dagor)
        self.params, self.memory, self.emptied = part.params, part.memory(len(self.levels)), 0.0

    def admits(self, job: LiveJob, waiting: int, busy: int) -> bool:
        """Whether the job's present attempt is let in."""
        u = self.chance.uniform(job.source, job.number, random.ADMIT, 0 if self.by_job else job.attempts)
        level = self.levels.index(job.part.priority)
        return bool(rules.admits(self.params, self.memory, self.env.now, u, waiting, busy, level))

    def joins(self, attempt: Attempt, others: int) -> None:
        """An attempt waits, beside so many others."""
        if others == 0:
            self.emptied = self.env.now
        attempt.limit = rules.patience(self.params, self.env.now, self.emptied)

    def keeps(self, attempt: Attempt, others: int) -> bool:
        """Whether a worker may take an attempt; so many others wait."""
        arguments = self.env.now, attempt.accepted, attempt.limit, others
        return bool(rules.keeps(self.params, self.memory, *arguments))

    def at_once(self) -> None:
        """An idle worker takes an attempt that has not waited."""
        rules.keeps(self.params, self.memory, self.env.now, self.env.now, math.inf, 0)

    def finds_nobody(self) -> None:
        """A worker finds nobody who waits."""
        rules.finds_nobody(self.params, self.memory)

    def served(self, attempt: Attempt, inside: int) -> None:
        """A service ends, or its client stops or withdraws an attempt, of so many that wait or are served."""
        late = attempt.answer is None
        rules.served(self.params, self.memory, self.env.now, attempt.accepted, inside, late)
