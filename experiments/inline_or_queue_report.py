"""Where a queue stops paying: in words, in tables, as figures and on one page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from backwater.experiments.document import Document, Points, Section, Table, Text
from backwater.experiments.document.drawn import picture
from backwater.experiments.document.files import publish
from backwater.experiments.inline_or_queue import Handover, Lateness
from backwater.experiments.inline_or_queue_figures import NAMES, curves, handed, late
from backwater.experiments.method import manifest, method, run_rows
from backwater.models.inline_or_queue import sync_inline
from backwater.run import Run
from backwater.simulation import versions
from backwater.units import human


def _time(value: float) -> str:
    return "beyond" if math.isnan(value) else human(value, "time")


def answers(found: Handover, times: Lateness) -> list[str]:
    """What was found, a sentence each."""
    out = []
    for name, blocked in found.brokers.items():
        low, high = (_time(found.frontier(name)[at]) for at in (0, -1))
        out.append(
            f"{NAMES[name]}: handing over takes {human(blocked, 'time')}. Whoever does not need the result is blocked "
            f"for less inline by work of up to {low} at a load of {found.load[0]:g}, {high} at {found.load[-1]:g}."
        )
    for at in (0, -1):
        edge = times.frontier()[at]
        told = "the queue never serves more in time" if math.isnan(edge) else (
            f"the queue serves more in time once a result is of use for {human(edge, 'time')}"
        )  # fmt: skip
        most = int(times.gain[at].argmin())
        limit, share = human(times.limit[most], "time"), human(-times.gain[at][most], "share")
        out.append(
            f"At a peak of {times.peak[at]:g} times what the workers can do, {told}; within {limit}, inline serves "
            f"{share} more of the jobs."
        )
    return out


def numbers(found: Handover, times: Lateness) -> dict[str, Any]:
    """All that was found, as plain data; null where a frontier lies beyond what was tried."""

    def plain(values: np.ndarray[Any, Any]) -> list[Any]:
        return [None if isinstance(each, float) and math.isnan(each) else each for each in values.tolist()]

    return {
        "handover": {
            "service": plain(found.service), "load": plain(found.load), "inline": found.inline.tolist(),
            "brokers": {name: {"blocked": blocked, "frontier": plain(found.frontier(name))}
                        for name, blocked in found.brokers.items()},
        },
        "lateness": {
            "peak": plain(times.peak), "limit": plain(times.limit), "gain": times.gain.tolist(),
            "ci_low": times.low.tolist(), "ci_high": times.high.tolist(), "polled": times.polled.tolist(),
            "asks": times.asks, "frontier": plain(times.frontier()),
            "frontier_polled": plain(times.frontier(polled=True)),
        },
    }  # fmt: skip


def tables(found: Handover, times: Lateness) -> tuple[Table, Table]:
    """The frontiers of both callers."""
    edges = [found.frontier(name) for name in found.brokers]
    by_load = tuple((f"{load:g}", *map(_time, row)) for load, *row in zip(found.load, *edges, strict=True))
    told, asked = times.frontier(), times.frontier(polled=True)
    by_peak = tuple((f"{peak:g}", *map(_time, row)) for peak, *row in zip(times.peak, told, asked, strict=True))
    return (
        Table("The result is not needed: mean time of the work from which on the caller is blocked for less by handing "
              "it over", ("load", *(NAMES[name] for name in found.brokers)), by_load, right=(1, 2, 3)),
        Table("The result is needed: for how long it must be of use for the queue to serve more in time",
              ("load at the peak", "the caller is told", f"it asks every {human(times.asks, 'time')}"), by_peak,
              right=(1, 2)),
    )  # fmt: skip


def document(found: Handover, times: Lateness, run: Run, command: str) -> Document:
    """The report."""
    words = answers(found, times)
    middle = float(times.peak[len(times.peak) // 2])
    drawn = zip(("handed", "late", "curves"), (handed(found), late(times), curves(times, middle)), strict=True)
    seen = " ".join(words)
    advice = (
        "Work that is cheap, or of use at once only, is better done within the request, with a bounded queue and 503s. "
        "Work that takes long and may be late is better queued."
    )
    return Document(
        "Within the request, or through a queue?", "From where on does a queue pay, for the caller?",
        (
            Section("Answer", (Text(advice, strong=True), Points(tuple(words)), *tables(found, times))),
            Section("Figures", tuple(picture(name, seen, caption, figure) for name, (caption, figure) in drawn)),
            method("Four workers, log-normal service times (cv 1); of brokers, the delays of the ready-made ones."),
            manifest(run_rows(run, sync_inline().digest), versions(), command),
        ),
    )  # fmt: skip


def write(found: Handover, times: Lateness, run: Run, folder: Path, command: str) -> Path:
    """Write the report as ``report.html``, its figures beside it, into a folder; returns the page's path."""
    return publish(document(found, times, run, command), folder)[0]
