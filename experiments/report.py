"""The report of a finished sweep: question, answer, requirements, figures, theory, assumptions, method, manifest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backwater.experiments import report_frontier, report_sensitivity
from backwater.experiments.against import Theories, against, theories
from backwater.experiments.alt import alternatives
from backwater.experiments.assumed import assumptions, left_out
from backwater.experiments.curves import curves
from backwater.experiments.document import KEPT, Document, Points, Section, Table, Text, kept, pairs
from backwater.experiments.document.drawn import picture
from backwater.experiments.document.files import publish
from backwater.experiments.experiment import Experiment, Grid
from backwater.experiments.figures import draw_all
from backwater.experiments.method import manifest, method, run_rows
from backwater.experiments.report_tables import answer, at_a_glance, labels, points
from backwater.experiments.report_theory import LEVEL_WORDS, alarm, beside
from backwater.experiments.report_verdicts import beside_observed, verdicts
from backwater.experiments.store import Store
from backwater.experiments.sweep import Sweep, load_sweep
from backwater.napkin import napkin
from backwater.scenario import Scenario
from backwater.units import human

SENTENCES = 4  # curves that the answer puts into words; more are in its table
NO_COMMAND = "backwater.sweep(...)  # made in Python: run that code again"


class Study(NamedTuple):
    """A finished sweep of a scenario as its report needs it: with the sampled runs, and what theory knows."""

    sweep: Sweep
    experiment: Experiment
    series: list[dict[str, Any]]
    known: Theories


def reports(folder: str | os.PathLike[str], formats: Sequence[str] = ("html",)) -> list[Path]:
    """Write the report of a folder that ``sweep``, ``plan`` or ``stress`` made, in each format; returns the paths.

    formats  some of html, pdf, md
    """
    store = Store(folder)
    if (store.folder / f"{KEPT}.json").exists() and not (store.folder / "manifest.json").exists():
        return publish(kept(store.folder), folder, formats)
    return publish(document(load_sweep(folder), store.series()), folder, formats)


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` and the figures as PNG into the folder of a finished sweep; returns the page's path."""
    return reports(folder)[0]


def document(sweep: Sweep, series: list[dict[str, Any]], known: Theories | None = None) -> Document:
    """The report of a sweep; ``known`` by theory at its points, found out unless given."""
    experiment = sweep.experiment
    asked = experiment.question or f"What does {', '.join(axis.name for axis in sweep.axes)} change?"
    if not isinstance(experiment, Experiment):
        return Document(experiment.plain()["function"], asked, _own(sweep, experiment))
    study = Study(sweep, experiment, series, theories(sweep) if known is None else known)
    found = [make(study) for make in SECTIONS]
    sections = tuple(section for section in found if section is not None)
    warning = alarm(against(sweep, study.known))
    return Document(experiment.scenario.name, asked, sections, (warning,) if warning else ())


