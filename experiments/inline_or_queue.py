"""Where a queue stops paying: the same work within the request and through a broker, as the caller sees it.

Two callers, two frontiers. One does not need the result: it is better off inline where waiting for the work takes no
longer than handing it over. The other needs it within some time: inline adds nothing, and a 503 keeps what is served
early; a queue is late, but refuses nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backwater.experiments.compare import compare
from backwater.models.inline_or_queue import BROKERS, RUN, async_queue, sync_inline
from backwater.run import Run
from backwater.simulation import simulate
from backwater.units import text

Array = npt.NDArray[np.float64]
SERVICES, LOADS = np.geomspace(0.0001, 0.5, 13), np.array([0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95])
PEAKS, LIMITS = np.array([0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0]), np.geomspace(0.05, 300, 25)
ASKS = 5.0  # how often a caller asks that is not told [s]


@dataclass(frozen=True)
class Handover:
    """How long a caller is blocked that does not need the result [s].

    service, load  means [s] and loads [1] of the work
    inline         by the work itself, shape (service, load)
    brokers        by handing it over, whatever the work and the load
    """

    service: Array
    load: Array
    inline: Array
    brokers: dict[str, float]

    def frontier(self, broker: str) -> Array:
        """The mean service time below which inline blocks for less than handing over, at each load [s].

        Between the grid's points on a straight line of logarithms; NaN where it lies beyond them.
        """
        out = np.full(len(self.load), math.nan)
        for at, blocked in enumerate(self.inline.T):
            if blocked[0] <= self.brokers[broker] <= blocked[-1]:
                out[at] = np.exp(np.interp(math.log(self.brokers[broker]), np.log(blocked), np.log(self.service)))
        return out


@dataclass(frozen=True)
class Lateness:
    """Share of the jobs whose caller has the result in time: through the queue minus inline [1].

    peak, limit  load at the peaks [1], and the time within which the result is of use [s]
    gain         shape (peak, limit); ``low`` and ``high`` are the ends of its interval, 95 % for all limits of a peak
    polled       the gain where the caller asks every ``asks`` [s]
    """

    peak: Array
    limit: Array
    gain: Array
    low: Array
    high: Array
    polled: Array
    asks: float

    @property
    def sure(self) -> Array:
        """1 where the queue surely serves more in time, -1 where inline does, 0 where they cannot be told apart."""
        return np.where(self.low > 0, 1.0, np.where(self.high < 0, -1.0, 0.0))

    def frontier(self, *, polled: bool = False) -> Array:
        """The time from which on the queue serves more in time, for good, at each peak [s]; NaN where there is none."""
        out = np.full(len(self.peak), math.nan)
        for at, gain in enumerate(self.polled if polled else self.gain):
            behind = np.flatnonzero(gain <= 0)
            if len(behind) and behind[-1] + 1 < len(gain):
                ends = slice(behind[-1], behind[-1] + 2)
                out[at] = np.exp(np.interp(0.0, gain[ends], np.log(self.limit[ends])))
        return out


def handover(
    service: Array = SERVICES, load: Array = LOADS, *, jobs: int = 20_000, replications: int = 3, seed: int = 1,
    progress: Callable[[], None] = lambda: None,
) -> Handover:  # fmt: skip
    """Blocked time of both ways over service times and loads, without peaks; from so many jobs a run."""
    run = Run(arrivals=jobs, replications=replications, seed=seed)
    inline = np.empty((len(service), len(load)))
    for row, mean in enumerate(service):
        for column, level in enumerate(load):
            # Patience and room enough: it is the time that counts here.
            patient = sync_inline(float(mean), float(level), None, patience="1 h", room=1_000_000)
            inline[row, column] = simulate(patient, run)["blocked_mean"]
            progress()
    short = run.model_copy(update={"arrivals": 1000})
    brokers = {name: simulate(async_queue(0.1, 0.5, None, name), short)["blocked_mean"] for name in BROKERS}
    return Handover(np.asarray(service), np.asarray(load), inline, brokers)


def lateness(
    peak: Array = PEAKS, limit: Array = LIMITS, *, service: Any = "100 ms", broker: str = "rabbitmq",
    asks: float = ASKS, run: Run = RUN, progress: Callable[[], None] = lambda: None,
) -> Lateness:  # fmt: skip
    """What is served in time both ways, over peaks and limits: the same jobs, pair by pair."""
    metrics = [f"served_within({text(float(each), 'time')})" for each in limit]
    gains, polled = [], []
    for level in peak:
        inline, pushed = sync_inline(service, peak=float(level)), async_queue(service, peak=float(level), broker=broker)
        asked = pushed.with_({"client.notify": {"kind": "poll", "every": asks}})
        found = compare(inline, pushed, asked, names=("inline", "queue", "asks"), run=run, metrics=metrics)
        gains.append([found.difference(name, 1).found[:3] for name in metrics])
        polled.append([found.difference(name, 2).found.value for name in metrics])
        progress()
    value, low, high = np.moveaxis(np.array(gains), 2, 0)
    return Lateness(np.asarray(peak), np.asarray(limit), value, low, high, np.array(polled), asks)
