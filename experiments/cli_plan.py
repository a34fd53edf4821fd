"""The command ``backwater plan``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from backwater.errors import check
from backwater.experiments.cli_words import (
    Horizon,
    Json,
    Page,
    Parallel,
    Price,
    Replications,
    Seed,
    Set,
    Warmup,
    command,
    err,
    make_folder,
    out,
    prices_of,
    quantity,
    settings,
    value_of,
    variant_of,
    wide,
)

if TYPE_CHECKING:
    from backwater.experiments.plan import Planned
    from backwater.experiments.trials import Trial

app = typer.Typer(rich_markup_mode=None)


@app.command()
def plan(
    what: Annotated[list[str], typer.Argument(
        metavar="SCENARIO...", help="files or models' names; of experiments, their cases and requirements too")],
    find: Annotated[list[str] | None, typer.Option(
        "--find", metavar="PATH=LOW..HIGH", help="what may be set, and from where to where; may be repeated")] = None,
    require: Annotated[list[str] | None, typer.Option(
        "--require", metavar='"METRIC <= VALUE"', help="what must be met in every case; may be repeated")] = None,
    minimize: Annotated[list[str] | None, typer.Option(
        "--minimize", metavar="PATH | cost", help="what should be low; a second one decides between equals")] = None,
    price: Price = None,
    case: Annotated[list[str] | None, typer.Option(
        "--case", metavar='"NAME: PATH=VALUE, ..."', help="a change under which all must hold too; may be repeated")
    ] = None,
    confidence: Annotated[str, typer.Option(help="how sure each requirement must be met")] = "95 %",
    most: Annotated[int, typer.Option(help="replications of one setting in one case, at most")] = 200,
    changes: Set = None, horizon: Horizon = None, warmup: Warmup = None, replications: Replications = None,
    seed: Seed = None, folder: Page = None, parallel: Parallel = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Find the cheapest setting that meets every requirement in every case, and how sure that is.

    Several scenarios are planned under the same question. Exit status 1 where nothing meets all, or not surely.
    """
    from backwater.experiments.plan import plans
    from backwater.experiments.plan_report import numbers, write
    from backwater.experiments.plans_report import all_numbers, write_all
    from backwater.units import units_required

    flags = {"horizon": horizon, "warmup": warmup, "replications": replications, "seed": seed}
    scenarios, run, cases, carried = _asked(what, changes, flags)
    cases |= dict(variant_of("--case", text) for text in case or [])
    sure = quantity("--confidence", confidence, "share")
    with units_required():
        ranges = dict(_range(text) for text in find or [])
    wanted = [*carried, *(require or [])]
    make_folder(folder)
    shown = (lambda trial: None) if as_json else _tell
    found = plans(
        scenarios, ranges, wanted, minimize or list(ranges)[:1], cases=cases, run=run, prices=prices_of(price),
        confidence=sure, most=most, parallel=parallel, progress=shown,
    )  # fmt: skip
    one = next(iter(found.values())) if len(found) == 1 else None
    if folder is not None:
        write_all(found, folder, command()) if one is None else write(one, folder, command())
    if as_json:
        print(json.dumps(all_numbers(found) if one is None else numbers(one), allow_nan=False))
    else:
        _print_all(found) if one is None else _print(one)
        if folder is not None:
            out.print(f"Report: {folder / 'report.html'}", soft_wrap=True)
    raise typer.Exit(0 if any(each.sure for each in found.values()) else 1)


def _asked(
    what: list[str], changes: list[str] | None, flags: dict[str, Any]
) -> tuple[dict[str, Any], Any, dict[str, Any], list[str]]:
    """Scenarios by name, the run of the first one, cases and requirements: of scenarios or of experiments."""
    from backwater.experiments.cli_words import scenario
    from backwater.experiments.experiment import is_experiment, load_experiment
    from backwater.run import Run
    from backwater.units import units_required

    check(len(set(what)) == len(what), "plan", what, "must not be given a scenario twice")
    scenarios, runs, cases, wanted = dict[str, Any](), list[dict[str, Any]](), dict[str, Any](), list[str]()
    for name in what:
        if not is_experiment(name):
            scenarios[name], carried = scenario(name, changes)
            runs.append(carried)
            continue
        experiment = load_experiment(name)
        with units_required():
            scenarios[name] = experiment.scenario.with_(settings(changes))
        runs.append(experiment.run.plain())
        for case, changed in experiment.cases.items():
            clash = case in cases and cases[case] != changed
            check(not clash, f"cases.{case}", name, "must be the same in every experiment that has it")
            cases[case] = changed
        wanted += [f"{metric} {said}" for metric, said in experiment.require.items()]
    with units_required():
        run = Run(**{**runs[0], **{name: value for name, value in flags.items() if value is not None}})
    return scenarios, run, cases or {"as is": {}}, list(dict.fromkeys(wanted))


def _range(text: str) -> tuple[str, tuple[Any, Any]]:
    """A range from ``PATH=LOW..HIGH``, in base units."""
    from backwater.experiments.experiment import coordinate

    must = "must be PATH=LOW..HIGH, such as workers.count=1..200"
    path, equals, said = text.partition("=")
    low, dots, high = said.partition("..")
    check(equals and dots and path.strip() and low.strip() and high.strip(), "--find", text, must)
    (unit, start), (other, end) = (coordinate(value_of(part.strip())) for part in (low, high))
    numbers = isinstance(start, float) and isinstance(end, float) and unit == other
    check(numbers, "--find", text, "must go from one number to another of the same unit")
    return path.strip(), (start, end)


def _tell(trial: Trial) -> None:
    """A setting that has just been tried."""
    from backwater.experiments.plan_report import settled

    worst = trial.worst
    said = worst.refused or f"{worst.require.name} is {worst.require.shown(worst.found.value)}"
    err.print(f"{settled(trial.setting)}: {'met' if trial.met else 'missed'}; {said}", soft_wrap=True, markup=False)


def _print_all(found: dict[str, Planned]) -> None:
    """The answers side by side, and each by itself."""
    from backwater.experiments.plans_report import HEAD, beside, summary

    rows = beside(found)
    out.print(summary(found), markup=False, soft_wrap=True)
    table = Table(*HEAD[: len(rows[0])], box=None, pad_edge=False, collapse_padding=True)
    for row in rows:
        table.add_row(*map(Text, row))
    wide.print(table)
    for name, one in found.items():
        out.print(f"\n{name}", style="bold", markup=False)
        _print(one)


def _print(found: Planned) -> None:
    """The answer, in words and one table."""
    from backwater.experiments.plan_report import rows, verdict

    title, texts = verdict(found)
    out.print(title, markup=False, soft_wrap=True)
    table = Table("requirement", "case", "estimate", "95 % interval", "sure", box=None, pad_edge=False,
                  collapse_padding=True)  # fmt: skip
    table.columns[2].justify = table.columns[3].justify = table.columns[4].justify = "right"
    for column in table.columns:
        column.no_wrap = True
    for row in rows(found):
        table.add_row(*row)
    out.print(table)
    for text in texts:
        out.print(text, markup=False, soft_wrap=True)
