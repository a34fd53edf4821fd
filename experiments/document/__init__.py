"""A report as data: sections of texts, tables and figures, made once and rendered to HTML, Markdown and PDF.

Every text in it is text, whatever it holds: each renderer escapes what would be markup there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from backwater.errors import ScenarioError
from backwater.experiments.store import read, write

KEPT = "report"  # the file in which a folder keeps its report as data
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # would change the direction of what follows


@dataclass(frozen=True)
class Text:
    """A paragraph; a ``note`` is set smaller, a ``strong`` one stands out."""

    words: str
    note: bool = False
    strong: bool = False


@dataclass(frozen=True)
class Points:
    """A list, an item each."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names it.

    right   columns of numbers
    marked  rows that stand out: something is wrong there, and a cell of theirs says what
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A figure as PNG; ``alt`` says what it shows to those who do not see it."""

    name: str
    alt: str
    caption: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Command:
    """A command line, to copy."""

    words: str


Part = Text | Points | Table | Picture | Command
PARTS = {kind.__name__: kind for kind in (Text, Points, Table, Picture, Command)}


@dataclass(frozen=True)
class Section:
    """A heading of ours and what stands under it."""

    title: str
    parts: tuple[Part, ...]

    @property
    def anchor(self) -> str:
        """Where links within the page lead."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Document:
    """A report.

    question  what was asked, below the title
    alarms    what must be known before anything else is read
    """

    title: str
    question: str
    sections: tuple[Section, ...]
    alarms: tuple[str, ...] = ()

    @property
    def pictures(self) -> list[Picture]:
        """Every figure."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Picture)]

    def keep(self, folder: Path) -> None:
        """Write the report as data, and its figures beside, so that it can be rendered again."""
        for picture in self.pictures:
            (folder / f"{picture.name}.png").write_bytes(picture.data)
        write(folder / f"{KEPT}.json", _plain(self))


def pairs(caption: str, head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> Table:
    """A table of two columns of words."""
    return Table(caption, head, tuple(rows))


def kept(folder: Path) -> Document:
    """The report that a folder keeps as data. Raises ScenarioError where it is not whole."""
    path = folder / f"{KEPT}.json"
    try:
        return _document(read(path), folder)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        if isinstance(error, ScenarioError):
            raise
        raise ScenarioError("", f"{path} must be a whole report, with its figures beside it", shown=False) from None


def clean(given: Any) -> Any:
    """A text without characters that cannot be shown or would turn around what stands beside it."""
    if type(given) is not str:  # what a template has rendered is more than a text
        return given
    return "".join("\ufffd" if c in TURNS or (unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t") else c
                   for c in given)  # fmt: skip


def _plain(document: Document) -> dict[str, Any]:
    def part(given: Part) -> dict[str, Any]:
        said = {name: value for name, value in asdict(given).items() if name != "data"}
        return {"kind": type(given).__name__, **said}

    return {
        "title": document.title, "question": document.question, "alarms": list(document.alarms),
        "sections": [{"title": each.title, "parts": [part(one) for one in each.parts]} for each in document.sections],
    }  # fmt: skip


def _document(told: dict[str, Any], folder: Path) -> Document:
    def part(given: dict[str, Any]) -> Part:
        kind = PARTS[given["kind"]]
        said = {name: _tuples(value) for name, value in given.items() if name != "kind"}
        if kind is Picture:
            name = Path(said["name"]).name  # a file beside, nowhere else
            said["data"] = (folder / f"{name}.png").read_bytes()
        made: Part = kind(**said)
        return made

    sections = tuple(Section(each["title"], tuple(part(one) for one in each["parts"])) for each in told["sections"])
    return Document(told["title"], told["question"], sections, tuple(told["alarms"]))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
