"""The command ``backwater inline-or-queue``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from backwater.errors import check
from backwater.experiments.cli_words import Json, Page, Repeats, Seed, command, make_folder, out, quantity
from backwater.experiments.progress import Bar

app = typer.Typer(rich_markup_mode=None)


@app.command("inline-or-queue")
def inline_or_queue(
    service: Annotated[str, typer.Option(help="mean time of the work whose result is needed")] = "100 ms",
    broker: Annotated[str, typer.Option(help="through which it goes then: redis, rabbitmq or sqs")] = "rabbitmq",
    asks: Annotated[str, typer.Option(help="how often a caller asks that is not told")] = "5 s",
    replications: Repeats = 4, seed: Seed = None, folder: Page = None, as_json: Json = False,
) -> None:  # fmt: skip
    """From where on does a queue pay? The same work within the request and through a broker, as its caller sees it."""
    from backwater.experiments.inline_or_queue import LIMITS, LOADS, PEAKS, SERVICES, handover, lateness
    from backwater.experiments.inline_or_queue_report import answers, numbers, write
    from backwater.models.inline_or_queue import RUN, async_queue

    check(replications >= 2, "--replications", replications, "must be at least 2 for an interval")
    mean, pause = quantity("--service", service, "time"), quantity("--asks", asks, "time")
    async_queue(mean, broker=broker, asks=pause)  # refuses what is wrong
    run = RUN.model_copy(update={"replications": replications, "seed": 1 if seed is None else seed})
    make_folder(folder)
    with Bar("settings", len(SERVICES) * len(LOADS) + len(PEAKS)) as bar:

        def step() -> None:
            bar.to(bar.done + 1)

        found = handover(SERVICES, LOADS, replications=replications, seed=run.seed, progress=step)
        times = lateness(PEAKS, LIMITS, service=mean, broker=broker, asks=pause, run=run, progress=step)
    if folder is not None:
        told = json.dumps(numbers(found, times), indent=1, allow_nan=False)
        (folder / "inline_or_queue.json").write_text(told, "utf-8")
        page = write(found, times, run, folder, command())
    if as_json:
        print(json.dumps({**numbers(found, times), "command": command()}, allow_nan=False))
        return
    for line in answers(found, times):
        out.print(line, soft_wrap=True)
    if folder is not None:
        out.print(f"Report: {page}", soft_wrap=True)
