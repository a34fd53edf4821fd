"""Timelines worked out on paper: who is spilled, when memory frees, how disk operations queue, who waits for whom."""

import pytest

import backwater as bw

# Ten jobs of 100 B, one each second from t = 1; two fit in memory. A write takes 0.5 + 1 = 1.5 s, a read 1 + 1 = 2 s.
MEMORY = {"limit": "250 B", "write": "500 ms", "read": "1 s", "bandwidth": "100 B/s"}


def trace_of(tmp_path, times: list[float]) -> bw.Trace:
    file = tmp_path / "times.csv"
    file.write_text("t\n" + "".join(f"{t}\n" for t in times))
    return bw.Trace(file=str(file), time="t")


def rows(tmp_path, times, horizon="200 s", **parts) -> list[tuple]:
    """(job, spilled, taken, started, ended) in order of the job's number; times from the first arrival."""
    parts = {"jobs": {"job": bw.Job(size="100 B")}, **parts}
    scenario = bw.Scenario(arrivals=trace_of(tmp_path, times), **parts)
    table = bw.simulate(scenario, horizon=horizon, replications=1, record=("attempts",)).attempts.sort_values("job")
    return list(table[["job", "spilled", "taken", "started", "ended"]].itertuples(index=False, name=None))


def spilled_queue(discipline):
    return {
        "queue": bw.Queue(memory=MEMORY, discipline=discipline),
        "workers": bw.Workers(service="3 s"),
    }


def test_memory_that_frees_is_used_by_later_jobs_while_spilled_ones_stay_on_disk(tmp_path):
    assert rows(tmp_path, range(10), **spilled_queue("fifo")) == [
        (0, False, 0, 0, 3),
        (1, False, 3, 3, 6),
        (2, False, 6, 6, 9),
        (3, False, 9, 9, 12),  # came at 3, just after job 1 had left memory
        (4, True, 12, 14, 17),  # written from 4 to 5.5, read from 12 to 14
        (5, True, 17, 19, 22),
        (6, False, 22, 22, 25),  # came at 6, just after job 2 had left memory
        (7, True, 25, 27, 30),
        (8, True, 30, 32, 35),
        (9, False, 35, 35, 38),
    ]


def test_a_read_waits_for_its_own_write_and_delays_the_writes_asked_for_after_it(tmp_path):
    assert rows(tmp_path, range(10), **spilled_queue("lifo")) == [
        (0, False, 0, 0, 3),
        (1, False, 43, 43, 46),
        (2, False, 3, 3, 6),
        (3, False, 40, 40, 43),
        (4, True, 35, 37, 40),
        (5, True, 6, 9, 12),  # written from 5.5 to 7; taken at 6, so read from 7 to 9
        (6, True, 30, 32, 35),  # its write waits for that read: from 9 to 10.5
        (7, True, 25, 27, 30),
        (8, True, 20, 22, 25),
        (9, True, 12, 17, 20),  # written from 13.5 to 15; taken at 12, so read from 15 to 17
    ]


def test_the_time_of_disk_operations_includes_their_turns(tmp_path):
    scenario = bw.Scenario(
        arrivals=trace_of(tmp_path, range(10)), jobs={"job": bw.Job(size="100 B")}, **spilled_queue("lifo")
    )
    result = bw.simulate(scenario, horizon="200 s", replications=1, record=("attempts",))
    disk = result.attempts.set_index("job")["disk"].sort_index()
    # Writes of jobs 4 to 9 take 1.5, 2, 4.5, 5, 5.5, 6 s with their turns; reads 2, 3, 2, 2, 2, 5 s.
    assert disk.tolist() == [0, 0, 0, 0, 3.5, 5.0, 6.5, 7.0, 7.5, 11.0]
    assert result["disk_wait_mean"] == pytest.approx((3.5 + 5 + 6.5 + 7 + 7.5 + 11) / 6, rel=1e-12)


def test_bytes_leave_memory_when_taken_and_disk_when_service_starts(tmp_path):
    scenario = bw.Scenario(
        arrivals=trace_of(tmp_path, range(10)), jobs={"job": bw.Job(size="100 B")}, **spilled_queue("fifo")
    )
    series = bw.simulate(scenario, horizon="40 s", replications=1, sample="1 s").series.set_index("time")
    assert series["memory"].loc[[2, 3, 6, 9, 11, 21, 22, 34, 35]].tolist() == [
        200,
        200,
        200,
        200,
        200,
        200,
        100,
        100,
        0,
    ]
    assert series["disk"].loc[[3, 4, 5, 8, 13, 14, 19, 27, 32]].tolist() == [0, 100, 200, 400, 400, 300, 200, 100, 0]


def outcomes(tmp_path, times, **parts) -> list[tuple]:
    """(job, attempt, sent, started, ended, outcome), by job and attempt."""
    scenario = bw.Scenario(arrivals=trace_of(tmp_path, times), **parts)
    table = bw.simulate(scenario, horizon="100 s", replications=1, record=("attempts",)).attempts
    table = table.sort_values(["job", "number"]).fillna({"started": -1.0})
    return list(table[["job", "number", "sent", "started", "ended", "outcome"]].itertuples(index=False, name=None))


ROOM_FOR_ONE = {"workers": bw.Workers(service="10 s")}


