"""Workers that serve several at once: exact chains, hand-made timelines, limits that a full batch sets, refusals."""

import numpy as np
import pytest
from scipy.optimize import brentq

import backwater as bw
from backwater.napkin import napkin
from backwater.outcome import assert_identical
from backwater.simulation import replicate

LEVEL = 0.9999  # each comparison fails by chance once in 10,000 times
CUT = 400  # waiting attempts at which the chains are cut where no queue bounds them; beyond is less than 1e-12


def bulk(least, size, workers, load, room=CUT):
    """Shares of time by (busy workers, waiting) of M/M[least,size]/workers with services of mean 1; load: arrivals."""
    place = {}
    for busy in range(workers + 1):
        for waiting in range(least if busy < workers else room + 1):
            place[busy, waiting] = len(place)
    rates = np.zeros((len(place), len(place)))
    for (busy, waiting), here in place.items():
        enough = busy < workers and waiting + 1 >= least
        there = (busy + 1, 0) if enough else (busy, waiting + 1)
        if there in place:
            rates[here, place[there]] += load
        if busy:
            there = (busy, waiting - min(waiting, size)) if waiting >= least else (busy - 1, waiting)
            rates[here, place[there]] += busy
    balance = rates.T - np.diag(rates.sum(axis=1))
    balance[-1] = 1.0
    shares = np.linalg.solve(balance, np.eye(len(place))[-1])
    return {state: shares[at] for state, at in place.items()}


def test_the_chain_has_the_tail_that_theory_gives_it():
    # Chaudhry and Templeton, "A first course in bulk queues", 1983: while the server of M/M[1,b]/1 is busy, the number
    # of those that wait is geometric, by the root in (0, 1) of r**(b + 1) - (1 + load) r + load, services of mean 1.
    load, size = 2.5, 4
    p = bulk(1, size, 1, load)
    root = brentq(lambda r: r ** (size + 1) - (1 + load) * r + load, 0.01, 1 - 1e-3)
    for n in range(40):
        assert p[1, n + 1] / p[1, n] == pytest.approx(root, rel=1e-6)
    assert p[1, CUT] < 1e-12


@pytest.mark.parametrize(("least", "size", "workers", "load", "room"), [
    (1, 4, 1, 2.5, None), (3, 5, 1, 2.0, None), (4, 4, 2, 5.0, None), (1, 3, 2, 7.0, 5), (3, 4, 2, 9.0, 4)
])  # fmt: skip
def test_batches_whose_time_does_not_depend_on_their_size(least, size, workers, load, room):
    mean = 0.1
    p = bulk(least, size, workers, load, CUT if room is None else room)
    lost = 0.0 if room is None else p[workers, room]
    served = load / mean * (1 - lost)
    queue, busy = (sum(share * state[axis] for state, share in p.items()) for axis in (1, 0))
    wanted = {
        "throughput": served, "queue_mean": queue, "wait_mean": queue / served, "utilization": busy / workers,
        "rejection_ratio": lost, "busy_mean": served * mean, "batch_mean": served * mean / busy,
        "sojourn_mean": queue / served + mean,
    }  # fmt: skip
    scenario = bw.Scenario(
        arrivals=bw.Poisson(rate=load / mean), queue={"capacity": room},
        workers={"count": workers, "service": bw.Exponential(mean=mean),
                 "batch": {"size": size, "least": least, "time": "first"}},
    )  # fmt: skip
    result = bw.simulate(scenario, horizon=1000, warmup=20, replications=16, seed=20)
    for name, exact in wanted.items():
        _, low, high, _ = result.estimate(name, LEVEL)
        assert low - 1e-9 <= exact <= high + 1e-9, (name, exact, low, high)


