"""What a fit found, in a few lines of words."""

from __future__ import annotations

import math

import numpy as np

from backwater.experiments.fit.fit import Fit
from backwater.experiments.fit.judge import Judgement
from backwater.experiments.fit.scenario import KINDS, busiest
from backwater.units import human


def rows(found: Fit) -> list[tuple[str, str]]:
    """(what, in words), in the order in which one would ask."""
    log = found.log
    out = [("log", "; ".join(log.told))]
    rate, gaps = human(len(log) / log.span, "rate"), np.diff(log.times)
    span = f"{len(log):,} first attempts in {human(log.span, 'time')} from {log.origin}"
    out.append(("requests", f"{span}: {rate}, in the busiest minute {human(busiest(log), 'rate')}"))
    if found.retries is not None:
        out.append(("retries", _retries(found)))
    scatter = f"the gaps' coefficient of variation is {human(float(gaps.std() / gaps.mean()))}"
    out.append(("rate", f"{len(found.found.counts):,} pieces of constant rate; {scatter}; {_poisson(found)}"))
    out.append(("arrivals", _kind(found)))
    service = found.service
    out.append(("service", f"mean {human(service.mean, 'time')}; {'; '.join(service.told)}"))
    out.append(("workers", f"{found.scenario.workers.count}: {found.scenario.notes['workers.count']}"))
    out.append(("scenario", f"beside the log: {_judged(found.judged)}"))
    return out


def _retries(found: Fit) -> str:
    retries = found.retries
    assert retries is not None
    n, policy = int(retries.again.sum()), retries.policy
    if policy is None:
        return "none"
    means = ", ".join(human(float(part.mean()), "time") for part in retries.pauses[:4])
    return (
        f"{n:,} requests are another attempt of one before, at most {retries.attempts} in all; mean pauses {means}; "
        f"as a policy: base {human(policy.base, 'time')}, factor {human(policy.factor)}, jitter {policy.jitter}"
    )


def _poisson(found: Fit) -> str:
    test = found.poisson
    if test is None:
        return "too few requests in each to test them"
    p = f"p {human(test.p)}" if test.p >= 1e-4 else "p below 0.0001"
    return f"Poisson within them: {p}, distance {human(test.distance)}, {test.n:,} gaps"


def _kind(found: Fit) -> str:
    said = KINDS.get(found.kind, "the log as recorded")
    others = [f"{kind} {human(judged.worst)}" for kind, judged in found.tried.items() if kind != found.kind]
    return f"{said}" + (f"; off by more (1 is like the log): {', '.join(others)}" if others else "")


def _judged(judged: Judgement) -> str:
    said = [f"{name} {human(band.off()) if math.isfinite(band.off()) else '∞'}" for name, band in judged.bands.items()]
    return f"{', '.join(said)} (at most 1: as near as one of its own {judged.replications} replications)"
