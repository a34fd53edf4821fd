"""The command ``backwater compare``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from backwater.errors import check
from backwater.experiments.cli_words import (
    Horizon,
    Json,
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
    from backwater.experiments.compare import Comparison

app = typer.Typer(rich_markup_mode=None)


@app.command()
def compare(
    what: Annotated[list[str], typer.Argument(metavar="SCENARIO...", help="files or models' names")],
    variant: Annotated[list[str] | None, typer.Option(
        "--variant", metavar='"NAME: PATH=VALUE, ..."', help="the first scenario, changed; may be repeated")] = None,
    metrics: Annotated[list[str] | None, typer.Option(
        "--metric", metavar="METRIC", help="in place of the usual ones; may be repeated")] = None,
    changes: Set = None, horizon: Horizon = None, warmup: Warmup = None, replications: Replications = None,
    seed: Seed = None,
    folder: Annotated[Path | None, typer.Option("--out", help="where the table and the figure go")] = None,
    parallel: Parallel = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Send the same jobs through several systems; differences have paired intervals."""
    from backwater.experiments.cli_words import read, scenario, variant_of
    from backwater.experiments.compare import compare as run_all

    flags = {"horizon": horizon, "warmup": warmup, "replications": replications, "seed": seed}
    first, plan = read(what[0], changes, flags)
    systems = {what[0]: first} | {name: scenario(name, changes)[0] for name in what[1:]}
    check(len(systems) == len(what), "compare", what, "must not be given a scenario twice: see --variant")
    for text in variant or []:
        name, changed = variant_of("--variant", text)
        check(name not in systems, "--variant", name, "must have a name of its own")
        systems[name] = first.with_(changed)
    if folder is not None:
        make_folder(folder)
    with Bar("systems", len(systems)) as bar:
        found = run_all(
            *systems.values(), names=systems, run=plan, metrics=metrics, parallel=parallel, progress=bar.to
        )  # fmt: skip
    if folder is not None:
        _write(found, folder)
    if as_json:
        print(json.dumps(numbers(found), allow_nan=False))
        return
    out.print(_table(found))
    if folder is not None:
        out.print(f"Tables and figure: {folder}", soft_wrap=True)


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


def _write(found: Comparison, folder: Path) -> None:
    from backwater.experiments.compare_figures import compared

    (folder / "compare.json").write_text(json.dumps(numbers(found), indent=1, allow_nan=False), "utf-8")
    compared(found)[1].savefig(folder / "compare.png", dpi=130)
