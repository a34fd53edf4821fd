"""Loss probabilities too small to see: split runs against exact values, and against plain runs."""

import math

import numpy as np
import pytest
from test_cli import run

import backwater as bw
from backwater.engines.compiled.restart import Split, Splits, Tally, prepare
from backwater.errors import ScenarioError
from backwater.experiments import splitting
from backwater.experiments.splitting import Rare, _estimate, loss
from backwater.experiments.theory.formulas import mmck_loss
from backwater.experiments.theory.match import theory
from backwater.simulation import simulate
from backwater.statistics import NOTHING, at_level, ratio_spread


def mmck(c: int, a: float, room: int, arrivals=None) -> bw.Scenario:
    """M/M/c with services of mean 1 s and so many waiting places."""
    return bw.Scenario(arrivals=arrivals or bw.Poisson(rate=a), queue=bw.Queue(capacity=room),
                       workers=bw.Workers(count=c, service=bw.Exponential(mean=1)))  # fmt: skip


RETRYING = mmck(2, 1.5, 4).with_({"client.retry": {"kind": "exponential", "base": 0.5}})
PRIORITY = mmck(2, 1.5, 4).with_({"queue.discipline": "priority", "jobs": {"a": {"share": 0.5}, "b": {"share": 0.5}}})
FLOW = mmck(1, 0.5, 6, bw.MMPP(rates=[0.2, 1.2], sojourns=[20, 10]))
KINDS = {"M/M/c/K": mmck(2, 1.5, 4), "retries": RETRYING, "classes": PRIORITY, "MMPP": FLOW}


@pytest.mark.parametrize(
    "scenario", [mmck(2, 1.5, 4), RETRYING, PRIORITY, FLOW], ids=["mmck", "retry", "class", "mmpp"]
)
def test_a_run_that_is_never_split_is_a_plain_run(scenario):
    prepare()
    plain = simulate(scenario, horizon=3000, warmup=100, replications=2, seed=5)
    for number, outcome in enumerate(plain.outcomes):
        tally = Split(scenario, plain.run, number).tally(Splits((), ()), 4)
        assert tally.rejected == outcome.counter("rejected") > 0
        # What is under way at the end is counted by the plain run only.
        assert tally.attempts == tally.simulated
        assert 0 <= outcome.counter("attempts") - tally.attempts <= 10


@pytest.mark.parametrize(
    "scenario", [mmck(2, 1.5, 4), RETRYING, PRIORITY, FLOW], ids=["mmck", "retry", "class", "mmpp"]
)
def test_wherever_a_run_is_split_its_mean_is_the_same(scenario):
    # Split at every length, far more often than is wise: the mean must be that of plain runs, which the intervals of
    # 99.995 % of both hold together except once in 10,000 times.
    plan = bw.Run(horizon=500, warmup=50, replications=200, seed=8)
    where = Splits((1, 2, 3, 4), (2, 2, 3, 2))
    tallies = [Split(scenario, plan, number).tally(where, 4) for number in range(200)]
    rejected, attempts = (np.array([getattr(one, name) for one in tallies]) for name in ("rejected", "attempts"))
    split = ratio_spread(rejected, attempts)
    plain = simulate(scenario, plan.model_copy(update={"seed": 9})).estimate("rejection_ratio", 0.99995)
    found = split.interval(0.99995)
    assert found.low <= plain.high
    assert plain.low <= found.high
    assert min(tally.simulated for tally in tallies) > 200


