"""What must hold on every run: the audit, the same numbers wherever and whenever it runs, refusals."""

import math
import subprocess
import sys

import pytest
import simpy
from hypothesis import HealthCheck, given, settings
from scenarios import scenarios

import backwater as bw
from backwater.books import Fold
from backwater.engines import reference
from backwater.engines.reference import Attempt, BoundedQueue, Client, Disk, Ledger, LiveJob, WorkerPool
from backwater.outcome import assert_identical
from backwater.simulation import replicate

SMALL = bw.Scenario(
    arrivals=bw.Poisson(rate="20/s"),
    client=bw.Client(attempt_timeout="2 s", retry=bw.Retry(base="100 ms", max_attempts=4)),
    queue=bw.Queue(capacity=10),
    workers=bw.Workers(count=2, service=bw.Exponential(mean="100 ms")),
)
RUN = bw.Run(horizon="60 s", seed=3, record=("jobs", "attempts"), sample="1 s")


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(scenario=scenarios())
def test_the_audit_holds_on_random_scenarios(scenario):
    outcome = replicate(scenario, bw.Run(horizon="25 s", warmup="3 s", windows={"w": "5 s..9 s"}), 0)
    assert outcome.end == 25  # the audit has passed, or replicate would have raised


@pytest.mark.parametrize("leak", ["job", "attempt"])
def test_the_audit_catches_a_leak_of_one(leak, monkeypatch):
    name = {"job": "end", "attempt": "close"}[leak]
    plain, seen = getattr(Ledger, name), []

    def leaky(self, *args):
        seen.append(args)
        if len(seen) != 100:
            plain(self, *args)

    monkeypatch.setattr(Ledger, name, leaky)
    with pytest.raises(bw.AuditError, match="audit failed"):
        replicate(SMALL, RUN, 0, "simpy")


def test_the_audit_catches_a_change_of_state_that_is_lost(monkeypatch):
    plain = Fold.changes
    monkeypatch.setattr(Fold, "changes", lambda self, rows: plain(self, rows[:-1] if len(rows) > 100 else rows))
    with pytest.raises(bw.AuditError, match="audit failed"):
        replicate(SMALL, RUN, 0, "simpy")


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    first = replicate(SMALL, RUN, 1)
    assert_identical(first, replicate(SMALL, RUN, 1))
    for other in (replicate(SMALL, RUN.model_copy(update={"seed": 4}), 1), replicate(SMALL, RUN, 2)):
        with pytest.raises(AssertionError, match="row 0"):
            assert_identical(first, other)


def test_a_new_process_gives_the_same_numbers():
    code = (
        "import backwater as bw; s = bw.Scenario(arrivals=bw.Poisson(rate=5), workers=bw.Workers(service='100 ms'));"
        "print(repr(bw.simulate(s, horizon=100, replications=2)['wait_mean']))"
    )
    told = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout for _ in "ab"
    }
    here = bw.Scenario(arrivals=bw.Poisson(rate=5), workers=bw.Workers(service="100 ms"))
    assert told == {f"{bw.simulate(here, horizon=100, replications=2)['wait_mean']!r}\n"}


def test_changing_one_source_leaves_the_jobs_of_the_others_as_they_are():
    def web(rate):
        both = {"web": bw.Poisson(rate="2/s"), "batch": bw.Poisson(rate=rate)}
        scenario = bw.Scenario(arrivals=both, workers=bw.Workers(service=bw.Exponential(mean="100 ms")))
        jobs = bw.simulate(scenario, horizon=50, replications=1, record=("jobs",)).jobs
        return jobs[jobs["source"] == "web"].sort_values("job")["arrived"].tolist()

    assert web("1/s") == web("7/s")


def test_a_run_ends_with_the_arrival_that_was_asked_for():
    outcome = replicate(SMALL, bw.Run(arrivals=50, record=("jobs",)), 0)
    assert len(outcome.jobs) == 50
    assert outcome.end == outcome.jobs[:, 3].max()


def test_a_run_whose_jobs_outgrow_memory_ends_in_one_line(monkeypatch):
    monkeypatch.setattr("backwater.engines.reference.system.LIVE_JOBS", 30)
    flood = SMALL.with_({"queue.capacity": None, "load": 3.0})
    with pytest.raises(bw.LimitError, match="more than 30 jobs were alive"):
        replicate(flood, RUN, 0, "simpy")


def test_a_queue_that_would_outgrow_memory_is_refused_before_it_runs():
    endless = bw.Scenario(arrivals=bw.Poisson(rate="2 k/s"), workers=bw.Workers(service="1 s"))
    with pytest.raises(bw.ScenarioError, match="must bound the queue"):
        bw.simulate(endless, horizon="1 h")


def test_components_serve_in_an_environment_of_ones_own():
    env, done = simpy.Environment(), []
    queue = BoundedQueue(env, bw.Queue(capacity=1))
    WorkerPool(env, queue, count=1)
    client = Client(env, queue, bw.Client(retry=bw.Retry(kind="constant", base=1, jitter="none", max_attempts=2)))

    def mine():
        yield env.timeout(0.5)
        for number in range(3):
            outcome = client.send(LiveJob(number, demand=3.0))
            outcome.callbacks.append(lambda event, number=number: done.append((env.now, number, event.value)))

    env.process(mine())
    env.run(until=20)
    assert done == [(1.5, 2, 1), (3.5, 0, 0), (6.5, 1, 0)]  # job 2 found the room full twice and gave up