@pytest.mark.parametrize(("time", "full"), [("longest", 1 + 1 / 2 + 1 / 3 + 1 / 4), ("sum", 4.0), ("first", 1.0)])
def test_a_full_batch_sets_what_workers_can_do(time, full):
    # Of four exponential services of mean 1 s: the longest takes the sum of 1/k on average, and 0.5 s come on top.
    flood = bw.Scenario(arrivals=bw.Poisson(rate=30), queue={"capacity": 60}, workers={
        "service": bw.Exponential(mean="1 s"), "batch": {"size": 4, "time": time, "overhead": "500 ms"}})  # fmt: skip
    most = 4 / (full + 0.5)
    assert flood.load == pytest.approx(30 / most, rel=2e-3)
    result = bw.simulate(flood, horizon=3000, warmup=50, replications=16, seed=20)
    _, low, high, _ = result.estimate("throughput", LEVEL)
    assert low <= most <= high
    assert result["utilization"] == pytest.approx(1.0)
    assert result["batch_mean"] == pytest.approx(4.0)


def rows(tmp_path, come, batch, horizon="60 s", **parts):
    """(started, ended) of each job, given as (time, work); the engines agree."""
    file = tmp_path / "jobs.csv"
    file.write_text("t,work\n" + "".join(f"{t},{work}\n" for t, work in come))
    service = {"kind": "linear", "per": {"work": "1 s"}}
    made = bw.Scenario(arrivals=bw.Trace(file=str(file), time="t", columns=("work",)),
                       workers={"service": service, "batch": batch}, **parts)  # fmt: skip
    run = bw.Run(horizon=horizon, record=("attempts",))
    found = replicate(made, run, 0, "compiled")
    assert_identical(found, replicate(made, run, 0, "simpy"))
    return [tuple(row) for row in found.attempts[np.argsort(found.attempts[:, 1])][:, [8, 9]].tolist()], made


def test_a_batch_begins_when_enough_wait_or_the_oldest_has_waited_for_long_enough(tmp_path):
    jobs = [(0, 1), (1, 3), (5, 1), (7.5, 2), (8, 1), (8.25, 1), (8.5, 1), (20, 1), (22, 4)]
    batch = {"size": 3, "least": 2, "wait": "2 s", "overhead": "1 s"}
    assert rows(tmp_path, jobs, batch)[0] == [
        (1, 5), (1, 5),  # the longest takes 3, and 1 for the batch
        (7, 9),  # alone, after two seconds
        (9, 12), (9, 12), (9, 12),  # three of the four that wait
        (12, 14),  # alone at once: it came at 8.5
        (22, 27), (22, 27),  # whoever comes at the very instant is in
    ]  # fmt: skip
    assert rows(tmp_path, jobs[:2], {**batch, "time": "sum"})[0] == [(1, 6), (1, 6)]
    assert rows(tmp_path, jobs[:2], {**batch, "time": "first"})[0] == [(1, 3), (1, 3)]
    # Fewer than enough wait for ever; one is enough unless said otherwise.
    assert np.isnan(rows(tmp_path, jobs[:1], {"size": 3, "least": 2})[0][0][0])
    assert rows(tmp_path, jobs[:3], {"size": 3})[0] == [(0, 1), (1, 4), (5, 6)]


def test_how_long_a_batch_may_wait_is_counted_from_its_oldest(tmp_path):
    """Two wait as the worker comes to rest at 1, since 0.25 and 0.75, where three would be enough."""
    jobs = [(0, 1), (0, 1), (0, 1), (0.25, 1), (0.75, 1)]
    batch = {"size": 4, "least": 3, "wait": "2 s"}
    assert rows(tmp_path, jobs, batch)[0] == [*[(0, 1)] * 3, *[(2.25, 3.25)] * 2]
    # As one after the other comes to a worker that rests already.
    assert rows(tmp_path, [(0, 1), (0.5, 1)], batch)[0] == [(2, 3)] * 2


def test_who_is_stopped_leaves_a_batch_and_what_it_takes_stays(tmp_path):
    client = {"attempt_timeout": "5 s", "on_timeout": "cancel"}
    jobs = [(0, 1), (1, 6), (2, 1), (2.5, 1)]
    # The batch of 1 would last until 7: job 0 leaves at 5, job 1, its last member, at 6.
    found, made = rows(tmp_path, jobs, {"size": 2, "least": 2}, client=client)
    assert found == [(1, 5), (1, 6), (6, 7), (6, 7)]
    result = bw.simulate(made, horizon="10 s", replications=1)
    assert result["utilization"] == pytest.approx((6 - 1 + 1) / 10)
    assert result["busy_mean"] == pytest.approx((4 + 5 + 1 + 1) / 10)
    assert result["batch_mean"] == pytest.approx(11 / 6)
    # Job 0 leaves at 5 in the middle; the one who is left takes until 5.5 all the same.
    assert rows(tmp_path, [(0, 4.5), (1, 1)], {"size": 2, "least": 2}, client=client)[0] == [(1, 5), (1, 5.5)]


