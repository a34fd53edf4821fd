"""Clients that contend for one row under optimistic locking: what each way of backing off costs in calls and in time.

A client reads the row's version, then writes on the condition that the version is still the one it read. Where another
client wrote in between, the write fails, and the client reads again after a pause. All clients start at time 0 and
stop after one successful write. Each message takes |Normal(10 ms, 2 ms)|; the row itself takes no time.

Random numbers are addressed: source 0, job = the client's number, purpose SERVICE, index = 4 (attempt - 1) + message
for the delay of a message (0 read, 1 the answer to it, 2 write, 3 the answer to it); purpose BACKOFF, index = the
failed attempt's number for the pause after it. So every strategy meets the same network.

Source: Brooker, "Exponential backoff and jitter", AWS Architecture Blog 2015, and the simulator published with it. It
counts the failed attempt before it backs off, so its first window is base x 2 = 10 ms; here that is the base.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Generator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import simpy

from backwater.components.client import Retry, backoff
from backwater.errors import ScenarioError, check, nearest
from backwater.jit import compiled
from backwater.quantile import normal_quantile
from backwater.random import BACKOFF, REPLICATIONS, SERVICE, seed_word, uniform

DELAY_MEAN, DELAY_SD = 0.010, 0.002  # of one message, before the absolute value [s]
READ, READ_ANSWER, WRITE, WRITE_ANSWER, MESSAGES = range(5)

STRATEGIES = {
    "none": Retry(kind="constant", base="0 s", jitter="none", max_attempts="forever"),
    "exponential": Retry(base="10 ms", cap="2 s", jitter="none", max_attempts="forever"),
    "equal_jitter": Retry(base="10 ms", cap="2 s", jitter="equal", max_attempts="forever"),
    "full_jitter": Retry(base="10 ms", cap="2 s", jitter="full", max_attempts="forever"),
    "decorrelated": Retry(kind="decorrelated", base="5 ms", cap="2 s", max_attempts="forever"),
}
LABELS = {
    "none": "no backoff",
    "exponential": "exponential, no jitter",
    "equal_jitter": "exponential, equal jitter",
    "full_jitter": "exponential, full jitter",
    "decorrelated": "decorrelated jitter",
}
CLIENTS = tuple(range(10, 200, 10))  # the article's points, at its number of repetitions
REPEATED = 100
MOST_CLIENTS = 10_000


class Row:
    """The contended row: its version, and how often it was written to, failed writes included."""

    def __init__(self) -> None:
        self.version = self.calls = 0

    def write(self, seen: int) -> bool:
        """Write if ``seen`` is still the version; whether it was."""
        self.calls += 1
        current = seen == self.version
        self.version += current
        return current


@compiled
def delay(seed, replication, client, index):  # type: ignore[no-untyped-def]
    """How long a client's message number ``index`` (0, 1, ...) is on the network [s]."""
    u = uniform(seed, replication, 0, client, SERVICE, index)
    return abs(DELAY_MEAN + DELAY_SD * normal_quantile(u))


@compiled
def pause(policy, failed, previous, seed, replication, client):  # type: ignore[no-untyped-def]
    """How long a client waits after its ``failed``-th failed write (1, 2, ...) [s]; ``previous`` as in ``backoff``."""
    return backoff(policy, failed, previous, uniform(seed, replication, 0, client, BACKOFF, failed))


def _client(
    env: simpy.Environment, row: Row, policy: Any, seed: np.uint64, replication: int, number: int
) -> Generator[simpy.Event, Any, None]:
    """Read, write, and again after a pause until a write succeeds; ends when the client knows."""

    def transit(message: int) -> float:
        return delay(seed, replication, number, MESSAGES * (attempt - 1) + message)

    # Only the row sees a moment between two messages, so delays that follow one another are one timeout.
    waited, answered = policy[1], 0.0  # the base stands for the pause before the first
    for attempt in count(1):
        yield env.timeout(answered + transit(READ))
        seen = row.version
        yield env.timeout(transit(READ_ANSWER) + transit(WRITE))
        if row.write(seen):
            break
        waited = pause(policy, attempt, waited, seed, replication, number)
        answered = transit(WRITE_ANSWER) + waited
    yield env.timeout(transit(WRITE_ANSWER))


def contend(strategy: str, clients: int, seed: int, replication: int) -> tuple[int, float]:
    """Let ``clients`` contend once; the calls [writes, failed ones included] and the completion time [s].

    strategy     one of STRATEGIES
    clients      how many start at time 0 [1]
    seed         of all random numbers, 0 to 2**64 - 1
    replication  which repetition, 0 to 2**32 - 1

    The completion time is when the last client learns of its success. Raises ScenarioError for wrong input.
    """
    _check(strategy, clients)
    _whole(replication, "replication", 0, REPLICATIONS - 1)
    env, row = simpy.Environment(), Row()
    word, policy = seed_word(seed), STRATEGIES[strategy].policy
    for number in range(clients):
        env.process(_client(env, row, policy, word, replication, number))
    env.run()
    return row.calls, env.now


