"""One self-contained HTML page about a finished sweep: question, answer, assumptions, figures, table, method."""

from __future__ import annotations

import base64
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from backwater.experiments.against import COMPARED, LEVEL, Against, Theories, against, theories
from backwater.experiments.curves import Curve, curves, shown, value
from backwater.experiments.experiment import Experiment, Grid
from backwater.experiments.figures import draw_all
from backwater.experiments.store import Store
from backwater.experiments.sweep import Sweep, load_sweep
from backwater.experiments.theory import Theory
from backwater.metrics import CUT_OFF, METRICS, metric, named
from backwater.napkin import napkin
from backwater.scenario import Scenario
from backwater.units import human

ROWS = 2000  # points that the table shows
COLUMNS = {
    "rejection_ratio": "503 ratio", "failure_ratio": "jobs failed", "attempts_per_job": "attempts per job",
    "wait_mean": "mean wait", "latency_p50": "p50 latency", "latency_p99": "p99 latency", "goodput": "goodput",
    "utilization": "utilization", "wasted_ratio": "wasted work", "queue_max": "longest queue", "spill_ratio": "spilled",
}  # fmt: skip
ROWS = 100  # comparisons with theory that a page shows, at most


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write ``report.html`` and the figures as PNG into the folder of a finished sweep; returns the page's path."""
    sweep = load_sweep(folder)
    drawn, known = [], theories(sweep)
    for name, caption, figure in draw_all(sweep, Store(folder).series(), known):
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=130)
        (Path(folder) / f"{name}.png").write_bytes(image.getvalue())
        drawn.append({"caption": caption, "data": base64.b64encode(image.getvalue()).decode()})
    path = Path(folder) / "report.html"
    path.write_text(page("report.html", figures=drawn, **contents(sweep, known)), "utf-8")
    return path


def page(template: str, **contents: Any) -> str:
    """A page from one of our templates; whatever is in ``contents`` is text, never markup."""
    loader = PackageLoader("backwater.experiments", "templates")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return pages.get_template(template).render(contents)


def contents(sweep: Sweep, known: Theories | None = None) -> dict[str, Any]:
    """What the page says, apart from its figures; ``known`` by theory at its points, found out unless given."""
    experiment = sweep.experiment
    if not isinstance(experiment, Experiment):
        return _own(sweep, experiment)
    known = theories(sweep) if known is None else known
    scenario = experiment.scenario
    return {
        "title": scenario.name,
        "question": experiment.question or f"What does {', '.join(axis.name for axis in sweep.axes)} change?",
        "answers": [answer(curve) for curve in curves(sweep)],
        "napkin": napkin(scenario),
        "assumptions": assumptions(scenario, {name for axis in sweep.axes for name in (axis.name, *axis.along)}),
        "table": table(sweep),
        "observed": observed(sweep),
        "theory": beside(against(sweep, known), known),
        "method": method(sweep),
        "command": sweep.manifest.get("command") or "backwater.sweep(...)",
    }


def _own(sweep: Sweep, experiment: Grid) -> dict[str, Any]:
    """What the page says about somebody's own model."""
    answers = []
    for name in sweep.metrics:
        found = sweep.estimates[name].sel(bound="estimate").values
        if not np.isnan(found).all():
            least, most = (np.unravel_index(at, found.shape) for at in (np.nanargmin(found), np.nanargmax(found)))
            places = [", ".join(_labels(sweep, tuple(map(int, place)))) for place in (least, most)]
            answers.append(f"{name} goes from {human(float(found[least]))} (at {places[0]}) to "
                           f"{human(float(found[most]))} (at {places[1]}).")  # fmt: skip
    said = experiment.plain()
    return {
        "title": said["function"],
        "question": experiment.question or f"What does {', '.join(axis.name for axis in sweep.axes)} change?",
        "answers": answers, "napkin": [], "assumptions": [], "observed": [], "theory": {}, "table": table(sweep),
        "command": sweep.manifest.get("command") or "backwater.sweep(...)",
        "method": [
            ("runs", f"{len(sweep.manifest['points']):,} points, {experiment.replications} replications each"),
            ("random numbers", f"seed {said['seed']}, given to every call with the number of the replication"),
            ("intervals", "95 %, Student's t over replications"),
        ],
    }  # fmt: skip


