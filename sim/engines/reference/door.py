"""Who is let into a queue, and who is turned out of it again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import simpy

from backwater import random
from backwater.components import admission as rules
from backwater.components import own
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.jobs import Attempt


class Door:
    """Admission control as ``part`` says; ``levels`` are the priorities that there are, in order."""

    def __init__(
        self, env: simpy.Environment, part: rules.Admission, chance: Chance, levels: Sequence[int] = (0,)
    ) -> None:
        self.env, self.chance, self.levels = env, chance, list(levels)
        self.by_job, self.own = isinstance(part, rules.Dagor), part.rule if isinstance(part, own.Own) else None
        self.params, self.memory = rules.params_of(part), rules.memory_of(part, len(self.levels))
        self.emptied = 0.0

    def admits(self, attempt: Attempt, waiting: int, busy: int, idle: int, capacity: float) -> bool:
        """Whether an attempt is let in."""
        job = attempt.job
        u = self.chance.uniform(job.source, job.number, random.ADMIT, 0 if self.by_job else job.attempts)
        if self.own is not None:
            told = self.env.now, u, waiting, busy, idle, capacity, job.size, attempt.demand
            of_job = job.part.priority, job.attempts, job.arrived, job.due
            lets = own.lets_in(self.own.address, self.memory, *told, *of_job)
            self.own.check(self.memory)
            return bool(lets)
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
