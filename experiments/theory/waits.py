"""Waits and sojourns as mixtures of Erlang laws: what comes of finding so many before oneself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import betainc, gammainc, gammaincc

from backwater.experiments.theory.formulas import TAIL, Array


@dataclass(frozen=True)
class ErlangMixture:
    """Of ``weights[j]``, a sum of j exponentials of the same ``rate`` [1/s]; weights[0] is no time at all."""

    rate: float
    weights: Array

    @cached_property
    def _some(self) -> tuple[Array, Array]:
        stages = np.flatnonzero(self.weights[1:]) + 1
        return stages.astype(float), self.weights[stages]

    @property
    def mean(self) -> float:
        """The mean [s]."""
        return float(self.weights @ np.arange(len(self.weights))) / self.rate

    def beyond(self, t: float) -> float:
        """The share above ``t`` [s]."""
        stages, weights = self._some
        return float(weights @ gammaincc(stages, self.rate * t))

    def within(self, t: float) -> float:
        """The share of at most ``t`` [s]."""
        stages, weights = self._some
        return float(self.weights[0] + weights @ gammainc(stages, self.rate * t))

    def mean_within(self, t: float) -> float:
        """The mean of those of at most ``t`` [s]."""
        stages, weights = self._some
        return float((weights * stages) @ gammainc(stages + 1, self.rate * t)) / self.rate / self.within(t)

    def before(self, rate: float) -> float:
        """The share that ends before an independent exponential time of this ``rate`` [1/s] does."""
        return float(self.weights @ np.exp(-np.arange(len(self.weights)) * math.log1p(rate / self.rate)))

    def shortened(self, rate: float) -> ErlangMixture:
        """The law of those that end before an independent exponential time of this ``rate`` [1/s] does."""
        kept = self.weights * np.exp(-np.arange(len(self.weights)) * math.log1p(rate / self.rate))
        return ErlangMixture(self.rate + rate, kept / kept.sum())

    def quantile(self, q: float, limit: float = math.inf) -> float:
        """What a share ``q`` of those of at most ``limit`` does not exceed [s]."""
        from scipy.optimize import brentq

        past = 1 - q if math.isinf(limit) else self.beyond(limit) + (1 - q) * self.within(limit)
        if self.beyond(0.0) <= past:
            return 0.0
        top = (len(self.weights) + 10) / self.rate
        while self.beyond(top) > past:
            top *= 2
        return float(brentq(lambda t: self.beyond(t) - past, 0.0, top, xtol=1e-12 * top, rtol=1e-14))

    def then_one_of(self, c: int) -> ErlangMixture:
        """This and then a service by one of ``c`` workers that together end services at ``rate``.

        Each end, seen from a worker, is its own with chance 1/c: so an exponential service is a geometric number of
        exponentials of the common rate, and the sum stays a mixture.
        """
        from scipy.signal import lfilter

        more = 1 if c == 1 else math.ceil(math.log(TAIL) / math.log1p(-1 / c))
        padded = np.concatenate([self.weights, np.zeros(more)])
        return ErlangMixture(self.rate, np.asarray(lfilter([0.0, 1 / c], [1.0, 1 / c - 1], padded)))


def wait_of(seen: Array, c: int, rate: float) -> ErlangMixture:
    """The FIFO wait of attempts of which ``seen[n]`` find n in the system; all ``c`` workers together do ``rate``.

    Source: Gross, Shortle, Thompson and Harris 2008, 2.5.
    """
    return ErlangMixture(rate, np.concatenate([[seen[:c].sum()], seen[c:]]))


@dataclass(frozen=True)
class ImpatientWait:
    """The FIFO wait of those that are served where each that waits leaves after an exponential time.

    weights[j]  share of those served that had j ends to wait for: of services, ``rate`` in all, or of the patience of
                those before them, ``patience`` each [1/s]
    Such a wait W is a sum of exponentials of rates rate + patience, ..., rate + j patience, so exp(-patience W) is a
    beta variate. Sources: Riordan, "Stochastic Service Systems", 1962, 6; Rényi 1953 for such sums.
    """

    rate: float
    patience: float
    weights: Array

    @property
    def mean(self) -> float:
        """The mean [s]."""
        j = np.arange(1, len(self.weights))
        return float(self.weights[1:] @ np.cumsum(1 / (self.rate + j * self.patience)))

    def beyond(self, t: float) -> float:
        """The share above ``t`` [s]."""
        j = np.arange(1, len(self.weights))
        shares = betainc(self.rate / self.patience + 1, j, math.exp(-self.patience * t))
        return float(self.weights[1:] @ shares)

    def quantile(self, q: float) -> float:
        """What a share ``q`` of them does not exceed [s]."""
        from scipy.optimize import brentq

        if self.beyond(0.0) <= 1 - q:
            return 0.0
        top = 1 / self.patience
        while self.beyond(top) > 1 - q:
            top *= 2
        return float(brentq(lambda t: self.beyond(t) - (1 - q), 0.0, top, xtol=1e-12 * top, rtol=1e-14))


def impatient_wait(seen: Array, c: int, rate: float, patience: float) -> tuple[float, ImpatientWait]:
    """The share of attempts that are served and their wait; ``seen[n]`` of the attempts find n in the system."""
    j = np.concatenate([[0.0], np.arange(1, len(seen) - c + 1)])
    served = np.concatenate([[seen[:c].sum()], seen[c:]]) * rate / (rate + j * patience)
    return float(served.sum()), ImpatientWait(rate, patience, served / served.sum())
