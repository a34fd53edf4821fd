"""A log as numbers: when requests came, how long they took, whether they failed, who sent them and what they asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from backwater.distributions import Linear
from backwater.errors import ScenarioError, check, nearest
from backwater.experiments.fit.lines import Form, sniff
from backwater.experiments.fit.moments import Moments, moments, texts_of
from backwater.units import TIME, human, parse, units_required

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

# By what people call their columns, the likeliest first; compared in lower case, letters and digits only.
KNOWN = {
    "time": "time timestamp ts datetime arrived arrival arrivaltime starttime start started received date when t",
    "service": "servicetime service upstreamtime targetprocessingtime processingtime duration requesttime elapsed took "
               "responsetime latency rt",
    "status": "status statuscode httpstatus code responsecode grpcstatus result outcome",
    "client": "client clientip clientid remoteaddr ip user userid session sessionid tenant source",
    "key": "idempotencykey requestid jobid messageid id key request path url uri route method",
}  # fmt: skip
IDS = {"idempotencykey", "requestid", "jobid", "messageid", "id"}  # the same one again is the same request again
SECONDS = {"upstream_time", "request_time", "target_processing_time"}  # of formats that define them
# A unit at the end of a column's name: duration_ms, "latency (s)", elapsedMs.
_UNIT = re.compile(
    r"(?:[\s_.\[(-]+(ns|us|µs|ms|s|sec|secs|seconds|millis|msec|micros|nanos)[\])]?|(?<=[a-z])(Ns|Us|Ms))$"
)
_UNITS = {"secs": "s", "seconds": "s", "millis": "ms", "msec": "ms", "micros": "us", "nanos": "ns"}
_FAILED = re.compile(
    r"time.?out|timed|error|fail|reject|unavailable|deadline|exhausted|overload|^false$|^5\d\d|^429|^408|^499", re.I
)


class Asked(NamedTuple):
    """Which columns hold what, where a person says so; ``service`` may be a formula of columns."""

    time: str | None = None
    service: str | None = None
    status: str | None = None
    client: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Log:
    """The requests of a log, in order of time.

    form        what kind of file it is
    columns_of  which column holds what: time, service, status, client, key
    origin      time 0 in words
    times       when each came, from time 0 [s]
    span        how long the log lasts [s]
    resolution  of its times [s]
    numbers     other numeric columns by name
    service     how long each took [s], NaN where it is not told; None where no column says so
    formula     service as a law of columns, where a person gave one
    failed      which ended with a failure; None where no column says so
    client, key codes of who asked and for what; None where no column says so
    told, warned  what was done with the file; what is doubtful
    """

    form: str
    columns_of: dict[str, str]
    origin: str
    times: Array
    span: float
    resolution: float
    numbers: dict[str, Array] = field(default_factory=dict)
    service: Array | None = None
    formula: Linear | None = None
    failed: Flags | None = None
    client: Ints | None = None
    key: Ints | None = None
    told: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    def kept(self, which: Flags, told: str) -> Log:
        """The log with these of its requests."""
        parts: dict[str, Any] = {
            name: None if (part := getattr(self, name)) is None else part[which]
            for name in ("times", "service", "failed", "client", "key")
        }
        numbers = {name: part[which] for name, part in self.numbers.items()}
        return Log(**{**self.__dict__, **parts, "numbers": numbers, "told": (*self.told, told)})


def read_log(path: str | Path, asked: Asked = Asked(), seed: int = 1) -> Log:  # noqa: B008
    """Read a log. ``seed`` is that of the spread of times within the second, or whatever their resolution is.

    Raises ScenarioError, one line, for a file that cannot be read, a column that is not there, times that are none.
    """
    form = sniff(Path(path))
    formula = _formula(asked.service, form)
    names, units = _choose(form, asked, formula)
    wanted = dict.fromkeys([*names.values(), *(formula.per if formula else ()), *form.numeric])
    columns, broken = form.read(list(wanted))
    found = moments(columns[names["time"]], names["time"], units.get("time"))
    good = found.good
    broken += int(len(good) - good.sum())
    total = len(good) + broken - int(len(good) - good.sum())
    check(good.sum() >= 2, "LOG", str(path), "must hold two requests or more")
    check(broken <= total / 2, "LOG", str(path), f"must have most lines whole: {broken:,} of {total:,} are broken")
    service = None
    if formula is not None:
        service = formula.of({name: _floats(columns[name]) for name in formula.per})[good]
    elif "service" in names:
        service = _durations(columns[names["service"]], units["service"])[good]
    ns = found.ns[good]
    told, warned = [f"{form.name}, {len(ns):,} requests; times are {'; '.join(found.told)}"], list(found.warned)
    if broken:
        told.append(f"{broken:,} of {total:,} lines are broken and left out")
    if form.ends and service is not None and formula is None:
        ns = ns - np.round(np.nan_to_num(service) * 1e9).astype(np.int64)
        told.append("its times are those of the answers: requests came the duration earlier")
    times, order, origin, span = _in_order(ns, found, seed, told)
    parts: dict[str, Any] = {"service": None if service is None else _checked(service[order], told)}
    parts |= {name: _codes(columns[names[name]], good, order) for name in ("client", "key") if name in names}
    if "status" in names:
        parts["failed"] = _failures(columns[names["status"]])[good][order]
    spare = [name for name in form.numeric if name not in names.values()]
    numbers = {
        name: _floats(columns[name])[good][order] for name in dict.fromkeys([*(formula.per if formula else ()), *spare])
    }
    return Log(form=form.name, columns_of=names, origin=origin, times=times, span=span, resolution=found.resolution,
               numbers=numbers, formula=formula, told=tuple(told), warned=(*warned, *_hint(form, names, asked)),
               **parts)  # fmt: skip


def plain(name: str) -> str:
    """A column's name in lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _choose(form: Form, asked: Asked, formula: Linear | None) -> tuple[dict[str, str], dict[str, str]]:
    """Which column holds what, and the units of time and service: as asked, else by the names that people use."""
    names: dict[str, str] = {}
    units: dict[str, str] = {}
    for role, known in KNOWN.items():
        given = getattr(asked, role)
        if given is not None and not (role == "service" and formula is not None):
            column, colon, unit = given.rpartition(":") if given not in form.columns else (given, "", "")
            column = column if colon else given
            where = f"--{role}"
            check(column in form.columns, where, column, f"must be a column of the log{nearest(column, form.columns)}")
            names[role] = column
            if colon:
                check(role in ("time", "service"), where, given, "must be a column, without a unit")
                check(unit in TIME, where, given, f"must end in a unit of time{nearest(unit, TIME)}")
                units[role] = unit
        elif given is None:
            words = known.split()
            called = {plain(_UNIT.sub("", name)): name for name in reversed(form.columns)}
            called |= {plain(name): name for name in reversed(form.columns)}
            taken = [word for word in words if word in called and called[word] not in names.values()]
            if role == "service":
                taken = [word for word in taken if _unit_of(called[word]) is not None]
            if taken:
                names[role] = called[taken[0]]
    if "time" not in names:
        raise ScenarioError(
            "--time", f"must name the column of times: the log has {', '.join(form.columns)}", shown=False
        )
    if "service" in names and "service" not in units:
        unit = _unit_of(names["service"])
        must = f"must have a unit, such as {names['service']}:ms: nobody can tell 30 s from 30 ms"
        check(unit is not None, "--service", names["service"], must)
        units["service"] = str(unit)
    return names, units


