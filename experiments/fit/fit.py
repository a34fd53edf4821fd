"""Fit a scenario to a log: read, fold retries, fit arrivals and service, choose the source, judge, write."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backwater import files
from backwater.base import part_table
from backwater.distributions import Exponential
from backwater.errors import check, nearest
from backwater.experiments.fit.arrivals import Pieces, Poissonness, pieces, poisson_test
from backwater.experiments.fit.buckets import fit_buckets, read_buckets
from backwater.experiments.fit.judge import Judgement, judge_arrivals, judge_service
from backwater.experiments.fit.log import Asked, Log, read_log
from backwater.experiments.fit.retries import Retries, find_retries
from backwater.experiments.fit.scenario import KINDS, Parts, arrivals, busiest, write
from backwater.experiments.fit.service import ACCEPTED, FAMILIES, USUAL, Service, fit_service, queueing
from backwater.scenario import Scenario
from backwater.units import human

# Of a large log, sources that are Poisson at whatever rate are not tried where requests are so far from that.
LARGE, FAR, POISSON = 200_000, 0.1, ("profile", "mmpp")
ASSUMED = 0.1  # mean service time of a log that tells none [s]


class Options(NamedTuple):
    """What a person may say besides the columns.

    arrivals      auto, replay or a kind of source
    law           a family of service laws, or empirical; chosen by the data unless given
    mean_service  of an exponential service, where the log tells none [s]
    buckets       a file of Prometheus buckets with the service times
    workers       how many; a placeholder unless given
    window        the longest pause before a retry [s]
    seed          of all random numbers
    """

    arrivals: str = "auto"
    law: str | None = None
    mean_service: float | None = None
    buckets: Path | None = None
    workers: int | None = None
    window: float = 60.0
    seed: int = 1


@dataclass(frozen=True)
class Fit:
    """What a fit found.

    log       the first attempts
    retries   those folded into them; None where the log does not tell
    found     the rate over time
    poisson   the test of Poisson within the pieces; None where it has too few requests
    service   service times
    kind      the kind of source
    tried     every source that was judged, by kind
    judged    the scenario beside the log
    scenario  as written
    """

    log: Log
    retries: Retries | None
    found: Pieces
    poisson: Poissonness | None
    service: Service
    kind: str
    tried: dict[str, Judgement]
    judged: Judgement
    scenario: Scenario

    @property
    def warned(self) -> list[str]:
        """All that is doubtful, in words."""
        out = [*self.log.warned, *self.service.warned]
        off = [name for name, band in self.judged.bands.items() if band.off() > 1]
        if off:
            out.append(
                f"the scenario differs from the log in its {' and '.join(off)} by more than chance: --replay repeats it"
            )
        return out


def fit(path: str | Path, folder: Path, asked: Asked = Asked(), options: Options = Options()) -> Fit:  # noqa: B008
    """Fit a log and write ``scenario.toml`` with its data into a folder that exists.

    Raises ScenarioError, one line, for a log or an option that is wrong.
    """
    kinds = ["auto", "replay", *KINDS]
    check(
        options.arrivals in kinds, "--arrivals", options.arrivals, f"must be a kind{nearest(options.arrivals, kinds)}"
    )
    laws = [*FAMILIES, "empirical"]
    check(
        options.law is None or options.law in laws,
        "--law",
        options.law,
        f"must be a law{nearest(options.law or '', laws)}",
    )
    log = read_log(path, asked, options.seed)
    retries = find_retries(log, options.window)
    if retries is not None and retries.again.any():
        log = log.kept(~retries.again, f"{int(retries.again.sum()):,} retries folded into the first attempts of theirs")
    check(len(log) >= 10, "LOG", str(path), f"must hold 10 first attempts or more to be fitted: it has {len(log)}")
    found = pieces(log.times, log.span, log.resolution)
    poisson = poisson_test(log.times, found)
    parts = Parts(log, found, _service(log, options), retries, options.law, options.workers)
    kind, tried = _choose(parts, poisson, options)
    scenario = write(kind, parts, folder, Path(path).name)
    source = scenario.producers[0].source
    judged = tried[kind] if kind in tried else judge_arrivals(log.times, log.span, source, options.seed)
    if len(parts.service.values):
        band = judge_service(parts.service.values, scenario.service_law(0), source, options.seed)
        judged = Judgement({**judged.bands, "service": band}, judged.replications)
    return Fit(log, retries, found, poisson, parts.service, kind, {**tried, kind: judged}, judged, scenario)


def _service(log: Log, options: Options) -> Service:
    """From buckets, from the durations, or assumed."""
    if options.buckets is not None:
        found = fit_buckets(*read_buckets(options.buckets), options.law)
        return found._replace(warned=(*found.warned, USUAL))
    if log.service is not None:
        good = np.isfinite(log.service)
        if log.failed is not None and (good & ~log.failed).sum() >= 10:
            good &= ~log.failed  # a failure is no service
        found = fit_service(log.service[good], options.law, options.seed)
        if log.formula is not None:
            return found
        grows = queueing(log.times, log.service)
        return found._replace(warned=(*([grows] if grows else []), USUAL))
    mean = ASSUMED if options.mean_service is None else options.mean_service
    law = Exponential(mean=f"{mean!r} s")
    if options.mean_service is not None:
        return Service(np.empty(0), "exponential", law, math.nan, (), ("exponential, the mean as given",))
    told = f"a placeholder: exponential with a mean of {human(ASSUMED, 'time')}; the log tells no service times"
    warned = "the log tells no service times: say --service, --buckets or --mean-service"
    return Service(np.empty(0), "exponential", law, math.nan, (), (told,), (warned,))


def _choose(parts: Parts, poisson: Poissonness | None, options: Options) -> tuple[str, dict[str, Judgement]]:
    """The kind of source, and what was tried: the simplest that is like the log, else the nearest.

    Where Poisson arrivals at the fitted rate are not refused, nothing else is tried.
    """
    if options.arrivals != "auto":
        kind = options.arrivals
        check(
            kind != "mmpp" or len(parts.found.counts) > 1,
            "--arrivals",
            kind,
            "needs a rate that changes: this log's does not",
        )
        return kind, {}
    if poisson is None or poisson.p >= ACCEPTED:
        return "profile", {}
    tried: dict[str, Judgement] = {}
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there)
        hopeless = POISSON if len(parts.log) > LARGE and poisson.distance > FAR else ()
        for kind in (kind for kind in KINDS if kind not in hopeless):
            table = arrivals(kind, parts, folder, alone=True)
            if table is None:
                continue
            whole = files.from_table({"arrivals": _placed(table, folder), "workers": {"service": "1 us"}})
            source = whole.producers[0].source
            tried[kind] = judge_arrivals(parts.log.times, parts.log.span, source, options.seed)
            if tried[kind].worst <= 1:
                return kind, tried
    return min(tried, key=lambda kind: tried[kind].worst), tried


def _placed(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The table with its files found in a folder."""
    out = {name: _placed(part, folder) if isinstance(part, dict) else part for name, part in table.items()}
    return {**out, "file": str(folder / str(table["file"]))} if "file" in out else out


