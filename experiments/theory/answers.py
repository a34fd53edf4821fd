"""What is known of a scenario without running it: exact values, bounds and approximations, each with its source."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from backwater.components.arrivals import Periodic
from backwater.components.closed import Closed
from backwater.components.flow import MMPP
from backwater.distributions import Constant, Exponential, Law
from backwater.experiments.theory import formulas
from backwater.experiments.theory.markov import system_of
from backwater.experiments.theory.measures import measures
from backwater.experiments.theory.patience import ConstantPatience
from backwater.experiments.theory.reading import BLIND, Facts
from backwater.experiments.theory.steady import Steady, steady
from backwater.units import human

Kind = Literal["exact", "approximate", "bound"]
GROSS = "Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 2008"
LINEAR = "Stewart, Introduction to the Numerical Solution of Markov Chains, 1994"
STEADY = "steady state: after a warm-up, in a run many times as long as the system remembers"
STEPS = 4000  # quantiles from which the transform of a law of gaps is taken


class Answer(NamedTuple):
    """One metric's value by theory, in base units.

    metric          its name in ``metrics.METRICS``, with its class where it is of one: wait_mean[urgent]
    kind            exact; approximate; or a bound, which the metric does not exceed
    model           in Kendall's notation
    source          who showed it
    validity        when it holds
    simplification  what was left out of the scenario; "" for nothing
    """

    metric: str
    value: float
    kind: Kind
    model: str
    source: str
    validity: str = STEADY
    simplification: str = ""


def exact_chain(facts: Facts, asked: Iterable[str], most: int) -> list[Answer]:
    """Of an exponential system, where nothing is in the way; raises Unsolved for a chain beyond ``most`` states."""
    system = system_of(facts)
    found = steady(system, most)
    late = facts.patience if facts.client.on_timeout == "leave" else None
    values = measures(found, facts.scenario.queue.discipline == "fifo", late, asked)
    model, source = notation(facts), _source(found)
    error = f"; cut off where {found.cut:.0e} of the time is spent" if found.cut > 1e-16 else ""
    out = [Answer(name, value, "exact", model, source, STEADY + error) for name, value in values.items()]
    plain = facts.lossless and facts.poisson and facts.scenario.queue.discipline == "priority"
    if not plain:
        return out
    levels = facts.scenario.levels
    rates = [sum(sort.rate for sort in facts.sorts if sort.priority == level) for level in levels]
    waits = formulas.mmc_priority_waits(facts.c, rates, facts.mean)
    return out + _by_class(facts, waits, model + " with priorities", "Cobham 1954; Kella and Yechiali 1985")


def _source(found: Steady) -> str:
    system = found.system
    if not system.simple:
        return f"{LINEAR}, 2.3: balance equations of {len(found.states):,} states"
    if system.patience:
        return "Palm 1957; Mandelbaum and Zeltyn 2007; Riordan 1962"
    if system.clients:
        return f"machine repair, {GROSS}, 2.7"
    if system.at:
        return "birth and death: Kleinrock, Queueing Systems I, 1975, 3.1"
    return f"Erlang 1917; {GROSS}, {'2.3' if math.isinf(system.places) else '2.5'}"


def _by_class(facts: Facts, waits: list[float], model: str, source: str) -> list[Answer]:
    """Waits by level of priority as answers of every class."""
    of = dict(zip(facts.scenario.levels, waits, strict=True))
    out = []
    for sort in facts.sorts:
        wait, mean = of[sort.priority], sort.law.average
        found = {"wait_mean": wait, "sojourn_mean": wait + mean, "latency_mean": wait + mean,
                 "queue_mean": sort.rate * wait}  # fmt: skip
        out += [Answer(f"{name}[{sort.name}]", value, "exact", model, source) for name, value in found.items()]
    return out if len(facts.sorts) > 1 else []


def exact_single(facts: Facts) -> list[Answer]:
    """M/G/1: one worker, arrivals at random, any services, nobody turned away."""
    known = facts.poisson and facts.c == 1 and facts.lossless and facts.load < 1 and math.isfinite(facts.second)
    discipline = facts.scenario.queue.discipline
    alike = len({sort.law.model_dump_json() for sort in facts.sorts}) == 1
    if facts.obstacles or not known or not (discipline in BLIND or discipline == "priority" or alike):
        return []
    model = f"M/{'D' if _constant(facts) else 'G'}/1"
    if discipline != "priority":
        wait = formulas.pollaczek_khinchine(facts.rate, facts.mean, facts.second)
        return _from_wait(facts, wait, "exact", model, "Pollaczek 1930, Khinchine 1932; Kleinrock I, 1975, 5.6")
    rows = [[sort for sort in facts.sorts if sort.priority == level] for level in facts.scenario.levels]
    rates = [sum(sort.rate for sort in row) for row in rows]
    work = [sum(sort.rate * sort.law.average for sort in row) for row in rows]
    squares = [sum(sort.rate * (sort.law.moments[1] + sort.law.average**2) for sort in row) for row in rows]
    waits = formulas.priority_waits(rates, _over(work, rates), _over(squares, rates))
    wait = sum(rate * each for rate, each in zip(rates, waits, strict=True)) / facts.rate
    model, source = model + " with priorities", "Cobham 1954"
    return [*_from_wait(facts, wait, "exact", model, source), *_by_class(facts, waits, model, source)]


def _over(tops: list[float], bottoms: list[float]) -> list[float]:
    return [top / bottom for top, bottom in zip(tops, bottoms, strict=True)]


def _constant(facts: Facts) -> bool:
    return all(isinstance(sort.law, Constant) for sort in facts.sorts) and facts.scv < 1e-12


def _from_wait(facts: Facts, wait: float, kind: Kind, model: str, source: str, validity: str = STEADY) -> list[Answer]:
    """All that follows from a mean wait by Little's law, where nobody is turned away."""
    values = {
        "wait_mean": wait, "sojourn_mean": wait + facts.mean, "latency_mean": wait + facts.mean,
        "queue_mean": facts.rate * wait, "system_mean": facts.rate * (wait + facts.mean),
    }  # fmt: skip
    return [Answer(name, value, kind, model, source, validity) for name, value in values.items()]


