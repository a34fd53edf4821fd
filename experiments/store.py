"""What finished work leaves in a folder: points in one SQLite file, each whole or not at all; the rest as JSON.

points.sqlite         finished points by name; safe to kill at any moment, and for several processes at once
experiment.json       the experiment as it ran
manifest.json         seeds, versions, names of the points, the command that repeats it
series/N.json         sampled runs for the figures over time
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from backwater.contents import digest_of
from backwater.errors import ScenarioError, check
from backwater.jit import source_digest
from backwater.run import Run
from backwater.scenario import Scenario

PATIENCE = 60.0  # how long another process may hold the file [s]


def key(scenario: Scenario, run: Run, *more: Any) -> str:
    """The name of a point: what it simulates, how, and by which code; 32 hexadecimal digits.

    A point of other code is never taken up again. What the scenario is called, and its notes, do not matter.
    ``more`` is what else decides, such as how precise it must be.
    """
    told = {name: part for name, part in scenario.plain().items() if name not in ("name", "notes")}
    return digest([digest_of(told), run.plain(), *more])


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


def packed(content: dict[str, Any]) -> bytes:
    """JSON values and arrays of float64 as bytes with a checksum: a line of JSON, then the arrays, compressed."""
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in content.items() if name not in arrays}
    head = json.dumps([rest, {name: value.shape for name, value in arrays.items()}])
    return zlib.compress(
        b"\n".join([head.encode(), b"".join(np.asarray(v, "<f8").tobytes() for v in arrays.values())]), 1
    )


def unpacked(data: bytes) -> dict[str, Any]:
    """What was ``packed``; arrays are read-only. Raises ValueError or zlib.error where it is not whole."""
    head, _, rest = zlib.decompress(data).partition(b"\n")
    content: dict[str, Any]
    content, shapes = json.loads(head)
    at = 0
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        content[name] = np.frombuffer(rest, "<f8", count, at).reshape(shape)
        at += 8 * count
    return content


class Store:
    """The folder of one experiment, or one in which several experiments find each other's points."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.file = self.folder / "points.sqlite"
        self._base: sqlite3.Connection | None = None

    def begin(self, *, resume: bool, experiment: dict[str, Any]) -> None:
        """Make the folder the one of this experiment.

        Refuses one that holds points of another experiment, and one that holds points at all unless they are to be
        taken up.
        """
        there = self.count()
        if there:
            have = self.tables("experiment") if (self.folder / "experiment.json").exists() else {}
            said = json.loads(json.dumps(experiment))
            other = sorted(part for part in {*have, *said} if have.get(part) != said.get(part))
            must = "must not hold the points of another experiment: use another one (they differ in " + ", ".join(other)
            check(not other, "--out", str(self.folder), f"{must}; --pool lets experiments share points)")
            advice = "use --resume to go on with them, or another --out"
            check(resume, "--out", str(self.folder), f"holds {there} finished points: {advice}")
        self.make()
        for old in (self.folder / "series").glob("*.json"):  # they are made anew at the end
            old.unlink()
        self.keep("experiment", experiment)

    def make(self, flag: str = "--out") -> None:
        """Make the folder, if it is not there. Raises ScenarioError where that cannot be, naming the flag."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            must = f"must be a folder that can be written: {error.strerror}"
            raise ScenarioError(flag, must, str(self.folder)) from None
        with self._told():
            self._points()

    def count(self) -> int:
        """How many points are finished."""
        with self._told():
            return self._points().execute("SELECT count(*) FROM points").fetchone()[0] if self.file.exists() else 0

    def points(self) -> list[str]:
        """Names of the finished points."""
        with self._told():
            rows = self._points().execute("SELECT name FROM points") if self.file.exists() else []
            return sorted(name for (name,) in rows)

    def load(self, name: str) -> dict[str, Any] | None:
        """A finished point, None where there is none."""
        if not self.file.exists():
            return None
        with self._told():
            row = self._points().execute("SELECT content FROM points WHERE name = ?", (name,)).fetchone()
            return None if row is None else unpacked(row[0])

    def save(self, name: str, content: dict[str, Any]) -> None:
        """Keep a finished point: JSON values and arrays of float64. Once this returns, no kill loses it."""
        with self._told():
            data = packed(content)
            self._points().execute("INSERT OR REPLACE INTO points VALUES (?, ?)", (name, data))

    def tables(self, name: str) -> Any:
        """``experiment`` or ``manifest``."""
        return read(self.folder / f"{name}.json")

    def keep(self, name: str, content: Any) -> None:
        """Write ``experiment``, ``manifest`` or ``series/...``."""
        write(self.folder / f"{name}.json", content)

    def series(self) -> list[Any]:
        """The sampled runs, in order."""
        return [read(path) for path in sorted((self.folder / "series").glob("*.json"))]

    def _points(self) -> sqlite3.Connection:
        """The file of the points, opened when first asked for and closed with this object."""
        if self._base is None:
            base = sqlite3.connect(self.file, PATIENCE, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, base.close)
            # Each statement is a transaction of its own. With a write-ahead log and "normal", what is written survives
            # the end of the process at once, and that of the machine up to the last few points.
            base.execute("PRAGMA synchronous = NORMAL")
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("CREATE TABLE IF NOT EXISTS points (name TEXT PRIMARY KEY, content BLOB NOT NULL)")
            self._base = base
        return self._base

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Within it, what is wrong with the file is one clear line."""
        try:
            yield
        except sqlite3.OperationalError as error:
            must = f"{self.file} must be a file that can be read and written: {error}"
            raise ScenarioError("", must, shown=False) from None
        except (sqlite3.DatabaseError, zlib.error, ValueError) as error:
            must = f"{self.file} must be a file of finished points: it is not whole ({error})"
            raise ScenarioError("", must, shown=False) from None
