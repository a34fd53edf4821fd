"""What can go wrong, said in one line: where, what must hold, what was given, the nearest valid choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class BackwaterError(Exception):
    """Any refusal or failure that backwater words itself; its text is one line."""


class ScenarioError(BackwaterError, ValueError):
    """Wrong input, refused before any work starts.

    where  dotted path of the field, as in ``client.retry.base``; ``<part>`` stands for a part as a whole and gives way
           to the path under which it is found
    must   what must hold there
    given  what was given instead
    """

    def __init__(self, where: str, must: str, given: object = None, *, shown: bool = True) -> None:
        self.where, self.must, self.given, self.shown = where, must, given, shown
        super().__init__(self.line())

    def line(self) -> str:
        """The message: where, what must hold, what was given."""
        where = self.where.strip("<>")
        said = f"{where} {self.must}" if where else self.must
        return f"{said} (got {show(self.given)})" if self.shown else said

    def under(self, path: str) -> ScenarioError:
        """The same refusal seen from an enclosing part."""
        inner = "" if self.where.startswith("<") else self.where
        where = ".".join(part for part in (path, inner) if part)
        return ScenarioError(where, self.must, self.given, shown=self.shown)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.where, self.must, self.given, self.shown)


class AuditError(BackwaterError):
    """A run whose books do not balance; it leaves no result."""


class LimitError(BackwaterError):
    """A run that would outgrow the memory allowed; says what grew and since when."""


class RuleError(BackwaterError):
    """A rule of one's own that gave what it must not; says which, what it gave, and for what."""


@contextmanager
def below(part: str) -> Iterator[None]:
    """Within it, refusals are told from below ``part``, a field that the person who wrote the input does not see."""
    try:
        yield
    except ScenarioError as error:
        where = error.where.removeprefix(part).removeprefix(".")
        raise ScenarioError(where, error.must, error.given, shown=error.shown) from None


def _rebuild(where: str, must: str, given: object, shown: bool) -> ScenarioError:
    return ScenarioError(where, must, given, shown=shown)


def show(value: object) -> str:
    """A value as a message shows it: text in quotes, long values cut."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def nearest(word: str, choices: Iterable[str]) -> str:
    """``'; did you mean "capacity"?'``, or all choices where none is near."""
    known = sorted(str(choice) for choice in choices)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f'; did you mean "{close[0]}"?'
    return "; known are " + ", ".join(known) if known else ""


def check(ok: object, where: str, given: object, must: str) -> None:
    """Raise ScenarioError unless ``ok``."""
    if not ok:
        raise ScenarioError(where, must, given)
