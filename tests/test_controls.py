"""Control variates: narrower intervals that still hold, and none where something is not known."""

import math

import numpy as np
import pytest

import backwater as bw
from backwater.controls import controls
from backwater.experiments.theory.formulas import mmck_loss
from backwater.simulation import in_threads, simulate

MM1 = bw.Scenario(arrivals=bw.Poisson(rate=0.8), workers=bw.Workers(count=1, service=bw.Exponential(mean=1)))
LOSS = MM1.with_({"queue.capacity": 5})
RUN = bw.Run(horizon=3000, warmup=150, replications=15)


@pytest.mark.parametrize(
    ("scenario", "metric", "truth", "narrower"),
    [
        (MM1, "latency_mean", 5.0, 1.2),
        (MM1, "utilization", 0.8, 3.0),
        (LOSS, "rejection_ratio", mmck_loss(1, 6, 0.8), 1.2),
    ],
    ids=["latency", "utilization", "loss"],
)
def test_intervals_are_narrower_and_hold(scenario, metric, truth, narrower):
    def once(seed: int, halt) -> tuple:
        result = simulate(scenario, RUN.model_copy(update={"seed": seed}), engine="compiled", parallel=1)
        return result.estimate(metric, controlled=True), result.estimate(metric)

    found = [pair for _, pair in in_threads(once, range(200), 2)]
    inside = sum(one.low <= truth <= one.high for one, _ in found)
    # 190 of 200 with a standard deviation of 3.1; 3.9 of them less is 178, as happens once in 10,000 times. A
    # regression on a skewed mean may hold a percent less often.
    assert inside >= 176
    widths = [np.mean([pair[at].high - pair[at].low for pair in found]) for at in (1, 0)]
    assert widths[0] / widths[1] > narrower


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({}, 2),
        ({"arrivals": bw.Periodic(interval="1 s")}, 1),
        ({"arrivals.batch": 2}, 1),
        ({"queue.discipline": "sjf"}, 1),
        ({"workers.failures": {"up": "100 s", "repair": "1 s"}}, 1),
        ({"client.attempt_timeout": "5 s", "client.on_timeout": "cancel"}, 1),
        ({"faults": [{"kind": "workers_slow", "start": 10, "duration": 5, "factor": 2}]}, 0),
        ({"jobs": {"a": {"share": 0.5}, "b": {"share": 0.5, "service": bw.Constant(value=0.5)}}}, 1),
    ],
)
def test_only_what_is_known_controls(changes, known):
    result = simulate(MM1.with_(changes), horizon=200, warmup=20, replications=4)
    assert controls(result.cells()).shape == (4, known)
    if known == 0:
        assert result.estimate("latency_mean", controlled=True) == result.estimate("latency_mean")
    assert not math.isnan(result.estimate("utilization", controlled=True).value)


def test_neither_classes_nor_windows_are_controlled():
    two = MM1.with_({"jobs": {"a": {"share": 0.5}, "b": {"share": 0.5}}})
    result = simulate(two, horizon=200, replications=5, windows={"late": (100, 200)})
    for name in ("latency_mean[a]", "latency_mean[all, late]"):
        assert result.estimate(name, controlled=True) == result.estimate(name)