def _answer(study: Study) -> Section:
    found = curves(study.sweep)
    said = found if len(found) <= SENTENCES else [found[len(found) // 2]]
    parts = [Text(answer(curve), strong=index == 0) for index, curve in enumerate(said)]
    judged = verdicts(study.sweep, study.experiment)
    return Section("Answer", (*parts, *([Text(judged.summary)] if judged else []), at_a_glance(study.sweep)))


def _requirements(study: Study) -> Section | None:
    judged = verdicts(study.sweep, study.experiment)
    if judged is None:
        return None
    note = "Met: sure by at least 95 %, as far as these replications tell; missed: sure of the contrary. A dash: no "
    note += "interval, or all replications gave the same; backwater plan counts the events, too."
    return Section("Requirements", (judged.table, Text(note, note=True)))


def _observed(study: Study) -> Section | None:
    table = beside_observed(study.sweep, study.experiment)
    if table is None:
        return None
    note = "The interval is that of the mean over many runs; a single observation scatters more than that."
    return Section("Predicted and observed", (table, Text(note, note=True)))


def _figures(study: Study) -> Section:
    return Section("Figures", _drawn(study.sweep, study.series, study.known))


def _drawn(sweep: Sweep, series: list[dict[str, Any]], known: Theories) -> tuple[Any, ...]:
    told = alternatives(sweep, series)
    return tuple(picture(name, told[name], caption, figure) for name, caption, figure in draw_all(sweep, series, known))


def _frontier(study: Study) -> Section | None:
    return report_frontier.section(study.sweep)


def _sensitivity(study: Study) -> Section | None:
    return report_sensitivity.section(study.sweep)


def _theory(study: Study) -> Section:
    return Section("Against theory", tuple(beside(against(study.sweep, study.known), study.known)))


def _points(study: Study) -> Section:
    return Section("All points", points(study.sweep))


def _before(study: Study) -> Section:
    return before(study.experiment.scenario)


def _assumed(study: Study) -> Section:
    swept = {name for axis in study.sweep.axes for name in (axis.name, *axis.along)}
    return assumed(study.experiment.scenario, swept)


def _left_out(study: Study) -> Section:
    return unmodelled(study.experiment.scenario)


def _method(study: Study) -> Section:
    return method(
        "The knee of a curve is the point nearest to no 503s and no latency (of whole workflows where jobs lead to "
        "others), both scaled to 0..1 over the curve.",
        f"Comparisons with exact theory use intervals that hold all at once with a chance of {LEVEL_WORDS} "
        "(Bonferroni).",
    )


def _manifest(study: Study) -> Section:
    said, made = study.experiment, study.sweep.manifest
    number = ("points", f"{len(made['points']):,}")
    rows = [number, *run_rows(said.run, said.scenario.digest)]
    if said.precision:
        rows.append(("precision", f"{said.precision}: each point was run as often as it takes, at most so often"))
    return manifest(rows, made["versions"], made.get("command") or NO_COMMAND)


# In the order of the page; one that has nothing to say gives None.
SECTIONS = (
    _answer, _requirements, _observed, _figures, _frontier, _sensitivity, _theory, _points, _before, _assumed,
    _left_out, _method, _manifest,
)  # fmt: skip


def before(scenario: Scenario) -> Section:
    """What can be said without a run."""
    return Section("Before any run", (pairs("The scenario on a napkin", ("what", "in words"), napkin(scenario)),))


def assumed(scenario: Scenario, swept: set[str]) -> Section:
    """Every assumption with its origin."""
    rows = tuple(assumptions(scenario, swept))
    caption = "Every value that the scenario holds, and where it comes from"
    return Section("Assumptions", (Table(caption, ("field", "value", "origin"), rows),))


def unmodelled(scenario: Scenario) -> Section:
    """What the model leaves out."""
    return Section("What is not modelled", (Points(tuple(left_out(scenario))),))


def _own(sweep: Sweep, experiment: Grid) -> tuple[Section, ...]:
    """What a report says about somebody's own model."""
    said, answers = experiment.plain(), []
    for name in sweep.metrics:
        found = sweep.estimates[name].sel(bound="estimate").values
        if not np.isnan(found).all():
            least, most = (np.unravel_index(at, found.shape) for at in (np.nanargmin(found), np.nanargmax(found)))
            places = [", ".join(labels(sweep, tuple(map(int, place)))) for place in (least, most)]
            answers.append(f"{name} goes from {human(float(found[least]))} (at {places[0]}) to "
                           f"{human(float(found[most]))} (at {places[1]}).")  # fmt: skip
    how = (
        f"Each point was run {experiment.replications} times, with the seed and the number of the replication given "
        "to every call. Intervals are at 95 %, by Student's t over replications. What the model does is its author's."
    )
    rows = [("points", f"{len(sweep.manifest['points']):,}"), ("seed", str(said["seed"]))]
    matters = report_sensitivity.section(sweep)
    return (
        Section("Answer", (Points(tuple(answers)),)),
        Section("Figures", _drawn(sweep, [], {})),
        *([matters] if matters is not None else []),
        Section("All points", points(sweep)),
        Section("Method", (Text(how),)),
        manifest(rows, sweep.manifest["versions"], sweep.manifest.get("command") or NO_COMMAND),
    )
