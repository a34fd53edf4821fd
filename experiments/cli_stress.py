"""The command ``backwater stress``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backwater.errors import ScenarioError, check, nearest
from backwater.experiments.cli_words import (
    Json,
    Page,
    Parallel,
    Repeats,
    Resume,
    Seed,
    Set,
    What,
    axis,
    command,
    out,
    quantity,
    scenario,
    stopped,
    value_of,
)
from backwater.experiments.progress import Bar

if TYPE_CHECKING:
    from backwater.components.faults import Fault
    from backwater.experiments.stress_report import Stress

app = typer.Typer(rich_markup_mode=None)
FAULT = '"workers_down start=60s duration=10s"'


@app.command()
def stress(
    what: What, changes: Set = None,
    fault: Annotated[str | None, typer.Option(
        metavar='"KIND NAME=VALUE ..."',
        help=f"the trigger, such as {FAULT}, in place of the scenario's faults; its last one unless given")] = None,
    observe: Annotated[str | None, typer.Option(
        metavar="TIME", help="how long it is watched after the trigger; 20 times as long as that unless given")] = None,
    map_: Annotated[bool, typer.Option("--map", help="from which triggers it recovers, by load")] = False,
    ramp: Annotated[bool, typer.Option("--ramp", help="the load up, and down again, in one run")] = False,
    stuck: Annotated[bool, typer.Option("--stuck", help="to which load it must be relieved once it is stuck")] = False,
    phases: Annotated[bool, typer.Option("--phases", help="where each state of queue and backoff leads")] = False,
    over: Annotated[list[str] | None, typer.Option(
        "--over", metavar="NAME=LOW..HIGH:POINTS",
        help="load: those of map and ramp; duration, share or factor: the sizes of the triggers")] = None,
    replications: Repeats = 5, seed: Seed = None, folder: Page = None,
    parallel: Parallel = None, resume: Resume = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Hit a system by a fault: does it recover, how fast, from which faults, at which loads?"""
    from backwater.experiments.recovery import Lab, plan_of
    from backwater.experiments.store import Store
    from backwater.experiments.stress_report import PARTS, Stress

    system, carried = scenario(what, changes)
    watched = None if observe is None else quantity("--observe", observe, "time")
    seed = carried.get("seed", 1) if seed is None else seed
    plan = plan_of(system, None if fault is None else fault_of(fault), watched, replications, seed)
    wanted = tuple(part for part, on in zip(PARTS, (map_, ramp, stuck, phases), strict=True) if on)
    test = Stress(system, plan, wanted, **ranges(over))
    test.check()
    folder = folder or Path("results") / f"stress-{Path(what).stem}"
    store = Store(folder)
    lab = Lab(store, parallel)
    store.begin(resume=resume, experiment={"stress": system.plain()})
    try:
        with Bar("settings", test.settings) as bar:
            lab.progress = lambda: bar.to(bar.done + 1)
            numbers = _run(test, lab, folder, as_json)
    except KeyboardInterrupt:
        raise stopped(folder) from None
    if as_json:
        print(json.dumps(numbers, allow_nan=False))
    else:
        out.print(f"Report: {folder / 'report.html'}", soft_wrap=True)


def _run(test: Stress, lab: Any, folder: Path, quiet: bool) -> dict[str, Any]:
    """Run the sections one by one; the page is written anew after each."""
    done: list[Any] = []
    numbers: dict[str, Any] = {}
    for section in test.sections(lab):
        done.append(section)
        if not quiet:
            out.print(f"{section.title}: {section.text}", soft_wrap=True)
        numbers = test.write(folder, done, command())
    return numbers


def fault_of(text: str) -> Fault:
    """A fault from ``KIND NAME=VALUE ...``."""
    from backwater.components.faults import Fault
    from backwater.units import units_required

    must = f"must be KIND NAME=VALUE ..., such as {FAULT}"
    try:
        kind, *fields = shlex.split(text)
    except ValueError:
        raise ScenarioError("--fault", must, text) from None
    check(all("=" in field for field in fields), "--fault", text, must)
    values = {name: value_of(value) for name, _, value in (field.partition("=") for field in fields)}
    try:
        with units_required():
            return Fault(**{"kind": kind, **values})
    except ScenarioError as error:
        raise error.under("--fault") from None


def ranges(given: list[str] | None) -> dict[str, Any]:
    """The loads, and the sizes of the triggers with their name, that ``--over`` asks for."""
    import numpy as np

    from backwater.experiments.recovery import SIZES

    found: dict[str, Any] = {}
    for text in given or []:
        name, said = axis(text)
        where, known = f"--over {name}", ["load", *SIZES]
        check(name in known, "--over", name, f"must be a load or the size of a trigger{nearest(name, known)}")
        check(isinstance(said, dict), where, text, "must be LOW..HIGH:POINTS[:log]")
        dimension = "" if name == "load" else SIZES[name].dimension
        low, high = (_parsed(where, said[end], dimension) for end in ("from", "to"))
        check(
            0 < low < high and 2 <= said["points"] <= 1000, where, text, "must go up from above 0, in 2 points or more"
        )
        points = (np.geomspace if said["spacing"] == "log" else np.linspace)(low, high, said["points"])
        taken = "load" if name == "load" else "size"
        check(taken not in found, "--over", name, f"must be given only once for the {taken}")
        found |= {"load": points} if name == "load" else {"size": points, "axis": name}
    return found


def _parsed(where: str, given: Any, dimension: str) -> float:
    """A number, or a quantity with its unit."""
    if not dimension:
        ok = isinstance(given, (int, float)) and not isinstance(given, bool)
        check(ok, where, given, "must be numbers")
        return float(given)
    return quantity(where, given, dimension)
