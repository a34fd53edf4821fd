"""Who is next: one class per discipline. All see those that wait in order of acceptance, as ``queue`` keeps them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from heapq import heappop, heappush

import simpy

from backwater import random
from backwater.components import own
from backwater.components.queue import Queue, pick, stands, start_tag
from backwater.engines.reference.chance import Chance
from backwater.engines.reference.jobs import Attempt, LiveJob

Waiting = OrderedDict[Attempt, None]


class Line:
    """First come, first served."""

    def __init__(self, waiting: Waiting) -> None:
        self.waiting = waiting

    def join(self, attempt: Attempt) -> None:
        """An attempt has been accepted."""

    def leave(self, attempt: Attempt) -> None:
        """It no longer waits."""

    def taken(self, attempt: Attempt) -> None:
        """A worker takes it; it still waits."""

    def next(self) -> Attempt | None:
        """Who is next; somebody waits, but it may not be allowed to anybody."""
        return next(iter(self.waiting))


class Newest(Line):
    """Last come, first served."""

    def next(self) -> Attempt:
        return next(reversed(self.waiting))


class AdaptiveLifo(Line):
    """The newest while the queue stands, else the oldest."""

    def __init__(self, waiting: Waiting, env: simpy.Environment, standing: float) -> None:
        super().__init__(waiting)
        self.env, self.standing, self.emptied = env, standing, 0.0

    def join(self, attempt: Attempt) -> None:
        if len(self.waiting) == 1:
            self.emptied = self.env.now

    def next(self) -> Attempt:
        newest = stands(self.emptied, self.env.now, self.standing)
        return next(reversed(self.waiting)) if newest else next(iter(self.waiting))


class Priority(Line):
    """By priority, 0 first, and in order of acceptance within one."""

    def __init__(self, waiting: Waiting) -> None:
        super().__init__(waiting)
        self.levels: dict[int, Waiting] = {}

    def join(self, attempt: Attempt) -> None:
        self.levels.setdefault(attempt.job.part.priority, OrderedDict())[attempt] = None

    def leave(self, attempt: Attempt) -> None:
        level = self.levels[attempt.job.part.priority]
        del level[attempt]
        if not level:
            del self.levels[attempt.job.part.priority]

    def next(self) -> Attempt:
        return next(iter(self.levels[min(self.levels)]))


class Ranked(Line):
    """The least ``rank(attempt)`` first, and in order of acceptance where that ties."""

    def __init__(self, waiting: Waiting, rank: Callable[[Attempt], float]) -> None:
        super().__init__(waiting)
        self.rank, self.turn = rank, 0
        self.heap: list[tuple[float, int, Attempt]] = []  # those that no longer wait leave it when they come up

    def join(self, attempt: Attempt) -> None:
        self.turn += 1
        heappush(self.heap, (self.rank(attempt), self.turn, attempt))

    def next(self) -> Attempt:
        while self.heap[0][2] not in self.waiting:
            heappop(self.heap)
        return self.heap[0][2]


class ByRule(Ranked):
    """By a rule of one's own."""

    def __init__(self, waiting: Waiting, env: simpy.Environment, part: own.Own, chance: Chance) -> None:
        super().__init__(waiting, self._rank)
        self.env, self.rule, self.chance, self.frame = env, part.rule, chance, part.frame

    def _rank(self, attempt: Attempt) -> float:
        job, its = attempt.job, attempt.job.part
        u = self.chance.uniform(job.source, job.number, random.RANK, attempt.number)
        told = self.env.now, u, len(self.waiting) - 1, job.size, attempt.demand, its.priority, its.weight
        rank: float = own.rank(self.rule.address, self.frame, *told, attempt.number, job.arrived, job.due)
        self.rule.check(self.frame)
        return rank


class Fair(Line):
    """Classes take turns, each by its weight: start-time fair queueing of attempts.

    Only those that are taken spend a turn of their class, not those that leave.
    """

    def __init__(self, waiting: Waiting) -> None:
        super().__init__(waiting)
        self.served_up_to, self.turn = 0.0, 0
        self.lines: dict[int, dict[Attempt, int]] = {}  # by class, in order of acceptance, each with its number
        self.tags: dict[int, float] = {}  # when a class is next

    def join(self, attempt: Attempt) -> None:
        job_class = attempt.job.job_class
        line = self.lines.setdefault(job_class, {})
        if not line:
            self.tags[job_class] = start_tag(self.served_up_to, self.tags.get(job_class, 0.0))
        self.turn += 1
        line[attempt] = self.turn

    def leave(self, attempt: Attempt) -> None:
        del self.lines[attempt.job.job_class][attempt]

    def taken(self, attempt: Attempt) -> None:
        job_class = attempt.job.job_class
        self.served_up_to = self.tags[job_class]
        self.tags[job_class] = self.served_up_to + 1.0 / attempt.job.part.weight

    def next(self) -> Attempt:
        heads = [(self.tags[job_class], *next(iter(line.items()))) for job_class, line in self.lines.items() if line]
        return min(heads, key=lambda head: (head[0], head[2]))[1]


class AtRandom(Line):
    """Anybody. They stand in places 0, 1, ...; the last one takes the place of one who leaves."""

    def __init__(self, waiting: Waiting, chance: Chance) -> None:
        super().__init__(waiting)
        self.chance, self.asked = chance, 0
        self.places: list[Attempt] = []
        self.place: dict[Attempt, int] = {}

    def join(self, attempt: Attempt) -> None:
        self.place[attempt] = len(self.places)
        self.places.append(attempt)

    def leave(self, attempt: Attempt) -> None:
        last, place = self.places.pop(), self.place.pop(attempt)
        if last is not attempt:
            self.places[place], self.place[last] = last, place

    def next(self) -> Attempt:
        u = self.chance.uniform(0, self.asked, random.PICK, 0)
        self.asked += 1
        return self.places[pick(u, len(self.places))]


class Grouped(Line):
    """First come, first served, but of a group nobody while one of it is out."""

    def __init__(self, waiting: Waiting, chance: Chance, groups: int) -> None:
        super().__init__(waiting)
        self.chance, self.groups = chance, groups
        self.locked: set[int] = set()

    def group(self, job: LiveJob) -> int:
        """To which group a job belongs."""
        return int(pick(self.chance.uniform(job.source, job.number, random.GROUP, 0), self.groups))

    def next(self) -> Attempt | None:
        return next((each for each in self.waiting if self.group(each.job) not in self.locked), None)


def line_of(part: Queue, waiting: Waiting, env: simpy.Environment, chance: Chance) -> Line:
    """The line that a queue's discipline says."""
    if isinstance(part.discipline, own.Own):
        return ByRule(waiting, env, part.discipline, chance)
    lines: dict[str, Callable[[], Line]] = {
        "fifo": lambda: Line(waiting), "lifo": lambda: Newest(waiting), "priority": lambda: Priority(waiting),
        "edf": lambda: Ranked(waiting, lambda attempt: attempt.job.due),
        "sjf": lambda: Ranked(waiting, lambda attempt: attempt.demand), "fair": lambda: Fair(waiting),
        "random": lambda: AtRandom(waiting, chance),
        "adaptive_lifo": lambda: AdaptiveLifo(waiting, env, part.standing),
    }  # fmt: skip
    return lines[part.discipline]()
