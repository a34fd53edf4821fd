"""As many replications as it takes: goals, when they are met, and whether the intervals then hold."""

import math

import pytest

import backwater as bw
from backwater.errors import ScenarioError
from backwater.experiments.experiment import Experiment
from backwater.experiments.precision import allocate, goals, needed, precise, shortfall
from backwater.experiments.sweep import load_sweep
from backwater.experiments.warmup import warmup
from backwater.simulation import extend, simulate

MM1 = bw.Scenario(arrivals=bw.Poisson(rate=0.8), workers=bw.Workers(count=1, service=bw.Exponential(mean=1)))
SMALL = MM1.with_({"queue.capacity": 5})
RUN = bw.Run(horizon=2000, warmup=100, replications=5)


def test_it_stops_where_it_is_precise_and_is_what_so_many_replications_give():
    wanted = goals({"latency_mean": "5 %", "latency_p99": "± 2 s"})
    steps = []
    found = precise(MM1, RUN, wanted, progress=lambda n, short: steps.append((n, short)))
    assert [short > 1 for _, short in steps] == [True] * (len(steps) - 1) + [False]
    value, low, high, n = found.estimate("latency_mean")
    assert max(high - value, value - low) <= 0.05 * value
    p99 = found.estimate("latency_p99")
    assert max(p99.high - p99.value, p99.value - p99.low) <= 2
    same = simulate(MM1, RUN.model_copy(update={"replications": n}))
    assert same.estimates == found.estimates
    assert extend(simulate(MM1, RUN), n).estimates == same.estimates


def test_every_metric_must_be_precise_whichever_is_named_first():
    loose, tight = {"latency_mean": "50 %"}, {"latency_p99": "9 %"}
    found = [precise(MM1, RUN, goals(wanted)) for wanted in ({**loose, **tight}, {**tight, **loose}, loose)]
    for result in found[:2]:
        value, low, high, _ = result.estimate("latency_p99")
        assert max(high - value, value - low) <= 0.09 * value
    assert len(found[0].outcomes) == len(found[1].outcomes) > len(found[2].outcomes)


def test_its_intervals_still_hold():
    # Stopping when it looks precise costs a little: of 150 intervals at 95 %, 9 may miss by chance once in 10,000 times
    # if they hold in 95 % (142.5, standard deviation 2.7, 3.9 of them: 132); two more for what the looking costs.
    wanted, inside = goals({"latency_mean": "10 %"}), 0
    for seed in range(150):
        found = precise(MM1, RUN.model_copy(update={"seed": seed}), wanted)
        _, low, high, _ = found.estimate("latency_mean")
        inside += low <= 5 <= high
    assert inside >= 130


def test_a_budget_ends_it_and_what_never_happens_is_never_relatively_precise():
    lossless = MM1.with_({"queue.capacity": 10_000})
    found = precise(lossless, RUN, goals({"rejection_ratio": "5 %"}), most=6)
    assert len(found.outcomes) == 6
    assert shortfall(found, goals({"rejection_ratio": "5 %"})) == math.inf
    # No 503 among so many attempts proves a share of at most 3.7 / attempts.
    attempts = found.cells().count("attempts").sum()
    assert goals({"rejection_ratio": "± 1 %"})[0].width(found) == pytest.approx(3.689 / attempts, rel=1e-3)
    assert shortfall(found, goals({"rejection_ratio": "5 % or ± 0.1 %"})) < 1


def test_effort_goes_where_the_noise_is():
    assert needed(10, 0.9) == 10
    assert needed(10, 2.0) == 44
    assert allocate([10, 44, 20], [10, 10, 10], 100) == [10, 44, 20]
    shared = allocate([10, 400, 200], [10, 10, 10], 160)
    assert shared[0] == 10
    assert sum(shared) <= 160
    assert shared[1] == pytest.approx(2 * shared[2], abs=2)


def test_a_sweep_spends_where_the_noise_is_and_goes_on_where_it_was_stopped(tmp_path):
    roomy = MM1.with_({"queue.capacity": 50})
    asked = Experiment(scenario=roomy, run=bw.Run(horizon=500, warmup=50, replications=6), budget=1500,
                       sweep={"load": [0.3, 0.9]}, precision={"latency_mean": "8 %"})  # fmt: skip
    done = bw.sweep(asked, store=tmp_path)
    calm, busy = (done.cell((at, 0)) for at in (0, 1))
    for cell in (calm, busy):
        value, low, high, _ = cell.estimate("latency_mean")
        assert (high - low) / 2 <= 0.08 * value * (1 + 1e-9)
        assert cell.replications == done.numbers.shape[-1] - 3
    assert busy.estimate("latency_mean").n > 1.5 * calm.estimate("latency_mean").n
    assert done.manifest["imprecise"] == 0
    # A point's numbers are those of so many replications.
    plain = simulate(
        roomy.with_({"load": 0.9}), bw.Run(horizon=500, warmup=50, replications=busy.estimate("wait_mean").n)
    )
    assert busy.estimate("latency_p99")[:3] == plain.estimate("latency_p99")[:3]
    stopped = []
    again = bw.sweep(asked, store=tmp_path, resume=True, progress=lambda n, total: stopped.append(n))
    assert again.data.equals(done.data)
    assert stopped[0] == 2
    assert load_sweep(tmp_path).data.equals(done.data)


def test_a_sweep_whose_budget_ends_says_so():
    asked = Experiment(scenario=SMALL, run=bw.Run(horizon=200, replications=5), budget=14, sweep={"load": [0.3, 0.9]},
                       precision={"latency_mean": "0.1 %"})  # fmt: skip
    done = bw.sweep(asked)
    assert done.manifest["imprecise"] == 2
    assert sum(done.cell((at, 0)).estimate("latency_mean").n for at in (0, 1)) <= 14


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({}, "must name at least one metric"),
        ({"latency_p9": "2 %"}, 'precision.latency_p9 must name a metric; did you mean "latency_p99"?'),
        ({"latency_p99": "3"}, "must be a share of the estimate"),
        ({"latency_p99": "300 %"}, "must be a share of the estimate"),
        ({"latency_p99": "± 3"}, "must be a share of the estimate"),
        ({"latency_p99": "± 3 MB"}, "must be a share of the estimate"),
        ({"latency_p99": "2 % and ± 3 s"}, "must be a share of the estimate"),
    ],
)
def test_a_wrong_goal_is_one_line(asked, line):
    with pytest.raises(ScenarioError, match=line.replace("?", r"\?")):
        goals(asked)


def test_goals_of_classes_and_windows_that_are_not_there():
    with pytest.raises(ScenarioError, match="must name a class"):
        precise(MM1, RUN, goals({"latency_p99[gold]": "2 %"}))
    with pytest.raises(ScenarioError, match="must name a window"):
        precise(MM1, RUN, goals({"latency_p99[all, spike]": "2 %"}))
    with pytest.raises(ScenarioError, match="budget must be at least 5"):
        precise(MM1, RUN, goals({"latency_p99": "2 %"}), most=3)


def test_a_warm_up_is_found_and_one_that_never_ends_refused():
    slow = MM1.with_({"queue.backlog": 300})  # takes 300 / 0.2 s to drain
    found = warmup(slow, bw.Run(horizon=8000))
    assert 1000 <= found <= 2500
    with pytest.raises(ScenarioError, match="must be longer"):
        warmup(MM1.with_({"load": 1.3}), bw.Run(horizon=2000))
    with pytest.raises(ScenarioError, match="must be given for a warm-up"):
        warmup(MM1, bw.Run(arrivals=1000))
