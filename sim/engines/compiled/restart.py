"""A replication that is split: where many wait, it goes on as several trials with futures of their own (RESTART).

All that changes lies in one buffer, so that a state is kept and taken up again by one copy.
"""

from __future__ import annotations

from contextlib import nullcontext
from threading import Event
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backwater import jit
from backwater.components.arrivals import Poisson
from backwater.components.closed import Closed
from backwater.components.workers import Workers
from backwater.engines.compiled import producer
from backwater.engines.compiled.kernel import ENDED, LATER, PASS, PAUSED, ROOM, run
from backwater.engines.compiled.system import EVENTS, SLOTS, System
from backwater.engines.compiled.world import Calendar, World
from backwater.errors import check
from backwater.jit import inner, kernel
from backwater.outcome import MAIN
from backwater.run import Run
from backwater.scenario import Scenario

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]
BRANCHES = 2**20  # of one replication, at most
LINE = 256  # bytes of which each array of the buffer takes whole ones
_CALLS = 20_000  # stretches between two thresholds before Python looks up
_NEVER = 2**40  # more than ever wait
# What is shared by all trials: it does not change, or nothing is read of it.
_SHARED = {"senders", "kinds", "numbers", "trace_times", "trace_rows", "attempt_rows", "job_rows", "note_rows", "books"}

#: Where a replication is: its region (how many thresholds have been reached), the region in which the present trial
#: began, the number of the next trial, whether it is over; and what was counted: attempts of the trial that came first,
#: weighted rejections, attempts of all trials.
TRACK = np.dtype([
    ("region", "i8"), ("base", "i8"), ("next", "i8"), ("attempts", "f8"), ("rejected", "f8"), ("simulated", "f8"),
])  # fmt: skip
#: A region that has been entered: how many trials are still to begin there, and where the one that entered it began.
ENTRY = np.dtype([("left", "i8"), ("base", "i8")])


class Splits(NamedTuple):
    """Where and how often a replication is split.

    thresholds  numbers waiting, going up
    splits      into how many trials, at each
    """

    thresholds: tuple[int, ...]
    splits: tuple[int, ...]

    @property
    def weights(self) -> Array:
        """What a rejection counts for, by region."""
        return np.append(1.0, np.cumprod(1.0 / np.array(self.splits, np.float64)))


class Tally(NamedTuple):
    """What a split replication has counted.

    attempts   of the replication itself, after the warm-up
    rejected   of them, by the weights of all its trials
    simulated  attempts of all trials
    visits     how often so many came to wait, in all trials
    """

    attempts: float
    rejected: float
    simulated: float
    visits: Ints


@inner
def _counts(world):  # type: ignore[no-untyped-def]
    """Attempts after the warm-up, and those of them that were rejected."""
    attempts, rejected = 0.0, 0.0
    for at in range(MAIN * world.books.places, (MAIN + 1) * world.books.places):
        attempts += world.books.cells[at].attempts
        rejected += world.books.cells[at].rejected
    return attempts, rejected


@inner
def _climb(world, until, low, high, visits):  # type: ignore[no-untyped-def]
    """Go on until fewer than ``low`` or no fewer than ``high`` attempts wait: PAUSED; or as ``run`` does."""
    state = world.state[0]
    before = state.waiting
    for _ in range(EVENTS):
        code = run(world, until, 1)
        now = state.waiting
        for n in range(before + 1, now + 1):
            visits[min(n, len(visits) - 1)] += 1
        before = now
        if code != PAUSED or now < low or now >= high:
            return code
    return PAUSED


@inner
def _begin(world, plan, track, entry, region, first):  # type: ignore[no-untyped-def]
    """A trial begins in a region, with random numbers of its own."""
    entry.left -= 1
    track.base = region
    plan.replication = first + track.next
    track.next += 1
    producer.redraw(world)


