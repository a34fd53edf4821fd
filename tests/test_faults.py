"""What breaks: hand-made timelines, and input that is refused."""

import pytest
from test_timelines import rows

import backwater as bw


def serve(tmp_path, times, faults, count=1, **parts):
    """(started, ended) of each job of 3 s, in order; the first job comes at time 0."""
    workers = {"service": "3 s", "count": count, **parts.pop("workers", {})}
    found = rows(tmp_path, times, workers=workers, faults=faults, jobs={"job": bw.Job()}, **parts)
    return [(started, ended) for _, _, _, started, ended in found]


def test_work_stands_still_while_its_worker_is_down_and_then_goes_on(tmp_path):
    down = [{"kind": "workers_down", "start": "2 s", "duration": "4 s"}]
    # Two of three seconds are done at 2; the third from 6 to 7. The job of time 4 waits until then.
    assert serve(tmp_path, [0, 4], down) == [(0, 7), (7, 10)]


def test_a_worker_may_finish_what_it_has_in_hand_before_it_is_down(tmp_path):
    down = [{"kind": "workers_down", "start": "2 s", "duration": "4 s", "in_hand": "finish"}]
    assert serve(tmp_path, [0, 1], down) == [(0, 3), (6, 9)]


def test_the_last_workers_are_struck_and_take_work_again_when_they_are_back(tmp_path):
    down = [{"kind": "workers_down", "share": "1/2", "start": "1 s", "duration": "3 s"}]
    # Worker 1 rests when it is struck: job 1 waits for worker 0 until 3, job 2 for worker 1 until 4.
    assert serve(tmp_path, [0, 1, 2], down, count=2) == [(0, 3), (3, 6), (4, 7)]


def test_slow_work_goes_at_the_speed_of_each_moment(tmp_path):
    slow = [{"kind": "workers_slow", "factor": 4.0, "start": "1 s", "duration": "4 s"},
            {"kind": "workers_slow", "factor": 2.0, "start": "3 s", "duration": "4 s"}]  # fmt: skip
    # Done by 1: 1 s; by 3: 1.5; by 5, at an eighth: 1.75; by 7, at a half: 2.75; the rest by 7.25.
    assert serve(tmp_path, [0], slow) == [(0, 7.25)]


def test_a_long_queue_slows_what_is_in_service(tmp_path):
    slow = {"memory": {"slowdown": {"above": 1, "factor": 2.0, "at": "now"}}}
    # Two wait from 2 on: the third second of job 0 takes two. One waits after 4, so the others go at full speed.
    assert serve(tmp_path, [0, 1, 2], [], queue=slow) == [(0, 4), (4, 7), (7, 10)]


def test_a_slow_disk_takes_as_much_longer_as_it_is_slow_when_it_is_asked(tmp_path):
    memory = {"memory": {"limit": "0 B", "write": "1 s", "read": "1 s"}}
    slow = [{"kind": "disk_slow", "factor": 3.0, "start": "2 s", "duration": "1500 ms"}]
    found = rows(tmp_path, [0, 1], workers={"service": "3 s"}, faults=slow, queue=memory)
    # Written from 1 to 2, asked for at 3 while the disk is slow: read from 3 to 6.
    assert [(started, ended) for *_, started, ended in found] == [(0, 3), (6, 9)]


def test_an_error_is_a_service_without_good():
    failing = bw.Scenario(
        arrivals=bw.Periodic(interval="1 s"), workers={"service": "500 ms"}, faults=[{"kind": "errors", "share": 1.0}],
        client={"retry": {"kind": "constant", "base": "0 s", "max_attempts": 2}},
    )  # fmt: skip
    result = bw.simulate(failing, horizon="100 s", replications=1)
    assert result["goodput"] == result["success_ratio"] == 0
    assert result["error_ratio"] == result["failure_ratio"] == result["wasted_ratio"] == 1
    assert result["attempts_per_job"] == 2
    assert result["utilization"] == pytest.approx(0.99, rel=1e-12)  # from the first job, at 1 s


WINDOWS = {"more": (1000, 2000), "after": (2000, 3000)}


def test_more_load_is_more_jobs_while_it_lasts():
    fault = [{"kind": "load", "factor": 3.0, "start": "1000 s", "duration": "1000 s"}]
    sources = (bw.Poisson(rate="5/s"), bw.MMPP(rates=(2, 8), sojourns=(1, 1)),
               bw.Bursts(base=4, peak=10, every=6, length=1))  # fmt: skip
    for arrivals in sources:
        busy = bw.Scenario(arrivals=arrivals, workers={"count": 50, "service": "1 s"}, faults=fault)
        found = bw.simulate(busy, horizon="3000 s", replications=8, windows=WINDOWS)
        for window, factor in (("more", 3), ("after", 1)):
            low, high = found.estimate(f"arrival_rate[all, {window}]", 0.9999)[1:3]
            assert low <= factor * 5 <= high, (arrivals.kind, window)


def test_more_load_shortens_the_gaps_of_a_timetable():
    # Each second until 10 s, then three times as often for 10 s; from 20 s on each second again.
    fault = [{"kind": "load", "factor": 3.0, "start": "10 s", "duration": "10 s"}]
    busy = bw.Scenario(arrivals=bw.Periodic(interval=1), workers={"count": 50, "service": "1 s"}, faults=fault)
    arrived = bw.simulate(busy, horizon="23 s", replications=1, record=("jobs",)).jobs["arrived"]
    times = [*range(1, 11), *(10 + n / 3 for n in range(1, 31)), 21, 22, 23]
    assert sorted(arrived) == pytest.approx(times, rel=1e-12)


@pytest.mark.parametrize(("fault", "says"), [
    ({"kind": "workers_slow"}, "faults.0.factor must be given for workers_slow"),
    ({"kind": "errors"}, "faults.0.share must be given for errors"),
    ({"kind": "workers_down", "factor": 2.0}, "faults.0.factor has no meaning for workers_down"),
    ({"kind": "load", "factor": 2.0, "share": 0.5}, "faults.0.share has no meaning for load"),
    ({"kind": "workers_down", "duration": "0 s"}, "faults.0.duration must be above 0"),
    ({"kind": "worker_down"}, "faults.0.kind must be 'workers_down'"),
])  # fmt: skip
def test_wrong_faults_are_refused_in_one_line(fault, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, faults=[fault])
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)


def test_a_trace_cannot_send_more(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("t\n0\n1\n")
    with pytest.raises(bw.ScenarioError, match=r"faults.0.kind must not be load where arrivals are a trace"):
        bw.Scenario(arrivals=bw.Trace(file=str(file), time="t"), workers={"service": "1 s"},
                    faults=[{"kind": "load", "factor": 2.0}])  # fmt: skip
