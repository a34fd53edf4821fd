"""The directions in which a sweep varies: what a file says of one becomes coordinates and changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from backwater.errors import ScenarioError, check, nearest
from backwater.rules import Rule
from backwater.scenario import Scenario
from backwater.units import parse, units_required

Coordinate = float | str


class Axis(NamedTuple):
    """One direction of a sweep.

    name     the dotted path, or a name for paths that move together
    unit     of the coordinates: "s", "B", "1/s" or ""
    values   coordinates: numbers in base units, or labels
    changes  what each coordinate sets: dotted path -> value
    along    of a design's points: path -> (unit, where each point lies)
    """

    name: str
    unit: str
    values: tuple[Coordinate, ...]
    changes: tuple[dict[str, Any], ...]
    along: dict[str, tuple[str, tuple[Coordinate, ...]]] = {}  # noqa: RUF012 (never written)


def texts(value: Any) -> Any:
    """Rules of one's own as files name them."""
    if isinstance(value, Mapping):
        return {name: texts(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [texts(part) for part in value]
    return value.text if isinstance(value, Rule) else value


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted paths; a table with a ``kind`` or a ``preset`` is a value."""
    out: dict[str, Any] = {}
    for name, value in table.items():
        nested = isinstance(value, Mapping) and not {"kind", "preset"} & set(value) and value
        out |= flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return out


def read_axis(name: str, given: Any, scenario: Scenario | None) -> Axis:
    """An axis from what a file says of it; ``scenario`` knows which fields take whole numbers only."""
    where = f'sweep."{name}"'
    if isinstance(given, Mapping):
        return _range(name, given, scenario)
    ok = isinstance(given, (list, tuple)) and len(given) > 0
    check(ok, where, given, "must be a list of values, or { from, to, points, spacing }")
    if all(isinstance(value, Mapping) and "kind" not in value for value in given):
        labels = [", ".join(f"{path} = {value}" for path, value in flat(table).items()) for table in given]
        return _distinct(Axis(name, "", tuple(labels), tuple(flat(table) for table in given)))
    unit, values = coordinates(given)
    return _distinct(Axis(name, unit, values, tuple({name: value} for value in given)))


def coordinates(given: Any) -> tuple[str, tuple[Coordinate, ...]]:
    """The unit of values, and the values in it; texts where they are not of one dimension."""
    pairs = [coordinate(value) for value in given]
    units = {unit for unit, _ in pairs}
    same = len(units) == 1
    return units.pop() if same else "", tuple(value for _, value in pairs) if same else tuple(str(v) for v in given)


def _distinct(axis: Axis) -> Axis:
    check(len(set(axis.values)) == len(axis.values), f'sweep."{axis.name}"', axis.values, "must not hold a value twice")
    return axis


def coordinate(value: Any) -> tuple[str, Coordinate]:
    """A value as (unit, coordinate)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return "", str(value)
    if not isinstance(value, str):
        return "", float(value)
    for unit, dimension in (("s", "time"), ("B", "size"), ("1/s", "rate"), ("B/s", "bandwidth")):
        try:
            with units_required():
                return unit, parse(value, dimension)
        except ScenarioError:
            continue
    return "", value


def _range(name: str, given: Mapping[str, Any], scenario: Scenario | None) -> Axis:
    where = f'sweep."{name}"'
    unit, low, high, log = bounds(where, given, ("points",))
    n = given["points"]
    check(isinstance(n, int) and 2 <= n <= 100_000, f"{where}.points", n, "must be a whole number from 2 to 100,000")
    found = np.geomspace(low, high, n) if log else np.linspace(low, high, n)
    numbers = whole(name, [float(value) for value in found], scenario)
    numbers = list(dict.fromkeys(numbers))
    return Axis(name, unit, tuple(float(value) for value in numbers), tuple({name: value} for value in numbers))


def bounds(where: str, given: Mapping[str, Any], more: tuple[str, ...] = ()) -> tuple[str, float, float, bool]:
    """Unit, least and highest value of a range { from, to, spacing }, and whether it is spaced by factors."""
    known = ("from", "to", *more, "spacing")
    for word in given:
        told = f"must have {', '.join(known[:-1])} and spacing only{nearest(word, known)}"
        check(word in known, where, word, told)
    for word in known[:-1]:
        check(word in given, f"{where}.{word}", None, "must be given")
    spacing = given.get("spacing", "linear")
    check(spacing in ("linear", "log"), f"{where}.spacing", spacing, 'must be "linear" or "log"')
    (unit, low), (other, high) = coordinate(given["from"]), coordinate(given["to"])
    if unit != other or isinstance(low, str) or isinstance(high, str):
        raise ScenarioError(where, "must go from one number to another of the same unit", dict(given))
    check(low < high, f"{where}.to", given["to"], f"must be above from = {given['from']}")
    check(spacing == "linear" or low > 0, f"{where}.from", given["from"], "must be above 0 for log spacing")
    return unit, low, high, spacing == "log"


def whole(name: str, values: list[float], scenario: Scenario | None) -> list[Any]:
    """Whole numbers where the field takes no others."""
    odd = next((value for value in values if value != round(value)), None)
    if odd is None or (scenario and not takes(scenario, name, odd) and takes(scenario, name, round(odd))):
        return [round(value) for value in values]
    return values


def takes(scenario: Scenario, name: str, value: float) -> bool:
    """Whether a field may have this value, by itself."""
    try:
        with units_required(False):
            scenario.with_({name: value})
    except ScenarioError:
        return False
    return True