@pytest.mark.parametrize(
    ("scenario", "exact"),
    [
        (mmck(1, 0.5, 22), mmck_loss(1, 23, 0.5)),
        (mmck(3, 2.1, 40), mmck_loss(3, 43, 2.1)),
        (mmck(1, 0.0, 40, bw.MMPP(rates=[0.3, 0.9], sojourns=[30, 10])), None),
    ],
    ids=["M/M/1/K", "M/M/c/K", "MMPP/M/1/K"],
)
def test_a_loss_of_one_in_ten_million_is_held(scenario, exact):
    if exact is None:
        exact = next(one.value for one in theory(scenario).answers if one.metric == "rejection_ratio")
    assert 1e-8 < exact < 5e-7
    found = loss(scenario, bw.Run(horizon=5000, warmup=100, seed=2), precision=0.29)
    value, low, high, _ = found.found
    assert (high - low) / 2 < 0.3 * value
    wide = at_level(found.found, 0.9999)
    assert wide.low <= exact <= wide.high
    # Losses come in clusters, whose size does not depend on the room: counts vary ``cluster`` times as much as those of
    # independent losses, and so many times more attempts does a plain run need.
    often = simulate(scenario.with_({"queue.capacity": 8}), horizon=5000, warmup=100, replications=100)
    lost = np.array([outcome.counter("rejected") for outcome in often.outcomes])
    cluster = lost.var(ddof=1) / lost.mean()
    assert cluster > 1
    assert 100 * found.attempts < (1.96 / 0.3) ** 2 * cluster / exact


def test_what_it_took_counts_the_pilots_and_all_branches():
    visits = np.zeros(1, np.int64)
    tallies = [Tally(100.0, lost, 150.0, visits) for lost in (1.0, 2.0, 3.0)]
    found = _estimate(tallies, 50.0, Rare(NOTHING, (3,), (2,), 0, math.inf))
    assert found.attempts == 50 + 3 * 150
    assert found.found.value == pytest.approx(6 / 300)
    assert found.thresholds == (3,)


def test_what_cannot_be_split_is_one_line(tmp_path, capsys):
    plan = bw.Run(horizon=100)
    for scenario, line in [
        (mmck(1, 0.5, 5).with_({"queue.capacity": None}), "must bound the queue"),
        (mmck(1, 0.5, 5, bw.Closed(clients=3, think="1 s")), "must not be a closed population"),
        (mmck(1, 0.5, 5, bw.Cron(expression="* * * * *", count=2)), "must have a future that can be drawn anew"),
    ]:
        with pytest.raises(ScenarioError, match=line):
            loss(scenario, plan)
    with pytest.raises(ScenarioError, match="horizon must be given"):
        loss(mmck(1, 0.5, 5), bw.Run(arrivals=100))
    with pytest.raises(ScenarioError, match="budget must be from 10"):
        loss(mmck(1, 0.5, 5), plan, most=3)
    status, out, error = run(capsys, "rare", "thumbnails", "--precision", "200 %")
    assert (status, out) == (2, "")
    assert error.count("\n") == 1


def test_the_command_tells_the_ratio_and_what_it_saved(tmp_path, capsys):
    path = tmp_path / "small.toml"
    bw.dump(mmck(1, 0.5, 14), path)
    words = ["rare", str(path), "--horizon", "2000 s", "--warmup", "50 s"]
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert out.startswith("503 ratio: ")
    assert "plain runs would need" in out
    status, out, _ = run(capsys, *words, "--budget", "10")
    assert "NOT as precise as asked" in out
    status, out, _ = run(capsys, "rare", str(path), "--horizon", "20 s", "--warmup", "1 s", "--budget", "10")
    assert status == 1
    assert out.startswith("No 503 was seen in 10 replications, so nothing can be said")


def test_an_interval_of_few_events_is_not_believed(monkeypatch):
    # Every second replication sees as much as all others: two of them would do by the interval alone.
    monkeypatch.setattr(splitting, "_pilot", lambda *_: (Splits((), ()), 0.0))

    class Runner:
        """Replications that are known before."""

        def __init__(self, *_) -> None: ...

        def __call__(self, number: int, *_) -> Tally:
            return Tally(1e6, 1.0 if number % 2 else 0.0, 1e6, np.zeros(1, np.int64))

    monkeypatch.setattr(splitting, "_Runner", Runner)
    found = loss(mmck(1, 0.5, 8), bw.Run(horizon=100.0), precision=0.99, parallel=1)
    assert found.precision < 0.99
    assert found.found.n == 2 * splitting.EVENTFUL