def answer(curve: Curve) -> str:
    """One curve in words; the failures come first."""
    axis, knee = curve.sweep.axes[curve.along], curve.knee
    last = len(axis.values) - 1

    def at(name: str, index: int) -> str:
        return human(float(curve.estimates(name)[index, 0]), METRICS[name].dimension)

    def failures(index: int) -> str:
        refused, failed = at("rejection_ratio", index), at("failure_ratio", index)
        withheld = float(curve.estimates("withheld_ratio")[index, 0])
        said = f"{refused} of attempts got a 503"
        if withheld > 0:
            unsent = human(withheld, "share")
            said = f"{refused} of attempts were turned away ({unsent} unsent, by their own client)"
        return f"{said} and {failed} of jobs failed"

    held = f"With {curve.label}: at" if curve.label else "At"
    place = value(axis, knee) if axis.along else f"{axis.name} = {value(axis, knee)}"
    text = f"{held} the knee, {place}, {failures(knee)}; {_served(curve, knee, at)}."
    for index in () if axis.along else sorted({0, last} - {knee}):
        text += f" At {value(axis, index)}, {failures(index)}; {_served(curve, index, at)}."
    return text


def _served(curve: Curve, index: int, at: Any) -> str:
    text = f"of the jobs served in time, 99 % took at most {at('latency_p99', index)}"
    if curve.estimates("unfinished_ratio")[index, 0] > CUT_OFF:
        text += " (cut off: many jobs were unfinished at the end)"
    spilled = curve.estimates("spill_ratio")[index, 0]
    return text + (f", and {at('spill_ratio', index)} of accepted attempts were spilled to disk" if spilled > 0 else "")


def assumptions(scenario: Scenario, swept: set[str]) -> list[tuple[str, str, str]]:
    """(path, value, origin) of every field: noted, set, swept or default."""
    said, rows = _leaves(scenario.plain()), []
    parts = {path.rsplit(".", 1)[0] for path in scenario.settings if "." in path} | {
        "name",
        "notes",
        "arrivals.sources",
    }
    for path, given in scenario.settings.items():
        if path in parts:
            continue
        above = [path.rsplit(".", n)[0] for n in range(path.count(".") + 1)]
        note = next((scenario.notes[parent] for parent in above if parent in scenario.notes), None)
        origin = f"noted: {note}" if note else "set" if path in said else "default"
        if path in swept or ("load" in swept and path == "arrivals.scale"):
            origin = "swept"
        rows.append((path, _shown(given), origin))
    order = {"swept": 0, "noted": 1, "set": 2, "default": 3}
    return sorted(rows, key=lambda row: order[row[2].split(":")[0]])


