"""The command ``backwater fit``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backwater.errors import check
from backwater.experiments.cli_words import Json, Seed, err, make_folder, out, quantity

if TYPE_CHECKING:
    from backwater.experiments.fit.fit import Fit

app = typer.Typer(rich_markup_mode=None)


@app.command()
def fit(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="CSV, Parquet, JSON lines or an access log; may be gzip")],
    time: Annotated[str | None, typer.Option(metavar="COLUMN[:UNIT]", help="when requests came")] = None,
    service: Annotated[str | None, typer.Option(
        metavar="COLUMN:UNIT | FORMULA",
        help='how long they take: a column with its unit, or "50 ms + Tokens * 25 ms"')] = None,
    status: Annotated[str | None, typer.Option(metavar="COLUMN", help="how they ended")] = None,
    client: Annotated[str | None, typer.Option(metavar="COLUMN", help="who asked")] = None,
    key: Annotated[str | None, typer.Option(metavar="COLUMN", help="for what: the same again may be a retry")] = None,
    mean_service: Annotated[str | None, typer.Option(metavar="TIME", help="where the log tells none")] = None,
    buckets: Annotated[Path | None, typer.Option(metavar="FILE", help="service times as Prometheus buckets")] = None,
    law: Annotated[str | None, typer.Option(help="that of service times, whatever the test says; or empirical")] = None,
    workers: Annotated[int | None, typer.Option(help="how many there are; a placeholder unless given")] = None,
    replay: Annotated[bool, typer.Option("--replay", help="repeat the log, instead of drawing it anew")] = False,
    arrivals: Annotated[str | None, typer.Option(
        metavar="KIND", help="draw it as profile, renewal, mmpp or pieces; the first that is like it unless given")
    ] = None,
    window: Annotated[str, typer.Option("--retry-window", metavar="TIME", help="the longest pause")] = "60 s",
    seed: Seed = None,
    folder: Annotated[Path | None, typer.Option("--out", help="where scenario, figures and numbers go")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Fit arrivals and service times to a real log, and write a scenario that replays or resamples it."""
    from backwater.experiments.fit.fit import Options, numbers, save
    from backwater.experiments.fit.fit import fit as fitted
    from backwater.experiments.fit.log import Asked
    from backwater.experiments.fit.plots import draw_all

    check(not (replay and arrivals), "--arrivals", arrivals, "must not be given beside --replay")
    check(workers is None or workers >= 1, "--workers", workers, "must be at least 1")
    check(seed is None or 0 <= seed < 2**64, "--seed", seed, "must be a whole number from 0 to 2**64 - 1")
    mean = None if mean_service is None else _time("--mean-service", mean_service)
    options = Options("replay" if replay else arrivals or "auto", law, mean, buckets, workers,
                      _time("--retry-window", window, zero=True), 1 if seed is None else seed)  # fmt: skip
    folder = folder or Path("results") / f"fit-{log.name.partition('.')[0]}"
    asked = Asked(time, service, status, client, key)
    make_folder(folder)
    found = fitted(log, folder, asked, options)
    save(found, folder)
    draw_all(found, folder)
    if as_json:
        print(json.dumps(numbers(found), allow_nan=False))
        return
    _tell(found, folder)


def _time(flag: str, given: str, *, zero: bool = False) -> float:
    value = quantity(flag, given, "time")
    check(zero or value > 0, flag, given, "must be above 0")
    return value


def _tell(found: Fit, folder: Path) -> None:
    """The report: what was read, what was found, what is doubtful."""
    from rich.table import Table

    from backwater.experiments.fit.report import rows

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in rows(found):
        table.add_row(name, text)
    out.print(table)
    for warning in found.warned:
        err.print(f"Warning: {warning}.", markup=False, soft_wrap=True)
    out.print(f"Scenario: {folder / 'scenario.toml'}. Next: backwater run {folder / 'scenario.toml'}", soft_wrap=True)