def study(
    clients: Sequence[int] = CLIENTS, strategies: Sequence[str] = tuple(STRATEGIES), *, replications: int = REPEATED,
    seed: int = 1, progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Means and standard errors over replications 0, 1, ..., one line per strategy and number of clients.

    Columns: strategy; clients [1]; replications [1]; calls, calls_se [writes]; completion_time, completion_time_se [s].
    ``progress`` is told how many lines of how many are done. Raises ScenarioError for wrong input, before any run.
    """
    points = [(strategy, number) for strategy in strategies for number in clients]
    check(points, "clients and strategies", (clients, strategies), "must each name at least one")
    check(len(set(points)) == len(points), "clients and strategies", (clients, strategies), "must name each only once")
    for strategy, number in points:
        _check(strategy, number)
    _whole(replications, "replications", 2, REPLICATIONS)  # one gives no standard error
    seed_word(seed)
    lines = []
    for done, (strategy, number) in enumerate(points, 1):
        runs = np.array([contend(strategy, number, seed, replication) for replication in range(replications)])
        (calls, time), (calls_se, time_se) = runs.mean(axis=0), runs.std(axis=0, ddof=1) / replications**0.5
        lines.append((strategy, number, replications, calls, calls_se, time, time_se))
        if progress:
            progress(done, len(points))
    columns = "strategy clients replications calls calls_se completion_time completion_time_se"
    return pd.DataFrame(lines, columns=columns.split())


def figures(table: pd.DataFrame, folder: str | os.PathLike[str]) -> list[Path]:
    """Draw a study's table into ``folder``: calls.png and completion_time.png, each over the number of clients.

    A line per strategy with a band of two standard errors to either side. Returns the two paths. Raises ScenarioError
    where the folder cannot be written.
    """
    place = _folder(folder, "folder")
    drawn = []
    for column, label in (("calls", "calls (writes, failed ones included)"), ("completion_time", "completion time")):
        figure = _figure(table, column, label)
        drawn.append(place / f"{column}.png")
        figure.savefig(drawn[-1], dpi=150)
    return drawn


def _figure(table: pd.DataFrame, column: str, label: str) -> Any:
    from matplotlib.figure import Figure

    from backwater.experiments.figures import COLOURS, MARKS, seconds

    figure = Figure(figsize=(8.4, 5.2), layout="constrained")
    axis = figure.subplots()
    look = dict(zip(STRATEGIES, zip(COLOURS, MARKS, strict=False), strict=False))
    lines = [(name, lines.sort_values("clients")) for name, lines in table.groupby("strategy", sort=False)]
    for name, line in sorted(lines, key=lambda item: -item[1][column].iloc[-1]):  # the legend in the lines' order
        (colour, mark), x, y, se = look[name], line["clients"], line[column], line[f"{column}_se"]
        axis.plot(x, y, color=colour, marker=mark, markersize=4, label=LABELS[name])
        axis.fill_between(x, y - 2 * se, y + 2 * se, color=colour, alpha=0.2, linewidth=0)
    if column == "completion_time":
        axis.set_yscale("log")  # from one second to a hundred
        seconds(axis)
    else:
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.set_xlim(left=0)
    axis.set_xlabel("clients that contend")
    axis.set_ylabel(label)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(True, color="#e6e6e6", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.legend(frameon=False)
    return figure


def _check(strategy: str, clients: int) -> None:
    must = f"must be a strategy{nearest(str(strategy), STRATEGIES)}"
    check(strategy in STRATEGIES, "strategy", strategy, must)
    _whole(clients, "clients", 1, MOST_CLIENTS)


def _whole(value: Any, where: str, least: int, most: int) -> None:
    ok = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    check(ok, where, value, f"must be a whole number from {least:,} to {most:,}")


def _folder(path: str | os.PathLike[str], where: str) -> Path:
    folder = Path(path)
    must = "must be a folder that can be written"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScenarioError(where, f"{must}: {error.strerror}", str(path)) from None
    check(os.access(folder, os.W_OK | os.X_OK), where, str(path), must)
    return folder


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Refuse in one line, as everything else here does."""
        raise ScenarioError("", message, shown=False)


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    check(all(part.isdecimal() for part in parts), "--clients", text, "must be whole numbers such as 10,50,100")
    return [int(part) for part in parts]


def _command(arguments: Sequence[str] | None) -> None:
    said = "Repeat the optimistic-locking experiment of AWS's article on backoff and jitter."
    parser = _Parser(prog="python -m backwater.experiments.optimistic_locking", description=said, allow_abbrev=False)
    points = ",".join(str(number) for number in CLIENTS)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the table and the figures")
    parser.add_argument("--clients", default=points, metavar="N,N,...", help=f"default: {points}")
    parser.add_argument("--replications", type=int, default=REPEATED, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: %(default)s")
    given = parser.parse_args(arguments)
    clients, folder = _numbers(given.clients), _folder(given.out, "--out")

    from backwater.experiments.progress import Bar

    with Bar("optimistic locking", len(STRATEGIES) * len(clients)) as bar:
        table = study(clients, replications=given.replications, seed=given.seed, progress=bar.to)
    table.to_csv(folder / "table.csv", index=False)
    for path in (folder / "table.csv", *figures(table, folder)):
        print(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; wrong input ends in one line and status 2."""
    try:
        _command(arguments)
    except ScenarioError as error:
        print(f"backwater: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
