"""The scenario that a log becomes: its arrivals replayed or drawn anew, its service, and where each number is from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import tomli_w

from backwater import files
from backwater.base import part_table
from backwater.experiments.fit.arrivals import Pieces, length_of_pieces, two_states
from backwater.experiments.fit.log import Log
from backwater.experiments.fit.retries import Retries
from backwater.experiments.fit.service import Service
from backwater.scenario import Scenario
from backwater.units import human, text

# Sources that draw a log anew, the simplest first; "replay" repeats it.
KINDS = {
    "profile": "Poisson at a rate that changes in steps",
    "renewal": "independent gaps, drawn from those of the log",
    "mmpp": "Poisson at a rate that is either low or high by chance",
    "pieces": "the log put together anew from pieces of it",
}
WRITTEN = 40  # steps of a rate that stand in the scenario itself; more go into a file beside it
DRAWN = 100_000  # values that a law draws from, at most
DIGITS = 9  # of a second, in files
BUSY = 0.7  # share of the workers that the busiest minute occupies, where nobody says how many there are
Table = dict[str, Any]
Array = npt.NDArray[np.float64]


class Parts(NamedTuple):
    """What a scenario is made from."""

    log: Log
    found: Pieces
    service: Service
    retries: Retries | None
    law: str | None
    workers: int | None


def arrivals(kind: str, parts: Parts, folder: Path, *, alone: bool = False) -> Table | None:
    """The source as a file's table, its data written beside it; None where the log does not allow this kind.

    ``alone``: for when requests come, without what else is known of them.
    """
    log, found = parts.log, parts.found
    if kind == "profile":
        return _profile(found, folder)
    if kind == "renewal":
        _write(folder / "gaps.csv", {"gap": fewer(np.diff(log.times))})
        return {"kind": "renewal", "gap": {"kind": "empirical", "file": "gaps.csv", "column": "gap", "unit": "1 s"}}
    if kind == "mmpp":
        states = two_states(found)
        if states is None:
            return None
        return {
            "kind": "mmpp",
            "rates": [_rate(r) for r in states[0]],
            "sojourns": [_when(s) for s in states[1]],
        }
    columns = {} if alone else _columns(log)
    _write(folder / "arrivals.csv", {"time": log.times, **columns})
    table: Table = {"kind": "trace", "file": "arrivals.csv", "time": "time", "columns": list(columns)}
    if kind == "pieces":
        length, within = length_of_pieces(log.times, log.span)
        table |= {"resample": _when(length), "repeat": True}
        table |= {} if within is None else {"within": _when(within)}
    return table


def _profile(found: Pieces, folder: Path) -> Table:
    if len(found.counts) == 1:
        return {"kind": "poisson", "rate": _rate(float(found.rates[0]))}
    rates = np.append(found.rates, found.rates[-1])  # of the last point nothing is used: there it starts again
    if len(found.counts) <= WRITTEN:
        points = [[_when(t), _rate(r)] for t, r in zip(found.edges, rates, strict=True)]
        return {"kind": "profile", "points": points, "repeat": True}
    _write(folder / "rates.csv", {"time": found.edges, "rate": rates})
    return {"kind": "profile", "file": "rates.csv", "repeat": True}


def _rate(rate: float) -> Any:
    """Six digits: more than any log can tell."""
    return text(float(f"{rate:.6g}"), "rate")


def _when(time: float) -> Any:
    """To the microsecond."""
    return text(round(float(time), 6), "time")


def _columns(log: Log) -> dict[str, Any]:
    """The numeric columns that every request has, the duration among them."""
    columns = {
        name: part for name, part in log.numbers.items() if np.isfinite(part).all() and name not in ("time", "service")
    }
    if log.service is not None and log.formula is None and np.isfinite(log.service).all():
        columns["service"] = log.service
    return columns


def _write(path: Path, columns: dict[str, Any]) -> None:
    pd.DataFrame({name: np.round(part, DIGITS) for name, part in columns.items()}).to_csv(path, index=False)


def fewer(values: Array) -> Array:
    """Values to draw from; of very many, the means of groups of them, put in order: alike but in the tail."""
    if len(values) <= DRAWN:
        return values
    ends = np.linspace(0, len(values), DRAWN + 1).astype(np.int64)
    return np.asarray(np.add.reduceat(np.sort(values), ends[:-1]) / np.diff(ends))


def write(kind: str, parts: Parts, folder: Path, name: str) -> Scenario:
    """Write ``scenario.toml`` and what it refers to; the scenario as read back."""
    log = parts.log
    source = arrivals(kind, parts, folder)
    assert source is not None  # kinds that a log does not allow are not chosen
    law, why = _law(source, parts, folder)
    count, whence = _workers(parts)
    said = f"{human(len(log))} requests in {human(log.span, 'time')} from {log.origin}"
    table: Table = {
        "name": f"{name}, {'replayed' if kind == 'replay' else 'resampled'}",
        "arrivals": source,
        "workers": {"count": count, "service": law},
        "notes": {
            "arrivals": f"{said}: {KINDS.get(kind, 'as recorded')}",
            "workers.service": why,
            "workers.count": whence,
        },
    }
    policy = None if parts.retries is None else parts.retries.policy
    if policy is not None:
        assert parts.retries is not None
        table["client"] = {"retry": policy.plain()}
        table["notes"]["client.retry"] = (
            f"from {int(parts.retries.again.sum()):,} retries in the log, folded into their jobs"
        )
    table["run"] = {"horizon": _when(log.span), "replications": 1 if kind == "replay" else 10}
    path = folder / "scenario.toml"
    path.write_text(tomli_w.dumps(table), "utf-8")
    return files.load(path)


def _law(source: Table, parts: Parts, folder: Path) -> tuple[Any, str]:
    """The service law as a file holds it, and where it is from."""
    log, service = parts.log, parts.service
    said = "; ".join([*service.told, *service.warned[:1]])
    traced = source["kind"] == "trace" and parts.law is None
    if traced and log.formula is not None and set(log.formula.per) <= set(source["columns"]):
        return part_table(log.formula), "as given, of the columns of each request"
    if traced and "service" in source.get("columns", ()):
        return {"kind": "linear", "per": {"service": "1 s"}}, f"the duration of each request. {USUALLY}"
    if service.law is not None:
        return part_table(service.law), said
    _write(folder / "service.csv", {"service": fewer(service.values)})
    return {"kind": "empirical", "file": "service.csv", "column": "service", "unit": "1 s"}, said


USUALLY = "It may hold time spent waiting"


def busiest(log: Log) -> float:
    """The rate in the busiest minute [1/s]; that of the whole log where it is shorter."""
    width = min(60.0, log.span)
    whole = max(int(log.span / width), 1)
    return float(np.histogram(log.times, np.arange(whole + 1) * width)[0].max() / width)


def _workers(parts: Parts) -> tuple[int, str]:
    """How many workers, and where that is from."""
    if parts.workers is not None:
        return parts.workers, "as given"
    peak = busiest(parts.log)
    count = max(math.ceil(peak * parts.service.mean / BUSY), 1)
    rate = human(peak, "rate")
    return count, f"a placeholder: the busiest minute, {rate}, keeps {human(BUSY, 'share')} of them busy (Little's law)"