def test_drop_oldest_lets_the_oldest_vanish_and_shed_oldest_tells_its_client(tmp_path):
    client = bw.Client(retry=bw.Retry(kind="constant", base="20 s", jitter="none", max_attempts=2))
    parts = {"client": client, **ROOM_FOR_ONE}
    dropped = outcomes(tmp_path, [0, 1, 2], queue=bw.Queue(capacity=1, overflow="drop_oldest"), **parts)
    assert dropped == [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, 1, -1, 2, "dropped"),
        (2, 1, 2, 10, 20, "completed"),
    ]
    shed = outcomes(tmp_path, [0, 1, 2], queue=bw.Queue(capacity=1, overflow="shed_oldest"), **parts)
    assert shed == [
        (0, 1, 0, 0, 10, "completed"),
        (1, 1, 1, -1, 2, "rejected"),
        (1, 2, 22, 22, 32, "completed"),
        (2, 1, 2, 10, 20, "completed"),
    ]


def test_a_client_that_leaves_makes_work_that_nobody_wants(tmp_path):
    client = bw.Client(
        attempt_timeout="3 s", retry=bw.Retry(kind="constant", base="1 s", jitter="none", max_attempts=2)
    )
    told = {
        how: outcomes(tmp_path, [0], client=client.model_copy(update={"on_timeout": how}), **ROOM_FOR_ONE)
        for how in ("leave", "cancel_waiting", "cancel")
    }
    left = [(0, 1, 0, 0, 10, "abandoned_completed"), (0, 2, 4, 10, 20, "abandoned_completed")]
    assert told["leave"] == left
    assert told["cancel_waiting"] == [(0, 1, 0, 0, 10, "abandoned_completed"), (0, 2, 4, -1, 7, "cancelled")]
    assert told["cancel"] == [(0, 1, 0, 0, 3, "cancelled"), (0, 2, 4, 4, 7, "cancelled")]


def test_completion_comes_before_a_timeout_of_the_same_instant(tmp_path):
    told = outcomes(tmp_path, [0], client=bw.Client(attempt_timeout="10 s", on_timeout="cancel"), **ROOM_FOR_ONE)
    assert told == [(0, 1, 0, 0, 10, "completed")]


def test_a_worker_that_becomes_free_takes_its_next_before_an_arrival_of_the_same_instant(tmp_path):
    told = outcomes(tmp_path, [0, 1, 10], queue=bw.Queue(capacity=1), **ROOM_FOR_ONE)
    assert told == [(0, 1, 0, 0, 10, "completed"), (1, 1, 1, 10, 20, "completed"), (2, 1, 10, 20, 30, "completed")]


def test_the_total_timeout_ends_waiting_and_backing_off(tmp_path):
    waiting = bw.Client(total_timeout="4 s", on_timeout="cancel_waiting")
    assert outcomes(tmp_path, [0, 1], client=waiting, **ROOM_FOR_ONE) == [
        (0, 1, 0, 0, 10, "abandoned_completed"), (1, 1, 1, -1, 5, "cancelled")
    ]  # fmt: skip
    retry = bw.Retry(kind="constant", base="3 s", jitter="none", max_attempts="forever")
    parts = {"client": bw.Client(total_timeout="7 s", retry=retry), "queue": bw.Queue(capacity=0), **ROOM_FOR_ONE}
    assert [row[:3] for row in outcomes(tmp_path, [0, 1], **parts)] == [(0, 1, 0), (1, 1, 1), (1, 2, 4), (1, 3, 7)]


def test_a_503_that_says_when_to_come_back_is_obeyed(tmp_path):
    retry = bw.Retry(kind="constant", base="1 s", jitter="none", max_attempts=2)
    parts = {"client": bw.Client(retry=retry), "queue": bw.Queue(capacity=0, retry_after="30 s"), **ROOM_FOR_ONE}
    assert [row[2] for row in outcomes(tmp_path, [0, 1], **parts)] == [0, 1, 31]


def test_bytes_bound_the_queue_too(tmp_path):
    parts = {"jobs": {"job": bw.Job(size="100 B")}, "queue": bw.Queue(capacity_bytes="250 B"), **ROOM_FOR_ONE}
    told = outcomes(tmp_path, [0, 1, 2, 3, 11, 12], **parts)
    assert [row[5] for row in told] == ["completed"] * 3 + ["rejected", "completed", "rejected"]


def test_priority_zero_is_served_first_and_fifo_within(tmp_path):
    jobs = {"high": bw.Job(priority=0), "low": bw.Job(priority=1)}
    sources = {
        "low": bw.Periodic(interval="1 s", jobs="low"),
        "high": bw.Periodic(interval="3.5 s", jobs="high"),
    }
    scenario = bw.Scenario(
        arrivals=sources, jobs=jobs, queue=bw.Queue(discipline="priority"), workers=bw.Workers(service="4 s")
    )
    rows = bw.simulate(scenario, horizon="20 s", replications=1, record=("attempts",)).attempts
    started = rows[rows["started"].notna()].sort_values("started")
    assert list(zip(started["class"], started["job"], started["started"], strict=True)) == [
        ("low", 0, 1.0), ("high", 0, 5.0), ("high", 1, 9.0), ("high", 2, 13.0), ("high", 3, 17.0),
    ]  # fmt: skip
