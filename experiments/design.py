"""Designs: points that fill a space of several fields, where a grid would need too many; or points that are given."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from backwater.base import Model
from backwater.errors import ScenarioError, check, nearest
from backwater.experiments.axes import Axis, bounds, coordinates, texts, whole
from backwater.scenario import Scenario

AXIS = "point"
MOST = 2**24


class Design(Model):
    """Points of an experiment that lie in no grid; they make one axis, ``point``.

    kind    latin_hypercube (each field's range in ``points`` equal parts, each part hit once), sobol (fills the space
            most evenly; ``points`` must be a power of 2), or points (those of ``file`` or ``rows``)
    points  how many
    seed    of the design alone
    over    dotted path -> { from, to, spacing }
    file    a CSV file: one column per dotted path, one row per point
    rows    the points themselves: dotted path -> value

    Source: McKay, Beckman and Conover, "A comparison of three methods", Technometrics 21 (1979), for latin hypercubes;
    Owen, "Scrambling Sobol' and Niederreiter-Xing points", J. Complexity 14 (1998), for the scrambled net; both are
    scipy.stats.qmc's.
    """

    kind: Literal["latin_hypercube", "sobol", "points"]
    points: int | None = Field(default=None, ge=1, le=MOST)
    seed: int = Field(default=1, ge=0, lt=2**64)
    over: dict[str, Any] = Field(default_factory=dict)
    file: str | None = None
    rows: tuple[dict[str, Any], ...] = ()

    def __init__(self, *args: object, **data: Any) -> None:
        """From then on a file is its rows, so that a design says all there is to it."""
        file = data.get("file")
        if file is not None:
            check(isinstance(file, str), "file", file, "must be the path of a CSV file")
            check(not data.get("rows"), "rows", "rows", "must not be given beside a file")
            data = {**data, "file": None, "rows": read_points(file), "kind": data.get("kind", "points")}
        super().__init__(*args, **data)
        self._fits()

    def _fits(self) -> None:
        if self.kind == "points":
            check(self.rows, "file", None, "must be given: a CSV file of points, or the rows themselves")
            check(not self.over, "over", dict(self.over), "must not be given where the points are")
            paths = list(self.rows[0])
            for number, row in enumerate(self.rows):
                check(list(row) == paths, f"rows.{number}", list(row), f"must set {', '.join(paths)}")
            return
        check(not self.rows, "rows", "rows", 'must be given only where kind = "points"')
        check(self.over, "over", {}, "must name at least one field with its range")
        if self.points is None:
            raise ScenarioError("points", "must be given: how many", shown=False)
        power = 2 ** round(math.log2(self.points))
        must = f"must be a power of 2 for sobol; the nearest is {power:,}"
        check(self.kind != "sobol" or self.points == power, "points", self.points, must)

    def axis(self, scenario: Scenario | None) -> Axis:
        """The points as one axis. Raises ScenarioError for a wrong range."""
        columns = (
            {path: [row[path] for row in self.rows] for path in self.rows[0]} if self.rows else self._spread(scenario)
        )
        changes = tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        units = {} if self.rows else {path: bounds(path, given)[0] for path, given in self.over.items()}
        along = {path: coordinates(column) for path, column in columns.items()}
        along = {path: (units.get(path, unit), values) for path, (unit, values) in along.items()}
        return Axis(AXIS, "", tuple(float(n) for n in range(len(changes))), changes, along)

    def _spread(self, scenario: Scenario | None) -> dict[str, list[Any]]:
        """The values of each field at each point."""
        columns: dict[str, list[Any]] = {}
        shares = self._shares()
        for number, (path, given) in enumerate(self.over.items()):
            where = f'over."{path}"'
            check(isinstance(given, dict), where, given, "must be a range { from, to, spacing }")
            _, low, high, log = bounds(where, given)
            share = shares[:, number]
            found = low * (high / low) ** share if log else low + (high - low) * share
            columns[path] = whole(path, [float(value) for value in found], scenario)
        return columns

    def _shares(self) -> npt.NDArray[np.float64]:
        """Where the points lie in the unit cube, shape (points, fields)."""
        from scipy.stats import qmc

        chance, fields = np.random.default_rng(self.seed), len(self.over)
        if self.kind == "latin_hypercube":
            return np.asarray(qmc.LatinHypercube(fields, rng=chance).random(self.points))
        check(fields <= qmc.Sobol.MAXDIM, "over", fields, f"must be at most {qmc.Sobol.MAXDIM:,} fields")
        return np.asarray(qmc.Sobol(fields, rng=chance).random(self.points))

    def plain(self) -> dict[str, Any]:
        rows = {"rows": texts(self.rows)} if self.rows else {}
        return {"kind": self.kind, **super().plain(), **rows}


def read_points(path: str) -> tuple[dict[str, Any], ...]:
    """The points of a CSV file: its columns are dotted paths, its rows points; numbers are in base units.

    Raises ScenarioError, one line, naming the row where one is not whole.
    """
    try:
        with open(Path(path), newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file, strict=True) if any(part.strip() for part in line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError("file", f"must be a CSV file that can be read: {reason}", path) from None
    check(len(lines) > 1, "file", path, "must hold a line of dotted paths and at least one point")
    paths = [name.strip() for name in lines[0]]
    double = next((name for name in paths if not name or paths.count(name) > 1), None)
    check(double is None, "file", double, f"{path} must name each column, each once")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        parts = [part.strip() for part in line]
        must = f"{path}, line {number}, must have {len(paths)} values, none empty"
        check(len(parts) == len(paths) and all(parts), "file", line, must)
        rows.append({name: _value(part) for name, part in zip(paths, parts, strict=True)})
    return tuple(rows)


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def space(text: str) -> dict[str, Any]:
    """A design from ``KIND:POINTS[:SEED]``, its fields left out. Raises ScenarioError for anything else."""
    kind, *numbers = text.split(":")
    kinds = {"sobol": "sobol", "latin_hypercube": "latin_hypercube", "lhs": "latin_hypercube"}
    must = "must be sobol:POINTS[:SEED] or latin_hypercube:POINTS[:SEED]"
    check(kind in kinds, "--design", text, f"{must}{nearest(kind, kinds)}")
    check(1 <= len(numbers) <= 2 and all(number.isdigit() for number in numbers), "--design", text, must)
    return {"kind": kinds[kind], **dict(zip(("points", "seed"), map(int, numbers), strict=False))}