def _unit_of(column: str) -> str | None:
    """The unit that a column's name ends in, or that its format defines; None where nothing says so."""
    if column in SECONDS:
        return "s"
    match = _UNIT.search(column)
    if match is None:
        return None
    unit = (match[1] or match[2]).lower()
    return _UNITS.get(unit, unit)


def _hint(form: Form, names: dict[str, str], asked: Asked) -> list[str]:
    """A column that may hold service times, but does not say in which unit."""
    if "service" in names or asked.service is not None:
        return []
    words = KNOWN["service"].split()
    like = [name for name in form.columns if (plain(name) in words or name == "trailing") and name in form.numeric]
    return [f"column {like[0]} may hold service times: say --service {like[0]}:ms, or its unit"] if like else []


def _formula(text: str | None, form: Form) -> Linear | None:
    """``"50 ms + ContextTokens * 0.25 ms"`` as a law of columns; None where the text names one column."""
    if text is None or "*" not in text or text in form.columns:
        return None
    constant, per = 0.0, {}
    for term in text.split("+"):
        first, star, second = (part.strip() for part in term.partition("*"))
        if not star:
            constant += _time(first)
            continue
        column, each = (first, second) if first in form.numeric or second not in form.numeric else (second, first)
        known = nearest(column, form.numeric)
        check(column in form.numeric, "--service", column, f"must be a numeric column of the log{known}")
        per[column] = _time(each)
    return Linear(constant=f"{constant!r} s", per={name: f"{each!r} s" for name, each in per.items()})


