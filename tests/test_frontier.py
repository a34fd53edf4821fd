"""The frontier of a sweep: hand-made grids whose answer is known, the definition by brute force, noise, cost, cases."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import run

import backwater as bw
from backwater.errors import ScenarioError
from backwater.experiments.experiment import Experiment
from backwater.experiments.frontier import frontier
from backwater.experiments.frontier_figures import drawn
from backwater.experiments.sweep import Sweep, load_sweep
from backwater.experiments.trials import Prices

SCENARIO = bw.Scenario(arrivals=bw.Poisson(rate=8), queue=bw.Queue(capacity=5),
                       workers=bw.Workers(count=10, service=bw.Exponential(mean=1)))  # fmt: skip
PLAIN = {"rejection_ratio": 0.0, "failure_ratio": 0.0, "latency_p99": 1.0, "spill_ratio": 0.0, "workers_mean": 10.0,
         "arrival_rate": 8.0, "goodput": 8.0}  # fmt: skip
PAIR = ("rejection_ratio", "latency_p99")


def grid(*, cases: tuple[str, ...] = ("as is",), replications: int = 4, **metrics) -> Sweep:
    """A sweep over capacities with these values: metric -> array of (settings[, cases[, replications]])."""
    arrays = {name: np.asarray(values, float) for name, values in metrics.items()}
    n = len(next(iter(arrays.values())))
    shape = (n, len(cases), replications)
    for name, plain in PLAIN.items():
        given = arrays.get(name, np.full(n, plain))
        arrays[name] = np.broadcast_to(given.reshape(given.shape + (1,) * (3 - given.ndim)), shape)
    experiment = Experiment(
        scenario=SCENARIO, run=bw.Run(horizon=10, replications=replications), cases={case: {} for case in cases},
        sweep={"queue.capacity": list(range(1, n + 1))},
    )  # fmt: skip
    each = np.stack(list(arrays.values()), axis=-2)[:, :, None, None]  # (settings, cases, class, window, metric, ...)
    numbers = np.concatenate([np.repeat(each.mean(axis=-1, keepdims=True), 3, axis=-1), each], axis=-1)
    ends = np.full(shape[:2], 10.0)
    return Sweep(experiment, tuple(experiment.axes()), list(arrays), ["all"], ["all"], numbers, ends, 80, {})


def standing(sweep: Sweep, *asked, **more) -> list[str]:
    return [row.status for row in frontier(sweep, *asked, **more).rows]


def test_settings_that_another_one_beats_are_dropped_and_say_by_which():
    found = frontier(grid(rejection_ratio=[0.3, 0.2, 0.2, 0.1, 0.4], latency_p99=[1.0, 2.0, 3.0, 4.0, 1.0]))
    assert found.objectives == PAIR
    assert [row.status for row in found.rows] == ["frontier", "frontier", "beaten", "frontier", "beaten"]
    assert [row.by for row in found.rows] == [None, None, (1,), None, (0,)]
    assert [row.name for row in found.kept] == ["queue.capacity = 4", "queue.capacity = 2", "queue.capacity = 1"]


def test_equals_are_both_kept_and_a_third_objective_keeps_what_two_would_drop():
    assert standing(grid(rejection_ratio=[0.1, 0.1], latency_p99=[1.0, 1.0])) == ["frontier"] * 2
    spill = grid(rejection_ratio=[0.1, 0.2], latency_p99=[1.0, 2.0], spill_ratio=[0.5, 0.0])
    assert frontier(spill).objectives == (*PAIR, "spill_ratio")
    assert standing(spill) == ["frontier", "frontier"]
    assert standing(spill, PAIR) == ["frontier", "beaten"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9).flatmap(lambda n: st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n), min_size=3,
                                                    max_size=3)))  # fmt: skip
def test_without_noise_the_frontier_is_what_its_definition_says(values):
    names = ("rejection_ratio", "latency_p99", "goodput")
    refused, latency, goodput = (np.array(one) for one in values)
    sweep = grid(rejection_ratio=refused / 8, latency_p99=latency, goodput=goodput)
    table = np.array([refused, latency, -goodput]).T
    beaten = [bool(((table <= mine).all(axis=1) & (table < mine).any(axis=1)).any()) for mine in table]
    assert standing(sweep, names) == ["beaten" if one else "frontier" for one in beaten]
    for row in frontier(sweep, names).rows:
        if row.by is not None:
            assert (table[row.by[0]] <= table[row.place[0]]).all()


def test_what_noise_may_explain_is_not_dropped_and_pairs_tell_what_alone_would_not():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 0.05, 8)
    near = 0.3 + rng.normal(0, 0.01, (2, 1, 8))
    near += (np.array([0.3, 0.3001]) - near.mean(axis=2)[:, 0])[:, None, None]
    assert standing(grid(rejection_ratio=near, replications=8)) == ["frontier", "perhaps"]
    together = np.stack([0.3 + shared, 0.31 + shared + rng.normal(0, 1e-4, 8)])[:, None]
    assert standing(grid(rejection_ratio=together, replications=8)) == ["frontier", "beaten"]


def test_one_of_many_equals_is_dropped_by_chance_in_one_grid_of_twenty_at_most():
    rng, dropped = np.random.default_rng(5), 0
    for _ in range(300):
        values = 0.3 + rng.normal(0, 0.01, (6, 1, 6))
        dropped += standing(grid(rejection_ratio=values, replications=6), ("rejection_ratio",))[0] == "beaten"
    assert dropped <= 30  # 15 expected at most, standard deviation 3.8; 3.9 of them above


def test_what_cannot_be_measured_is_beaten_and_one_replication_is_never_sure():
    assert standing(grid(latency_p99=[np.nan, 1.0], rejection_ratio=[1.0, 0.2])) == ["beaten", "frontier"]
    assert standing(grid(latency_p99=[np.nan, np.nan], rejection_ratio=[0.5, 0.5])) == ["frontier"] * 2
    assert standing(grid(latency_p99=[2.0, 1.0], replications=1), ("latency_p99",)) == ["perhaps", "frontier"]


def test_cost_is_workers_and_lost_jobs_an_hour():
    sweep = grid(rejection_ratio=[0.2, 0.1, 0.1], failure_ratio=[0.2, 0.1, 0.1], workers_mean=[5.0, 10.0, 20.0])
    found = frontier(sweep, prices=Prices(worker_hour=2.0, lost_job=0.001))
    assert found.objectives == (*PAIR, "cost")
    assert [row.found["cost"].value for row in found.rows] == pytest.approx(
        [2 * w + 0.001 * 3600 * 8 * f for w, f in [(5, 0.2), (10, 0.1), (20, 0.1)]]
    )
    assert [row.status for row in found.rows] == ["frontier", "frontier", "beaten"]
    assert frontier(sweep).objectives == (*PAIR, "workers_mean")
    assert frontier(grid(latency_p99=[1.0, 2.0])).objectives == ("failure_ratio", "latency_p99")


def test_each_objective_counts_in_the_case_in_which_it_is_worst_or_in_the_one_asked_for():
    sweep = grid(cases=("quiet", "spike"), rejection_ratio=[[0.0, 0.4], [0.1, 0.1]])
    found = frontier(sweep)
    assert found.case == "the worst of all cases"
    assert [row.found["rejection_ratio"].value for row in found.rows] == [0.4, 0.1]
    assert [row.status for row in found.rows] == ["beaten", "frontier"]
    assert standing(sweep, case="quiet") == ["frontier", "beaten"]
    more = grid(cases=("quiet", "spike"), goodput=[[9.0, 1.0], [8.0, 8.0]])
    assert [row.found["goodput"].value for row in frontier(more, ("goodput",)).rows] == [1.0, 8.0]


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"objectives": []}, "--objective must be given"),
        ({"objectives": ["latency_p98"]}, 'did you mean "latency_p99"'),
        ({"objectives": ["served_within(2 s)"]}, "must be a metric of the sweep"),
        ({"objectives": ["latency_p99[gold]"]}, "must be a class of the sweep"),
        ({"objectives": ["latency_p99[all, spike]"]}, "must be a window of the sweep"),
        ({"objectives": ["goodput", "goodput"]}, "must not name one twice"),
        ({"objectives": ["cost"]}, "must have prices"),
        ({"case": "quite"}, "must be a case of the sweep"),
    ],
)
def test_a_wrong_question_is_one_line(asked, line):
    with pytest.raises(ScenarioError) as refused:
        frontier(grid(latency_p99=[1.0, 2.0]), **asked)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    over = {"queue.capacity": [0, 5, 20], "workers.count": [6, 12]}
    bw.sweep(SCENARIO, over, run=bw.Run(horizon=200, warmup=20, replications=4), store=out)
    return out


def test_a_sweep_of_a_loss_system_keeps_what_it_should(folder):
    found = frontier(load_sweep(folder))
    assert found.objectives == (*PAIR, "workers_mean")
    # Fewer 503s with more room at the price of waiting: nothing is beaten where workers cost, too.
    assert {row.place for row in found.kept} >= {(0, 0), (2, 1)}
    only = frontier(load_sweep(folder), ["rejection_ratio"])
    assert [row.place for row in only.kept if row.status == "frontier"] == [(2, 1)]
    assert {row.status for row in only.rows if row.place[1] == 0} == {"beaten"}


def test_the_command_prints_the_frontier_and_writes_it_beside_the_sweep(folder, capsys):
    status, out, _ = run(capsys, "frontier", str(folder), "--price", "worker_hour=1", "--price", "lost_job=0.01")
    assert status == 0
    assert "settings are surely beaten" in out
    told = json.loads((folder / "frontier.json").read_text())
    assert told["objectives"] == [*PAIR, "cost"]
    assert {row["status"] for row in told["rows"]} <= {"frontier", "perhaps", "beaten"}
    assert len(told["rows"]) == 6
    assert (folder / "frontier.png").stat().st_size > 10_000
    caption, figure = drawn(frontier(load_sweep(folder), ["failure_ratio"]))
    assert caption.startswith("Of 6 settings")
    assert figure.axes
    assert bw.frontier is frontier


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--objective", "latenc_p99"], 'did you mean "latency_p99"'),
        (["--price", "worker=2"], "must be one of worker_hour"),
    ],
)
def test_a_wrong_flag_is_one_line(more, line, folder, capsys):
    status, out, error = run(capsys, "frontier", str(folder), *more)
    assert (status, out) == (2, "")
    assert line in error
    assert error.count("\n") == 1


def test_a_folder_without_a_sweep_is_one_line(tmp_path, capsys):
    status, _, error = run(capsys, "frontier", str(tmp_path))
    assert status == 2
    assert error.count("\n") == 1
