"""Times of a log as nanoseconds: dates in ISO or as Apache writes them, or seconds, ms, µs or ns since 1970."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from backwater.errors import ScenarioError, check, nearest
from backwater.units import TIME, human

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_ZONE = re.compile(r"(Z|UTC|[+-]\d\d:?\d\d)\s*$")
_APACHE = re.compile(r"\s*\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d")
_GRID = (60_000_000_000, 1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 1)  # [ns]
_YEAR = 365 * 86400


class Moments(NamedTuple):
    """Times of the lines of a log, in the order of the lines.

    ns          since 1970, or since whatever the log counts from [ns]
    good        which of them are times
    resolution  the coarsest usual step on which they all lie [s]
    told        how they were read, in words
    warned      what is doubtful about them
    """

    ns: Ints
    good: Flags
    dated: bool
    resolution: float
    told: list[str]
    warned: list[str]


def moments(values: Any, column: str, unit: str | None = None) -> Moments:
    """The times of a column; ``unit`` is that of numbers, which are otherwise known by their size.

    Raises ScenarioError where less than half of the values are times.
    """
    series = pd.Series(values, dtype=object) if isinstance(values, list) else pd.Series(values)
    if pd.api.types.is_datetime64_any_dtype(series):
        ns, good = _stamps(pd.DatetimeIndex(series)), np.asarray(series.notna())
        return Moments(ns, good, True, _resolution(ns[good]), ["dates"], [])
    warned: list[str] = []
    few = series.iloc[:: max(len(series) // 1000, 1)]
    if pd.to_numeric(few, errors="coerce").notna().mean() > 0.5:
        numbers = pd.to_numeric(series, errors="coerce")
        ns, good, dated, told = _numbers(series, numbers.to_numpy(np.float64), column, unit)
    else:
        ns, good, told, warned = _dates(series)
        dated = True
    if good.sum() <= len(series) / 2:
        given = next((str(value) for value, ok in zip(series, good, strict=True) if not ok), None)
        must = f"must hold ISO dates and times, or numbers, in most lines: column {column}"
        raise ScenarioError("--time", must, given)
    return Moments(ns, good, dated, _resolution(ns[good]), told, warned)


def _numbers(series: Any, numbers: Any, column: str, unit: str | None) -> tuple[Ints, Flags, bool, list[str]]:
    """Nanoseconds, which values are good, whether they are since 1970, how they were read."""
    size = float(np.nanmedian(np.abs(numbers)))
    if unit is not None:
        check(unit in TIME, "--time", unit, f"must end in a unit of time{nearest(unit, TIME)}")
        each, said = TIME[unit], f"numbers in {unit}, as given"
    else:
        # From 1973 to 2286 seconds since 1970 are 1e8 to 1e10, milliseconds a thousand times that, and so on.
        at = np.searchsorted([1e8, 1e10, 1e13, 1e16, 1e19], size, side="right")
        check(at < 5, "--time", size, f"must hold times: numbers of column {column} are too large for any")
        each, said = [
            (1.0, "seconds from some start: the unit is assumed, say --time COLUMN:UNIT if it is another"),
            (1.0, "seconds since 1970"),
            (1e-3, "milliseconds since 1970"),
            (1e-6, "microseconds since 1970"),
            (1e-9, "nanoseconds since 1970"),
        ][at]
    good = np.isfinite(numbers) & (np.abs(numbers) * each < 9e9)
    per = round(each * 1e9) if each >= 1e-9 else 1
    whole = pd.to_numeric(series, errors="coerce") if not pd.api.types.is_numeric_dtype(series) else series
    if pd.api.types.is_integer_dtype(whole):  # exact: floats lose the last digits of nanoseconds since 1970
        ns = np.where(good, whole.to_numpy(np.int64), 0) * np.int64(per)
    else:
        seconds = np.where(good, numbers, 0.0) * each
        floor = np.floor(seconds)
        ns = floor.astype(np.int64) * 1_000_000_000 + np.round((seconds - floor) * 1e9).astype(np.int64)
        ns = _rounded(ns, size * each)
    return ns, good, size * each > 3 * _YEAR, [said]


def _rounded(ns: Ints, size: float) -> Ints:
    """To what a float of this size [s] can tell: 1700000000.123 is not 1700000000.123000145."""
    step = 10 ** max(int(np.ceil(np.log10(max(size, 1e-9) * 2.0**-52 * 1e9))), 0)
    return np.asarray((ns + step // 2) // step * step)


def _dates(series: Any) -> tuple[Ints, Flags, list[str], list[str]]:
    """Each text is parsed once, however many lines share it."""
    codes, texts = texts_of(series)
    apache = sum(bool(_APACHE.match(text)) for text in texts[:100]) > len(texts[:100]) / 2
    zones = [match[1] if (match := _ZONE.search(text)) else "" for text in texts]
    if apache:
        form = "%d/%b/%Y:%H:%M:%S %z" if any(zones) else "%d/%b/%Y:%H:%M:%S"
        parsed = pd.to_datetime(pd.Series(texts), format=form, utc=True, errors="coerce")
    else:
        parsed = pd.to_datetime(pd.Series(texts), format="ISO8601", utc=True, errors="coerce")
    parsed = parsed.where((parsed.dt.year >= 1970) & (parsed.dt.year < 2200))
    index = pd.DatetimeIndex(parsed)
    ns, good = _stamps(index)[codes], np.asarray(index.notna())[codes]
    known = sorted({zone.replace("UTC", "Z") for zone, ok in zip(zones, index.notna(), strict=True) if ok})
    told = ["dates and times"]
    warned: list[str] = []
    if known == [""]:
        told = ["dates and times without a zone, taken as UTC"]
        _clock_change(ns[good], warned)
    elif "" in known:
        warned.append("some times have no zone and are taken as UTC, while others have one")
    elif len(known) > 1:
        told = [f"dates and times of the zones {', '.join(known[:4])}, taken to UTC"]
    return ns, good, told, warned


def texts_of(values: Any) -> tuple[Ints, list[str]]:
    """For each value the number of its text, and the texts, each once; what is missing has the text "None"."""
    codes, kinds = pd.factorize(np.asarray(values, dtype=object), use_na_sentinel=False)
    return np.asarray(codes, np.int64), [str(None) if each != each else str(each) for each in kinds]


def _stamps(index: Any) -> Ints:
    """Nanoseconds since 1970; what is not a time is 0."""
    index = index.tz_convert(None) if index.tz is not None else index
    return np.where(index.notna(), index.as_unit("ns").asi8, 0)


def _clock_change(ns: Ints, warned: list[str]) -> None:
    """Local clocks go back by an hour in autumn: sorted, these times would double the rate of that hour."""
    steps = np.diff(ns) / 1e9
    back = np.flatnonzero((steps < -3300) & (steps > -3700))
    if len(back) == 1 and (steps[steps < 0] > -3300).sum() < len(steps) / 100:
        warned.append(
            f"times go back by {human(-steps[back[0]], 'time')} once, after line {back[0] + 1}: a local clock that "
            "left summer time? That hour then counts twice; write times of UTC"
        )


def _resolution(ns: Ints) -> float:
    return next((step / 1e9 for step in _GRID if not (ns % step).any()), 1e-9)
