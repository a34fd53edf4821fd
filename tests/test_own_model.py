"""Somebody's own model in a sweep: seeds, intervals, store, figures, and refusals that name the point."""

import math

import numpy as np
import pytest
import simpy
import xarray as xr

import backwater as bw
from backwater.experiments.figures import draw_all
from backwater.experiments.report import write_report
from backwater.experiments.store import Store
from backwater.experiments.sweep import load_sweep
from backwater.statistics import mean

CALLS = []


def walk(seed, replication, x, step=1.0):
    """A number that depends on chance and on the point, and one that is missing every other time."""
    CALLS.append((seed, replication, x, step))
    chance = np.random.default_rng([seed, replication]).random()
    return {"length": x + step * chance, "seldom": math.nan if replication % 2 else chance}


def line(seed, replication, servers, rate=0.8):
    """An M/M/c queue in SimPy: the mean wait of 200 customers."""
    chance, env, waits = np.random.default_rng([seed, replication]), simpy.Environment(), []
    desk = simpy.Resource(env, servers)

    def customer(service):
        came = env.now
        with desk.request() as turn:
            yield turn
            waits.append(env.now - came)
            yield env.timeout(service)

    def source():
        for gap, service in chance.exponential([1 / rate, 1.0], (200, 2)):
            yield env.timeout(gap)
            env.process(customer(service))

    env.process(source())
    env.run()
    return {"wait_mean": float(np.mean(waits)), "served": len(waits)}


def test_each_call_is_told_the_seed_the_replication_and_the_point():
    CALLS.clear()
    done = bw.sweep(walk, {"x": [1, 2]}, set={"step": 3.0}, replications=2, seed=9)
    assert CALLS == [(9, 0, 1, 3.0), (9, 1, 1, 3.0), (9, 0, 2, 3.0), (9, 1, 2, 3.0)]
    lengths = done.data["length"].squeeze()
    assert lengths.dims == ("x", "replication")
    assert np.allclose(lengths[1] - lengths[0], 1.0)  # common random numbers


def test_estimates_are_means_with_t_intervals_and_missing_values_do_not_count():
    done = bw.sweep(walk, {"x": [1.0]}, replications=8)
    for name in ("length", "seldom"):
        told = done.estimates[name].squeeze().values
        assert told.tolist() == list(mean(done.data[name].squeeze().values)[:3])
    assert np.isnan(done.data["seldom"].squeeze().values).sum() == 4


def test_a_simpy_model_is_kept_resumed_and_reported(tmp_path):
    cases = {"calm": {}, "busy": {"rate": 1.6}}
    done = bw.sweep(line, {"servers": [1, 2, 3]}, cases=cases, replications=4, store=tmp_path)
    told = []
    again = bw.sweep(line, {"servers": [1, 2, 3]}, cases=cases, replications=4, store=tmp_path, resume=True,
                     progress=lambda done, of: told.append(done))  # fmt: skip
    assert told == [6]
    xr.testing.assert_identical(done.data, again.data)
    xr.testing.assert_identical(done.data, load_sweep(tmp_path).data)
    page = write_report(tmp_path).read_text("utf-8")
    assert "wait_mean goes from" in page
    assert page.count("data:image/png;base64,") == 2
    waits = done.estimates["wait_mean"].sel(bound="estimate", case="busy").squeeze().values
    assert waits[0] > waits[1] > waits[2]


def test_a_design_of_a_function_is_drawn_field_by_field():
    over = {"x": {"from": 1, "to": 100, "spacing": "log"}, "step": {"from": 0.0, "to": 2.0}}
    done = bw.sweep(walk, bw.Design(kind="sobol", points=8, over=over), replications=2)
    assert done.data["length"].dims[0] == "point"
    (_, _, figure), = draw_all(done, [], {})  # fmt: skip
    assert len(figure.axes) == 2 * 2


def test_another_seed_or_number_of_replications_is_another_point(tmp_path):
    for number, options in enumerate(({}, {"seed": 2}, {"replications": 3})):
        bw.sweep(walk, {"x": [1]}, store=tmp_path / str(number), pool=tmp_path / "pool", **options)
    assert Store(tmp_path / "pool").count() == 3


def broken(seed, replication, x):
    """Goes wrong in as many ways as there are values of x."""
    return [{"a": 1 / (x - 1)}, {"a": math.inf}, {"a": "1"}, [1], {"b": 1} if replication else {"a": 1}, {"a": 1}][
        x - 1
    ]


@pytest.mark.parametrize(
    ("x", "line"),
    [
        (1, r"broken failed with ZeroDivisionError: .* \(replication 0\) \(at x = 1.0, case = as is\)"),
        (2, "must give a finite number as a, or NaN where there is none"),
        (3, "must give a finite number as a"),
        (4, r"must give a table metric -> value \(got \[1\]"),
        (5, r"must give the metrics a each time \(got \['b'\], replication 1\)"),
    ],
)
def test_what_a_function_gives_is_checked_and_the_point_named(x, line):
    def shifted(seed, replication, x):
        if x == 1:
            return {"a": 1 / (x - 1)}
        return broken(seed, replication, x)

    shifted.__name__ = "broken"
    with pytest.raises(bw.RuleError, match=line):
        bw.sweep(shifted, {"x": [x]}, replications=2)


def other(seed, replication, x):
    """Gives another metric from x = 2 on."""
    return {"a": 1.0} if x < 2 else {"b": 1.0}


@pytest.mark.parametrize(
    ("what", "over", "options", "line"),
    [
        (walk, {"xx": [1]}, {}, "must set what .*walk takes"),
        (walk, {}, {}, "must name at least one axis"),
        (walk, {"x": [1]}, {"run": bw.Run(horizon=1)}, "give replications and seed"),
        (walk, {"x": [1]}, {"replications": 0}, "times"),
        (lambda seed, replication, x: {"a": x}, {"x": [1]}, {"store": "folder"}, "must be a function at the top"),
    ],
)
def test_wrong_input_is_refused_before_any_work(what, over, options, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bw.ScenarioError, match=line):
        bw.sweep(what, over, **options)
    assert not list(tmp_path.iterdir())


def test_metrics_must_be_the_same_at_every_point():
    with pytest.raises(bw.RuleError, match=r"must give the metrics a at every point \(got b at x = 2"):
        bw.sweep(other, {"x": [1, 2]}, replications=1)
