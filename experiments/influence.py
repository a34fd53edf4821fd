"""Which of a sweep's axes matter: how much of a metric's variance over the sweep's own points each of them makes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from backwater.experiments.design import Design
from backwater.experiments.experiment import Experiment
from backwater.experiments.indices import Array, Indices, crossed, noise, regressed
from backwater.experiments.sweep import Sweep
from backwater.metrics import named

USUAL = ("rejection_ratio", "failure_ratio", "latency_p99")
MOST = 4  # metrics that are told of
LEAST, TAKEN = 64, 2048  # points of a design: fewer tell nothing, more would tell no more


class Influence(NamedTuple):
    """What the axes of a sweep do to a metric.

    factors  the axes, or the fields of a design, the one that matters most first
    found    the indices of each, with 95 % intervals for the noise (and, of a design, for its points)
    noise    share of the variance that is noise of the runs
    missing  points at which there was nothing to measure; then nothing is found
    """

    metric: str
    factors: tuple[str, ...]
    found: tuple[Indices, ...]
    noise: float
    missing: int


def influences(sweep: Sweep) -> list[Influence]:
    """What the axes, and the cases, do to the metrics that vary; nothing where there are no two of them to compare.

    Of a grid all places count the same. Of a Latin hypercube or a Sobol' net each field counts over its range, and the
    metrics are means over the other axes and the cases. Points of one's own need not be independent: nothing is said.
    """
    design = sweep.experiment.design
    factors = [axis.name for axis in sweep.axes if len(axis.values) > 1]
    factors += ["case"] if len(sweep.experiment.cases) > 1 else []
    if design is not None:
        factors = list(sweep.axes[0].along)
    filled = design is None or (design.kind != "points" and len(sweep.axes[0].values) >= LEAST)
    if len(factors) < 2 or sweep.experiment.replications < 2 or not filled:
        return []
    found = [_influence(sweep, name, factors) for name in _metrics(sweep)]
    return [one for one in found if one is not None][:MOST]


def _metrics(sweep: Sweep) -> list[str]:
    """The usual ones, failures first, then those that are asked about; of somebody's own model, all."""
    if not isinstance(sweep.experiment, Experiment):
        return sweep.metrics
    asked = [named(name)[0] for name in sweep.experiment.require]
    return [name for name in dict.fromkeys([*USUAL, *asked]) if name in sweep.metrics]


def _influence(sweep: Sweep, name: str, factors: list[str]) -> Influence | None:
    """Of one metric, over all jobs and the whole run; None where it is the same everywhere, or its noise unknown."""
    place = sweep.classes.index("all"), sweep.windows.index("all"), sweep.metrics.index(name)
    numbers = sweep.numbers[(..., *place, slice(None))]
    values, each = numbers[..., 0], np.moveaxis(numbers[..., 3:], -1, 0)
    missing = int(np.isnan(values).sum())
    if missing:
        return Influence(name, (), (), np.nan, missing)
    if np.ptp(values) == 0:
        return None
    each = each[np.isfinite(each).reshape(len(each), -1).all(axis=1)]  # those that every point has
    if len(each) < 2:
        return None
    errors = each - each.mean(axis=0)
    design = sweep.experiment.design
    if design is None:  # axes that have one place say nothing
        made = crossed(values.squeeze(), errors.reshape(len(errors), *values.squeeze().shape), 0.95)
    else:
        made = _sampled(sweep, design, values, errors)
    order = sorted(range(len(factors)), key=lambda at: -made[at].first.value)
    flat = errors.reshape(len(errors), -1)
    return Influence(name, tuple(factors[at] for at in order), tuple(made[at] for at in order),
                     noise(values.ravel(), flat), 0)  # fmt: skip


def _sampled(sweep: Sweep, design: Design, values: Array, errors: Array) -> list[Indices]:
    n = min(len(values), TAKEN)
    columns = [np.unique(given, return_inverse=True)[1][:n] for _, given in sweep.axes[0].along.values()]
    rest = tuple(range(1, values.ndim))
    means, apart = values.mean(axis=rest)[:n], errors.mean(axis=tuple(at + 1 for at in rest))[:, :n]
    return regressed(np.array(columns, dtype=np.float64).T, means, apart, 0.95, design.seed % 2**32)
