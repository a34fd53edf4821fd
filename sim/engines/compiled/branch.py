"""A replication that can be split: from one state on, several futures that know nothing of each other."""

from __future__ import annotations

from contextlib import nullcontext
from threading import Event

import numpy as np
import numpy.typing as npt

from backwater import jit
from backwater.components.closed import Closed
from backwater.engines.compiled import kernel, producer
from backwater.engines.compiled.system import EVENTS, System
from backwater.engines.compiled.world import Calendar, World
from backwater.errors import check
from backwater.outcome import MAIN
from backwater.run import Run
from backwater.scenario import Scenario


class Branch(System):
    """A replication in progress, followed by how many attempts wait.

    Of its own are the state and the counts; histograms are shared by all branches of a replication, and so say nothing.
    """

    def __init__(self, scenario: Scenario, run: Run, replication: int) -> None:
        super().__init__(scenario, run, replication)
        check(not self.traces, "arrivals", "a trace", "must not be a list of times: its future cannot be drawn anew")
        closed = any(isinstance(part.source, Closed) for part in scenario.producers)
        check(not closed, "arrivals", "closed", "must not be a closed population for its runs to be split")
        self._open()

    @property
    def waiting(self) -> int:
        """How many attempts wait."""
        return int(self.world.state[0]["waiting"])

    @property
    def counts(self) -> tuple[float, float]:
        """Attempts after the warm-up, and those of them that were rejected."""
        cells = self.world.books.cells.reshape(-1, self.world.books.places)[MAIN]
        return float(cells["attempts"].sum()), float(cells["rejected"].sum())

    def climb(self, low: int, high: int, visits: npt.NDArray[np.int64], halt: Event | None = None) -> bool:
        """Go on until fewer than ``low`` or at least ``high`` wait; whether that was before the end of the run."""
        while True:
            code = kernel.climb(self.world, self.run.end, low, high, EVENTS, visits)
            self._check_rules()
            if code == kernel.ROOM:
                self._grow()
            elif code in (kernel.ENDED, kernel.LATER):
                return False
            elif code == kernel.CROSSED:
                return True
            if halt is not None and halt.is_set():
                raise KeyboardInterrupt

    def split(self, replication: int) -> Branch:
        """Another branch from here on, with the random numbers of a replication of its own."""
        other = object.__new__(Branch)
        other.__dict__ |= self.__dict__ | {"world": _copied(self.world), "replication": replication}
        other.world.plan["replication"] = replication
        producer.redraw(other.world)
        return other


def _copied(world: World) -> World:
    """A world with the same state that shares only what does not change, and the histograms."""
    shared = {"senders", "kinds", "numbers", "trace_times", "trace_rows", "attempt_rows", "job_rows", "books"}
    parts = {}
    for name in World._fields:
        part = getattr(world, name)
        if isinstance(part, Calendar):
            parts[name] = Calendar(part.events.copy(), part.size.copy())
        elif name not in shared:
            parts[name] = part.copy()
    books = world.books
    own = {name: getattr(books, name).copy() for name in ("cells", "gauges", "clock", "areas", "peaks")}
    return world._replace(books=books._replace(**own), **parts)


def prepare() -> None:
    """Compile the kernel of branches where that has not been done on this machine, or read it."""
    ready = jit.is_ready(kernel.climb)
    with nullcontext() if ready else jit.telling("the kernel of branches"):
        from backwater.components.arrivals import Poisson
        from backwater.components.workers import Workers

        any_scenario = Scenario(arrivals=Poisson(rate=1.0), workers=Workers(service="1 s"))
        Branch(any_scenario, Run(horizon=1.0), 0).climb(0, 10, np.zeros(16, np.int64))


__all__ = ["Branch", "prepare"]
