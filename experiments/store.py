"""What a sweep leaves in its folder: one file per finished point, written whole or not at all; the rest as JSON.

experiment.json       the experiment as it ran
manifest.json         seeds, versions, the command that repeats it
points/KEY.json       estimates and replications of one point
series/N.json         sampled runs for the figures over time
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from backwater.errors import ScenarioError, check
from backwater.jit import source_digest
from backwater.run import Run
from backwater.scenario import Scenario


def key(scenario: Scenario, run: Run) -> str:
    """The name of a point: what it simulates, how, and by which code; 32 hexadecimal digits.

    A point of other code is never taken up again.
    """
    return digest([scenario.digest, run.plain()])


def digest(said: list[Any]) -> str:
    """A name for what is said and the code that decides its numbers; 32 hexadecimal digits."""
    text = json.dumps([*said, source_digest()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all, also if the process is killed half-way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with open(part, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read(path: Path) -> Any:
    """Read JSON; ScenarioError where it is missing or broken."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not whole"
        raise ScenarioError("", f"{path} must be a file of a sweep's results: {reason}", shown=False) from None


class Store:
    """The folder of one sweep."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def begin(self, *, resume: bool) -> None:
        """Make the folder; refuse one that already holds points, unless they are to be taken up."""
        there = len(self.points())
        advice = "use --resume to go on with them, or another --out"
        check(resume or not there, "--out", str(self.folder), f"holds {there} finished points: {advice}")
        try:
            (self.folder / "points").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ScenarioError(
                "--out", f"must be a folder that can be written: {error.strerror}", str(self.folder)
            ) from None
        for leftover in (self.folder / "points").glob(".*"):  # of a process that was killed
            leftover.unlink()
        for old in (self.folder / "series").glob("*.json"):  # perhaps of other axes; they are made anew at the end
            old.unlink()

    def points(self) -> list[str]:
        """Keys of the finished points."""
        return sorted(path.stem for path in (self.folder / "points").glob("*.json"))

    def path(self, key: str) -> Path:
        """The file of a point."""
        return self.folder / "points" / f"{key}.json"

    def load(self, key: str) -> dict[str, Any] | None:
        """A finished point, None where there is none."""
        return read(self.path(key)) if self.path(key).exists() else None

    def save(self, key: str, content: dict[str, Any]) -> None:
        """Keep a finished point."""
        write(self.path(key), content)

    def tables(self, name: str) -> Any:
        """``experiment`` or ``manifest``."""
        return read(self.folder / f"{name}.json")

    def keep(self, name: str, content: Any) -> None:
        """Write ``experiment``, ``manifest`` or ``series/...``."""
        write(self.folder / f"{name}.json", content)

    def series(self) -> list[Any]:
        """The sampled runs, in order."""
        return [read(path) for path in sorted((self.folder / "series").glob("*.json"))]