@kernel
def go(world, plan, buffer, kept, entries, thresholds, splits, weights, until, first, track_, visits):  # type: ignore[no-untyped-def]
    """Go on with a replication and its trials, for a while. Returns ENDED, PAUSED or ROOM; what it was is then lost.

    plan  that of the world, as something that may be written
    """
    track, state, levels = track_[0], world.state[0], len(thresholds)
    for _ in range(_CALLS):
        region = track.region
        low = thresholds[region - 1] if region > 0 else 0
        high = thresholds[region] if region < levels else _NEVER
        attempts, rejected = _counts(world)
        code = _climb(world, until, low, high, visits)
        more, lost = _counts(world)
        track.rejected += weights[region] * (lost - rejected)
        track.simulated += more - attempts
        if track.base == 0:
            track.attempts += more - attempts
        if code in (ROOM, PASS) or track.next >= BRANCHES:
            return ROOM
        over = code in (ENDED, LATER)
        while not over and region > 0 and state.waiting < thresholds[region - 1]:
            region -= 1
        if over and track.base == 0:
            return ENDED
        if over or region < track.base:
            region = track.base
            entry = entries[region - 1]
            for i in range(len(buffer)):
                buffer[i] = kept[region - 1, i]
            if entry.left > 0:
                _begin(world, plan[0], track, entry, region, first)
            else:  # the trial that entered the region goes on
                track.base = entry.base
        while region < levels and state.waiting >= thresholds[region]:
            for i in range(len(buffer)):
                kept[region, i] = buffer[i]
            entry = entries[region]
            entry.left, entry.base = splits[region] - 1, track.base
            region += 1
            if entry.left > 0:
                _begin(world, plan[0], track, entry, region, first)
        track.region = region
    return PAUSED


class Split(System):
    """A replication that is split."""

    def __init__(self, scenario: Scenario, run: Run, replication: int, slots: int = SLOTS) -> None:
        super().__init__(scenario, run, replication, slots)
        check(not self.traces, "arrivals", "a list of times", "must have a future that can be drawn anew")
        closed = any(isinstance(part.source, Closed) for part in scenario.producers)
        check(not closed, "arrivals", "closed", "must not be a closed population for its runs to be split")
        self._open()
        self.world, self.buffer = _gathered(self.world)

    def tally(self, where: Splits, most: int, halt: Event | None = None) -> Tally | None:
        """Run to the end, with all trials; None where slots or numbers of trials have run out. ``most`` may wait."""
        levels, track, visits = len(where.thresholds), np.zeros(1, TRACK), np.zeros(most + 2, np.int64)
        track["next"] = 1
        kept, entries = np.empty((levels, len(self.buffer))), np.zeros(levels, ENTRY)
        thresholds, splits = (np.array(part, np.int64) for part in where)
        first = (self.replication + 1) * BRANCHES % 2**31
        code = PAUSED
        while code == PAUSED:
            code = go(
                self.world, self.world.plan, self.buffer, kept, entries, thresholds, splits, where.weights,
                self.run.end, first, track, visits,
            )  # fmt: skip
            self._check_rules()
            if halt is not None and halt.is_set():
                raise KeyboardInterrupt
        its = track[0]
        if code != ENDED:
            return None
        return Tally(float(its["attempts"]), float(its["rejected"]), float(its["simulated"]), visits)


def _gathered(world: World) -> tuple[World, Array]:
    """The same world with all that changes in one buffer."""
    arrays = {name: getattr(world, name) for name in World._fields if name not in _SHARED}
    books = {name: getattr(world.books, name) for name in ("cells", "gauges", "clock")}
    flat: list[npt.NDArray[np.generic]] = []
    for part in (*arrays.values(), *books.values()):
        flat += [part.events, part.size] if isinstance(part, Calendar) else [part]
    starts = np.cumsum([0, *(-(-part.nbytes // LINE) * LINE + LINE for part in flat)])
    buffer = np.zeros(int(starts[-1]), np.uint8)
    moved = []
    for part, start in zip(flat, starts, strict=False):
        view = buffer[start : start + part.nbytes].view(part.dtype).reshape(part.shape)
        view[...] = part
        moved.append(view)
    views = iter(moved)
    new: dict[str, object] = {
        name: Calendar(next(views), next(views)) if isinstance(part, Calendar) else next(views)
        for name, part in arrays.items()
    }
    rest = {name: next(views) for name in books}
    together = {**world._asdict(), **new, "books": world.books._replace(**rest)}  # type: ignore[arg-type]
    return World(**together), buffer.view(np.float64)


def prepare() -> None:
    """Compile the kernel where that has not been done on this machine, or read it."""
    with nullcontext() if jit.is_ready(go) else jit.telling("the kernel of split runs"):
        any_scenario = Scenario(arrivals=Poisson(rate=1.0), workers=Workers(service="1 s"))
        Split(any_scenario, Run(horizon=1.0), 0).tally(Splits((1,), (2,)), 10)
