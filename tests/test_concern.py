"""What a table leaves out says nothing."""

import math

import pytest
from test_agreement import shown
from test_cli import run as cli

import backwater as bw
from backwater.experiments.concern import PARTS, concerns
from backwater.metrics import METRICS

RUN = bw.Run(horizon="30 s", warmup="3 s", replications=1)


def test_every_part_is_about_some_metric():
    assert all(any(name.startswith(start) for name in METRICS) for start in PARTS)


@pytest.mark.parametrize("name", sorted(shown())[::7])
def test_metrics_of_parts_that_are_missing_are_constants(name):
    scenario = shown()[name]
    result = bw.simulate(scenario, RUN)
    left = {metric: result[metric] for metric in METRICS if not concerns(metric, scenario)}
    constants = {"batch_mean": 1, "workers_mean": scenario.workers.most, "workers_max": scenario.workers.most}
    assert len(left) > 2
    for metric, value in left.items():
        assert math.isnan(value) or value == pytest.approx(constants.get(metric, 0), rel=1e-9), metric


def test_a_run_tells_what_it_leaves_out(capsys):
    short = ("--horizon", "20 s", "--replications", "2", "--warmup", "0 s")
    status, some, _ = cli(capsys, "run", "thumbnails", *short)
    assert status == 0
    assert "spill_ratio" in some
    assert "prefetched_mean" not in some
    _, whole, _ = cli(capsys, "run", "thumbnails", *short, "--all")
    assert "prefetched_mean" in whole
    left = len(whole.splitlines()) - len(some.splitlines()) + 1
    assert f"{left} metrics of parts that it does not have: --all" in some
    assert "--all" not in whole
