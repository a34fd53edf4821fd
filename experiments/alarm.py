"""The alarm line: how long a queue, and how old its oldest entry, when new jobs will no longer be served in time."""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backwater.experiments.require import Requirement
from backwater.experiments.trials import Question, Setting
from backwater.metrics import QUANTILES
from backwater.outcome import ATTEMPT, JOB, JOB_COMPLETED
from backwater.simulation import simulate
from backwater.units import parse

Array = npt.NDArray[np.float64]
LOADS = (1.0, 1.2, 1.5)  # at which queues grow long enough to see the line
JOBS = 60_000  # of each load
FEW = 50  # jobs beyond a line, at least
ATTEMPT_AT = {column.name: index for index, column in enumerate(ATTEMPT)}
JOB_AT = {column.name: index for index, column in enumerate(JOB)}


class Alarm(NamedTuple):
    """From here on, of the jobs that come too few are served as the requirement says.

    queue  attempts waiting
    age    of the oldest waiting one [s]
    share  of the jobs that come then and are served in time
    """

    require: Requirement
    queue: int
    age: float
    share: float


def in_time(require: Requirement) -> tuple[float, float] | None:
    """The time within which a job must be served [s], and the share of jobs for which that must be so; or None."""
    if require.name.startswith("served_within") and not require.most:
        return parse(require.name[len("served_within(") : -1], "time"), require.limit
    latency, _, word = require.name.partition("_")
    if latency == "latency" and word in QUANTILES and require.most:
        return require.limit, QUANTILES[word]
    return None


def alarms(question: Question, setting: Setting) -> list[Alarm]:
    """The alarm line of each requirement that has one, at a setting, in the first case."""
    wanted = [(one, *asked) for one in question.require if one.job_class == "all" and (asked := in_time(one))]
    if not wanted:
        return []
    seen = np.concatenate([_seen(question, setting, load) for load in LOADS])
    out = []
    for require, limit, share in wanted:
        # A latency is of served jobs only; to be served within a time is asked of all.
        of = seen if require.name.startswith("served_within") else seen[np.isfinite(seen[:, 2])]
        if not len(of):
            continue
        good = of[:, 2] <= limit
        queue, left = line(of[:, 0], good, share)
        age, _ = line(of[:, 1], good, share)
        if not math.isnan(queue) and not math.isnan(age):
            out.append(Alarm(require, int(queue), age, left))
    return out


def line(sign: Array, good: npt.NDArray[np.bool_], share: float) -> tuple[float, float]:
    """The least value of a sign from which on fewer than ``share`` are good, and the share there; NaN where none is.

    Good ones become fewer the higher the sign: neighbours are pooled where chance says otherwise (isotonic regression),
    and where they are few.
    """
    from scipy.optimize import isotonic_regression

    order = np.argsort(sign, kind="stable")
    ranked = sign[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    kept = [0]
    for start in starts:  # equal signs stay together, FEW jobs or more
        if start - kept[-1] >= FEW:
            kept.append(int(start))
    if len(ranked) - kept[-1] < FEW and len(kept) > 1:
        kept.pop()
    sizes = np.diff([*kept, len(ranked)])
    shares = np.add.reduceat(good[order].astype(np.float64), kept) / sizes
    fitted = isotonic_regression(shares, weights=sizes, increasing=False).x
    lost = np.flatnonzero(fitted < share)
    return (float(ranked[kept[lost[0]]]), float(fitted[lost[0]])) if len(lost) else (math.nan, math.nan)


def _seen(question: Question, setting: Setting, load: float) -> Array:
    """What each job met when it came: attempts waiting, age of the oldest, and its latency (infinite if it failed)."""
    case = next(iter(question.cases))
    scenario = question.at(setting, case, load)
    run = question.run.model_copy(
        update={"replications": 1, "record": ("jobs", "attempts"), "windows": {}, "sample": None,
                "arrivals": min(JOBS, question.run.arrivals or JOBS)}
    )  # fmt: skip
    outcome = simulate(scenario, run).outcomes[0]
    jobs, attempts = outcome.jobs, outcome.attempts
    assert jobs is not None
    assert attempts is not None
    arrived, ended = jobs[:, JOB_AT["arrived"]], jobs[:, JOB_AT["ended"]]
    counted = (ended >= run.warmup) & (ended < outcome.end)
    latency = np.where(jobs[:, JOB_AT["outcome"]] == JOB_COMPLETED, ended - arrived, np.inf)
    waiting, age = _met(np.sort(arrived[counted]), attempts)
    order = np.argsort(arrived[counted], kind="stable")
    return np.column_stack([waiting, age, latency[counted][order]])


def _met(times: Array, attempts: Array) -> tuple[Array, Array]:
    """How many waited just before each of these times, in order, and how long the oldest had waited [s]."""
    accepted, taken = attempts[:, ATTEMPT_AT["accepted"]], attempts[:, ATTEMPT_AT["taken"]]
    ended = attempts[:, ATTEMPT_AT["ended"]]
    waited = ~np.isnan(accepted)
    left = np.where(np.isnan(taken), ended, taken)
    waited &= left > accepted
    came, went = accepted[waited], left[waited]
    order = np.argsort(came, kind="stable")
    came, went = came[order], went[order]
    waiting = np.searchsorted(came, times, "left") - np.searchsorted(np.sort(went), times, "left")
    age, at = np.zeros(len(times)), 0
    heap: list[tuple[float, float]] = []
    for i, now in enumerate(times):
        while at < len(came) and came[at] < now:
            heapq.heappush(heap, (came[at], went[at]))
            at += 1
        while heap and heap[0][1] < now:
            heapq.heappop(heap)
        age[i] = now - heap[0][0] if heap else 0.0
    return waiting.astype(np.float64), age
