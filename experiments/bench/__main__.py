"""``make bench``: measure and print the tables. Arguments: parts (speed, bounds, brokers, growth, threads, start)."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from backwater.experiments.bench import scaling
from backwater.experiments.bench.brokers import costs, ready_made
from backwater.experiments.bench.systems import ROUNDS, ratio, speeds, systems

out = Console(width=110, highlight=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def speed() -> None:
    """Both engines, scripts and peers."""
    title = f"\nJobs per second, one thread, medians of {ROUNDS} rounds with the sides in turn"
    table = _table(title, "system", "side", "jobs/s", "compiled engine is", "spread")
    for system in systems():
        found = speeds(system)
        for name, its in found.items():
            middle, low, high = ratio(found["compiled"], its)
            beside = ("", "") if name == "compiled" else (f"{middle:,.3g} times", f"{low:,.3g} .. {high:,.3g}")
            first = system.name if name == "compiled" else ""
            shown = {"compiled": "compiled engine", "simpy": "simpy engine", "script": "plain SimPy script"}
            table.add_row(first, shown.get(name, name), f"{statistics.median(its):,.0f}", *beside)
    out.print(table)


def bounds() -> None:
    """M/M/1 against what it cannot be below."""
    rounds = [scaling.bounds(3_000_000, seed) for seed in range(ROUNDS + 1)][1:]
    table = _table("\nM/M/1 against its bounds", "what", "ns per job", "engine takes", "spread")
    for name in rounds[0]:
        ratios = sorted(each["engine"] / each[name] for each in rounds)
        middle = statistics.median(each[name] for each in rounds)
        table.add_row(
            name, f"{middle:.1f}", f"{statistics.median(ratios):.2f} times", f"{ratios[0]:.2f} .. {ratios[-1]:.2f}"
        )
    out.print(table)


def brokers() -> None:
    """What a broker costs."""
    rounds = [costs(500_000, seed) for seed in range(ROUNDS + 1)][1:]
    _of_none("M/M/16 behind a broker, callers that go on", rounds)
    _of_none(
        "Ready-made systems, of their jobs without the broker", [ready_made(200_000, seed) for seed in range(ROUNDS)]
    )


def _of_none(title: str, rounds: list[dict[str, tuple[float, float]]]) -> None:
    """Print the cost of each, and how many times the cost without a broker that is."""
    table = _table(f"\n{title}", "what", "ns per job", "of none", "spread")
    for name in rounds[0]:
        ratios = sorted(its / none for its, none in (each[name] for each in rounds))
        middle = statistics.median(each[name][0] for each in rounds)
        table.add_row(
            name, f"{middle:.0f}", f"{statistics.median(ratios):.2f} times", f"{ratios[0]:.2f} .. {ratios[-1]:.2f}"
        )
    out.print(table)


def growth() -> None:
    """The cost of a job as more wait or back off, and memory as more are run."""
    table = _table("\nNanoseconds per job as there are more at a time", "at a time", "waiting", "in backoff")
    rounds = [[scaling.costs(make, seed) for make in (scaling.waiting, scaling.backing_off)] for seed in range(3)]
    for size in scaling.SIZES:
        middles = (statistics.median(each[n][size] for each in rounds) for n in (0, 1))
        table.add_row(f"{size:,}", *(f"{middle:.0f}" for middle in middles))
    out.print(table)
    if not Path("/proc/self/status").exists():
        return
    table = _table("\nPeak memory of a process", "jobs of an M/M/1", "MB")
    for jobs in (1_000_000, 100_000_000):
        table.add_row(f"{jobs:,}", f"{scaling.peak_memory(jobs):.1f}")
    out.print(table)


def threads() -> None:
    """Replications on threads."""
    rounds = [scaling.threads(seed) for seed in range(ROUNDS + 1)][1:]
    table = _table("\nReplications of an M/M/1 on threads", "threads", "jobs/s", "of one thread", "spread")
    for n in rounds[0]:
        ratios = sorted(each[n] / each[1] for each in rounds)
        middle = statistics.median(each[n] for each in rounds)
        table.add_row(
            str(n), f"{middle:,.0f}", f"{statistics.median(ratios):.2f} times", f"{ratios[0]:.2f} .. {ratios[-1]:.2f}"
        )
    out.print(table)


def start() -> None:
    """New processes."""
    table = _table("\nStart", "what", "seconds")
    for what, seconds in scaling.starts():
        table.add_row(what, f"{seconds:.2f}")
    out.print(table)


PARTS: dict[str, Callable[[], None]] = {
    "speed": speed, "bounds": bounds, "brokers": brokers, "threads": threads, "growth": growth, "start": start,
}  # fmt: skip


def main(names: list[str]) -> None:
    """Print the parts of these names; all where none is given."""
    for name in names:
        if name not in PARTS:
            sys.exit(f"bench: {name} must be one of {', '.join(PARTS)}")
    # Speed comes first, however they are named: cimba fails where Numba compiled something before it was imported.
    for name, part in PARTS.items():
        if not names or name in names:
            part()


if __name__ == "__main__":
    main(sys.argv[1:])