def test_a_batch_starts_when_all_that_was_spilled_is_read_and_goes_at_its_workers_speed(tmp_path):
    queue = {"memory": {"limit": "0 B", "write": "0 s", "read": "1 s"}}
    jobs = [(0, 4), (1, 1), (2, 2), (3, 1)]
    sized = {"job": bw.Job(size="100 B")}
    # Taken at 4, read one after the other until 7.
    assert rows(tmp_path, jobs, {"size": 3}, queue=queue, jobs=sized)[0] == [(0, 4), (7, 9), (7, 9), (7, 9)]
    slow = [{"kind": "workers_slow", "factor": 2.0, "start": "2 s"}, {"kind": "workers_down", "start": "4 s",
            "duration": "3 s"}]  # fmt: skip
    # One of four seconds is done by 2, another by 4; the other two take four from 7 on.
    assert rows(tmp_path, [(0, 4), (1, 4)], {"size": 2, "least": 2}, faults=slow)[0] == [(1, 11), (1, 11)]


def test_a_batch_of_one_is_no_batch():
    parts = {"arrivals": bw.Poisson(rate=8), "queue": {"capacity": 6, "discipline": "lifo"},
             "client": {"attempt_timeout": bw.Exponential(mean="1 s"), "on_timeout": "cancel", "retry": bw.Retry(
                 base="200 ms")}}  # fmt: skip
    alone, batch = (
        bw.Scenario(**parts, workers={"count": 2, "service": bw.Exponential(mean="400 ms"), "batch": each})
        for each in (None, {"size": 1})
    )
    run = bw.Run(horizon="300 s", record=("attempts", "jobs"))
    one, other = replicate(alone, run, 0, "compiled"), replicate(batch, run, 0, "compiled")
    np.testing.assert_array_equal(one.attempts, other.attempts)
    np.testing.assert_array_equal(one.jobs, other.jobs)
    assert batch.load == pytest.approx(alone.load, rel=2e-3)


def test_the_napkin_knows_batches():
    made = bw.Scenario(arrivals=bw.Poisson(rate=10), workers={
        "service": bw.Exponential(mean="1 s"), "batch": {"size": 8, "least": 2, "time": "first"}})  # fmt: skip
    told = dict(napkin(made))
    assert told["system"] == "M/M[2,8]/1, fifo"
    assert told["load"] == "1.25 from first attempts: 10/s, 1.25 workers' work in full batches"


@pytest.mark.parametrize(("batch", "queue", "says"), [
    ({"size": 0}, {}, "workers.batch.size must be greater than or equal to 1"),
    ({"size": 10_001}, {}, "workers.batch.size must be less than or equal to 10000"),
    ({"size": 4, "least": 5}, {}, "workers.batch.least must be at most size = 4"),
    ({"size": 4, "wait": "1 s"}, {}, "workers.batch.wait has no meaning where least is 1"),
    ({"size": 4, "time": "mean"}, {}, "workers.batch.time must be 'longest', 'sum' or 'first'"),
    ({"least": 4}, {}, "workers.batch.size is missing"),
    ({"size": 4, "least": 4}, {"capacity": 2}, "workers.batch.least must be at most queue.capacity + 1 = 3"),
    ({"size": 4, "least": 4}, {"capacity_bytes": "1 MB"}, "workers.batch.wait must be given where capacity_bytes"),
    ({"size": 4, "least": 4, "wait": "1 s"}, {"capacity_bytes": "1 MB", "overflow": "block"},
     "workers.batch.least must be 1 where queue.capacity_bytes makes producers wait"),
])  # fmt: skip
def test_a_wrong_batch_is_refused_in_one_line(batch, queue, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s", "batch": batch}, queue=queue,
                    jobs={"job": bw.Job(size="1 kB")})  # fmt: skip
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)
