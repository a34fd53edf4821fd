"""Quantities with units: time [s], size [B], rates [1/s, B/s] and shares [1], from text and back.

Inside, everything is a float in base units. A person may write ``"250 ms"``; Python code may also give a plain
number in base units. In files and on the command line a plain number is refused: nobody can tell 30 s from 30 ms.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema

from backwater.errors import ScenarioError

TIME = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0,
    "h": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0, "week": 604800.0, "weeks": 604800.0,
}  # fmt: skip
SIZE = {
    "B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
    "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
COUNT = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
PERIOD = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}

EXAMPLE = {
    "time": 'a time such as "250 ms" or "1h30m"',
    "size": 'a size such as "64 MiB" or "1.5 GB"',
    "rate": 'a rate such as "120/s", "120 rps" or "2 M/day"',
    "bandwidth": 'a bandwidth such as "200 MB/s"',
    "share": 'a share between 0 and 1 such as 0.25, "0.1 %" or "1/3"',
    "scale": 'a time such as "60 ms" or a size such as "400 kB"',
}

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TERM = re.compile(rf"\s*({_NUMBER})\s*([A-Za-zµ]+)")

_units_required: ContextVar[bool] = ContextVar("units_required", default=False)


@contextmanager
def units_required(required: bool = True) -> Iterator[None]:
    """Within it, a number without a unit is refused: the rule of files and of the command line; or is not, again."""
    token = _units_required.set(required)
    try:
        yield
    finally:
        _units_required.reset(token)


class Quantity(float):
    """A float in base units that remembers whether it was given as a time, as a size or as a bare number ("")."""

    dimension: str

    def __new__(cls, value: float, dimension: str = "") -> Quantity:
        """Make one; ``dimension`` is "time", "size" or ""."""
        self = super().__new__(cls, value)
        self.dimension = dimension
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Quantity, (float(self), self.dimension)

    def __deepcopy__(self, memo: object) -> Quantity:
        return self


def _terms(text: str, table: dict[str, float]) -> float | None:
    """Sum of "number unit" terms, as in "1h30m"; None where the text is anything else."""
    total, end = 0.0, 0
    while match := _TERM.match(text, end):
        number, unit = match.groups()
        if unit not in table or (end and number.startswith(("-", "+"))):
            return None
        total, end = total + float(number) * table[unit], match.end()
    return total if end and not text[end:].strip() else None


def _rate(text: str) -> float | None:
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([kMG]?)\s*(?:rps|([A-Za-z]*)\s*/\s*([a-z]+))\s*", text)
    if not match or (match[4] or "s") not in PERIOD or match[3] in SIZE or match[3] in TIME:
        return None
    return float(match[1]) * COUNT[match[2]] / PERIOD[match[4] or "s"]


def _bandwidth(text: str) -> float | None:
    size, slash, period = text.partition("/")
    value = _terms(size, SIZE)
    return None if value is None or not slash or period.strip() not in PERIOD else value / PERIOD[period.strip()]


def _share(text: str) -> float | None:
    if match := re.fullmatch(rf"\s*({_NUMBER})\s*%\s*", text):
        return float(match[1]) / 100
    if match := re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text):
        return int(match[1]) / int(match[2]) if int(match[2]) else None
    return None


_READ: dict[str, Callable[[str], float | None]] = {
    "time": lambda text: _terms(text, TIME),
    "size": lambda text: _terms(text, SIZE),
    "rate": _rate,
    "bandwidth": _bandwidth,
    "share": _share,
}


def parse(given: object, dimension: str, *, most: float = math.inf) -> float:
    """The value in base units of what a person wrote.

    Raises ScenarioError for a missing or unknown unit, a negative or a non-finite value.
    """
    must = f"must be {EXAMPLE[dimension]}"
    if isinstance(given, str):
        value = _READ[dimension](given)
        if value is None and dimension == "share":
            value = _plain(given)
    elif isinstance(given, bool) or not isinstance(given, (int, float)):
        value = None
    elif _units_required.get() and dimension != "share":
        raise ScenarioError("", f"{must}: a number alone has no unit", given)
    else:
        value = float(given)
    if value is None:
        raise ScenarioError("", must, given)
    if not math.isfinite(value) or value < 0 or value > most:
        raise ScenarioError("", f"{must}, finite and not negative", given)
    return value


def _plain(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def parse_scale(given: object) -> Quantity:
    """A time or a size; what it is stays with the number, for the field around it to check."""
    if isinstance(given, Quantity):
        return given
    if isinstance(given, str):
        for dimension in ("time", "size"):
            if _READ[dimension](given) is not None:
                return Quantity(parse(given, dimension), dimension)
        raise ScenarioError("", f"must be {EXAMPLE['scale']}", given)
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise ScenarioError("", f"must be {EXAMPLE['scale']}", given)
    if not math.isfinite(given) or given < 0:
        raise ScenarioError("", f"must be {EXAMPLE['scale']}, finite and not negative", given)
    return Quantity(float(given), "")


def _exact(value: float, units: list[tuple[str, float]], read: Callable[[str], float | None]) -> str:
    """The shortest text with a unit that reads back to the same float."""
    tries = []
    for unit, factor in units:
        for number in (value / factor, round(value / factor, 12)):
            shown = repr(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)
            if read(f"{shown}{unit}") == value:
                tries.append(f"{shown}{unit}")
    return min(tries, key=len) if tries else f"{value!r}{units[0][0]}"


def text(value: float, dimension: str) -> str | float:
    """A quantity as files hold it; reads back to the same float."""
    value = float(value)
    if dimension == "time":
        return _exact(value, [(" s", 1.0), (" ms", 1e-3), (" min", 60.0), (" h", 3600.0)], _READ["time"])
    if dimension == "size":
        units = [(" B", 1.0), (" kB", 1e3), (" MB", 1e6), (" GB", 1e9), (" MiB", 2.0**20), (" GiB", 2.0**30)]
        return _exact(value, units, _READ["size"])
    if dimension == "rate":
        return _exact(value, [("/s", 1.0), ("/min", 1 / 60), ("/h", 1 / 3600)], _READ["rate"])
    if dimension == "bandwidth":
        return _exact(value, [(" B/s", 1.0), (" kB/s", 1e3), (" MB/s", 1e6), (" GB/s", 1e9)], _READ["bandwidth"])
    return value


def _field(dimension: str, **limits: float) -> Any:
    kinds = [{"type": "string"}, {"type": "number", "minimum": 0}]
    return (
        BeforeValidator(lambda given: parse(given, dimension, **limits)),
        PlainSerializer(lambda value: text(value, dimension), return_type=Any, when_used="json"),
        WithJsonSchema({"anyOf": kinds, "description": EXAMPLE[dimension]}),
    )


Time = Annotated[float, *_field("time")]
Size = Annotated[float, *_field("size")]
Rate = Annotated[float, *_field("rate")]
Bandwidth = Annotated[float, *_field("bandwidth")]
Share = Annotated[float, *_field("share", most=1.0)]
Ratio = Annotated[float, *_field("share")]  # written as shares are, and may exceed 1
Scale = Annotated[
    Quantity,
    PlainValidator(parse_scale),
    PlainSerializer(
        lambda value: text(value, value.dimension) if value.dimension else float(value),
        return_type=Any,
        when_used="json",
    ),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}], "description": EXAMPLE["scale"]}),
]


def bare_numbers_refused() -> bool:
    """Whether the text being read must give a unit with each number."""
    return _units_required.get()


def human(value: float, dimension: str = "") -> str:
    """A number as people read it: three significant digits and a fitting unit ("1.23 ms", "64 MiB", "0.12 %")."""
    if not math.isfinite(value):
        return "∞" if value == math.inf else "n/a"
    if dimension == "share":
        return f"{_digits(100 * value)} %"
    if dimension in ("rate", "bandwidth"):
        return f"{_digits(value)}/s" if dimension == "rate" else f"{human(value, 'size')}/s"
    steps = {
        "time": [
            (86400.0, "d"),
            (3600.0, "h"),
            (60.0, "min"),
            (1.0, "s"),
            (1e-3, "ms"),
            (1e-6, "µs"),
            (1e-9, "ns"),
        ],
        "size": [(2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")],
    }.get(dimension)
    if steps is None:
        return _digits(value)
    for factor, unit in steps:
        if abs(value) >= factor * (2 if unit in ("min", "h", "d") else 1):
            return f"{_digits(value / factor)} {unit}"
    return f"{_digits(value / steps[-1][0])} {steps[-1][1]}" if value else f"0 {'s' if dimension == 'time' else 'B'}"


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.2e}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{places}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
