"""What a report says of exact theory beside a sweep: an alarm where it lies outside, every comparison, the sources."""

from __future__ import annotations

from collections.abc import Iterator

from backwater.experiments.against import COMPARED, LEVEL, Against, Theories
from backwater.experiments.document import Part, Points, Table, Text, pairs
from backwater.experiments.theory import Theory
from backwater.metrics import METRICS
from backwater.units import human

ROWS, SOURCES = 100, 10  # comparisons, and sources, that a report shows, at most
ROUNDING = 1e-12  # what is nearer to zero is zero
LEVEL_WORDS = f"{100 * LEVEL:g} %"


def alarm(found: Against) -> str:
    """What must be known before anything else is read; "" where theory agrees."""
    missed = found.missed
    if not missed:
        return ""
    first = ", ".join(dict.fromkeys(each.metric for each in missed))
    return (
        f"Exact theory lies outside the interval in {len(missed)} of {len(found.compared)} comparisons ({first}; first "
        f"at {missed[0].where}). By chance that happens in one of {1 / (1 - LEVEL):,.0f} reports. Either the runs "
        "are not yet in the steady state, or the scenario is not what the theory takes it for, or one of the two "
        "is wrong: do not use these numbers before you know which."
    )


def beside(found: Against, known: Theories) -> Iterator[Part]:
    """The section's parts."""
    if found.compared:
        yield from _compared(found, known)
    for why, count in found.left.items():
        yield Text(f"{count:,} of the points {why}.")
    first = next(iter(known.values()), None)
    if first is not None and first.obstacles:
        yield Text("In the way of an exact answer, at the first point:")
        yield Points(tuple(f"{each.path}: {each.why}" for each in first.obstacles))
    about: dict[str, list[tuple[str, str]]] = {}
    for metric, value, of in _about(first):
        about.setdefault(of, []).append((metric, value))
    for of, rows in about.items():
        yield Text(f"What theory says about the first point, not exactly. {of}.")
        yield pairs("By theory, at the first point", ("metric", "about"), rows)


def _compared(found: Against, known: Theories) -> Iterator[Part]:
    missed, compared = found.missed, found.compared
    shown, rows = [*missed, *(each for each in compared if each.agrees)][:ROWS], []
    for each in shown:
        kind = METRICS[each.metric].dimension
        interval = f"{human(each.low, kind)} .. {human(each.high, kind)}"
        rows.append((each.where, each.metric, each.model, human(each.exact, kind), human(each.estimate, kind), interval,
                     "inside" if each.agrees else "outside"))  # fmt: skip
    head = ("at", "metric", "model", "exact", "estimate", "interval", "exact value")
    yield Table("Exact values beside the estimates", head, tuple(rows), right=(3, 4, 5),
                marked=tuple(range(min(len(missed), ROWS))))  # fmt: skip
    more = f" {len(compared) - len(shown):,} more comparisons are not shown." if len(compared) > len(shown) else ""
    held = f"All these intervals together hold what is exact with a chance of {LEVEL_WORDS}, so they are wider than"
    yield Text(f"{held} those of the figures.{more}", note=True)
    models = dict.fromkeys((each.place, each.model) for each in compared)
    sources = dict.fromkeys(
        f"{one.model}: {one.source}. Holds in the {one.validity}."
        for place, model in models for one in known[place].exact if one.model == model
    )  # fmt: skip
    for source in list(sources)[:SOURCES]:
        yield Text(source, note=True)


def _about(found: Theory | None) -> Iterator[tuple[str, str, str]]:
    """(metric, value, of what) of what is only about known of a point."""
    for one in found.answers if found is not None else ():
        if one.kind != "exact" and one.metric in COMPARED:
            kind, left_out = METRICS[one.metric].dimension, one.simplification
            held = "at most" if one.kind == "bound" else "about"
            of = f"{one.model}, {one.source}" + (f"; simplified: {left_out}" if left_out else "")
            exact = 0.0 if abs(one.value) < ROUNDING else one.value
            yield one.metric, f"{held} {human(exact, kind)}", of
