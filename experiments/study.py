"""A whole study: the sweep, the sampled runs around its knee, the figures, all in one folder."""

from __future__ import annotations

import os
from typing import Any

from backwater.experiments.curves import around, middle, value
from backwater.experiments.experiment import Experiment
from backwater.experiments.store import Store
from backwater.experiments.sweep import Sweep, run_experiment
from backwater.simulation import simulate

SAMPLES = 600


def study(
    experiment: Experiment, folder: str | os.PathLike[str], **options: Any
) -> Sweep:  # fmt: skip
    """Run an experiment into ``folder``, with three sampled runs around the knee of its middle curve.

    Options are those of ``run_experiment``.
    """
    done = run_experiment(experiment, folder, **options)
    store = Store(folder)
    for number, series in enumerate(sampled(done)):
        store.keep(f"series/{number}", series)
    return done


def sampled(sweep: Sweep) -> list[dict[str, Any]]:
    """One sampled replication below, at and above the knee of the middle curve."""
    curve = middle(sweep)
    axis, out = sweep.axes[curve.along], []
    experiment = sweep.experiment
    assert isinstance(experiment, Experiment)
    points = {point.place: point for point in experiment.points()}
    run = experiment.run.model_copy(
        update={"replications": 1, "sample": float(sweep.ends.flat[0]) / SAMPLES, "windows": {}}
    )
    for index in around(curve):
        place = (*curve.place[: curve.along], index, *curve.place[curve.along + 1 :])
        scenario = points[place].scenario
        found = simulate(scenario, run).outcomes[0].series
        where = "below" if index < curve.knee else "at" if index == curve.knee else "above"
        memory = scenario.queue.memory
        out.append({
            "label": f"{where} the knee: {axis.name} {value(axis, index)}", "held": curve.label,
            "limit": None if memory is None else memory.limit,
            **{name: found[name].tolist() for name in ("time", "waiting", "busy", "backoff", "memory", "disk")},
        })  # fmt: skip
    return out
