"""The command ``backwater sensitivity``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
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
    What,
    command,
    make_folder,
    out,
    quantity,
    read,
    value_of,
    wide,
)
from backwater.experiments.progress import Bar

if TYPE_CHECKING:
    from backwater.experiments.sensitivity import Effect, Response, Sensitivity
    from backwater.statistics import Estimate

app = typer.Typer(rich_markup_mode=None)


@app.command()
def sensitivity(
    what: What,
    vary: Annotated[list[str] | None, typer.Option(
        "--vary", metavar="PATH=LOW..HIGH[:log]", help="an input and its range; may be repeated")] = None,
    metrics: Annotated[list[str] | None, typer.Option(
        "--metric", metavar="METRIC", help="what it matters for; may be repeated")] = None,
    method: Annotated[str | None, typer.Option(
        help="sobol (shares of the variance) or morris (a screening); by the number of inputs unless given")] = None,
    points: Annotated[int | None, typer.Option(
        help="base points of the design, a power of two; of morris, paths")] = None,
    confidence: Annotated[str, typer.Option(help="of each interval")] = "95 %",
    changes: Set = None, horizon: Horizon = None, warmup: Warmup = None, replications: Replications = None,
    seed: Seed = None,
    folder: Annotated[Path | None, typer.Option("--out", help="where the numbers and the figures go")] = None,
    parallel: Parallel = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Say which uncertain inputs matter: how much of a metric's variance each of them makes."""
    from backwater.experiments.sensitivity import sensitivity as study
    from backwater.units import units_required

    flags = {"horizon": horizon, "warmup": warmup, "replications": replications, "seed": seed}
    scenario, run = read(what, changes, flags)
    sure = quantity("--confidence", confidence, "share")
    ranges = [_range(text) for text in vary or []]
    twice = [path for path, _ in ranges if [other for other, _ in ranges].count(path) > 1]
    check(not twice, "--vary", twice[:1], "must not name an input twice")
    make_folder(folder)
    bar = Bar("points", 0)
    with bar, units_required():
        found = study(
            scenario, dict(ranges), metrics or ["latency_p99", "failure_ratio"], run=run, method=method,
            points=points, confidence=sure, parallel=parallel, progress=bar.to,
        )  # fmt: skip
    if folder is not None:
        _write(found, folder)
    if as_json:
        print(json.dumps(numbers(found), allow_nan=False))
        return
    for response in found.responses:
        wide.print(_table(found, response))
        wide.print()
    note = f"{found.runs:,} settings, {found.jobs:,} jobs. All settings saw the same random numbers."
    out.print(note if folder is None else f"{note} Numbers and figures: {folder}", soft_wrap=True)


def _range(text: str) -> tuple[str, tuple[Any, ...]]:
    """An input from ``PATH=LOW..HIGH[:log]``, as written."""
    match = re.fullmatch(r"\s*([^=]+?)\s*=\s*(.+?)\s*\.\.\s*(.+?)\s*(:\s*log)?\s*", text)
    check(match, "--vary", text, 'must be PATH=LOW..HIGH or PATH=LOW..HIGH:log, such as "client.retry.base=50 ms..1 s"')
    assert match is not None
    path, low, high, log = match.groups()
    return path, (value_of(low), value_of(high), *(["log"] if log else []))


def _finite(values: Iterable[float]) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]


def numbers(found: Sensitivity) -> dict[str, Any]:
    """All that was found, as plain data."""
    from backwater.simulation import versions

    def effect(one: Effect) -> dict[str, Any]:
        names = ("first", "total") if found.method == "sobol" else ("effect",)
        said = {name: _finite(getattr(one.found, name)[:3]) for name in names}
        bend = {} if found.method == "sobol" or math.isnan(one.found.bend) else {"bend": one.found.bend}
        return {**one.input._asdict(), **said, **bend, "at_low": _finite(one.low[:3]), "at_high": _finite(one.high[:3])}

    responses = [
        {"metric": one.metric, "noise": None if math.isnan(one.noise) else one.noise, "missing": one.missing,
         **dict(zip(("p5", "p50", "p95"), _finite(one.spread), strict=True)), "values": _finite(one.values),
         "inputs": [effect(each) for each in one.effects]}
        for one in found.responses
    ]  # fmt: skip
    return {
        "scenario": found.scenario.name, "digest": found.scenario.digest, "run": found.run.plain(),
        "method": found.method, "points": found.n, "confidence": found.confidence, "responses": responses,
        "inputs": [one.path for one in found.inputs], "design": found.points.tolist(), "runs": found.runs,
        "jobs": found.jobs, "seconds": round(found.seconds, 1), "versions": versions(), "command": command(),
    }  # fmt: skip


def words(found: Sensitivity, response: Response) -> list[str]:
    """What is to be said of a metric besides its table."""
    from backwater.experiments.sensitivity import NOISY
    from backwater.units import human

    low, half, high = (response.shown(value) for value in response.spread)
    name, told = response.metric, []
    if response.missing:
        some = f"{response.missing:,} of {len(response.values):,} settings"
        return [f"{name} has no value at {some}: narrow the ranges, or take another metric."]
    if response.values.min() == response.values.max():
        return [f"{name} is {half} at every setting: nothing matters for it."]
    told.append(f"{name} over all inputs: {low} .. {high} (from 5 to 95 % of settings), half of them below {half}.")
    if response.noise > NOISY:
        share = human(response.noise, "share")
        told.append(f"Noise of the runs makes {share} of its variance: take more replications, or longer ones, before "
                    "believing a small index.")  # fmt: skip
    elif not math.isnan(response.noise):
        told.append(f"Noise of the runs makes {human(response.noise, 'share')} of its variance.")
    return told


def _table(found: Sensitivity, response: Response) -> Table:
    """A row per input, the one that matters most first."""
    from backwater.units import human

    sobol = found.method == "sobol"
    columns = ("by itself", "with others") if sobol else ("mean change", "bend")
    table = Table("input", "range", *columns, "at low .. high end", title=response.metric, title_justify="left",
                  title_style="bold", box=None, pad_edge=False, caption="\n".join(words(found, response)),
                  caption_justify="left")  # fmt: skip
    for number in (2, 3, 4):
        table.columns[number].justify = "right"

    def told(one: Estimate, kind: str) -> str:
        if math.isnan(one.value):
            return "n/a"
        return f"{human(one.value, kind)}  ({human(one.low, kind)} .. {human(one.high, kind)})"

    for one in response.effects:
        said = [told(one.found.first, "share"), told(one.found.total, "share")] if sobol else [
            "n/a" if math.isnan(one.found.effect.value) else
            f"{response.shown(one.found.effect.value)}  ({response.shown(one.found.effect.low)} .. "
            f"{response.shown(one.found.effect.high)})",
            response.shown(one.found.bend),
        ]  # fmt: skip
        span = f"{one.input.shown(one.input.low)} .. {one.input.shown(one.input.high)}{' log' if one.input.log else ''}"
        ends = f"{response.shown(one.low.value)} .. {response.shown(one.high.value)}"
        table.add_row(one.input.path, span, *said, ends)
    return table


def _write(found: Sensitivity, folder: Path) -> None:
    from backwater.experiments.sensitivity_figures import influence

    (folder / "sensitivity.json").write_text(json.dumps(numbers(found), indent=1, allow_nan=False), "utf-8")
    for response in found.responses:
        name = re.sub(r"\W+", "_", response.metric).strip("_")
        influence(found, response.metric)[1].savefig(folder / f"sensitivity_{name}.png", dpi=130)
