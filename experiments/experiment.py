"""An experiment: a question, a scenario, the axes along which it varies, and the cases under which."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from backwater import files
from backwater.base import Model
from backwater.errors import ScenarioError, check, nearest
from backwater.experiments.axes import Axis, Coordinate, coordinate, flat, read_axis, takes, texts
from backwater.experiments.design import Design
from backwater.experiments.precision import Goal, check_goals, goals
from backwater.experiments.require import Requirement, check_fits, requirement
from backwater.experiments.store import digest, key
from backwater.metrics import METRICS, metric, named
from backwater.models import MODELS, ready
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import check_end, check_memory
from backwater.units import parse, units_required

SHIPPED = Path(__file__).parent
RESERVED = {"case", "class", "window", "replication", "bound"}


@dataclass(frozen=True, slots=True)
class Point:
    """One cell of a grid.

    place  index along each axis, then of the case
    """

    place: tuple[int, ...]
    grid: Grid
    axes: tuple[Axis, ...]

    @property
    def case(self) -> str:
        """Which case it is under."""
        return list(self.grid.cases)[self.place[-1]]

    @property
    def label(self) -> dict[str, Coordinate]:
        """Where it lies: coordinate along each axis, of a design along each field, and the case."""
        out: dict[str, Coordinate] = {}
        for axis, index in zip(self.axes, self.place, strict=False):
            out[axis.name] = axis.values[index]
            out |= {path: values[index] for path, (_, values) in axis.along.items()}
        return out | {"case": self.case}

    @property
    def changes(self) -> dict[str, Any]:
        """What is set there: dotted path -> value."""
        out: dict[str, Any] = {}
        for axis, index in zip(self.axes, self.place, strict=False):
            out |= axis.changes[index]
        return out | flat(self.grid.cases[self.case])

    @property
    def where(self) -> str:
        """Where it lies, in words."""
        return ", ".join(f"{name} = {value}" for name, value in self.label.items())

    @property
    def scenario(self) -> Scenario:
        """The scenario there, made when asked for: a grid may have millions. Raises ScenarioError where it is wrong."""
        return self.grid.at(self)


class Grid(Model):
    """What varies, and along what.

    question  in words; the report answers it
    sweep     axes by name: a list of values, {from, to, points, spacing}, or a list of tables of paths
    design    points that fill a space, or that are given, as one more axis
    cases     named changes under each of which the whole grid runs
    """

    question: str = ""
    sweep: dict[str, Any] = Field(default_factory=dict)
    design: Design | None = None
    cases: dict[str, dict[str, Any]] = Field(default_factory=lambda: dict[str, dict[str, Any]]({"as is": {}}))

    @property
    def base(self) -> Scenario | None:
        """The scenario that varies, if it is one."""
        return None

    def axes(self) -> list[Axis]:
        """The axes of the grid. Raises ScenarioError for a wrong path, a wrong range or a clash of names."""
        check(self.sweep or self.design, "sweep", {}, "must have at least one axis, or there must be a design")
        axes = [] if self.design is None else [self.design.axis(self.base)]
        axes += [read_axis(name, given, self.base) for name, given in self.sweep.items()]
        taken = RESERVED | set(METRICS)
        for name in (name for axis in axes for name in (axis.name, *axis.along)):
            known = sorted(taken - set(METRICS))
            check(
                name not in taken, f"sweep.{name}", name, f"must not have the name of a metric or of {', '.join(known)}"
            )
            taken.add(name)
        return axes

    def points(self) -> list[Point]:
        """Every cell of the grid; what is refused is refused when its scenario is asked for, and by ``checked``."""
        axes = tuple(self.axes())
        sizes = [*(len(axis.values) for axis in axes), len(self.cases)]
        return [Point(place, self, axes) for place in itertools.product(*map(range, sizes))]

    def checked(self) -> Iterator[tuple[Point, Scenario | None]]:
        """Every cell with its scenario, if it has one; what is refused is refused here, before any work."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise ScenarioError for anything wrong."""
        for _ in self.checked():
            pass

    def at(self, point: Point) -> Scenario:
        """The scenario of a point."""
        raise NotImplementedError

    def key(self, point: Point, scenario: Scenario | None) -> str:
        """The name under which a point is kept."""
        raise NotImplementedError

    @property
    def replications(self) -> int:
        """How often each point is run."""
        raise NotImplementedError

    def plain(self) -> dict[str, Any]:
        design = {} if self.design is None else {"design": self.design.plain()}
        rest = {"sweep": texts(self.sweep), "cases": texts(self.cases)}
        return {"question": self.question, **{k: v for k, v in rest.items() if v}, **design}


