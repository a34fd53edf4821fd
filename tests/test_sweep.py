"""Sweeps: axes, cases, the same dataset however it was run, nothing lost when it is killed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import xarray as xr

import backwater as bw
from backwater.experiments.curves import around, curves, middle
from backwater.experiments.experiment import experiment_from, load_experiment, read_axis
from backwater.experiments.report import document, write_report
from backwater.experiments.store import Store
from backwater.experiments.study import study
from backwater.experiments.sweep import load_sweep, run_experiment

SMALL = bw.Scenario(
    arrivals=bw.Poisson(rate="20/s"),
    client=bw.Client(retry=bw.Retry(base="100 ms", max_attempts=3)),
    queue=bw.Queue(capacity=10, memory=bw.Memory(limit="1 kB", read="10 ms")),
    jobs={"job": bw.Job(size="100 B")},
    workers=bw.Workers(count=2, service=bw.Exponential(mean="100 ms")),
    notes={"workers.service": "measured"},
)
RUN = bw.Run(horizon="20 s", replications=3, seed=5, windows={"late": "10 s..15 s"})
OVER = {"queue.capacity": [1, 4, 16], "load": [0.8, 1.2]}

EXPERIMENT = """
question = "How long?"
scenario = "scenario.toml"
[run]
horizon = "30 s"
replications = 2
[sweep]
"queue.capacity" = { from = 1, to = 64, points = 12, spacing = "log" }
"workers.count" = [1, 2]
[cases]
normal = {}
slow = { workers.service.mean = "150 ms" }
[observed]
"latency_p99" = "1.8 s"
"""


@pytest.fixture
def files(tmp_path) -> Path:
    bw.dump(SMALL, tmp_path / "scenario.toml")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "backwater.experiments.cli", *words]


def test_one_core_and_two_give_the_same_dataset():
    alone, both = (bw.sweep(SMALL, OVER, run=RUN, parallel=n) for n in (1, 2))
    xr.testing.assert_identical(alone.data, both.data)
    xr.testing.assert_identical(alone.estimates, both.estimates)


def test_a_sweep_holds_what_simulating_its_points_gives():
    done = bw.sweep(SMALL, OVER, run=RUN, parallel=1)
    result = bw.simulate(SMALL.with_({"queue.capacity": 4, "load": 1.2}), RUN)
    cell = done.data["latency_p99"].sel({"queue.capacity": 4, "load": 1.2, "window": "late", "class": "all"})
    rows = result.replications
    rows = rows[(rows["metric"] == "latency_p99") & (rows["window"] == "late")]
    assert cell.squeeze().values.tolist() == rows["value"].tolist()
    assert done.data["latency_p99"].attrs["units"] == "s"
    assert done.data["latency_p99"].dims == ("queue.capacity", "load", "case", "class", "window", "replication")


def test_points_of_a_sweep_see_the_same_jobs():
    done = bw.sweep(SMALL, {"queue.capacity": [1, 1000]}, run=RUN, parallel=1)
    rates = done.data["arrival_rate"].sel(window="all").squeeze()
    assert (rates[0] == rates[1]).all()


def test_a_sweep_killed_in_the_middle_resumes_to_the_same_dataset(files):
    out, whole = files / "killed", files / "whole"
    words = command("sweep", str(files / "experiment.toml"), "--parallel", "2", "--out")
    process = subprocess.Popen(
        [*words, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    for _ in range(2400):  # kernels may have to be compiled first
        if Store(out).count() >= 5:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = set(Store(out).points())
    assert 5 <= len(kept) < 44
    resumed = subprocess.run([*words, str(out), "--resume"], check=True, capture_output=True)
    subprocess.run([*words, str(whole)], check=True, capture_output=True)
    assert kept < set(Store(out).points()), resumed.stderr
    xr.testing.assert_identical(load_sweep(out).data, load_sweep(whole).data)


def test_a_folder_that_holds_points_is_taken_up_only_when_told_to(tmp_path):
    bw.sweep(SMALL, OVER, run=RUN, store=tmp_path, parallel=1)
    with pytest.raises(bw.ScenarioError, match="holds 6 finished points"):
        bw.sweep(SMALL, OVER, run=RUN, store=tmp_path, parallel=1)
    told = []
    bw.sweep(SMALL, OVER, run=RUN, store=tmp_path, resume=True, parallel=1, progress=lambda done, of: told.append(done))
    assert told == [6]


def test_a_broken_point_is_one_clear_line(tmp_path):
    bw.sweep(SMALL, OVER, run=RUN, store=tmp_path, parallel=1)
    name = Store(tmp_path).points()[0]
    with sqlite3.connect(tmp_path / "points.sqlite") as base:
        base.execute("UPDATE points SET content = substr(content, 1, 99) WHERE name = ?", (name,))
    base.close()
    with pytest.raises(bw.ScenarioError, match="it is not whole"):
        load_sweep(tmp_path)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"from": 1, "to": 100, "points": 3, "spacing": "log"}, (1, 10, 100)),
        ({"from": 1, "to": 4, "points": 10}, (1, 2, 3, 4)),  # whole numbers only, each once
        ([1, 5], (1, 5)),
    ],
)
def test_an_axis_of_whole_numbers(given, values):
    assert read_axis("queue.capacity", given, SMALL).values == values


def test_an_axis_of_times_and_one_of_paths_that_move_together():
    times = read_axis("workers.service.mean", {"from": "100 ms", "to": "0.3 s", "points": 3}, SMALL)
    assert times.values == pytest.approx((0.1, 0.2, 0.3))
    assert times.unit == "s"
    fleet = read_axis("fleet", [{"workers.count": 2}, {"workers": {"count": 3}, "queue.capacity": 5}], SMALL)
    assert fleet.changes == ({"workers.count": 2}, {"workers.count": 3, "queue.capacity": 5})


@pytest.mark.parametrize(
    ("sweep", "line"),
    [
        ({"queue.capacty": [1]}, 'did you mean "capacity"'),
        ({"latency_p99": [1]}, "must not have the name of a metric"),
        ({"queue.capacity": {"from": 5, "to": 1, "points": 3}}, "must be above from = 5"),
        ({"queue.capacity": {"from": 0, "to": 9, "points": 3, "spacing": "log"}}, "must be above 0 for log"),
        ({"queue.capacity": {"from": 1, "to": 9}}, "points must be given"),
        ({"queue.capacity": [1, 1]}, "must not hold a value twice"),
        ({"queue.capacity": [1, -1]}, "got -1"),
        ({"load": [0.5, float("nan")]}, "must be a number above 0"),
        ({}, "must have at least one axis"),
        ({"workers.service.mean": ["10 ms", "5 MB"]}, "workers.service"),
    ],
)
def test_a_wrong_axis_is_refused_before_any_work(sweep, line):
    experiment = experiment_from({"scenario": SMALL.plain(), "run": {"horizon": "1 s"}, "sweep": sweep})
    with pytest.raises(bw.ScenarioError, match=line):
        run_experiment(experiment)


def test_cases_change_every_point_and_observed_names_are_checked(files):
    experiment = load_experiment(str(files / "experiment.toml"))
    means = {point.label["case"]: point.scenario.workers.service.mean for point in experiment.points()}
    assert means == {"normal": 0.1, "slow": 0.15}
    with pytest.raises(bw.ScenarioError, match='did you mean "latency_p99"'):
        experiment.model_copy(update={"observed": {"latency_p9": 1}}).check()


@pytest.mark.parametrize("name", ["threshold", "space", "llm_trace"])
def test_the_shipped_experiments_are_valid(name, trace_file):
    experiment = load_experiment(name)
    experiment.check()
    assert experiment.question.endswith("?")


def test_the_knee_is_the_nearest_to_the_corner(files):
    done = study(load_experiment(str(files / "experiment.toml")), files / "out", parallel=1)
    assert len(curves(done)) == 4
    curve = middle(done)
    assert 0 <= curve.knee < 12
    assert curve.knee in around(curve)


def test_the_report_stands_alone_and_says_the_failures_first(files):
    done = study(
        load_experiment(str(files / "experiment.toml")), files / "out", parallel=1, command="backwater sweep x"
    )
    page = write_report(files / "out").read_text("utf-8")
    told = {section.title: section.parts for section in document(done, [], {}).sections}
    first = told["Answer"][0].words.split(";")[0]
    assert "of attempts got a 503 and" in first
    assert "of jobs failed" in first
    assert first in page
    origins = told["Assumptions"][0].rows
    assert ("workers.service.mean", "0.1 s", "noted: measured") in origins
    assert {origin.split(":")[0] for _, _, origin in origins} == {"swept", "noted", "set", "default"}
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("data:image/png;base64,") == 5
    assert len(told["All points"][0].rows) == 44
    assert "backwater sweep x" in page


def test_the_recorded_trace_sweeps_over_capacity_and_workers(trace_file, tmp_path):
    experiment = load_experiment("llm_trace")
    small = experiment.model_copy(update={
        "run": experiment.run.model_copy(update={"replications": 1}),
        "sweep": {"queue.capacity": [4, 64], "workers.count": [4, 8]},
    })  # fmt: skip
    done = run_experiment(small, tmp_path, parallel=2)
    refused = done.data["rejection_ratio"].sel(window="all").squeeze()
    assert (refused[0] > refused[1]).all()  # more room
    assert (refused[:, 0] > refused[:, 1]).all()  # more workers
    # All 8,819 recorded requests came within the hour (the last one after 3,436 s).
    assert (done.data["arrival_rate"].sel(window="all") * 3600).round().squeeze().values.ravel().tolist() == [8819] * 4


def test_results_are_plain_json(tmp_path):
    bw.sweep(SMALL, {"queue.capacity": [2]}, run=RUN, store=tmp_path)
    assert json.loads((tmp_path / "experiment.json").read_text())["run"]["seed"] == 5
    assert json.loads((tmp_path / "manifest.json").read_text())["versions"]["simpy"]
