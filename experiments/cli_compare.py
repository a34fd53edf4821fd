"""The command ``backwater compare``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from backwater.errors import ScenarioError, check
from backwater.experiments.cli_words import (
    Horizon,
    Json,
    Page,
    Parallel,
    Replications,
    Seed,
    Set,
    Warmup,
    command,
    make_folder,
    out,
)
from backwater.experiments.progress import Bar

if TYPE_CHECKING:
    from backwater.components.faults import Fault
    from backwater.experiments.compare import Comparison
    from backwater.scenario import Scenario

app = typer.Typer(rich_markup_mode=None)


@app.command()
def compare(
    what: Annotated[list[str], typer.Argument(metavar="SCENARIO...", help="files or models' names")],
    variant: Annotated[list[str] | None, typer.Option(
        "--variant", metavar='"NAME: PATH=VALUE, ..."', help="the first scenario, changed; may be repeated")] = None,
    case: Annotated[list[str] | None, typer.Option(
        "--case", metavar='"NAME: KIND NAME=VALUE ...; ..."',
        help="faults that all systems meet besides their own, as of stress; none where it names none; may be repeated")
    ] = None,
    metrics: Annotated[list[str] | None, typer.Option(
        "--metric", metavar="METRIC", help="in place of the usual ones; may be repeated")] = None,
    changes: Set = None, horizon: Horizon = None, warmup: Warmup = None, replications: Replications = None,
    seed: Seed = None, folder: Page = None, parallel: Parallel = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Send the same jobs through several systems; differences have paired intervals."""
    from backwater.experiments.cli_words import read, scenario, variant_of
    from backwater.experiments.compare import compare as run_all

    cases = dict(_case(text) for text in case or []) or {"as given": ()}
    check(len(cases) == len(case or [1]), "--case", case, "must have a name of its own each")
    flags = {"horizon": horizon, "warmup": warmup, "replications": replications, "seed": seed}
    first, plan = read(what[0], changes, flags)
    systems = {what[0]: first} | {name: scenario(name, changes)[0] for name in what[1:]}
    check(len(systems) == len(what), "compare", what, "must not be given a scenario twice: see --variant")
    for text in variant or []:
        name, changed = variant_of("--variant", text)
        check(name not in systems, "--variant", name, "must have a name of its own")
        systems[name] = first.with_(changed)
    make_folder(folder)
    met = {name: [_met(one, faults) for one in systems.values()] for name, faults in cases.items()}
    found = {}
    with Bar("systems", len(systems) * len(cases)) as bar:
        for name, hit in met.items():
            found[name] = run_all(
                *hit, names=systems, run=plan, metrics=metrics, parallel=parallel,
                progress=lambda _: bar.to(bar.done + 1),
            )  # fmt: skip
    if folder is not None:
        _write(found, folder)
    if as_json:
        print(json.dumps(_plain(found), allow_nan=False))
        return
    for name, comparison in found.items():
        if case:
            out.print(f"Case {name}", style="bold", markup=False)
        out.print(_table(comparison))
    if folder is not None:
        out.print(f"Report: {folder / 'report.html'}", soft_wrap=True)


def _case(text: str) -> tuple[str, tuple[Fault, ...]]:
    """A named case from ``NAME: FAULT; FAULT``."""
    from backwater.experiments.cli_stress import fault_of

    name, colon, said = text.partition(":")
    must = 'must be "NAME: KIND NAME=VALUE ...; ...", such as "spike: load factor=3 start=2min duration=1min"'
    check(colon and name.strip(), "--case", text, must)
    try:
        return name.strip(), tuple(fault_of(part.strip()) for part in said.split(";") if part.strip())
    except ScenarioError as error:
        where = error.where.replace("--fault", "--case", 1)
        raise ScenarioError(where, error.must, error.given, shown=error.shown) from None


def _met(scenario: Scenario, faults: tuple[Fault, ...]) -> Scenario:
    """A scenario that meets faults besides its own."""
    return scenario.with_({"faults": [*scenario.faults, *faults]}) if faults else scenario


def _plain(found: dict[str, Comparison]) -> dict[str, Any]:
    """What was found, as plain data: of the only case, or of each."""
    if len(found) == 1:
        return numbers(next(iter(found.values())))
    return {"cases": {name: numbers(comparison) for name, comparison in found.items()}}


def numbers(found: Comparison) -> dict[str, Any]:
    """All that was found, as plain data."""

    def plain(values: Any) -> list[float | None]:
        return [float(value) if math.isfinite(value) else None for value in values]

    rows = [
        {"metric": name, "system": system, "estimate": plain(found.estimate(name, at)[:3]),
         **({"difference": plain(found.difference(name, at).found[:3])} if at else {})}
        for name in found.metrics for at, system in enumerate(found.names)
    ]  # fmt: skip
    manifests = {name: result.manifest for name, result in zip(found.names, found.results, strict=True)}
    return {"systems": list(found.names), "rows": rows, "manifests": manifests, "command": command()}


def _table(found: Comparison) -> Table:
    """A row per metric that moves and system: its estimate, and its difference to the first system's."""
    from backwater.metrics import metric, named
    from backwater.units import human

    run = found.results[0].run
    note = f"{found.jobs:,} jobs, {run.replications} replications each. All intervals hold together."
    table = Table("metric", "system", "estimate", f"minus that of {found.names[0]}, 95 % interval", box=None,
                  pad_edge=False, caption=note, caption_justify="left")  # fmt: skip
    table.columns[2].justify = table.columns[3].justify = "right"
    for name in found.moving:
        kind = metric(named(name)[0]).dimension
        if all(math.isnan(found.estimate(name, at).value) for at in range(len(found.names))):
            continue
        for at, system in enumerate(found.names):
            value, gap = found.estimate(name, at).value, found.difference(name, at)
            told = "" if at == 0 or math.isnan(gap.found.low) else (
                f"{signed(gap.found.low, kind)} .. {signed(gap.found.high, kind)}{'' if gap.sure else '  not sure'}"
            )  # fmt: skip
            table.add_row("" if at else name, system, "n/a" if math.isnan(value) else human(value, kind), told)
    return table


def signed(value: float, kind: str) -> str:
    """A difference as people read it."""
    from backwater.units import human

    return f"{'-' if value < 0 else '+'}{human(abs(value), kind)}"


def _write(found: dict[str, Comparison], folder: Path) -> None:
    from backwater.experiments.compare_report import write

    (folder / "compare.json").write_text(json.dumps(_plain(found), indent=1, allow_nan=False), "utf-8")
    write(found, folder, command())
