"""What plans of several scenarios found: side by side, and each by itself, on one page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backwater.experiments.document import Document, Section, Table, Text, pairs
from backwater.experiments.document.files import publish
from backwater.experiments.method import manifest, method, run_rows
from backwater.experiments.plan import Planned
from backwater.experiments.plan_report import answered, asked, drawn, numbers, searched, settled, went_wrong
from backwater.experiments.report import assumed, before, unmodelled
from backwater.experiments.require import sure
from backwater.experiments.trials import FREE
from backwater.simulation import versions
from backwater.units import human

Plans = Mapping[str, Planned]
HEAD = ("scenario", "answer", "503s at worst", "failed jobs at worst", "sure", "cost per hour")


def summary(found: Plans) -> str:
    """The cheapest of all answers in one sentence, the failures with it."""
    name, first = next(iter(found.items()))
    if first.answer is None:
        assert first.closest is not None
        closest = f"{name} with {settled(first.closest.setting)}, where {went_wrong(first.closest)}"
        return f"None of the {len(found)} scenarios meets all within the ranges; closest comes {closest}."
    unsure = "" if first.sure else f", but only {human(first.answer.confidence, 'share')} sure"
    aim = " and then ".join(first.minimize)
    where = f"{settled(first.answer.setting)}{unsure}, where {went_wrong(first.answer)}"
    return f"The lowest {aim} of {len(found)} scenarios that meets all is that of {name}: {where}."


def beside(found: Plans) -> list[tuple[str, ...]]:
    """A row per scenario, as ``HEAD`` has it, the cheapest first; the cost only where there are prices."""
    rows = []
    for name, one in found.items():
        trial = one.answer or one.closest
        assert trial is not None
        shares = [
            _worst([one.attempts.value for one in trial.failed]),
            _worst([one.jobs.value for one in trial.failed]),
        ]
        answer = settled(trial.setting) if one.answer is not None else f"none; closest {settled(trial.setting)}"
        cost = [f"{trial.cost:,.4g}"] if one.question.prices != FREE else []
        rows.append((name, answer, *shares, sure(trial.confidence) if one.answer is not None else "-", *cost))
    return rows


def _worst(shares: list[float]) -> str:
    known = [share for share in shares if not math.isnan(share)]
    return human(max(known), "share") if known else "n/a"


def all_numbers(found: Plans) -> dict[str, Any]:
    """All that was found, as plain data, the cheapest first."""
    name, first = next(iter(found.items()))
    return {"title": summary(found), "cheapest": name if first.answer is not None else None, "sure": first.sure,
            "plans": [{"name": each, **numbers(one)} for each, one in found.items()]}  # fmt: skip


def write_all(found: Plans, folder: Path, command: str) -> Path:
    """Write the report as ``report.html``, ``plan.json`` and the figures into a folder; returns the page's path."""
    (folder / "plan.json").write_text(json.dumps(all_numbers(found), indent=1, allow_nan=False), "utf-8")
    return publish(document(found, command), folder)[0]


def document(found: Plans, command: str) -> Document:
    """The report of several plans."""
    rows = tuple(beside(found))
    note = "At worst: in the case in which it is largest. All scenarios saw the same random numbers in the search; the "
    note += "answers were run again with others."
    table = Table("Side by side, the cheapest first", HEAD[: len(rows[0])], rows, right=tuple(range(2, len(rows[0]))))
    sections = [Section("Answer", (Text(summary(found), strong=True), table, Text(note, note=True)))]
    for number, (name, one) in enumerate(found.items()):
        sections.append(Section(f"Plan of {name}", (*answered(one), *drawn(one, f"plan_{number}"))))
    for name, one in found.items():
        scenario, swept = one.question.scenario, {each.path for each in one.find}
        for part in (before(scenario), assumed(scenario, swept), unmodelled(scenario)):
            sections.append(Section(f"{part.title}: {name}", part.parts))
    first = next(iter(found.values()))
    digests = [(f"scenario {name}", f"SHA-256 {one.question.scenario.digest}") for name, one in found.items()]
    runs = [row for row in run_rows(first.question.run, "") if row[0] != "scenario"]
    sections += [
        method(details=pairs("How the answers were found", ("what", "how"), searched(first))),
        manifest([*runs, *digests], versions(), command),
    ]
    return Document(", ".join(found), asked(first), tuple(sections))