def exact_conserved(facts: Facts) -> list[Answer]:
    """What work and jobs alone say of any queue from which nobody is turned away, whatever its laws."""
    if facts.obstacles or not facts.lossless or facts.load >= 1 or isinstance(facts.source, Closed):
        return []
    values = {
        "arrival_rate": facts.rate, "throughput": facts.rate, "goodput": facts.rate, "rejection_ratio": 0.0,
        "failure_ratio": 0.0, "attempts_per_job": 1.0, "utilization": facts.load, "busy_mean": facts.rate * facts.mean,
    }  # fmt: skip
    source = "conservation of work: Little, Operations Research 9, 1961"
    return [Answer(name, value, "exact", notation(facts), source) for name, value in values.items()]


def exact_loss(facts: Facts) -> list[Answer]:
    """M/G/c/c: nobody waits, and the loss does not depend on the law of services."""
    known = facts.poisson and facts.places == facts.c and facts.patience is None and facts.retry is None
    if facts.obstacles or not known or facts.slowdown is not None:
        return []
    work = facts.rate * facts.mean
    loss = formulas.erlang_b(facts.c, work)
    values = {
        "arrival_rate": facts.rate, "throughput": facts.rate * (1 - loss), "goodput": facts.rate * (1 - loss),
        "rejection_ratio": loss, "failure_ratio": loss, "attempts_per_job": 1.0, "queue_mean": 0.0, "wait_mean": 0.0,
        "utilization": work * (1 - loss) / facts.c, "busy_mean": work * (1 - loss), "system_mean": work * (1 - loss),
        "sojourn_mean": facts.mean, "latency_mean": facts.mean,
    }  # fmt: skip
    source = "Erlang 1917; insensitive to the law of services: Sevastyanov 1957"
    return [Answer(name, value, "exact", f"M/G/{facts.c}/{facts.c}", source) for name, value in values.items()]


def exact_renewal(facts: Facts) -> list[Answer]:
    """GI/M/1: one exponential worker, independent gaps, nobody turned away, FIFO."""
    gaps, mean = facts.gaps, facts.exponential
    fifo = facts.scenario.queue.discipline == "fifo"
    if facts.obstacles or gaps is None or mean is None or facts.c > 1 or not facts.lossless or facts.load >= 1:
        return []
    if not fifo:
        return []
    scale = facts.producers[0].scale
    root = formulas.gim1_root(lambda s: _transform(gaps, s / scale), 1 / mean)
    law = {"wait_p50": 0.5, "wait_p90": 0.9, "wait_p95": 0.95, "wait_p99": 0.99, "wait_p999": 0.999}
    free = mean / (1 - root)  # sojourns are exponential with this mean
    kind: Kind = "exact" if isinstance(gaps, (Constant, Exponential)) else "approximate"
    model, source = f"{'D' if isinstance(gaps, Constant) else 'GI'}/M/1", "Kleinrock I, 1975, 6.4"
    validity = STEADY if kind == "exact" else f"{STEADY}; the gaps' transform from {STEPS:,} of their quantiles"
    out = _from_wait(facts, root * free, kind, model, source, validity)
    waits = {name: max(0.0, free * math.log(root / (1 - q))) for name, q in law.items()}
    alive = {name.replace("wait", word): free * -math.log(1 - q) for name, q in law.items()
             for word in ("sojourn", "latency")}  # fmt: skip
    return out + [Answer(name, value, kind, model, source, validity) for name, value in (waits | alive).items()]