def numbers(found: Fit) -> dict[str, Any]:
    """All of a fit as one JSON object; infinite and missing numbers are null."""
    log, service, gaps = found.log, found.service, np.diff(found.log.times)
    out: dict[str, Any] = {
        "log": {"form": log.form, "columns": log.columns_of, "requests": len(log), "origin": log.origin,
                "span_s": log.span, "resolution_s": log.resolution, "told": list(log.told)},
        "arrivals": {"kind": found.kind, "rate": len(log) / log.span, "busiest_minute_rate": busiest(log),
                     "cv_of_gaps": float(gaps.std() / gaps.mean()), "pieces": len(found.found.counts),
                     "edges_s": found.found.edges.tolist(), "rates": found.found.rates.tolist(),
                     "poisson": None if found.poisson is None else found.poisson._asdict(),
                     "tried": {kind: judged.worst for kind, judged in found.tried.items()}},
        "service": {"law": service.name, "mean_s": service.mean, "p": service.p, "told": list(service.told),
                    "candidates": [{"law": c.name, "aic": c.aic, "distance": c.distance, **part_table(c.law)}
                                   for c in service.candidates]},
        "retries": None if found.retries is None else {
            "folded": int(found.retries.again.sum()), "attempts": found.retries.attempts,
            "pauses_s": [float(part.mean()) for part in found.retries.pauses],
            "policy": None if found.retries.policy is None else found.retries.policy.plain()},
        "judged": {"replications": found.judged.replications, **{name: {
            "off": band.off(), "x": band.x.tolist(), "log": band.data.tolist(),
            **dict(zip(("low", "middle", "high"), (part.tolist() for part in band.interval(0.05)), strict=True)),
        } for name, band in found.judged.bands.items()}},
        "warned": found.warned,
    }  # fmt: skip
    return dict(_finite(out))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save(found: Fit, folder: Path) -> None:
    """Write ``fit.json``."""
    (folder / "fit.json").write_text(json.dumps(numbers(found), indent=1, allow_nan=False), "utf-8")
