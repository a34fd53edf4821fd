"""What a plan found: in words, in tables, as figures and on one page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from backwater.experiments.document import Document, Part, Section, Table, Text, pairs
from backwater.experiments.document.drawn import picture
from backwater.experiments.document.files import publish
from backwater.experiments.method import manifest, method, run_rows
from backwater.experiments.plan import COST, Planned
from backwater.experiments.plan_figures import plan_figures
from backwater.experiments.report import assumed, before, unmodelled
from backwater.experiments.require import sure
from backwater.experiments.search import Range
from backwater.experiments.trials import FREE, Judged, Setting, Trial
from backwater.simulation import versions
from backwater.units import human


def settled(setting: Setting) -> str:
    """A setting in words."""
    return ", ".join(f"{path} = {value:.6g}" for path, value in setting.items())


def verdict(found: Planned) -> tuple[str, list[str]]:
    """The answer in one sentence, and what to know about it, a sentence each."""
    if found.answer is None:
        return _infeasible(found)
    aim = " and then ".join(found.minimize)
    title = f"The lowest {aim} that meets all: {settled(found.answer.setting)}, "
    title += "" if found.sure else f"but only {human(found.answer.confidence, 'share')} sure, "
    title += f"where {went_wrong(found.answer)}."
    texts = []
    if found.question.prices != FREE:
        texts.append(f"It costs {found.answer.cost:,.4g} an hour in case {next(iter(found.question.cases))}.")
    texts += _around(found)
    for alarm in found.alarms:
        texts.append(
            f"Alarm line of {alarm.require.text}: {alarm.queue:,} waiting, or the oldest waiting for "
            f"{human(alarm.age, 'time')}: of the jobs that come then {human(alarm.share, 'share')} are served in time."
        )
    texts += [_grown(load, trial) for load, trial in found.loads]
    return title, [*texts, took(found)]


def went_wrong(trial: Trial) -> str:
    """What failed, in every case: never a latency without it."""
    several, told = len(trial.failed) > 1, []
    for one in trial.failed:
        where = f"in case {one.case} " if several else ""
        if math.isnan(one.attempts.value) and math.isnan(one.jobs.value):
            told.append(f"{where}no run ended")
            continue
        attempts, jobs = (human(part.value, "share") for part in (one.attempts, one.jobs))
        first = not told
        told.append(f"{where}{attempts} of attempts got a 503 and {jobs} of jobs failed" if first else
                    f"{where}{attempts} and {jobs}")  # fmt: skip
    return ", ".join(told)


def _infeasible(found: Planned) -> tuple[str, list[str]]:
    assert found.closest is not None
    worst = found.closest.worst
    why = worst.refused or missed(worst)
    return (
        f"Nothing within the ranges meets all; closest comes {settled(found.closest.setting)}, where "
        f"{went_wrong(found.closest)}.",
        [f"Why: {why}.", took(found)],
    )


def _around(found: Planned) -> list[str]:
    """What binds, and what the next step would buy."""
    texts = []
    binds = found.binds
    if binds is not None and found.below is not None:
        why = binds.refused or missed(binds)
        texts.append(f"What binds: with {settled(found.below.setting)}, {why}.")
    elif found.below is not None:
        texts.append(
            f"One step less, {settled(found.below.setting)}, was sure in the search, but not in runs of its own."
        )
    if found.above is not None:
        assert found.answer is not None
        pairs = zip(found.answer.judged, found.above.judged, strict=True)
        before, after = max(pairs, key=lambda pair: pair[1].margin - pair[0].margin)
        shown, step = after.require.shown, f"The next step, {settled(found.above.setting)}"
        gain = (
            f"would bring {after.require.name} in case {after.case} from {shown(before.found.value)} to "
            f"{shown(after.found.value)}" if after.margin > before.margin else "would bring no requirement further"
        )  # fmt: skip
        texts.append(f"{step}, {gain}.")
    return texts


def _grown(load: float, trial: Trial) -> str:
    more, worst = f"At {human(load - 1, 'share')} more load", trial.worst
    if trial.met:
        return f"{more} all is still met; nearest to its limit is {worst.require.name}, {_with_interval(worst)}."
    return f"{more} {worst.refused or missed(worst)}."


def missed(one: Judged) -> str:
    """What is not met, or not surely."""
    how = "is not sure" if one.require.holds(one.found.value) else "is missed"
    return f"{one.require.text} {how} in case {one.case}: {_with_interval(one)}"


def _with_interval(one: Judged) -> str:
    shown, found = one.require.shown, one.found
    return f"{shown(found.value)} ({shown(found.low)} .. {shown(found.high)})"


def took(found: Planned) -> str:
    """How much work the answer was."""
    return (
        f"It took {len(found.tried):,} settings, {found.runs:,} runs of {found.jobs:,} jobs in all, "
        f"{human(found.seconds, 'time')}."
    )


def rows(found: Planned) -> list[tuple[str, ...]]:
    """Each requirement in each case at the answer, or at what comes closest: text, case, estimate, interval, sure."""
    trial = found.answer or found.closest
    assert trial is not None
    return [
        (one.require.text, one.case, one.require.shown(one.found.value),
         f"{one.require.shown(one.found.low)} .. {one.require.shown(one.found.high)}", sure(one.confidence))
        for one in trial.judged
    ]  # fmt: skip


def numbers(found: Planned) -> dict[str, Any]:
    """All that was found, as plain data."""
    question = found.question
    title, texts = verdict(found)
    return {
        "title": title, "texts": texts, "feasible": found.answer is not None, "sure": found.sure,
        "answer": None if found.answer is None else _plain(found.answer),
        "closest": None if found.closest is None else _plain(found.closest),
        "below": None if found.below is None else _plain(found.below),
        "above": None if found.above is None else _plain(found.above),
        "alarms": [
            {"require": one.require.text, "queue": one.queue, "age": one.age, "share": one.share}
            for one in found.alarms
        ],
        "loads": [{"factor": load, **_plain(trial)} for load, trial in found.loads],
        "tried": [_plain(trial) for trial in found.tried],
        "runs": found.runs, "jobs": found.jobs, "seconds": found.seconds,
        "question": {
            "scenario": question.scenario.plain(), "digest": question.scenario.digest, "run": question.run.plain(),
            "find": {one.path: [one.at(0), one.at(one.last)] for one in found.find},
            "require": [one.text for one in question.require], "minimize": list(found.minimize),
            "cases": dict(question.cases), "prices": question.prices._asdict(), "confidence": question.confidence,
        },
        "versions": versions(),
    }  # fmt: skip


def _plain(trial: Trial) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "setting": trial.setting, "met": trial.met, "cost": number(trial.cost),
        "failed": [{"case": one.case, "rejection_ratio": number(one.attempts.value),
                    "failure_ratio": number(one.jobs.value)} for one in trial.failed],
        "judged": [
            {"require": one.require.text, "case": one.case, "confidence": number(one.confidence),
             "estimate": number(one.found.value), "ci_low": number(one.found.low), "ci_high": number(one.found.high),
             **({"refused": one.refused} if one.refused else {})}
            for one in trial.judged
        ],
    }  # fmt: skip


def write(found: Planned, folder: Path, command: str) -> Path:
    """Write the report as ``report.html``, ``plan.json`` and the figures into a folder; returns the page's path."""
    (folder / "plan.json").write_text(json.dumps(numbers(found), indent=1, allow_nan=False), "utf-8")
    return publish(document(found, command), folder)[0]