def exact_constant_patience(facts: Facts) -> list[Answer]:
    """M/M/c+D: attempts that are taken from an unbounded queue after a constant time."""
    law, mean = facts.patience, facts.exponential
    known = facts.poisson and math.isinf(facts.places) and facts.retry is None and facts.slowdown is None
    taken = facts.client.on_timeout == "cancel_waiting" and facts.scenario.queue.discipline == "fifo"
    if facts.obstacles or not known or not taken or mean is None or not isinstance(law, Constant) or law.average == 0:
        return []
    found = ConstantPatience(facts.c, facts.rate, mean, law.average)
    model, source = f"M/M/{facts.c}+D", "Baccelli and Hebuterne 1981; Zeltyn and Mandelbaum 2005"
    return [Answer(name, value, "exact", model, source) for name, value in found.measures().items()]


def _transform(law: Law, s: float) -> float:
    """E[exp(-s X)]."""
    if isinstance(law, Constant):
        return math.exp(-s * law.value)
    if isinstance(law, Exponential):
        return 1 / (1 + s * law.average)
    from backwater.quantile import quantile

    ends = (np.arange(STEPS) + 0.5) / STEPS
    return float(np.mean(np.exp(-s * np.array([quantile(law.table, u) for u in ends]))))


def about(facts: Facts) -> Iterator[Answer]:
    """Approximations and bounds that need no simplification."""
    if facts.obstacles or isinstance(facts.source, Closed):
        return
    gap_scv = _gap_scv(facts)
    if facts.lossless and facts.load < 1 and gap_scv is not None and math.isfinite(facts.second):
        c, rate, mean = facts.c, facts.rate, facts.mean
        wait = formulas.allen_cunneen(c, rate, mean, gap_scv, facts.scv)
        about_it = "better the higher the load; arrivals independent, FIFO"
        source = "Allen 1990 (Allen and Cunneen's formula)"
        yield from _from_wait(facts, wait, "approximate", notation(facts), source, f"{STEADY}; {about_it}")
        if c == 1:
            bound = formulas.kingman_bound(rate, gap_scv / rate**2, mean, facts.second - mean**2)
            yield Answer("wait_mean", bound, "bound", notation(facts), "Kingman 1962", f"{STEADY}; an upper bound")
    yield from _fixed_point(facts)


def _gap_scv(facts: Facts) -> float | None:
    """Squared coefficient of variation of independent gaps; None where they are not independent."""
    if facts.poisson:
        return 1.0
    return None if facts.gaps is None else float(facts.gaps.scv)


def _fixed_point(facts: Facts) -> Iterator[Answer]:
    """Attempts that are tried again, as if they all came at random."""
    steady_source = isinstance(facts.source, Periodic) or facts.poisson
    if facts.retry is None or facts.patience is not None or facts.slowdown is not None or not steady_source:
        return
    retry, mean, c, places = facts.retry, facts.mean, facts.c, facts.places
    again, most = retry.retry_probability, retry.most

    def turned_away(attempts: float) -> float:
        return formulas.mmck_loss(c, places, attempts * mean)

    found = formulas.retry_fixed_points(facts.rate, turned_away, again, most)
    fails = found[0]
    each = formulas.attempts_per_job(fails, again, most)
    if not math.isfinite(each):
        return
    accepted = facts.rate * each * (1 - fails)
    lost = 1 - accepted / facts.rate
    values = {
        "rejection_ratio": fails, "attempts_per_job": each, "attempt_rate": facts.rate * each,
        "failure_ratio": max(lost, 0.0), "utilization": accepted * mean / c, "throughput": accepted,
    }  # fmt: skip
    validity = f"{STEADY}; where pauses are long against a service and services about exponential"
    if len(found) > 1:
        worse = human(found[-1], "share")
        validity += (
            f"; the least of {len(found)} fixed points, and at the last {worse} of attempts fail: it may stay there"
        )
    source = "Cohen 1957; fixed point of the loss of M/M/c/K and the attempts that it brings about"
    for name, value in values.items():
        yield Answer(name, value, "approximate", notation(facts), source, validity)


def notation(facts: Facts) -> str:
    """The scenario in Kendall's notation, as far as it goes."""
    source, c, places = facts.source, facts.c, facts.places
    service = "M" if facts.exponential is not None else "D" if _constant(facts) else "G"
    if isinstance(source, Closed):
        room = "" if math.isinf(places) else f"/{places:g}"
        return f"M/{service}/{c}{room or '/'}/{source.clients}"
    gaps = "M" if facts.poisson else "MMPP" if isinstance(source, MMPP) else "D" if isinstance(
        facts.gaps, Constant) else "G"  # fmt: skip
    gaps = "M^X" if gaps == "G" and source.kind == "poisson" else gaps
    words = f"{gaps}/{service}/{c}" + ("" if math.isinf(places) else f"/{places:g}")
    if facts.patience is not None and facts.client.on_timeout != "leave":
        words += "+M"
    extras: list[tuple[str, object]] = [("retries", facts.retry), ("slowdown", facts.slowdown)]
    if facts.client.on_timeout == "leave":
        extras.append(("abandoned work", facts.patience))
    named = [name for name, part in extras if part is not None]
    return words + (f" with {' and '.join(named)}" if named else "")
