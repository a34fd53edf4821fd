"""Scenarios as TOML text and files, and their JSON schema for editors. In files, every quantity has a unit."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from backwater.errors import ScenarioError
from backwater.scenario import Scenario
from backwater.units import units_required

Table = dict[str, Any]


def read_table(path: str | os.PathLike[str]) -> Table:
    """A TOML file as tables; its relative ``file`` entries made relative to where it lies, if they are there."""
    place = Path(path)
    try:
        table = parse_toml(place.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ScenarioError("", f"a file must be one that can be read: {reason}", str(path)) from None
    return _beside(table, place.parent)


def parse_toml(text: str, name: str = "the text") -> Table:
    """TOML text as tables; ScenarioError where it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError("", f"{name} must be TOML: {error}", shown=False) from None


def _beside(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_beside(part, folder) for part in value]
    if not isinstance(value, dict):
        return value
    out = {name: _beside(part, folder) for name, part in value.items()}
    file = out.get("file")
    if isinstance(file, str) and not Path(file).is_absolute() and (folder / file).exists():
        out["file"] = str(folder / file)
    return out


def from_table(table: Table) -> Scenario:
    """A scenario from the tables of a file, without its ``[run]``; a bare number where a unit belongs is refused."""
    with units_required():
        return Scenario(**{name: part for name, part in table.items() if name != "run"})


def load(path: str | os.PathLike[str]) -> Scenario:
    """Read a scenario from a TOML file. Raises ScenarioError, one line, for anything wrong."""
    return from_table(read_table(path))


def loads(text: str) -> Scenario:
    """Read a scenario from TOML text."""
    return from_table(parse_toml(text))


def dumps(scenario: Scenario) -> str:
    """A scenario as TOML text; what is at its default is left out. ``loads`` gives an equal scenario back.

    Raises ScenarioError for a rule of one's own that no file can name.
    """
    for rule in scenario.rules:
        rule.check_importable()
    return tomli_w.dumps(scenario.plain())


def dump(scenario: Scenario, path: str | os.PathLike[str]) -> None:
    """Write a scenario to a TOML file."""
    Path(path).write_text(dumps(scenario), "utf-8")


def json_schema() -> Table:
    """The JSON schema of a scenario file, for editors that complete and check TOML."""
    schema = Scenario.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