def document(found: Planned, command: str) -> Document:
    """The report of a plan."""
    scenario = found.question.scenario
    run = run_rows(found.question.run, scenario.digest)
    sections = (
        Section("Answer", answered(found)),
        Section("Figures", drawn(found)),
        before(scenario),
        assumed(scenario, {one.path for one in found.find}),
        unmodelled(scenario),
        method(details=pairs("How the answer was found", ("what", "how"), searched(found))),
        manifest(run, versions(), command),
    )
    return Document(scenario.name, asked(found), sections)


def answered(found: Planned) -> tuple[Part, ...]:
    """The answer: in a sentence, in a table, and what to know about it."""
    title, texts = verdict(found)
    head = ("requirement", "case", "estimate", "95 % interval", "sure")
    judged = Table("Each requirement in each case", head, tuple(rows(found)), right=(2, 3, 4))
    return (Text(title, strong=True), judged, *(Text(text) for text in texts))


def drawn(found: Planned, name: str = "plan") -> tuple[Part, ...]:
    """The figures, in files called ``name``."""
    return tuple(picture(name, _seen(found), caption, figure) for _, caption, figure in plan_figures(found))


def _seen(found: Planned) -> str:
    """What the figure of a plan shows, for those who do not see it."""
    texts = [
        f"{one.require.text} in case {one.case}: {_with_interval(one)}"
        for trial in (found.answer or found.closest,) if trial is not None for one in trial.judged
    ]  # fmt: skip
    return f"Curves of each requirement's metric over the settings tried. Where the answer lies, {'; '.join(texts)}."


def asked(found: Planned) -> str:
    """What was asked."""
    where = " and ".join(f"{_shown(one)}" for one in found.find)
    asked = " and ".join(one.text for one in found.question.require)
    return f"What is the lowest {' and then '.join(found.minimize)}, with {where}, at which {asked}?"


def _shown(one: Range) -> str:
    return f"{one.path} from {one.at(0):.6g} to {one.at(one.last):.6g}"


def searched(found: Planned) -> list[tuple[str, str]]:
    """How it was found, for those who want to doubt it."""
    question, run = found.question, found.question.run
    cases = ", ".join(question.cases)
    out = [
        ("search", "bisection along what is minimized, golden sections along the rest, all settings with the same "
         "random numbers; a setting is run until each requirement is surely met or surely missed "
         f"({run.replications} to {question.most} replications)"),
        ("confidence", "the answer was run again with random numbers that the search had not seen; each requirement "
         f"must be met with {human(question.confidence, 'share')} in each case ({cases})"),
        ("assumed", "more of what is minimized breaks no requirement; along the rest they get better, then worse"),
    ]  # fmt: skip
    if COST in found.minimize:
        prices = question.prices
        said = f"{prices.worker_hour:g} per worker and hour on duty, {prices.lost_job:g} per failed job"
        out.insert(2, ("cost", said))
    return out