def test_a_process_of_ones_own_runs_beside_a_whole_scenario():
    env = simpy.Environment()
    system = reference.System(env, SMALL, bw.Run(horizon="10 s"))
    lengths = []

    def watch():
        while True:
            yield env.timeout(1)
            lengths.append(len(system.queue))

    env.process(watch())
    env.run(until=10)
    assert len(lengths) == 9
    assert system.finish().counter("arrived") > 100


def test_an_attempt_offered_by_hand_is_answered():
    env = simpy.Environment()
    queue = BoundedQueue(env)
    WorkerPool(env, queue)
    attempt = Attempt(LiveJob(demand=2.0), 0.0, 2.0, env.event())
    assert queue.offer(attempt)
    env.run(until=attempt.answer)
    assert env.now == 2.0


def test_a_disk_serves_in_turn():
    env = simpy.Environment()
    disk = Disk(env, write=1.0, read=2.0, bandwidth=100.0)
    assert [disk.write(100), disk.read(50), disk.write(0)] == [2.0, 4.5, 5.5]


def test_metrics_of_a_small_run_by_hand(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("t\n0\n1\n2\n3\n")
    scenario = bw.Scenario(
        arrivals=bw.Trace(file=str(file), time="t"), queue=bw.Queue(capacity=1), workers=bw.Workers(service="4 s"),
        jobs={"job": bw.Job(deadline="5 s")},
    )  # fmt: skip
    result = bw.simulate(scenario, horizon="10 s", replications=1)
    # Job 0 is served 0 to 4, job 1 waits from 1 and is served 4 to 8, jobs 2 and 3 are rejected.
    told = {
        "arrival_rate": 0.4, "rejection_ratio": 0.5, "failure_ratio": 0.5, "utilization": 0.8, "queue_mean": 0.3,
        "queue_max": 1, "system_mean": 1.1, "wait_mean": 1.5, "wait_max": 3, "sojourn_mean": 5.5, "latency_max": 7,
        "blocked_mean": 11 / 4, "goodput": 0.2, "attempts_per_job": 1, "oldest_max": 3, "on_time_ratio": 0.25,
        "served_within(5 s)": 0.25, "unfinished_ratio": 0,
    }  # fmt: skip
    assert {name: result[name] for name in told} == pytest.approx(told, rel=0.005)


def test_the_window_of_a_job_is_when_it_arrived_and_the_warm_up_is_not_counted(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("t\n0\n5\n10\n")
    scenario = bw.Scenario(arrivals=bw.Trace(file=str(file), time="t"), workers=bw.Workers(service="7 s"))
    result = bw.simulate(scenario, horizon="30 s", warmup="8 s", windows={"mid": "4 s..6 s"}, replications=1)
    assert result["latency_mean"] == pytest.approx((9 + 11) / 2)  # jobs 1 and 2 end at 14 and 21
    assert result["latency_mean[all, mid]"] == pytest.approx(9)
    assert result["queue_max[all, mid]"] == 1
    assert result["utilization"] == pytest.approx(13 / 22)
    assert math.isnan(result["drain_time"])


@pytest.mark.parametrize(("horizon", "busy", "wasted"), [("30 s", 20, 10), ("15 s", 15, 5)])
def test_work_that_nobody_wants_is_wasted_finished_or_not(horizon, busy, wasted, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("t\n0\n1\n")
    client = bw.Client(attempt_timeout="12 s")
    scenario = bw.Scenario(
        arrivals=bw.Trace(file=str(file), time="t"), client=client, workers=bw.Workers(service="10 s")
    )
    # Job 1 is served from 10 to 20, and its client left at 13.
    result = bw.simulate(scenario, horizon=horizon, replications=1)
    assert result["wasted_ratio"] == pytest.approx(wasted / busy)
    assert result["timeout_ratio"] == result["failure_ratio"] == 0.5
    assert result["goodput"] * result.run.end == pytest.approx(1)
    assert result["throughput"] * result.run.end == pytest.approx(1 + (horizon == "30 s"))


def test_a_job_that_is_served_twice_is_a_duplicate(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("t\n0\n50\n")
    retry = bw.Retry(kind="constant", base="1 s", jitter="none", max_attempts=2)
    client = bw.Client(attempt_timeout="4 s", retry=retry)
    scenario = bw.Scenario(
        arrivals=bw.Trace(file=str(file), time="t"), client=client, workers=bw.Workers(count=2, service="6 s")
    )
    result = bw.simulate(scenario, horizon="45 s", replications=1)
    # Sent at 0 and at 5, left at 4 and at 9, served until 6 and until 11.
    assert result["duplicate_ratio"] == 1
    assert result["attempts_per_job"] == 2
    assert result["wasted_ratio"] == 1
