"""Somebody's own model in a sweep: a function ``(seed, replication, **point) -> {metric: value}``."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from backwater.errors import RuleError, ScenarioError, check, nearest
from backwater.experiments.cell import BOUNDS, Cell
from backwater.experiments.experiment import Grid, Point
from backwater.experiments.store import digest
from backwater.random import REPLICATIONS, SEEDS
from backwater.scenario import Scenario
from backwater.statistics import mean

Function = Callable[..., Mapping[str, float]]


class OwnModel(Grid):
    """A function that varies along the axes of a grid.

    function      called with the seed, the number of the replication and what each point sets, by name; as text
                  ``module:name`` where a finished sweep is read again
    replications  how often each point is run
    seed          given to every call: points with the same (seed, replication) can draw the same random numbers
    and what a Grid has
    """

    function: Any
    times: int = Field(default=10, ge=1, lt=REPLICATIONS)
    seed: int = Field(default=1, ge=0, lt=SEEDS)

    @property
    def replications(self) -> int:
        return self.times

    @property
    def place(self) -> str:
        """Where the function stands: ``module:name``."""
        if isinstance(self.function, str):
            return self.function
        return f"{self.function.__module__}:{getattr(self.function, '__qualname__', type(self.function).__qualname__)}"

    def checked(self) -> Iterator[tuple[Point, Scenario | None]]:
        for point in self.points():
            try:
                inspect.signature(self.function).bind(self.seed, 0, **point.changes)
            except TypeError as error:
                known = list(inspect.signature(self.function).parameters)[2:]
                wrong = next((name for name in point.changes if name not in known), "")
                advice = nearest(wrong, known) if wrong and known else ""
                raise ScenarioError(
                    "sweep", f"must set what {self.place} takes: {error}{advice}", shown=False
                ) from None
            yield point, None

    def key(self, point: Point, scenario: Scenario | None) -> str:
        try:
            said = json.dumps(point.changes, sort_keys=True)
        except TypeError:
            said = repr(sorted(point.changes.items()))
        return digest([self.place, self._source, self.seed, self.times, said])

    def check_kept(self) -> None:
        """Raise ScenarioError where another process could not tell whether the function is still the same."""
        name, module = getattr(self.function, "__qualname__", "<an object>"), getattr(self.function, "__module__", "")
        lasting = inspect.isfunction(self.function) and "<" not in name and not self.function.__closure__
        must = "must be a function at the top of a module or script where its points are kept"
        check(lasting and self._source, "what", f"{module}:{name}", must)

    @property
    def _source(self) -> str:
        """Digest of the file in which the function stands; of its own text where that is in none."""
        try:
            path = Path(inspect.getfile(self.function))
            text = path.read_text("utf-8") if path.is_file() else inspect.getsource(self.function)
        except (OSError, TypeError):
            return ""
        return hashlib.sha256(text.encode()).hexdigest()

    def plain(self) -> dict[str, Any]:
        return {**super().plain(), "function": self.place, "times": self.times, "seed": self.seed}


def call(function: Function, seed: int, times: int, changes: Mapping[str, Any]) -> Cell:
    """All replications of one point, with t intervals of their means.

    A value that is NaN counts as none. Raises RuleError where the function fails, or gives anything but numbers by
    name, the same names each time.
    """
    found = [_numbers(function, seed, replication, changes) for replication in range(times)]
    names = list(found[0])
    for replication, values in enumerate(found):
        same = set(values) == set(names)
        _fits(same, function, replication, f"must give the metrics {', '.join(names)} each time", list(values))
    each = np.array([[values[name] for values in found] for name in names], dtype=np.float64)
    estimates = [list(mean(row))[: len(BOUNDS)] for row in each]
    return Cell(names, ["all"], ["all"], np.concatenate([estimates, each], axis=1)[None, None])


def _numbers(function: Function, seed: int, replication: int, changes: Mapping[str, Any]) -> dict[str, float]:
    try:
        given = function(seed, replication, **changes)
    except Exception as error:
        told = f"{_name(function)} failed with {type(error).__name__}: {error} (replication {replication})"
        raise RuleError(told) from error
    ok = isinstance(given, Mapping) and len(given) > 0 and all(isinstance(name, str) and name for name in given)
    _fits(ok, function, replication, "must give a table metric -> value", given)
    for name, value in given.items():
        number = isinstance(value, numbers.Real) and not math.isinf(value)
        _fits(number, function, replication, f"must give a finite number as {name}, or NaN where there is none", value)
    return {name: float(value) for name, value in given.items()}


def _fits(ok: object, function: Function, replication: int, must: str, given: object) -> None:
    if not ok:
        raise RuleError(f"{_name(function)} {must} (got {given!r}, replication {replication})")


def _name(function: Function) -> str:
    return getattr(function, "__name__", type(function).__name__)
