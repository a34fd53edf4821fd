"""The command ``backwater run``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from backwater.errors import check
from backwater.experiments.cli_words import (
    Horizon,
    Json,
    Parallel,
    Precise,
    Replications,
    Seed,
    Set,
    Warmup,
    What,
    goal,
    make_folder,
    out,
    quantity,
    read,
)
from backwater.experiments.progress import Bar

app = typer.Typer(rich_markup_mode=None)


@app.command()
def run(
    what: What, changes: Set = None, horizon: Horizon = None,
    warmup: Annotated[str | None, typer.Option(
        help='time before which nothing counts; "auto" finds it by MSER-5, from pilot runs')] = None,
    replications: Replications = None, seed: Seed = None,
    precision: Precise = None,
    budget: Annotated[int, typer.Option(help="replications that --precision may take, at most")] = 1000,
    engine: Annotated[str, typer.Option(help="compiled, simpy, or auto")] = "auto",
    as_json: Json = False,
    folder: Annotated[Path | None, typer.Option("--out", help="write summary, replications and manifest there")] = None,
    whole: Annotated[bool, typer.Option("--all", help="also metrics of parts that the scenario does not have")] = False,
) -> None:  # fmt: skip
    """Run a scenario and print what came of it."""
    auto = warmup == "auto"
    flags = {"horizon": horizon, "warmup": None if auto else warmup, "replications": replications, "seed": seed}
    scenario, plan = read(what, changes, flags)
    asked = [goal(text) for text in precision or []]
    make_folder(folder)
    result, told = _simulate(scenario, plan, auto, dict(asked), budget, engine)
    if folder is not None:
        _write(result, folder)
    if as_json:
        print(json.dumps(_object(result), allow_nan=False))
        return
    out.print(f"{scenario.name}: {headline(result)}")
    table, left = _summary(result, whole)
    out.print(table)
    if left:
        out.print(f"{left} metrics of parts that it does not have: --all", soft_wrap=True)
    for line in told:
        out.print(line, soft_wrap=True)
    if folder is not None:
        out.print(f"Tables: {folder}")


def _simulate(
    scenario: Any, plan: Any, auto: bool, asked: dict[str, str], budget: int, engine: str
) -> tuple[Any, list[str]]:
    """The result, and what is to be said of warm-up and precision."""
    from backwater.experiments import precision, warmup
    from backwater.simulation import simulate
    from backwater.units import human

    told = []
    wanted = precision.goals(asked, "--precision") if asked else ()
    precision.check_goals(wanted, scenario, plan, "--precision")
    check(not wanted or engine != "simpy", "--engine", engine, "must not be simpy where --precision is given")
    if auto:
        plan = plan.model_copy(update={"warmup": warmup.warmup(scenario, plan)})
        told.append(f"Warm-up: {human(plan.warmup, 'time')}, found by MSER-5.")
    if not wanted:
        with Bar("replications", plan.replications) as bar:
            return simulate(scenario, plan, engine=engine, progress=bar.to), told
    with Bar("replications", budget) as bar:
        result = precision.precise(scenario, plan, wanted, budget, progress=lambda done, _: bar.to(done))
    reached = precision.shortfall(result, wanted) <= 1
    how = "reached" if reached else "NOT reached: the budget ended"
    told.append(f"Precision {how} after {len(result.outcomes):,} replications.")
    return result, told + [one.told(result) for one in wanted]


def headline(result: Any) -> str:
    """The failures, in one sentence: no latency is ever told without them."""
    from backwater.units import human

    refused, withheld, failed = (
        human(result[name], "share") for name in ("rejection_ratio", "withheld_ratio", "failure_ratio")
    )
    said = f"{refused} of attempts got a 503"
    if result["withheld_ratio"] > 0:
        said = f"{refused} of attempts were turned away ({withheld} unsent, by their own client)"
    of_workflows = result["workflow_failure_ratio"]
    if math.isnan(of_workflows):
        return f"{said} and {failed} of jobs failed."
    return f"{said}; {failed} of jobs and {human(of_workflows, 'share')} of workflows failed."


def _summary(result: Any, whole: bool) -> tuple[Table, int]:
    """The table, and how many metrics it leaves out."""
    from backwater.experiments.concern import concerns
    from backwater.metrics import CUT_OFF, METRICS, unfinished
    from backwater.units import human

    shares = {name: result[name] for name in ("unfinished_ratio", "workflow_unfinished_ratio")}
    cut = {name for name, share in shares.items() if share > CUT_OFF}
    still = {"unfinished_ratio": "jobs were still alive", "workflow_unfinished_ratio": "workflows were not over"}
    note = "† cut off: " + " and ".join(f"{human(shares[name], 'share')} of the {still[name]}" for name in shares if
                                        name in cut) + " at the end"  # fmt: skip
    table = Table("metric", "class", "window", "estimate", "95 % interval", box=None, pad_edge=False,
                  caption=note if cut else None, caption_justify="left")  # fmt: skip
    table.columns[3].justify = table.columns[4].justify = "right"
    left: set[str] = set()
    for name, job_class, window, found in result.estimates:
        kind = METRICS[name].dimension
        if math.isnan(found.value):
            continue
        if not whole and not concerns(name, result.scenario):
            left.add(name)
            continue
        interval = "" if math.isnan(found.low) else f"{human(found.low, kind)} .. {human(found.high, kind)}"
        mark = " †" if kind == "time" and unfinished(name) in cut else ""
        table.add_row(name, job_class, window, human(found.value, kind) + mark, interval)
    return table, len(left)


def _object(result: Any) -> dict[str, Any]:
    rows = json.loads(result.summary.to_json(orient="records", double_precision=15))
    return {"manifest": result.manifest, "summary": rows}


def _write(result: Any, folder: Path) -> None:
    result.summary.to_csv(folder / "summary.csv", index=False)
    result.replications.to_csv(folder / "replications.csv", index=False)
    (folder / "manifest.json").write_text(json.dumps(result.manifest, indent=1), "utf-8")


@app.command()
def rare(
    what: What, changes: Set = None, horizon: Horizon = None,
    warmup: Warmup = None, seed: Seed = None,
    precision: Annotated[str, typer.Option(help="half of the 95 % interval over the estimate")] = "30 %",
    budget: Annotated[int, typer.Option(help="replications, at most")] = 1000,
    parallel: Parallel = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """The 503 ratio of a bounded queue where 503s are too rare to be seen: runs are split as they come closer to it."""
    from backwater.experiments.splitting import loss
    from backwater.units import human

    scenario, plan = read(what, changes, {"horizon": horizon, "warmup": warmup, "seed": seed})
    wide = quantity("--precision", precision, "share")
    with Bar("replications", budget) as bar:
        found = loss(scenario, plan, precision=wide, most=budget, parallel=parallel,
                     progress=lambda done, _: bar.to(done))  # fmt: skip
    value, low, high, n = found.found
    if as_json:
        told = (
            {"rejection_ratio": value, "replications": n}
            | {name: None if math.isnan(end) else end for name, end in (("ci_low", low), ("ci_high", high))}
            | {name: getattr(found, name) for name in ("thresholds", "splits", "attempts")}
        )
        print(json.dumps(told, allow_nan=False))
        return
    if math.isnan(low):
        must = "nothing can be said of how rare they are: give a higher --budget or --horizon"
        out.print(f"No 503 was seen in {n} replications, so {must}.", soft_wrap=True)
        raise typer.Exit(1)
    out.print(f"503 ratio: {value:.3g} (95 %: {low:.3g} .. {high:.3g}), from {n} replications.", soft_wrap=True)
    if found.precision > wide:
        out.print(f"NOT as precise as asked ({precision}): the budget ended.", soft_wrap=True)
    out.print(
        f"Split at {', '.join(map(str, found.thresholds)) or 'no length'} waiting; {human(found.attempts)} attempts "
        f"simulated, where plain runs would need {human(found.plain)} or more.", soft_wrap=True,
    )  # fmt: skip
