"""An experiment: a question, a scenario, the axes along which it varies, and the cases under which."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from backwater import files
from backwater.base import Model
from backwater.errors import ScenarioError, check, nearest
from backwater.experiments.require import Requirement, check_fits, requirement
from backwater.metrics import METRICS, metric, named
from backwater.models import MODELS, ready
from backwater.rules import Rule
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import check_end, check_memory
from backwater.units import parse, units_required

SHIPPED = Path(__file__).parent
RESERVED = {"case", "class", "window", "replication", "bound"}


class Axis(NamedTuple):
    """One direction of a sweep.

    name     the dotted path, or a name for paths that move together
    unit     of the coordinates: "s", "B", "1/s" or ""
    values   coordinates: numbers in base units, or labels
    changes  what each coordinate sets: dotted path -> value
    """

    name: str
    unit: str
    values: tuple[float | str, ...]
    changes: tuple[dict[str, Any], ...]


class Point(NamedTuple):
    """One cell of the grid: where it is, and the scenario there."""

    place: tuple[int, ...]  # index along each axis, then of the case
    label: dict[str, float | str]
    scenario: Scenario


class Experiment(Model):
    """A question asked of a scenario.

    question  in words; the report answers it
    scenario  what varies
    run       how long and how often
    sweep     axes by name: a list of values, {from, to, points, spacing}, or a list of tables of paths
    cases     named changes under each of which the whole grid runs
    require   what must be met: metric -> "<= 2 s" or ">= 99 %"
    observed  measured figures, shown beside the estimates: metric -> value with unit
    """

    question: str = ""
    scenario: Scenario
    run: Run
    sweep: dict[str, Any]
    cases: dict[str, dict[str, Any]] = Field(default_factory=lambda: dict[str, dict[str, Any]]({"as is": {}}))
    require: dict[str, str] = Field(default_factory=dict)
    observed: dict[str, str | float] = Field(default_factory=dict)

    @property
    def requirements(self) -> list[Requirement]:
        """What must be met. Raises ScenarioError for anything but a metric and its limit."""
        return [requirement(f"{name} {said}", f"require.{name}") for name, said in self.require.items()]

    def axes(self) -> list[Axis]:
        """The axes of the grid. Raises ScenarioError for a wrong path, a wrong range or a clash of names."""
        check(self.sweep, "sweep", {}, "must have at least one axis")
        taken = RESERVED | set(METRICS)
        for name in self.sweep:
            check(
                name not in taken,
                f"sweep.{name}",
                name,
                "must not have the name of a metric or of " + ", ".join(RESERVED),
            )
        return [read_axis(name, given, self.scenario) for name, given in self.sweep.items()]

    def points(self) -> list[Point]:
        """Every cell of the grid, validated: what is refused is refused here, before any work."""
        axes = self.axes()
        out = []
        for place in itertools.product(*(range(len(axis.values)) for axis in axes), range(len(self.cases))):
            changes: dict[str, Any] = {}
            for axis, index in zip(axes, place, strict=False):
                changes |= axis.changes[index]
            case = list(self.cases)[place[-1]]
            label = {axis.name: axis.values[index] for axis, index in zip(axes, place, strict=False)} | {"case": case}
            out.append(Point(place, label, self._at(changes | flat(self.cases[case]), label)))
        return out

    def _at(self, changes: dict[str, Any], label: dict[str, float | str]) -> Scenario:
        try:
            scenario = self.scenario.with_(changes)
            check_end(scenario, self.run)
            check_memory(scenario, self.run)
        except ScenarioError as error:
            where = ", ".join(f"{name} = {value}" for name, value in label.items())
            raise ScenarioError("", f"{error} at {where}", shown=False) from None
        return scenario

    def check(self) -> None:
        """Raise ScenarioError for anything wrong that only the whole shows."""
        self.points()
        check_fits(self.requirements, self.scenario, self.run, "require")
        for text in self.observed:
            word, job_class, window = named(text)
            metric(word)
            classes, windows = ["all", *self.scenario.jobs], ["all", *self.run.windows]
            check(
                job_class in classes, f"observed.{text}", job_class, f"must name a class{nearest(job_class, classes)}"
            )
            check(window in windows, f"observed.{text}", window, f"must name a window{nearest(window, windows)}")

    def plain(self) -> dict[str, Any]:
        scenario, run = self.scenario.plain(), self.run.plain()
        rest = {"sweep": _texts(self.sweep), "cases": _texts(self.cases),
                "require": self.require, "observed": self.observed}  # fmt: skip
        return {"question": self.question, "scenario": scenario, "run": run, **{k: v for k, v in rest.items() if v}}


def _texts(value: Any) -> Any:
    """Rules of one's own as files name them."""
    if isinstance(value, Mapping):
        return {name: _texts(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_texts(part) for part in value]
    return value.text if isinstance(value, Rule) else value


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted paths; a table with a ``kind`` or a ``preset`` is a value."""
    out: dict[str, Any] = {}
    for name, value in table.items():
        nested = isinstance(value, Mapping) and not {"kind", "preset"} & set(value) and value
        out |= flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return out


def read_axis(name: str, given: Any, scenario: Scenario) -> Axis:
    """An axis from what a file says of it."""
    where = f'sweep."{name}"'
    if isinstance(given, Mapping):
        return _range(name, given, scenario)
    ok = isinstance(given, (list, tuple)) and len(given) > 0
    check(ok, where, given, "must be a list of values, or { from, to, points, spacing }")
    if all(isinstance(value, Mapping) and "kind" not in value for value in given):
        labels = [", ".join(f"{path} = {value}" for path, value in flat(table).items()) for table in given]
        return _distinct(Axis(name, "", tuple(labels), tuple(flat(table) for table in given)))
    pairs = [coordinate(value) for value in given]
    units = {unit for unit, _ in pairs}
    same = len(units) == 1
    values = tuple(value for _, value in pairs) if same else tuple(str(value) for value in given)
    return _distinct(Axis(name, units.pop() if same else "", values, tuple({name: value} for value in given)))


def _distinct(axis: Axis) -> Axis:
    check(len(set(axis.values)) == len(axis.values), f'sweep."{axis.name}"', axis.values, "must not hold a value twice")
    return axis


def coordinate(value: Any) -> tuple[str, float | str]:
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


def _range(name: str, given: Mapping[str, Any], scenario: Scenario) -> Axis:
    where, known = f'sweep."{name}"', ("from", "to", "points", "spacing")
    for word in given:
        check(word in known, where, word, f"must have from, to, points and spacing only{nearest(word, known)}")
    for word in ("from", "to", "points"):
        check(word in given, f"{where}.{word}", None, "must be given")
    spacing, n = given.get("spacing", "linear"), given["points"]
    check(spacing in ("linear", "log"), f"{where}.spacing", spacing, 'must be "linear" or "log"')
    check(isinstance(n, int) and 2 <= n <= 10_000, f"{where}.points", n, "must be a whole number from 2 to 10,000")
    (unit, low), (other, high) = coordinate(given["from"]), coordinate(given["to"])
    ok = unit == other and isinstance(low, float) and isinstance(high, float)
    check(ok, where, dict(given), "must go from one number to another of the same unit")
    check(low < high, f"{where}.to", given["to"], f"must be above from = {given['from']}")  # type: ignore[operator]
    check(spacing == "linear" or low > 0, f"{where}.from", given["from"], "must be above 0 for log spacing")  # type: ignore[operator]
    values = np.geomspace(low, high, n) if spacing == "log" else np.linspace(low, high, n)  # type: ignore[arg-type]
    numbers: list[float] = _whole(name, [float(value) for value in values], scenario)
    return Axis(name, unit, tuple(float(value) for value in numbers), tuple({name: value} for value in numbers))


def _whole(name: str, values: list[float], scenario: Scenario) -> list[Any]:
    """Whole numbers where the field takes no others, each once."""
    odd = next((value for value in values if value != round(value)), None)
    if odd is None or (not takes(scenario, name, odd) and takes(scenario, name, round(odd))):
        return list(dict.fromkeys(round(value) for value in values))
    return values


def takes(scenario: Scenario, name: str, value: float) -> bool:
    """Whether a field may have this value, by itself."""
    try:
        with units_required(False):
            scenario.with_({name: value})
    except ScenarioError:
        return False
    return True


def load_experiment(what: str) -> Experiment:
    """An experiment from a TOML file, or a shipped one by name. Raises ScenarioError for anything wrong."""
    path = Path(what)
    if not path.suffix and not path.exists():
        known = shipped()
        check(what in known, "experiment", what, f"must be a file or a shipped experiment{nearest(what, known)}")
        path = SHIPPED / f"{what}.toml"
    table = files.read_table(path)
    beside = path.parent / str(table.get("scenario"))
    if isinstance(table.get("scenario"), str) and beside.is_file():
        table["scenario"] = str(beside)
    return experiment_from(table)


def is_experiment(what: str) -> bool:
    """Whether ``what`` names a shipped experiment or a file that is one, not a scenario."""
    is_file = bool(Path(what).suffix) or Path(what).exists()
    return "sweep" in files.read_table(what) if is_file else what in shipped()


def shipped() -> list[str]:
    """Names of the shipped experiments."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def experiment_from(table: dict[str, Any]) -> Experiment:
    """An experiment from the tables of a file; its scenario is a model's name, a file or a table."""
    check("scenario" in table, "scenario", None, "must be given: a model, a file or a table")
    check("sweep" in table, "sweep", None, "must be given: the axes")
    scenario, run = read_scenario(table["scenario"])
    with units_required():
        return Experiment(**{**table, "scenario": scenario, "run": Run(**{**run, **table.get("run", {})})})


def read_scenario(what: str | dict[str, Any]) -> tuple[Scenario, dict[str, Any]]:
    """A scenario and the run that it carries: a model's name, a file's path or a table."""
    if isinstance(what, str):
        if what in MODELS or not (Path(what).suffix or Path(what).exists()):
            known = ready(what)
            with units_required(False):  # code may use plain numbers
                return known.build(), known.run.plain()
        what = files.read_table(what)
    return files.from_table(what), dict(what.get("run", {}))
