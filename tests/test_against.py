"""Theory in figures, in the report and on the command line: beside the numbers, and loud where they disagree."""

import json
from dataclasses import replace

import numpy as np
import pytest
from test_cli import run

import backwater as bw
from backwater.experiments.against import against, theories
from backwater.experiments.experiment import Experiment
from backwater.experiments.figures import space, threshold, trade
from backwater.experiments.report import write_report
from backwater.experiments.report_theory import beside
from backwater.experiments.study import study
from backwater.experiments.sweep import run_experiment

POOL = bw.Scenario(
    name="Two workers",
    arrivals=bw.Poisson(rate="9/s"),
    queue=bw.Queue(capacity=4),
    workers=bw.Workers(count=2, service=bw.Exponential(mean="200 ms")),
)
LONG = bw.Run(horizon="900 s", warmup="80 s", replications=10, seed=5)
WIDE = Experiment(scenario=POOL, run=LONG, sweep={"queue.capacity": [0, 2, 8], "load": [0.7, 1.2]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished study of a pool that theory knows all about."""
    out = tmp_path_factory.mktemp("pool")
    study(WIDE, out, parallel=1)
    return out


@pytest.fixture(scope="module")
def swept():
    """The same as a sweep."""
    return run_experiment(WIDE, parallel=1)


def test_exact_theory_lies_in_the_intervals_of_right_runs_and_the_page_is_calm(folder, swept):
    found = against(swept, theories(swept))
    assert len(found.compared) == 40  # all but what hardly ever happens, or always
    assert not found.missed
    assert not found.left
    page = write_report(folder).read_text("utf-8")
    assert 'class="alarm"' not in page
    assert "M/M/2/10" in page
    assert "Erlang 1917" in page
    assert "have no exact answer" not in page


def test_points_of_a_design_have_theory_at_each_of_them_and_no_line_between():
    spread = bw.Design(kind="sobol", points=8, over={"queue.capacity": {"from": 1, "to": 9},
                                                     "load": {"from": 0.5, "to": 1.2}})  # fmt: skip
    done = bw.sweep(POOL, spread, run=bw.Run(horizon=60, replications=2))
    known = theories(done)
    exact = [known[place, 0].of("rejection_ratio").value for place in range(8)]
    for axis in space(done, known).axes[:2]:
        (drawn,) = (line for line in axis.lines if line.get_zorder() == 3)
        assert drawn.get_ydata() == pytest.approx(exact)
        assert (drawn.get_linestyle(), drawn.get_marker()) == ("None", "+")


def test_a_room_one_too_large_is_said_loudly_before_the_answer(folder, swept, monkeypatch):
    other = WIDE.model_copy(update={"sweep": {"queue.capacity": [1, 3, 9], "load": [0.7, 1.2]}})
    wrong = theories(run_like(swept, other))
    found = against(swept, wrong)
    assert {"rejection_ratio", "wait_mean"} <= {each.metric for each in found.missed}
    compared = next(beside(found, wrong))
    assert compared.rows[0][-1] == "outside"  # what disagrees comes first
    assert compared.marked == tuple(range(len(found.missed)))
    monkeypatch.setattr("backwater.experiments.report.theories", lambda sweep: wrong)
    page = write_report(folder).read_text("utf-8")
    assert page.index('class="alarm"') < page.index("<h2>Answer</h2>")
    assert f"lies outside the interval in {len(found.missed)} of {len(found.compared)} comparisons" in page


def run_like(swept, experiment):
    """A sweep with another experiment's points and the same cells."""
    return replace(swept, experiment=experiment, axes=tuple(experiment.axes()))


@pytest.mark.parametrize(("changes", "why"), [
    ({"warmup": 0.0}, "have no warm-up, and start empty"),
    ({"replications": 1}, "have one replication, so no interval"),
    ({"horizon": 60.0, "warmup": 30.0}, "are too short, or their warm-up is, for the steady state"),
])  # fmt: skip
def test_runs_that_show_no_steady_state_are_not_held_against_theory(changes, why):
    short = WIDE.model_copy(update={"run": LONG.model_copy(update=changes), "sweep": {"queue.capacity": [8]}})
    done = run_experiment(short, parallel=1)
    found = against(done, theories(done))
    assert not found.compared
    assert found.left == {why: 1}


def test_what_hardly_ever_happens_is_not_compared():
    calm = WIDE.model_copy(update={"sweep": {"queue.capacity": [20], "load": [0.4]}})
    done = run_experiment(calm, parallel=1)
    compared = {each.metric for each in against(done, theories(done)).compared}
    assert "wait_mean" in compared
    assert "rejection_ratio" not in compared


def test_figures_hold_exact_theory_at_every_point(swept):
    known = theories(swept)
    for figure, y in ((threshold(swept, known), "rejection_ratio"), (trade(swept, known), "latency_p99")):
        axis = figure.axes[0]
        dashed = [line for line in axis.lines if line.get_color() == "#1a1a1a" and len(line.get_xdata())]
        assert len(dashed) == 2  # a curve for each load
        drawn = np.concatenate([line.get_ydata() for line in dashed])
        exact = [found.of(y).value for found in known.values()]
        assert sorted(drawn) == pytest.approx(sorted(exact))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "load 0.7", "load 1.2", "exact theory",
    ]  # fmt: skip


def test_a_page_says_what_stands_in_the_way_and_what_is_about_right(tmp_path):
    rough = POOL.with_({"workers.service": {"kind": "lognormal", "mean": "200 ms", "cv": 2.0},
                        "client.retry": {"base": "2 s", "max_attempts": 2}})  # fmt: skip
    study(Experiment(scenario=rough, run=LONG, sweep={"queue.capacity": [1, 4]}), tmp_path, parallel=1)
    page = write_report(tmp_path).read_text("utf-8")
    assert "2 of the points have no exact answer." in page
    assert "workers.service: lognormal services remember how long they took" in page
    assert "Theory of a simplification: exponential services of the same mean; exponential pauses." in page


class TestCommand:
    """``backwater theory``."""

    def test_it_tells_values_sources_and_validity(self, tmp_path, capsys):
        bw.dump(POOL, tmp_path / "pool.toml")
        status, told, _ = run(capsys, "theory", str(tmp_path / "pool.toml"), "--set", "queue.capacity=0")
        assert status == 0
        assert "Two workers: it has an exact answer." in told
        assert "36.7 %" in told  # Erlang's loss of 1.8 erlangs at two workers: 1.62 / (1 + 1.8 + 1.62)
        assert "M/M/2/2" in told
        assert "Erlang 1917" in told
        assert "steady state: after a warm-up" in told

    def test_json_is_one_object(self, capsys):
        status, told, _ = run(capsys, "theory", "thumbnails", "--json")
        assert status == 0
        said = json.loads(told)
        assert said.keys() == {"scenario", "answers", "obstacles"}
        assert {each["kind"] for each in said["answers"]} == {"approximate"}
        assert "queue.memory" in [each["path"] for each in said["obstacles"]]

    def test_wrong_input_is_one_line(self, capsys):
        status, _, error = run(capsys, "theory", "thumbnials")
        assert status == 2
        assert error.count("\n") == 1
        assert "thumbnails" in error