def _leaves(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, given in table.items():
        out |= _leaves(given, f"{prefix}{name}.") if isinstance(given, dict) and given else {prefix + name: given}
    return out


def _shown(given: Any) -> str:
    if given is None:
        return "none"
    text = f"{given:.6g}" if isinstance(given, float) else str(given)
    return text if len(text) <= 80 else f"{text[:77]}..."


def table(sweep: Sweep) -> dict[str, Any]:
    """Header and rows: one row per point, class and window, each cell an estimate with half its interval."""
    titles = COLUMNS if isinstance(sweep.experiment, Experiment) else {name: name for name in sweep.metrics}
    names = [name for name in titles if name in sweep.metrics and _tells(sweep, name)]
    windows = sweep.windows
    head = [title for axis in sweep.axes for title in (axis.name, *axis.along)]
    head += ["case"] * (len(sweep.experiment.cases) > 1) + ["window"] * (len(windows) > 1)
    rows = []
    points = sweep.experiment.points()
    for point in points[:ROWS]:
        for window in windows:
            labels = [*_labels(sweep, point.place), *[window] * (len(windows) > 1)]
            rows.append((labels, [_cell(sweep, point.place, window, name) for name in names]))
    left = max(len(points) - ROWS, 0)
    return {
        "head": head,
        "columns": [titles[name] for name in names],
        "rows": rows,
        "left": f"{left:,}" if left else "",
    }


def _labels(sweep: Sweep, place: tuple[int, ...]) -> list[str]:
    """Where a point lies, as the table says it: its coordinates, then its case where there are several."""
    labels = []
    for axis, index in zip(sweep.axes, place, strict=False):
        labels.append(shown(axis.values[index], axis.unit))
        labels += [shown(values[index], unit) for unit, values in axis.along.values()]
    cases = list(sweep.experiment.cases)
    return labels + [cases[place[len(sweep.axes)]]] * (len(cases) > 1)


def _tells(sweep: Sweep, name: str) -> bool:
    """Whether a column holds anything but zeros; 503s and failures always stand."""
    always = name in ("rejection_ratio", "failure_ratio")
    return always or bool((sweep.estimates[name].sel(bound="estimate") != 0).any())


def _cell(sweep: Sweep, place: tuple[int, ...], window: str, name: str) -> str:
    cell = sweep.cell(place)
    estimate, low, high, _ = cell.estimate(name, window=window)
    if math.isnan(estimate):
        return "n/a"
    kind = METRICS[name].dimension if isinstance(sweep.experiment, Experiment) else ""
    cut = "†" if kind == "time" and cell.estimate("unfinished_ratio", window=window).value > CUT_OFF else ""
    half = "" if math.isnan(low) or high == low else f" ± {human((high - low) / 2, kind)}"
    return f"{human(estimate, kind)}{half}{cut}"


def observed(sweep: Sweep) -> list[tuple[str, str, str]]:
    """(metric, observed, predicted with its interval over the grid's knees)."""
    out = []
    assert isinstance(sweep.experiment, Experiment)
    for text, given in sweep.experiment.observed.items():
        word, job_class, window = named(text)
        kind = metric(word).dimension
        for curve in curves(sweep):
            if word not in sweep.estimates:
                continue
            estimate, low, high = curve.estimates(word, job_class, window)[curve.knee]
            held = f" ({curve.label})" if curve.label else ""
            out.append(
                (text + held, str(given), f"{human(estimate, kind)} [{human(low, kind)} .. {human(high, kind)}]")
            )
    return out


def beside(found: Against, known: Theories) -> dict[str, Any]:
    """What the page says of exact theory: an alarm where it lies outside, every comparison, sources, what was left."""
    missed, compared = found.missed, found.compared
    rows = []
    for each in [*missed, *(each for each in compared if each.agrees)][:ROWS]:
        kind = METRICS[each.metric].dimension
        interval = f"{human(each.low, kind)} .. {human(each.high, kind)}"
        rows.append((each.where, each.metric, each.model, human(each.exact, kind), human(each.estimate, kind), interval,
                     each.agrees))  # fmt: skip
    alarm = ""
    if missed:
        first = ", ".join(dict.fromkeys(each.metric for each in missed))
        alarm = (
            f"Exact theory lies outside the interval in {len(missed)} of {len(compared)} comparisons ({first}; first "
            f"at {missed[0].where}). By chance that happens in one of {1 / (1 - LEVEL):,.0f} reports. Either the runs "
            "are not yet in the steady state, or the scenario is not what the theory takes it for, or one of the two "
            "is wrong: do not use these numbers before you know which."
        )
    models = dict.fromkeys((each.place, each.model) for each in compared)
    sources = dict.fromkeys(
        f"{answer.model}: {answer.source}. Holds in the {answer.validity}."
        for place, model in models for answer in known[place].exact if answer.model == model
    )  # fmt: skip
    first_known = next(iter(known.values()), None)
    obstacles = first_known.obstacles if first_known is not None else ()
    return {
        "alarm": alarm, "level": f"{100 * LEVEL:g} %", "rows": rows, "more": len(compared) - len(rows),
        "left": [f"{count:,} of the points {why}." for why, count in found.left.items()],
        "sources": list(sources)[:10], "obstacles": [f"{each.path}: {each.why}" for each in obstacles],
        "about": _about(first_known),
    }  # fmt: skip


def _about(found: Theory | None) -> list[tuple[str, str, str]]:
    """(metric, value, of what) of what is only about known of the first point."""
    out = []
    for answer in found.answers if found is not None else ():
        if answer.kind != "exact" and answer.metric in COMPARED:
            kind, left_out = METRICS[answer.metric].dimension, answer.simplification
            held = "at most" if answer.kind == "bound" else "about"
            of = f"{answer.model}, {answer.source}" + (f"; simplified: {left_out}" if left_out else "")
            out.append((answer.metric, f"{held} {human(answer.value, kind)}", of))
    return out


def method(sweep: Sweep) -> list[tuple[str, str]]:
    """How the numbers were made."""
    assert isinstance(sweep.experiment, Experiment)
    run = sweep.experiment.run
    length = human(run.end, "time") if run.horizon is not None else f"{run.arrivals:,} arrivals"
    versions = ", ".join(f"{name} {number}" for name, number in sweep.manifest["versions"].items())
    return [
        ("runs", f"{len(sweep.manifest['points']):,} points, {run.replications} replications each, of {length}"),
        ("warm-up", f"{human(run.warmup, 'time')}, not counted" if run.warmup else "none: counting starts empty"),
        ("random numbers", f"seed {run.seed}; every point sees the same jobs (common random numbers)"),
        ("intervals", "95 %, Student's t over replications; ratios linearised; quantiles pooled"),
        ("checks", "every run passed its audit: jobs conserved, Little's law, busy time, bytes"),
        ("scenario", f"SHA-256 {sweep.experiment.scenario.digest[:16]}"),
        ("versions", versions),
    ]
