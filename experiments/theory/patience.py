"""M/M/c+D: clients that wait for a constant time, and whose attempts are then taken from an unbounded FIFO queue."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from backwater.experiments.theory.formulas import erlang_b
from backwater.metrics import QUANTILES


@dataclass(frozen=True)
class ConstantPatience:
    """M/M/c+D in the steady state.

    c, rate, mean  workers, arrivals per second [1/s], mean of a service [s]
    patience       how long a client waits, service included [s]; only attempts that wait are taken away

    The wait that an attempt would have to go through has the density k exp(-(c/mean - rate) x) below the patience;
    beyond it nobody stays to be served, and it falls as exp(-c x / mean). Sources: Baccelli and Hebuterne, "On queues
    with impatient customers", 1981; Zeltyn and Mandelbaum, "Call centers with impatient customers", 2005.
    """

    c: int
    rate: float
    mean: float
    patience: float

    @property
    def _slope(self) -> float:
        return self.c / self.mean - self.rate

    @cached_property
    def _parts(self) -> tuple[float, float, float]:
        """The share of attempts that need not wait, the density of waits just above 0 [1/s], the share that leaves."""
        first = self.rate * erlang_b(self.c - 1, self.rate * self.mean)
        beyond = first * math.exp(-self._slope * self.patience) * self.mean / self.c
        total = 1 + first * _area(self._slope, self.patience) + beyond
        return 1 / total, first / total, beyond / total

    @property
    def abandon(self) -> float:
        """The share of attempts that are taken from the queue [1]."""
        return self._parts[2]

    def waited(self, t: float) -> float:
        """The share of all attempts whose service begins within ``t`` [s]."""
        free, first, _ = self._parts
        return free + first * _area(self._slope, min(t, self.patience))

    def served(self, t: float) -> float:
        """The share of all attempts that are served within ``t`` [s], at most the patience, of when they came."""
        free, first, _ = self._parts
        ends = 1 / self.mean
        late = free * math.exp(-ends * t) + first * math.exp(-ends * t) * _area(self._slope - ends, t)
        return self.waited(t) - late

    def measures(self) -> dict[str, float]:
        """Our metrics, in base units."""
        from scipy.integrate import quad

        begun, in_time, patience = 1 - self.abandon, self.served(self.patience), self.patience
        late = quad(lambda t: begun - self.waited(t), 0, patience, epsabs=0, epsrel=1e-11, limit=200)[0]
        held = quad(lambda t: in_time - self.served(t), 0, patience, epsabs=0, epsrel=1e-11, limit=200)[0]
        wait, busy, queue = late / begun, self.rate * begun * self.mean, self.rate * (late + self.abandon * patience)
        return {
            "arrival_rate": self.rate, "attempt_rate": self.rate, "accepted_rate": self.rate, "rejection_ratio": 0.0,
            "throughput": self.rate * begun, "goodput": self.rate * in_time, "failure_ratio": 1 - in_time,
            "attempts_per_job": 1.0, "cancelled_ratio": self.abandon, "timeout_ratio": 1 - in_time,
            "utilization": busy / self.c, "busy_mean": busy, "queue_mean": queue, "system_mean": queue + busy,
            "wait_mean": wait, "sojourn_mean": wait + self.mean, "latency_mean": held / in_time,
            **{f"wait_{word}": self._quantile(self.waited, q * begun) for word, q in QUANTILES.items()},
            **{f"latency_{word}": self._quantile(self.served, q * in_time) for word, q in QUANTILES.items()},
        }  # fmt: skip

    def _quantile(self, share: Callable[[float], float], level: float) -> float:
        from scipy.optimize import brentq

        if share(0.0) >= level:
            return 0.0
        return float(brentq(lambda t: share(t) - level, 0.0, self.patience, xtol=1e-13 * self.patience, rtol=1e-14))


def _area(slope: float, t: float) -> float:
    """The integral of exp(-slope x) from 0 to t."""
    return t if slope == 0 else -math.expm1(-slope * t) / slope
