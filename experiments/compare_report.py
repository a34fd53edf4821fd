"""What a comparison found, case by case: in words, in tables, as a figure and on one page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from backwater.experiments.compare import Comparison
from backwater.experiments.compare_figures import cases_compared, compared
from backwater.experiments.document import Document, Part, Points, Section, Table, Text
from backwater.experiments.document.drawn import picture
from backwater.experiments.document.files import publish
from backwater.experiments.method import manifest, method, run_rows
from backwater.experiments.report import before
from backwater.metrics import METRICS, metric, named
from backwater.simulation import versions
from backwater.units import human

# What a team decides by, where it moves in any case.
DECISIVE = (
    "failure_ratio", "rejection_ratio", "lost_ratio", "dropped_ratio", "dead_letter_ratio", "duplicate_ratio",
    "redelivery_ratio", "wasted_ratio", "spill_ratio", "unfinished_ratio", "latency_p99", "workflow_failure_ratio",
    "workflow_p99", "stored_max",
)  # fmt: skip
TOLD = (  # in words, too
    "failure_ratio", "lost_ratio", "duplicate_ratio", "latency_p99", "workflow_failure_ratio", "workflow_p99",
)  # fmt: skip
FAILED = "failure_ratio", "workflow_failure_ratio"  # stand beside whatever else is told
ALL_THE_SAME = "the same in all systems"
Found = Mapping[str, Comparison]


def decisive(found: Found) -> list[str]:
    """The metrics that stand in the tables: those that differ between systems in some case; failures anyway."""
    one = next(iter(found.values()))
    moving = {name for comparison in found.values() for name in one.metrics if differs(comparison, name)}
    own = [name for name in one.metrics if name not in METRICS]  # asked for by name: of a class, a window, a limit
    return [name for name in (*DECISIVE, *own) if name in one.metrics and (name in moving or name in FAILED)]


def differs(found: Comparison, name: str) -> bool:
    """Whether a metric is not the same number in all systems."""
    values = {found.estimate(name, at).value for at in range(len(found.names))}
    return len({value for value in values if not math.isnan(value)}) > 1


def shown(name: str, value: float) -> str:
    """A value of a metric as people read it."""
    return "n/a" if math.isnan(value) else human(value, metric(named(name)[0]).dimension)


def spread(found: Comparison, name: str) -> str:
    """Which systems have least of a metric and which most, in a sentence."""
    values = {system: found.estimate(name, at).value for at, system in enumerate(found.names)}
    known = {system: value for system, value in values.items() if not math.isnan(value)}
    if not known:
        return f"{name}: unknown, as nothing ended."
    least, most = (shown(name, pick(known.values())) for pick in (min, max))
    if least == most:
        return f"{name}: {least}, {ALL_THE_SAME}."
    of = {word: [system for system, value in known.items() if shown(name, value) == word] for word in (least, most)}
    who = {word: "most" if len(some) > len(known) / 2 else ", ".join(some) for word, some in of.items()}
    return f"{name}: from {least} ({who[least]}) to {most} ({who[most]})."


def table(case: str, found: Comparison, names: list[str]) -> Table:
    """Every system's numbers in one case; a star where it surely differs from the first system."""
    rows = []
    for at, system in enumerate(found.names):
        cells = [
            shown(name, found.estimate(name, at).value) + (" *" if at and found.difference(name, at).sure else "")
            for name in names
        ]  # fmt: skip
        rows.append((system, *cells))
    heads = [name.replace("_", " ") for name in names]  # which may take two lines
    caption = f"Case: {case}. * surely differs from {found.names[0]}, by pairs that saw the same jobs"
    return Table(caption, ("system", *heads), tuple(rows), right=tuple(range(1, len(names) + 1)))


def differing(found: Found) -> Table:
    """The settings in which the systems differ: of each, who has which value."""
    one = next(iter(found.values()))
    settings = [{path: value for path, value in result.scenario.settings.items() if path != "name"}
                for result in one.results]  # fmt: skip
    paths = dict.fromkeys(path for each in settings for path in each)
    rows = []
    for path in paths:
        holders: dict[str, list[str]] = {}
        for system, each in zip(one.names, settings, strict=True):
            value = each.get(path)
            holders.setdefault("-" if value is None else str(value), []).append(system)
        if len(holders) > 1:
            rows.append((path, "; ".join(f"{value}: {', '.join(systems)}" for value, systems in holders.items())))
    return Table("In what the systems differ (-: not there)", ("field", "value: systems"), tuple(rows))


def _answer(found: Found, case: str, names: list[str]) -> list[Part]:
    """What stands about a case."""
    comparison = found[case]
    said = Points(tuple(spread(comparison, name) for name in names if name in TOLD or name not in METRICS))
    numbers = table(case, comparison, [name for name in names if name in FAILED or differs(comparison, name)])
    return [Text(f"In case {case}:", strong=True), said, numbers] if len(found) > 1 else [said, numbers]


def document(found: Found, command: str) -> Document:
    """The report of a comparison, of one case or several."""
    one = next(iter(found.values()))
    names, first = decisive(found), one.results[0]
    answers = [part for case in found for part in _answer(found, case, names)]
    caption, figure = compared(one) if len(found) == 1 else cases_compared(found, names)
    seen = " ".join(f"In case {case}, {spread(comparison, names[0])}" for case, comparison in found.items())
    digests = [
        (f"scenario of {name}", f"SHA-256 {result.scenario.digest}")
        for name, result in zip(one.names[1:], one.results[1:], strict=True)
    ]
    return Document(
        " or ".join(one.names) if len(one.names) < 4 else f"{len(one.names)} systems",
        f"What becomes of the same jobs in {', '.join(one.names)}?",
        (
            Section("Answer", tuple(answers)),
            Section("Figures", (picture("compare", seen, caption, figure),)),
            Section("Systems", (differing(found),)),
            before(first.scenario),
            method(
                "Differences are of pairs of replications that saw the same jobs; of a case, all hold together at 95 %."
            ),
            manifest([*run_rows(first.run, first.scenario.digest), *digests], versions(), command),
        ),
    )


def write(found: Found, folder: Path, command: str) -> Path:
    """Write the report as ``report.html``, its figure beside it, into a folder; returns the page's path."""
    return publish(document(found, command), folder)[0]