class Experiment(Grid):
    """A question asked of a scenario.

    scenario  what varies
    run       how long and how often
    precision how narrow intervals must be, in place of a number of replications: metric -> "2 %" or "± 20 ms"
    budget    replications that this may take, of all points together; 100 for each unless given
    require   what must be met: metric -> "<= 2 s" or ">= 99 %"
    observed  measured figures, shown beside the estimates: metric -> value with unit
    and what a Grid has
    """

    scenario: Scenario
    run: Run
    precision: dict[str, str] = Field(default_factory=dict)
    budget: int | None = Field(default=None, ge=1)
    require: dict[str, str] = Field(default_factory=dict)
    observed: dict[str, str | float] = Field(default_factory=dict)

    @property
    def requirements(self) -> list[Requirement]:
        """What must be met. Raises ScenarioError for anything but a metric and its limit."""
        return [requirement(f"{name} {said}", f"require.{name}") for name, said in self.require.items()]

    @property
    def goals(self) -> tuple[Goal, ...]:
        """How precise each point must be; none where a number of replications says how often it is run."""
        return goals(self.precision) if self.precision else ()

    @property
    def seen(self) -> list[tuple[str, str, str, float]]:
        """What was observed: metric, class, window and value in base units. Raises ScenarioError where it is none."""
        out = []
        for text, given in self.observed.items():
            name, job_class, window = named(text)
            dimension = metric(name).dimension
            try:
                value = parse(given, dimension) if dimension else float(given)
            except (ScenarioError, ValueError):
                must = f"must be a value of {name}, with its unit if it has one"
                raise ScenarioError(f"observed.{text}", must, given) from None
            out.append((name, job_class, window, value))
        return out

    @property
    def extra(self) -> tuple[str, ...]:
        """Metrics that are required or were observed, besides the usual ones."""
        names = [*(one.name for one in self.requirements), *(named(text)[0] for text in self.observed)]
        return tuple(dict.fromkeys(name for name in names if name not in METRICS))

    @property
    def base(self) -> Scenario | None:
        return self.scenario

    @property
    def replications(self) -> int:
        return self.run.replications

    def checked(self) -> Iterator[tuple[Point, Scenario | None]]:
        check_fits(self.requirements, self.scenario, self.run, "require")
        check_goals(self.goals, self.scenario, self.run)
        for text, (_, job_class, window, _) in zip(self.observed, self.seen, strict=True):
            classes, windows = ["all", *self.scenario.jobs], ["all", *self.run.windows]
            for given, kind, known in ((job_class, "class", classes), (window, "window", windows)):
                check(given in known, f"observed.{text}", given, f"must name a {kind}{nearest(given, known)}")
        for point in self.points():
            scenario, classes = point.scenario, list(self.scenario.jobs)
            if list(scenario.jobs) != classes:
                must = f"must be the classes {', '.join(classes)} at every point, as at {point.where} they are not"
                raise ScenarioError("jobs", must, list(scenario.jobs))
            yield point, scenario

    def key(self, point: Point, scenario: Scenario | None, most: int | None = None) -> str:
        found = scenario or point.scenario
        if self.precision:
            name = key(found, self.run, self.precision, self.run.replications if most is None else most)
        else:
            name = key(found, self.run)
        return digest([name, *self.extra]) if self.extra else name

    def at(self, point: Point) -> Scenario:
        try:
            scenario = self.scenario.with_(point.changes)
            check_end(scenario, self.run)
            check_memory(scenario, self.run)
        except ScenarioError as error:
            raise ScenarioError("", f"{error} at {point.where}", shown=False) from None
        return scenario

    def plain(self) -> dict[str, Any]:
        rest = {"precision": self.precision, "budget": self.budget, "require": self.require, "observed": self.observed}
        said = {"scenario": self.scenario.plain(), "run": self.run.plain(), **{k: v for k, v in rest.items() if v}}
        return {**super().plain(), **said}


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
    return bool({"sweep", "design"} & set(files.read_table(what))) if is_file else what in shipped()


def shipped() -> list[str]:
    """Names of the shipped experiments."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def experiment_from(table: dict[str, Any]) -> Experiment:
    """An experiment from the tables of a file; its scenario is a model's name, a file or a table."""
    check("scenario" in table, "scenario", None, "must be given: a model, a file or a table")
    check({"sweep", "design"} & set(table), "sweep", None, "must be given: the axes; or a design")
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


__all__ = [
    "Axis", "Design", "Experiment", "Grid", "Point", "coordinate", "experiment_from", "flat", "is_experiment",
    "load_experiment", "read_axis", "read_scenario", "shipped", "takes",
]  # fmt: skip
