"""The command ``backwater sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from backwater.errors import check, nearest
from backwater.experiments.cli_words import (
    Horizon,
    Parallel,
    Precise,
    Replications,
    Resume,
    Seed,
    Set,
    Warmup,
    axis,
    command,
    field,
    goal,
    out,
    settings,
    stopped,
)
from backwater.experiments.progress import Bar

app = typer.Typer(rich_markup_mode=None)


@app.command()
def sweep(
    what: Annotated[str, typer.Argument(metavar="EXPERIMENT | SCENARIO", help="a file or a name")],
    over: Annotated[list[str] | None, typer.Option(
        "--over", metavar="PATH=LOW..HIGH:POINTS[:log] | PATH=V1,V2,...",
        help="an axis; with --design, PATH=LOW..HIGH[:log]; may be repeated")] = None,
    design: Annotated[str | None, typer.Option(
        metavar="KIND:POINTS[:SEED]",
        help="points that fill the space of --over instead of a grid: sobol or latin_hypercube")] = None,
    points: Annotated[Path | None, typer.Option(
        metavar="FILE.csv", help="points of your own: a column per dotted path, a row per point")] = None,
    changes: Set = None, horizon: Horizon = None, warmup: Warmup = None, replications: Replications = None,
    seed: Seed = None, precision: Precise = None,
    budget: Annotated[int | None, typer.Option(
        help="replications that --precision may take, all points together; 100 for each unless given")] = None,
    folder: Annotated[Path | None, typer.Option("--out", help="keep finished points there")] = None,
    pool: Annotated[Path | None, typer.Option(
        metavar="DIR", envvar="BACKWATER_POOL",
        help="a folder in which experiments find each other's finished points")] = None,
    parallel: Parallel = None,
    cluster: Annotated[str | None, typer.Option(
        metavar="ADDRESS", help="a Dask scheduler whose workers run the points, such as tcp://10.0.0.1:8786")] = None,
    resume: Resume = False,
) -> None:  # fmt: skip
    """Run many scenarios on all cores or a cluster; finished points are kept, so a stopped sweep can go on."""
    from backwater.experiments.study import study
    from backwater.units import units_required

    flags = {"horizon": horizon, "warmup": warmup, "replications": replications, "seed": seed}
    with units_required():
        varied = _varied(over, design, points)
        asked = {"precision": dict(goal(text) for text in precision or []), "budget": budget}
        experiment = _experiment(
            what, {**varied, **{k: v for k, v in asked.items() if v}}, changes,
            {k: v for k, v in flags.items() if v is not None},
        )  # fmt: skip
    folder = folder or Path("results") / Path(what).stem
    try:
        with Bar("points", len(experiment.points())) as bar:
            done = study(experiment, folder, pool=pool, cluster=cluster, parallel=parallel, resume=resume,
                         progress=bar.to, command=command())  # fmt: skip
    except KeyboardInterrupt:
        raise stopped(folder) from None
    number, short = len(done.manifest["points"]), done.manifest.get("imprecise", 0)
    if short:
        out.print(f"NOT as precise as asked at {short:,} of {number:,} points: the budget ended.", soft_wrap=True)
    out.print(f"{number:,} points, {done.jobs:,} jobs, in {folder}. Next: backwater report {folder}", soft_wrap=True)


def _varied(over: list[str] | None, design: str | None, points: Path | None) -> dict[str, Any]:
    """What the flags say varies: ``sweep``, ``design``, both or neither."""
    from backwater.experiments.design import space

    check(design is None or points is None, "--points", str(points), "must not be given beside --design")
    if design is not None:
        check(over, "--over", None, "must be given: each field's range PATH=LOW..HIGH[:log]")
        return {"design": {**space(design), "over": dict(field(text) for text in over or [])}}
    found: dict[str, Any] = {} if points is None else {"design": {"kind": "points", "file": str(points)}}
    return {**found, "sweep": dict(axis(text) for text in over or [])}


def _experiment(what: str, varied: dict[str, Any], changes: list[str] | None, flags: dict[str, Any]) -> Any:
    from backwater.experiments.experiment import Experiment, is_experiment, load_experiment, read_scenario, shipped
    from backwater.models import MODELS
    from backwater.run import Run

    is_file = bool(Path(what).suffix) or Path(what).exists()
    names = [*shipped(), *MODELS]
    check(
        is_file or what in names, "experiment", what, f"must be an experiment, a model or a file{nearest(what, names)}"
    )
    rest: dict[str, Any] = {}
    if is_experiment(what):
        experiment = load_experiment(what)
        scenario, carried = experiment.scenario, experiment.run.plain()
        rest = {"question": experiment.question, "cases": experiment.cases, "require": experiment.require,
                "observed": experiment.observed}  # fmt: skip
        rest |= {"sweep": {**experiment.sweep, **varied.get("sweep", {})}}
        rest |= {name: varied.get(name, getattr(experiment, name)) for name in ("design", "precision", "budget")}
        rest["require"] = experiment.require
    else:
        check(
            varied.get("sweep") or varied.get("design"),
            "--over",
            None,
            "must be given: at least one axis PATH=LOW..HIGH:POINTS",
        )
        scenario, carried = read_scenario(what)
        rest = varied
    return Experiment(scenario=scenario.with_(settings(changes)), run=Run(**{**carried, **flags}), **rest)
