"""The command ``backwater frontier``."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from backwater.experiments.cli_words import Json, Price, command, out, prices_of, wide

if TYPE_CHECKING:
    from backwater.experiments.frontier import Frontier, Row
    from backwater.statistics import Estimate

app = typer.Typer(rich_markup_mode=None)


@app.command()
def frontier(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="the folder of a finished sweep")],
    objectives: Annotated[list[str] | None, typer.Option(
        "--objective", metavar="METRIC | cost", help="in place of the usual ones; may be repeated")] = None,
    price: Price = None,
    case: Annotated[str | None, typer.Option(help="look at this case only, not at the worst of all")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """The settings of a finished sweep that no other one beats on 503 ratio, p99 latency, spill and cost."""
    from backwater.experiments.frontier import frontier as find
    from backwater.experiments.frontier_figures import drawn
    from backwater.experiments.store import write
    from backwater.experiments.sweep import load_sweep

    found = find(load_sweep(folder), objectives, prices_of(price), case)
    write(folder / "frontier.json", numbers(found))
    drawn(found)[1].savefig(folder / "frontier.png", dpi=130)
    if as_json:
        print(json.dumps(numbers(found), allow_nan=False))
        return
    wide.print(_table(found))
    out.print(f"Figure and all settings: {folder / 'frontier.png'}, frontier.json", soft_wrap=True)


def numbers(found: Frontier) -> dict[str, Any]:
    """Every setting and where it stands, as plain data."""

    def plain(one: Estimate) -> list[float | None]:
        return [float(value) if math.isfinite(value) else None for value in one[:3]]

    names = {row.place: row.name for row in found.rows}
    rows = [
        {"setting": row.label, "status": row.status, "by": None if row.by is None else names[row.by],
         **{name: plain(one) for name, one in row.found.items()}}
        for row in found.rows
    ]  # fmt: skip
    return {"objectives": list(found.objectives), "case": found.case, "prices": found.prices._asdict(), "rows": rows,
            "command": command()}  # fmt: skip


def _table(found: Frontier) -> Table:
    """A row per setting that is not surely beaten."""
    from backwater.experiments.frontier import BEATEN, PERHAPS

    kept = found.kept
    beaten = sum(row.status == BEATEN for row in found.rows)
    note = f"{beaten} of {len(found.rows)} settings are surely beaten: another is as good in all of these, by the "
    note += "estimates, and surely better in one."
    note += f" Each counts in {found.case}." if found.case.startswith("the worst") else ""
    beside = "failure_ratio" not in found.objectives and any(row.failed.n for row in kept)
    names = [*found.objectives, *(["failure_ratio"] if beside else [])]
    axes = list(found.rows[0].label)
    heads = (re.sub(r"([._])", r"\1\n", name) for name in (*axes, *names))
    table = Table(*heads, "", box=None, pad_edge=False, caption=note, caption_justify="left")
    for column in table.columns[:-1]:
        column.justify = "right"
    by = {row.place: row for row in found.rows}

    def told(row: Row, name: str) -> str:
        value, low, high, _ = row.failed if name == "failure_ratio" else row.found[name]
        shown = found.shown(name, value)
        half = max(value - low, high - value)
        return shown if math.isnan(half) or half == 0 else f"{shown} ± {found.shown(name, half)}"

    for row in kept:
        other = by[row.by].name if row.status == PERHAPS and row.by is not None else ""
        table.add_row(*row.label.values(), *(told(row, name) for name in names),
                      f"perhaps beaten by {other}" if other else "")  # fmt: skip
    return table
