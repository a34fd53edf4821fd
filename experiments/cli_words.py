"""What the commands have in common: their flags, and how the words of a command line become values."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from backwater.errors import ScenarioError, check, nearest

if TYPE_CHECKING:
    from backwater.experiments.trials import Prices

out, err = Console(highlight=False), Console(stderr=True, highlight=False)
# For tables with many columns: where nothing says how wide a line may be, nothing is cut.
wide = Console(highlight=False, width=None if out.is_terminal else 140)

What = Annotated[str, typer.Argument(metavar="SCENARIO", help="a file or a model's name (see: backwater list)")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="change a field; may be repeated")]
Horizon = Annotated[str | None, typer.Option(help='time at which a run ends, such as "10 min"')]
Warmup = Annotated[str | None, typer.Option(help="time before which nothing counts")]
Replications = Annotated[int | None, typer.Option(help="independent repetitions")]
Seed = Annotated[int | None, typer.Option(help="of all random numbers")]
Precise = Annotated[
    list[str] | None,
    typer.Option(
        "--precision",
        metavar='METRIC="2 %"',
        help='how precise to be: "2 %", "± 20 ms" or both with or; may be repeated',
    ),
]
Repeats = Annotated[int, typer.Option("--replications", help="independent repetitions of each setting")]
Price = Annotated[
    list[str] | None,
    typer.Option("--price", metavar="worker_hour=X | lost_job=X", help="what cost is made of; may be repeated"),
]
#: Of the commands that leave a page; the others say what they leave.
Page = Annotated[Path | None, typer.Option("--out", help="where the page, its figures and the numbers go")]
Resume = Annotated[bool, typer.Option("--resume", help="take up what was finished before it was stopped")]
Parallel = Annotated[int | None, typer.Option(help="threads; all cores unless given")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]


def value_of(text: str) -> Any:
    """A value as TOML writes it; anything that is not TOML is text, so that 5 s needs no quotes."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def settings(pairs: list[str] | None) -> dict[str, Any]:
    """``PATH=VALUE`` options as a mapping."""
    found = {}
    for pair in pairs or []:
        path, equals, text = pair.partition("=")
        check(equals and path.strip(), "--set", pair, "must be PATH=VALUE, such as queue.capacity=50")
        found[path.strip()] = value_of(text.strip())
    return found


def variant_of(flag: str, text: str) -> tuple[str, dict[str, Any]]:
    """A named change from ``NAME: PATH=VALUE, PATH=VALUE``."""
    name, colon, said = text.partition(":")
    check(colon and name.strip(), flag, text, 'must be "NAME: PATH=VALUE, ...", such as "half: workers.count=20"')
    return name.strip(), settings([part.strip() for part in said.split(",") if part.strip()])


def goal(text: str) -> tuple[str, str]:
    """A metric and how precise it must be, from ``METRIC=PRECISION``."""
    name, equals, said = text.partition("=")
    check(equals and name.strip(), "--precision", text, 'must be METRIC=PRECISION, such as latency_p99="2 %"')
    return name.strip(), said.strip()


def scenario(what: str, changes: list[str] | None) -> tuple[Any, dict[str, Any]]:
    """The scenario of a command, changed, and the run that it carries."""
    from backwater.experiments.experiment import read_scenario
    from backwater.units import units_required

    with units_required():
        found, carried = read_scenario(what)
        return found.with_(settings(changes)), carried


def read(
    what: str, changes: list[str] | None, flags: dict[str, Any], unless: dict[str, Any] | None = None
) -> tuple[Any, Any]:  # fmt: skip
    """The scenario and the run of a command: the file's or the model's, where no flag says otherwise.

    unless  what the run is where neither says anything
    """
    from backwater.run import Run
    from backwater.units import units_required

    found, carried = scenario(what, changes)
    with units_required():
        given = {name: value for name, value in flags.items() if value is not None}
        run = Run(**{**(unless or {}), **carried, **given})
    return found, run


def axis(text: str) -> tuple[str, Any]:
    """An axis from ``PATH=LOW..HIGH:POINTS[:log]`` or ``PATH=V1,V2,...``."""
    path, equals, said = text.partition("=")
    must = "must be PATH=LOW..HIGH:POINTS[:log] or PATH=V1,V2,..."
    check(equals and path.strip() and said.strip(), "--over", text, must)
    if ".." not in said:
        return path.strip(), [value_of(part.strip()) for part in said.split(",")]
    bounds, *more = said.split(":")
    low, high = (value_of(part.strip()) for part in bounds.split("..", 1))
    ok = 1 <= len(more) <= 2 and more[0].strip().isdigit() and more[1:] in ([], ["log"], ["linear"])
    check(ok, "--over", text, must)
    return path.strip(), {"from": low, "to": high, "points": int(more[0]), "spacing": more[1] if more[1:] else "linear"}


def field(text: str) -> tuple[str, Any]:
    """A field of a design from ``PATH=LOW..HIGH[:log]``."""
    path, equals, said = text.partition("=")
    ends, *spacing = said.split(":")
    low, dots, high = ends.partition("..")
    ok = path.strip() and equals and low.strip() and dots and high.strip() and spacing in ([], ["log"], ["linear"])
    check(ok, "--over", text, "must be PATH=LOW..HIGH[:log] where there is a --design")
    found = {"from": value_of(low.strip()), "to": value_of(high.strip())}
    return path.strip(), {**found, "spacing": spacing[0] if spacing else "linear"}


def prices_of(given: list[str] | None) -> Prices:
    """Prices from ``NAME=VALUE`` options."""
    from backwater.experiments.trials import Prices

    found: dict[str, float] = {}
    for text in given or []:
        name, equals, said = text.partition("=")
        check(equals, "--price", text, "must be NAME=VALUE, such as worker_hour=0.40")
        known = Prices._fields
        check(name.strip() in known, "--price", name, f"must be one of {', '.join(known)}{nearest(name, known)}")
        value = value_of(said.strip())
        ok = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
        check(ok, f"--price {name.strip()}", said, "must be a number of at least 0, in any currency")
        found[name.strip()] = float(value)
    return Prices(**found)


def quantity(flag: str, given: str, dimension: str) -> float:
    """What a flag gives, in base units: a ``dimension`` is a time, a share, ... (see ``units.parse``)."""
    from backwater.units import parse, units_required

    try:
        with units_required():
            return parse(given, dimension)
    except ScenarioError as error:
        raise error.under(flag) from None


def make_folder(folder: Path | None) -> None:
    """Make the folder that results go to, if they go to any."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScenarioError("--out", f"must be a folder that can be written: {error.strerror}", str(folder)) from None


def stopped(folder: Path) -> typer.Exit:
    """The end of a command that was stopped and can go on where it was; says how."""
    err.print(f"Stopped. {folder} keeps what was finished; the same command with --resume goes on.", soft_wrap=True)
    return typer.Exit(130)


def command() -> str:
    """The command that repeats this one."""
    import shlex

    return shlex.join(["backwater", *(word for word in sys.argv[1:] if word != "--resume")])
