"""What breaks, and when."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator

import simpy

from backwater import order
from backwater.components.faults import Fault, struck
from backwater.engines.reference.clock import After


class Faults:
    """The faults of a scenario: each begins and ends at its time, and ``changed()`` is called.

    active  those that last, in the order in which they are written
    """

    def __init__(self, env: simpy.Environment, parts: tuple[Fault, ...] = ()) -> None:
        self.env, self.parts = env, parts
        self.on = [False] * len(parts)
        self.changed: list[Callable[[], None]] = []
        self.crashed: Callable[[Fault], None] | None = None  # called when a crash begins, before
        for index, part in enumerate(parts):
            env.process(self._story(index, part.start, begins=True))
            if not math.isinf(part.stop):
                env.process(self._story(index, part.stop, begins=False))

    def _story(self, index: int, when: float, *, begins: bool) -> Generator[simpy.Event, None, None]:
        """A fault begins, or ends; at one instant the ends come first."""
        place = index + (len(self.parts) if begins else 0)
        yield After(self.env, when, order.key(order.FAULT, 0, place, 0))
        self.on[index] = begins
        if begins and self.crashed is not None:
            self.crashed(self.parts[index])
        for tell in self.changed:
            tell()

    def active(self, *kinds: str) -> list[Fault]:
        """Those of these kinds that last now."""
        return [part for part, on in zip(self.parts, self.on, strict=True) if on and part.kind in kinds]

    def pace(self, worker: int, count: int) -> float:
        """How fast one of ``count`` workers does what it has in hand now [1]; 0 where it stands still."""
        pace = 1.0
        for part in self.active("workers_down", "workers_slow"):
            if struck(worker, count, part.portion) and part.in_hand == "pause":
                pace = 0.0 if part.kind == "workers_down" else pace / part.times
        return pace

    def off(self, worker: int, count: int) -> bool:
        """Whether one of ``count`` workers takes no work now."""
        return any(struck(worker, count, part.portion) for part in self.active("workers_down", "workers_crash"))

    @property
    def disk_factor(self) -> float:
        """What multiplies the time of a disk operation asked for now [1]."""
        return math.prod(part.times for part in self.active("disk_slow"))

    @property
    def error_share(self) -> float:
        """The share of services that end with an error now [1]."""
        good = 1.0
        for part in self.active("errors"):
            good *= 1.0 - part.portion
        return 1.0 - good
