"""Closed forms of queueing theory: pure functions of numbers, each with its source.

c        workers
a        offered work: rate of new attempts times their mean service [1]
places   places in all, those in service included (Kendall's K); infinite where nothing bounds the queue

They hold in the steady state and work for thousands of workers and places: recursions add and divide only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.errors import check

Array = npt.NDArray[np.float64]
TAIL = 1e-17  # probability beyond which an unbounded queue is cut off


def erlang_b(c: int, a: float) -> float:
    """Share of attempts that find all ``c`` workers busy where none can wait [1].

    Holds for any law of service: Sevastyanov, "An ergodic theorem for Markov processes and its application to
    telephone systems with refusals", Theory Prob. Appl. 2, 1957. Source: Erlang 1917; the recursion is in Cooper,
    "Introduction to Queueing Theory", 2nd ed. 1981, 3.3.
    """
    check(c >= 0 and a > 0, "(c, a)", (c, a), "must be at least 0 and above 0")
    share = 1.0
    for k in range(1, c + 1):
        share = a * share / (k + a * share)
    return share


def erlang_c(c: int, a: float) -> float:
    """Share of attempts that have to wait in M/M/c [1]; 1 where a >= c, as then the queue grows for ever.

    Source: Erlang 1917; Cooper 1981, 3.4.
    """
    if a >= c:
        return 1.0
    b = erlang_b(c, a)
    return b / (1 - a / c * (1 - b))


def mmck_loss(c: int, places: float, a: float) -> float:
    """Share of attempts that an M/M/c/K with so many places turns away [1].

    Source: Gross, Shortle, Thompson and Harris, "Fundamentals of Queueing Theory", 4th ed. 2008, 2.5, as the
    recursion of Erlang B goes on beyond c: B_k = a B_(k-1) / (c + a B_(k-1)), which is a geometric sum.
    """
    check(places >= c, "places", places, f"must be at least c = {c}")
    if math.isinf(places):
        return max(0.0, 1 - c / a)
    b, rho, room = erlang_b(c, a), a / c, int(places) - c
    if rho <= 1:
        return rho**room * b / (1 + b * _powers(rho, room) * rho)
    return b / (rho**-room + b * _powers(1 / rho, room))


def _powers(ratio: float, terms: int) -> float:
    """1 + ratio + ratio**2 + ..., so many terms."""
    return float(terms) if ratio == 1 else -math.expm1(terms * math.log(ratio)) / (1 - ratio)


def mmc_wait(c: int, rate: float, mean: float) -> float:
    """Mean wait of M/M/c [s]; infinite where the load is 1 or more. Source: Cooper 1981, 3.4."""
    a = rate * mean
    return erlang_c(c, a) * mean / (c - a) if a < c else math.inf


def mmc_wait_quantile(c: int, rate: float, mean: float, q: float) -> float:
    """The wait that a share ``q`` of the attempts of a FIFO M/M/c does not exceed [s]. Source: Cooper 1981, 3.4."""
    a = rate * mean
    late = erlang_c(c, a) / (1 - q)
    return 0.0 if late <= 1 else math.log(late) * mean / (c - a) if a < c else math.inf


def birth_death(births: Array, deaths: Array) -> Array:
    """Long-run shares of time in states 0, 1, ...; ``births[n]`` leads from n up, ``deaths[n]`` from n + 1 down [1/s].

    Source: Kleinrock, "Queueing Systems I", 1975, 3.1; products are taken as sums of logarithms.
    """
    logs = np.concatenate([[0.0], np.cumsum(np.log(births) - np.log(deaths))])
    shares = np.exp(logs - logs.max())
    return np.asarray(shares / shares.sum())


class ErlangA(NamedTuple):
    """M/M/c+M in the steady state.

    p_wait, p_abandon      shares of attempts that wait, and that leave the queue before service [1]
    queue_mean, busy_mean  attempts waiting, in service [1]
    """

    p_wait: float
    p_abandon: float
    queue_mean: float
    busy_mean: float


def erlang_a(c: int, a: float, impatience: float, places: float = math.inf) -> ErlangA:
    """M/M/c+M, where each that waits leaves after an exponential time; ``impatience`` is mean service / mean patience.

    With ``places``, attempts that find none are turned away; p_abandon is then of those accepted. Sources: Palm 1957;
    Mandelbaum and Zeltyn, "Service engineering in action: the Palm/Erlang-A queue", 2007.
    """
    check(impatience > 0, "impatience", impatience, "must be above 0")
    most = int(min(places, impatient_states(c, a, impatience)))
    n = np.arange(most + 1)
    waiting = np.maximum(n - c, 0)
    shares = birth_death(np.full(most, a), (np.minimum(n, c) + waiting * impatience)[1:])
    accepted = a * (1 - (shares[-1] if most == places else 0.0))
    queue, busy = float(shares @ waiting), float(shares @ np.minimum(n, c))
    p_wait = float(shares[c : most if most == places else None].sum()) * a / accepted
    return ErlangA(p_wait, impatience * queue / accepted, queue, busy)


def impatient_states(c: int, a: float, impatience: float) -> int:
    """The number in an unbounded M/M/c+M beyond which less than ``TAIL`` of the time is spent."""
    peak = max(c, int(c + (a - c) / impatience))  # deaths overtake births there, and shares fall ever faster
    n, log, level = peak, 0.0, math.log(TAIL)
    while log > level - math.log(n + 1.0):
        n += 1
        log += math.log(a / (c + (n - c) * impatience))
    return n


def pollaczek_khinchine(rate: float, mean: float, second: float) -> float:
    """Mean wait of M/G/1 [s]; ``mean`` [s] and ``second`` [s^2] are moments of service; infinite at load 1 or more.

    Holds for every order of service that does not look at service times. Sources: Pollaczek 1930, Khinchine 1932;
    Kleinrock I, 5.6.
    """
    return rate * second / (2 * (1 - rate * mean)) if rate * mean < 1 else math.inf


def priority_waits(rates: Sequence[float], means: Sequence[float], seconds: Sequence[float]) -> list[float]:
    """Mean wait of each class of M/G/1 without preemption, the most urgent class first [s].

    Source: Cobham, "Priority assignment in waiting line problems", Operations Research 2, 1954.
    """
    residual = sum(rate * second for rate, second in zip(rates, seconds, strict=True)) / 2
    return _cobham(residual, [rate * mean for rate, mean in zip(rates, means, strict=True)])


def mmc_priority_waits(c: int, rates: Sequence[float], mean: float) -> list[float]:
    """Mean wait of each class of M/M/c without preemption and with equal services, the most urgent first [s].

    Sources: Cobham 1954; Kella and Yechiali, "Waiting times in the non-preemptive priority M/M/c queue", 1985.
    """
    return _cobham(erlang_c(c, sum(rates) * mean) * mean / c, [rate * mean / c for rate in rates])


def _cobham(first: float, loads: list[float]) -> list[float]:
    waits, above = [], 0.0
    for load in loads:
        below = above + load
        waits.append(first / ((1 - above) * (1 - below)) if below < 1 else math.inf)
        above = below
    return waits


def kingman_bound(rate: float, gap_variance: float, mean: float, variance: float) -> float:
    """What the mean wait of GI/G/1 does not exceed [s]; variances [s^2]; infinite at load 1 or more.

    Source: Kingman, "Some inequalities for the queue GI/G/1", Biometrika 49, 1962.
    """
    return rate * (gap_variance + variance) / (2 * (1 - rate * mean)) if rate * mean < 1 else math.inf


def allen_cunneen(c: int, rate: float, mean: float, gap_scv: float, scv: float) -> float:
    """About the mean wait of GI/G/c [s]: that of M/M/c times the mean of both squared coefficients of variation.

    Source: Allen, "Probability, Statistics, and Queueing Theory", 2nd ed. 1990, 5.4.
    """
    return mmc_wait(c, rate, mean) * (gap_scv + scv) / 2


def gim1_root(transform: Callable[[float], float], service_rate: float) -> float:
    """Share of attempts that wait in GI/M/1 [1]: the root below 1 of s = A(mu (1 - s)).

    transform  Laplace transform of the gaps between arrivals, of an argument [1/s]
    Source: Kleinrock I, 6.4.
    """
    from scipy.optimize import brentq

    return float(brentq(lambda s: transform(service_rate * (1 - s)) - s, 0.0, 1 - 1e-12, xtol=1e-15))


def attempts_per_job(fails: float, again: float = 1.0, most: float = math.inf) -> float:
    """Attempts that a job takes if each fails with this chance and is then tried again with that, at most so often."""
    chance = fails * again
    if chance == 1:
        return most
    return 1 / (1 - chance) if math.isinf(most) else (1 - chance**most) / (1 - chance)


def retry_fixed_points(
    rate: float, fails: Callable[[float], float], again: float = 1.0, most: float = math.inf
) -> list[float]:
    """Every chance that an attempt fails which agrees with the rate of attempts that it brings about, rising [1].

    rate   of new jobs [1/s]
    fails  the chance that an attempt fails where so many come per second, as if they came at random
    More than one: the system may stay in any of every second one, and its past decides. Source: Cohen, "Basic
    problems of telephone traffic theory and the influence of repeated calls", Philips Telecomm. Rev. 18, 1957.
    """
    from scipy.optimize import brentq

    def gap(chance: float) -> float:
        return fails(rate * attempts_per_job(chance, again, most)) - chance

    grid = [*np.geomspace(1e-9, 0.1, 60), *np.linspace(0.1, 0.9, 60)[1:], *(1 - np.geomspace(0.1, 1e-9, 60))[1:]]
    gaps, found = [gap(chance) for chance in grid], []
    if gaps[0] <= 0:
        found.append(fails(rate))
    for low, high, before, after in zip(grid, grid[1:], gaps, gaps[1:], strict=False):
        if before > 0 >= after or before <= 0 < after:
            found.append(float(brentq(gap, low, high, xtol=1e-14)))
    return found if gaps[-1] <= 0 else [*found, 1.0]
