"""How long a system takes to forget that it began empty: MSER-5 over the number in the system and in backoff."""

from __future__ import annotations

import numpy as np

from backwater.errors import check
from backwater.run import Run
from backwater.scenario import Scenario
from backwater.simulation import simulate
from backwater.statistics import mser5

SAMPLES = 1000  # of a pilot run
PILOTS = 10  # replications that are averaged before the cut is sought (Welch)


def warmup(scenario: Scenario, run: Run, parallel: int | None = None) -> float:
    """The warm-up that a run needs [s], from pilots of the same length.

    ScenarioError where no horizon is given, or where half of the run is not enough: then it is too short, or the system
    has no steady state.
    """
    check(run.horizon is not None, "run.horizon", None, "must be given for a warm-up to be found")
    pilot = Run(horizon=run.horizon, arrivals=run.arrivals, replications=PILOTS, seed=run.seed,
                sample=run.end / SAMPLES)  # fmt: skip
    result = simulate(scenario, pilot, parallel=parallel)
    n = min(len(done.series["time"]) for done in result.outcomes)
    cuts = []
    for gauges in (("waiting", "busy"), ("backoff",)):
        together = [np.sum([done.series[gauge][:n] for gauge in gauges], axis=0) for done in result.outcomes]
        cuts.append(mser5(np.mean(together, axis=0)))
    cut = max(cuts)
    check(cut < n // 2 - 5, "run.horizon", run.horizon,
          "must be longer: after half of it the system still has not settled (or it never does)")  # fmt: skip
    return cut * run.end / SAMPLES
