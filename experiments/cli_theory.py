"""The command ``backwater theory``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from backwater.experiments.cli_words import Json, Set, What, out, scenario

if TYPE_CHECKING:
    from backwater.experiments.theory import Answer, Theory
    from backwater.scenario import Scenario

app = typer.Typer(rich_markup_mode=None)


@app.command("theory")
def theory_(what: What, changes: Set = None, as_json: Json = False) -> None:
    """What is known of a scenario without running it: exactly, or about; by whom; what stands in the way."""
    from backwater.experiments.theory import theory

    system, _ = scenario(what, changes)
    found = theory(system)
    if as_json:
        print(json.dumps(_object(system, found), allow_nan=False))
        return
    out.print(f"{system.name}: {_headline(found)}", soft_wrap=True)
    _print(found)


def _object(scenario: Scenario, found: Theory) -> dict[str, object]:
    obstacles = [{"path": each.path, "why": each.why, "without": each.without} for each in found.obstacles]
    return {"scenario": scenario.name, "answers": [each._asdict() for each in found.answers], "obstacles": obstacles}


def _headline(found: Theory) -> str:
    """In one sentence, how much is known."""
    if not found.answers:
        return "no answer is known without running it."
    if not found.obstacles:
        return "it has an exact answer."
    exact, simpler = len(found.exact), sum(bool(answer.simplification) for answer in found.answers)
    if exact:
        return f"{exact} of these values are exact{', the rest is not' if exact < len(found.answers) else ''}."
    if simpler < len(found.answers):
        return "no exact answer is known; these values are approximate or bounds."
    return "no exact answer is known; these values are those of a simplification."


def _print(found: Theory) -> None:
    from backwater.metrics import metric, named
    from backwater.units import human

    groups = list(dict.fromkeys(_group(answer) for answer in found.answers))
    table = Table("metric", "value", "", "model", "note", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for answer in found.answers:
        value = human(answer.value, metric(named(answer.metric)[0]).dimension)
        note = str(groups.index(_group(answer)) + 1)
        limit = {"bound": "at most", "approximate": "about"}.get(answer.kind, "exact")
        table.add_row(answer.metric, value, limit, answer.model, note)
    if groups:
        out.print(table, markup=False)
    for number, (source, validity, simplification) in enumerate(groups, 1):
        left_out = f" Simplified: {simplification}." if simplification else ""
        line = f"{number}  {source}. Holds in the {validity}.{left_out}"
        out.print(line, markup=False, soft_wrap=True)
    for obstacle in found.obstacles:
        out.print(f"In the way of an exact answer: {obstacle.path}: {obstacle.why}.", markup=False, soft_wrap=True)


def _group(answer: Answer) -> tuple[str, str, str]:
    return answer.source, answer.validity, answer.simplification