def _time(text: str) -> float:
    try:
        with units_required():
            return parse(text, "time")
    except ScenarioError as error:
        raise error.under("--service") from None


def _in_order(ns: Ints, found: Moments, seed: int, told: list[str]) -> tuple[Array, Any, str, float]:
    """Times from time 0 in order [s], the order of the lines, time 0 in words, how long the log lasts [s]."""
    back = int((np.diff(ns) < 0).sum())
    if back:
        told.append(f"{back:,} lines are earlier than the one before: put in order of time")
    grid = found.resolution
    first = ns.min() // round(grid * 1e9) * round(grid * 1e9)
    times = (ns - first) / 1e9
    length = float(times.max())
    check(length > 0, "--time", human(length, "time"), "must differ: all requests have the same time")
    if grid > 0.01 * length / len(times):
        # Rounded times tie, which no process with a rate does; within the resolution they are as good as uniform.
        # Source: Kim and Whitt, "Choosing arrival process models for service systems", Naval Res. Logistics 61, 2014.
        times = times + grid * np.random.default_rng(seed).random(len(times))
        told.append(f"times have a resolution of {human(grid, 'time')}: spread uniformly within it")
        length += grid
    else:
        length += length / (len(times) - 1)
    order = np.argsort(times, kind="stable")
    origin = str(pd.Timestamp(int(first), unit="ns")) + " UTC" if found.dated else human(first / 1e9, "time")
    return times[order], order, origin, length


def _floats(values: Any) -> Array:
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _durations(values: Any, unit: str) -> Array:
    """Seconds; a text with a unit of its own is read as such."""
    series = pd.Series(values, dtype=object)
    numbers = _floats(series) * TIME[unit]
    own = np.isnan(numbers) & np.asarray(series.notna())
    if own.any():
        codes, texts = texts_of(series[own])
        numbers[own] = np.array([_or_nan(text) for text in texts])[codes]
    return numbers


def _or_nan(text: str) -> float:
    try:
        with units_required():
            return parse(text, "time")
    except ScenarioError:
        return np.nan


def _checked(service: Array, told: list[str]) -> Array:
    """Durations below 0 are left out."""
    negative = service < 0
    good = np.isfinite(service) & ~negative
    check(good.any(), "--service", service[:3].tolist(), "must hold durations that are not below 0")
    if negative.any():
        told.append(f"{int(negative.sum()):,} durations are below 0 and left out")
    missing = int((~np.isfinite(service)).sum())
    if missing:
        told.append(f"{missing:,} requests have no duration")
    return np.where(good, service, np.nan)


def _failures(values: Any) -> Flags:
    """Server errors, 429, 408, 499 and what is called so; -1 and 0 are the answers of clients that heard none."""
    codes, texts = texts_of(values)
    said = [bool(_FAILED.search(text.strip().strip('"'))) or text.strip() in ("-1", "0", "0.0", "-") for text in texts]
    return np.asarray(np.array(said)[codes])


def _codes(values: Any, good: Flags, order: Any) -> Ints:
    return np.asarray(texts_of(values)[0][good][order], np.int64)
