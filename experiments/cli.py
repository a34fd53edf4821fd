"""The command line: ``backwater list``, ``show``, ``check``, ``steps``, ``report``; the other commands have modules of
their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from backwater.errors import BackwaterError, ScenarioError, check
from backwater.experiments import (
    cli_compare,
    cli_fit,
    cli_frontier,
    cli_inline_or_queue,
    cli_plan,
    cli_run,
    cli_sensitivity,
    cli_stress,
    cli_sweep,
    cli_theory,
)
from backwater.experiments.cli_words import (
    Seed,
    Set,
    What,
    err,
    out,
    read,
    settings,
)


class _Commands(TyperGroup):
    """Commands that say so when they are stopped; Typer would end in silence."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            err.print("Stopped.")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Commands,
    help="Simulate queues that back up: 503s against latency against memory spill.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
app.add_typer(cli_run.app)
app.add_typer(cli_stress.app)
app.add_typer(cli_sweep.app)
app.add_typer(cli_compare.app)
app.add_typer(cli_plan.app)
app.add_typer(cli_sensitivity.app)
app.add_typer(cli_frontier.app)
app.add_typer(cli_inline_or_queue.app)
app.add_typer(cli_theory.app)
app.add_typer(cli_fit.app)


@app.command("list")
def list_() -> None:
    """The ready-made models, experiments and clients."""
    from backwater.experiments.experiment import load_experiment, shipped
    from backwater.models import MODELS
    from backwater.models.clients import CLIENTS

    table = Table("name", "kind", "what it is", box=None, pad_edge=False)
    for name, known in MODELS.items():
        table.add_row(name, "model", known.about)
    for name in shipped():
        try:
            about = load_experiment(name).question
        except ScenarioError as error:
            about = f"needs a file that is not here: {error}"
        table.add_row(name, "experiment", about)
    for name, function in CLIENTS.items():
        table.add_row(name, "client", told(function).partition("\n")[0])
    out.print(table)


def told(function: Any) -> str:
    """A docstring without its indentation."""
    import inspect

    return inspect.getdoc(function) or ""


@app.command()
def show(what: What, changes: Set = None) -> None:
    """Print a scenario as TOML, to copy and edit; or a ready-made client, with its source."""
    import tomli_w

    from backwater.models.clients import CLIENTS

    if what in CLIENTS and not Path(what).exists():
        check(not changes, "--set", (changes or [""])[0], "changes scenarios, and this is a client")
        print("\n".join(f"# {line}".rstrip() for line in told(CLIENTS[what]).splitlines()))
        print(tomli_w.dumps({"client": CLIENTS[what]().plain()}), end="")
        return
    scenario, run = read(what, changes, {"horizon": None})
    print(tomli_w.dumps({**scenario.plain(), "run": run.plain()}), end="")


@app.command("check")
def check_(what: What, changes: Set = None) -> None:
    """Validate a scenario or an experiment and print the napkin: load, room, patience, in words."""
    from backwater.experiments.experiment import is_experiment, load_experiment, read_scenario
    from backwater.napkin import napkin
    from backwater.units import units_required

    with units_required():
        experiment = load_experiment(what) if is_experiment(what) else None
        scenario = read_scenario(what)[0] if experiment is None else experiment.scenario
        scenario = scenario.with_(settings(changes))
    if experiment is not None:
        experiment.check()
        out.print(f"{what}: valid, {len(experiment.points()):,} points")
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in napkin(scenario):
        table.add_row(name, text)
    out.print(f"{scenario.name}: valid")
    out.print(table)


@app.command()
def steps(
    what: What, changes: Set = None, seed: Seed = None,
    first: Annotated[int, typer.Option(help="how many lines")] = 40,
) -> None:  # fmt: skip
    """Tell a run event by event, one line each.

    What many jobs that one has led to do at once is one line.
    """
    from backwater import events
    from backwater.simulation import replicate

    check(first >= 1, "--first", first, "must be at least 1")
    # A run that ends after a few arrivals more than lines are asked for holds them all.
    few = {"arrivals": first + 1}
    scenario, plan = read(what, changes, {"seed": seed, "replications": 1, "warmup": "0 s"}, few)
    short = plan.model_copy(
        update={"arrivals": min(first + 1, plan.arrivals or first + 1), "record": ("events",), "windows": {}}
    )
    found = events.of(replicate(scenario, short, 0), scenario)
    for line in islice(events.lines(found, scenario), first):
        print(line)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="the folder of a finished sweep, plan or stress")],
    html: Annotated[bool, typer.Option("--html", help="one self-contained page; if no format is given, this")] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="pages to print")] = False,
    md: Annotated[bool, typer.Option("--md", help="Markdown, with the figures beside it")] = False,
) -> None:
    """Write a report about a finished sweep, plan or stress: HTML, PDF, Markdown."""
    from backwater.experiments.report import reports

    wanted = [name for name, on in (("html", html), ("pdf", pdf), ("md", md)) if on] or ["html"]
    for path in reports(folder, wanted):
        out.print(f"Report: {path}", soft_wrap=True)


@contextmanager
def _refusals() -> Iterator[None]:
    """Wrong input ends in one line and status 2, a failed run in one line and status 1."""
    try:
        yield
    except ScenarioError as error:
        err.print(f"backwater: {error}", markup=False, soft_wrap=True)
        sys.exit(2)
    except BackwaterError as error:
        err.print(f"backwater: {error}", markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("Stopped.")
        sys.exit(130)
    except Exception as error:
        # Typer's own refusals of words and flags; where their class lives differs between its versions.
        if not hasattr(error, "format_message"):
            raise
        told = error.format_message()
        line = told if told.startswith("Usage") else f"backwater: {told} (see backwater --help)"
        err.print(line, markup=False, soft_wrap=True)
        sys.exit(2)


def main() -> None:
    """The ``backwater`` command."""
    with _refusals():
        sys.exit(app(standalone_mode=False, prog_name="backwater"))


if __name__ == "__main__":
    main()
