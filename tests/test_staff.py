"""Workers that fail, work in shifts, start up and are called by an autoscaler: timelines worked out on paper."""

import pytest
from test_timelines import trace_of

import backwater as bw

ENGINES = ("simpy", "compiled")


def simulate(tmp_path, times, engine, horizon="30 s", **workers):
    """Jobs of 3 s that come at these times, the first at 0."""
    scenario = bw.Scenario(arrivals=trace_of(tmp_path, times), workers={"service": "3 s", **workers})
    return bw.simulate(scenario, horizon=horizon, replications=1, record=("attempts",), engine=engine)


def table(result, *columns):
    """These columns of every attempt, in order of the job's number."""
    found = list(result.attempts.sort_values("job")[list(columns)].itertuples(index=False, name=None))
    return found if len(columns) > 1 else [value for (value,) in found]


def ways(*cases):
    """Each case on each engine."""
    return [(engine, *case) for case in cases for engine in ENGINES]


UP = {"up": "4 s", "repair": "2 s"}  # under repair from 4 to 6, 10 to 12, 16 to 18, ...


@pytest.mark.parametrize(("engine", "in_hand", "times", "expected"), ways(
    # Job 1 begins at 3 and has 2 s left at 4, job 2 begins at 9 and has 2 s left at 10.
    ("pause", [0, 1, 9], [(0, 3), (3, 8), (9, 14)]),
    # They begin anew at 6 and at 12.
    ("restart", [0, 1, 9], [(0, 3), (3, 9), (9, 15)]),
    # Job 1 ends as if nothing had happened; the worker is repaired by then and takes job 2.
    ("finish", [0, 1, 3.5], [(0, 3), (3, 6), (6, 9)]),
    # It fails although it rests: job 1 waits for the end of the repair.
    ("pause", [0, 5], [(0, 3), (6, 9)]),
))  # fmt: skip
def test_a_worker_fails_and_is_repaired(tmp_path, engine, in_hand, times, expected):
    result = simulate(tmp_path, times, engine, failures={**UP, "in_hand": in_hand})
    assert table(result, "started", "ended") == expected
    assert result["workers_mean"] == 1  # it is on duty all the time
    assert result["utilization"] == pytest.approx(sum(end - start for start, end in expected) / 30, rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_finishes_takes_nothing_more_until_it_is_repaired(tmp_path, engine):
    result = simulate(tmp_path, [0, 1, 2], engine, failures={"up": "4 s", "repair": "3 s", "in_hand": "finish"})
    assert table(result, "started", "ended") == [(0, 3), (3, 6), (7, 10)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failure_lets_the_disk_read_go_on(tmp_path, engine):
    scenario = bw.Scenario(
        arrivals=trace_of(tmp_path, [0, 1]), jobs={"job": bw.Job(size="100 B")},
        queue={"memory": {"limit": "0 B", "write": "0 s", "read": "2 s"}},
        workers={"service": "3 s", "failures": {**UP, "in_hand": "restart"}},
    )  # fmt: skip
    result = bw.simulate(scenario, horizon="30 s", replications=1, record=("attempts",), engine=engine)
    # Read from 3 to 5, while the worker is under repair; served from 6 on.
    assert table(result, "taken", "started", "ended") == [(0, 0, 3), (3, 5, 9)]


@pytest.mark.parametrize("engine", ENGINES)
def test_shifts_come_and_those_who_go_finish_what_they_have_in_hand(tmp_path, engine):
    points = [("0 s", 1), ("4 s", 3), ("8 s", 0), ("10 s", 2)]
    result = simulate(tmp_path, range(10), engine, "20 s", shifts={"points": points})
    assert table(result, "worker", "started", "ended") == [
        (0, 0, 3),
        (0, 3, 6),
        (1, 4, 7),  # called at 4
        (2, 4, 7),
        (0, 6, 9),
        (1, 7, 10),  # off duty from 8 on, finishing; called back at 10, just before it would have gone
        (2, 7, 10),  # off duty from 8 on, finishing; gone at 10
        (0, 10, 13),  # worker 0 went at 9 and is called again at 10
        (1, 10, 13),
        (0, 13, 16),
    ]
    # One until 4, three until 9, two that finish until 10, two from then on; worker 2 lasts no time beside them.
    assert result["workers_mean"] == pytest.approx((4 + 15 + 2 + 20) / 20, rel=1e-12)
    assert result["workers_max"] == 3
    assert result["utilization"] == pytest.approx(30 / 41, rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_shifts_come_again(tmp_path, engine):
    shifts = {"points": [("0 s", 1), ("5 s", 0)], "every": "10 s"}
    result = simulate(tmp_path, [0, 6, 13, 14], engine, shifts=shifts)
    assert table(result, "started", "ended") == [(0, 3), (10, 13), (13, 16), (20, 23)]
    assert result["workers_mean"] == pytest.approx((5 + 6 + 5) / 30, rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_is_called_starts_up_first(tmp_path, engine):
    points = [("0 s", 1), ("4 s", 3), ("5 s", 1), ("6 s", 2)]
    result = simulate(tmp_path, range(4), engine, "20 s", shifts={"points": points}, start_up="1500 ms")
    # Workers 1 and 2 are called off at 5, before they are ready; worker 1 starts up again from 6 to 7.5.
    assert table(result, "worker", "started", "ended") == [(0, 0, 3), (0, 3, 6), (0, 6, 9), (1, 7.5, 10.5)]
    assert result["workers_mean"] == pytest.approx((4 + 3 + 1 + 14 * 2) / 20, rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_is_called_back_before_it_has_gone_is_ready(tmp_path, engine):
    shifts = {"points": [("0 s", 2), ("1 s", 1), ("2 s", 2)]}
    result = simulate(tmp_path, [0, 0.5, 3.2, 3.6], engine, shifts=shifts, start_up="10 s")
    assert table(result, "worker", "started") == [(0, 0), (1, 0.5), (0, 3.2), (1, 3.6)]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_autoscaler_follows_the_queue(tmp_path, engine):
    # Fifteen jobs of 4 s, two a second. Looks at 3, 6, 9, ..., each followed by a decision 1 s later.
    scale = {"on": "queue", "max": 4, "target": 2, "every": "3 s", "lag": "1 s", "step": 2, "cooldown_in": "5 s"}
    result = simulate(tmp_path, [n / 2 for n in range(15)], engine, service="4 s", autoscale=scale)
    assert table(result, "worker", "started") == [
        (0, 0),
        (1, 4), (2, 4), (0, 4),  # five waited at 3, so three are wanted at 4
        (3, 7),  # eight waited at 6: four
        (1, 8), (2, 8), (0, 8),
        (3, 11),  # seven waited at 9: four still
        (1, 12), (2, 12), (0, 12),  # six waited at 12: three from 13 on; worker 3 goes when it is done, at 15
        (1, 16), (2, 16), (0, 16),  # three waited at 15: two, but the last change was 3 s ago
    ]  # fmt: skip
    # None waited at 18: from 19 on one is wanted, and two finish until 20.
    assert result["workers_mean"] == pytest.approx((4 * 1 + 3 * 3 + 8 * 4 + 5 * 3 + 10 * 1) / 30, rel=1e-12)
    assert result["workers_max"] == 4
    assert result["utilization"] == pytest.approx(60 / 70, rel=1e-12)


# One job of 3 s every 2 s from time 2 on keeps 1.5 workers busy: 11 s of work by 10, then 15 s in every 10 s.
@pytest.mark.parametrize(("engine", "count", "scale", "area"), ways(
    # 55 % by 10: near enough to 50 %. 75 % from 10 to 20: three at 20. Then 50 %.
    (2, {"tolerance": 0.2}, 20 * 2 + 30 * 3),
    # The same, without being near enough: three at 10, 50 % from then on.
    (2, {}, 10 * 2 + 40 * 3),
    # Decisions at 25, 35 and 45, on what was 15 s before: 55 %, 75 %, and 75 % again. That was of two workers; of the
    # three that there are by 45 it wants 4.5.
    (2, {"tolerance": 0.2, "lag": "15 s"}, 35 * 2 + 10 * 3 + 5 * 5),
    # 18.3 % of six by 10: three wanted, one decision takes two. 37.5 % of four: three, exactly.
    (6, {"step": 2}, 10 * 6 + 10 * 4 + 30 * 3),
    # 55 %: three at 10. 50 % after that.
    (2, {"max": 2}, 50 * 2),
    # The number fell at 10 and may fall again at 40: three from then on.
    (6, {"step": 1, "cooldown": "30 s"}, 10 * 6 + 30 * 5 + 10 * 4),
))  # fmt: skip
def test_an_autoscaler_follows_the_utilization(engine, count, scale, area):
    scale = {"max": 10, "target": "50 %", "every": "10 s", **scale}
    scenario = bw.Scenario(
        arrivals=bw.Periodic(interval="2 s"), workers={"service": "3 s", "count": count, "autoscale": scale}
    )
    result = bw.simulate(scenario, horizon="50 s", replications=1, engine=engine)
    assert result["workers_mean"] == pytest.approx(area / 50, rel=1e-12)
    assert result["wait_max"] == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fault_strikes_its_share_of_those_on_duty(tmp_path, engine):
    down = [{"kind": "workers_down", "share": "1/2", "start": "1 s", "duration": "7 s", "in_hand": "finish"}]
    scenario = bw.Scenario(
        arrivals=trace_of(tmp_path, [0, 0, 2, 3, 5]), faults=down,
        workers={"service": "3 s", "shifts": {"points": [("0 s", 2), ("4 s", 4)]}},
    )  # fmt: skip
    result = bw.simulate(scenario, horizon="30 s", replications=1, record=("attempts",), engine=engine)
    # Worker 1 is down while there are two; of four, workers 2 and 3 are.
    assert table(result, "worker", "started") == [(0, 0), (1, 0), (0, 3), (1, 4), (0, 6)]


WRONG = [
    ({"autoscale": {"min": 5, "max": 3, "target": 0.5}}, "workers.autoscale.min must be at most max = 3"),
    ({"autoscale": {"min": 2, "max": 3, "target": 0.5}}, "workers.count must be from autoscale.min = 2 to max = 3"),
    ({"count": 4, "autoscale": {"max": 3, "target": 0.5}}, "workers.count must be from autoscale.min = 1 to max = 3"),
    ({"autoscale": {"max": 3, "target": 0}}, "workers.autoscale.target must be greater than 0"),
    ({"autoscale": {"max": 3, "target": 1.5}}, "workers.autoscale.target must be at most 1"),
    ({"autoscale": {"max": 3, "target": "fast"}}, "workers.autoscale.target must be a share between 0 and 1"),
    ({"autoscale": {"min": 0, "max": 3, "target": 0.5}}, "workers.autoscale.min must be above 0"),
    ({"autoscale": {"max": 3, "target": 0.5, "every": 0}}, "workers.autoscale.every must be above 0"),
    ({"autoscale": {"max": 3, "target": 0.5, "step": 0}}, "workers.autoscale.step must be greater than or equal to 1"),
    ({"autoscale": {"max": 3}}, "workers.autoscale.target is missing"),
    ({"autoscale": {"max": 3, "target": 1, "on": "cpu"}}, "workers.autoscale.on must be 'utilization' or 'queue'"),
    ({"shifts": {"points": [(0, 1)]}, "autoscale": {"max": 3, "target": 1}}, "workers.shifts must not be given beside"),
    ({"shifts": {"points": [(0, 1)]}, "count": 2}, "workers.count must not be given beside shifts"),
    ({"shifts": {"points": []}}, "workers.shifts.points must be one or more, the first at time 0"),
    ({"shifts": {"points": [(1, 1)]}}, "workers.shifts.points must be one or more, the first at time 0"),
    ({"shifts": {"points": [(0, 1), (5, 2), (5, 3)]}}, "workers.shifts.points must go forward in time"),
    ({"shifts": {"points": [(0, -1)]}}, "workers.shifts.points must have 0 to 1,000,000 workers"),
    ({"shifts": {"points": [(0, 0)]}}, "workers.shifts.points must have some worker on duty at some time"),
    ({"shifts": {"points": [(0, 1), (5, 2)], "every": 5}}, "workers.shifts.every must be after the last point at 5 s"),
    ({"start_up": "1 s"}, "workers.start_up has no meaning without shifts or autoscale"),
    ({"failures": {"up": "0 s", "repair": "1 s"}}, "workers.failures.up must have a mean above 0"),
    ({"failures": {"up": "1 s"}}, "workers.failures.repair is missing"),
    ({"failures": {"up": {"kind": "linear", "per": {"x": "1 s"}}, "repair": "1 s"}}, "workers.failures.up must be a"),
    ({"failures": {"up": "1 s", "repair": "1 s", "in_hand": "drop"}}, "workers.failures.in_hand must be 'pause'"),
]  # fmt: skip


@pytest.mark.parametrize(("workers", "says"), WRONG)
def test_wrong_staff_is_refused_in_one_line(workers, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s", **workers})
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_that_might_never_end_is_refused(tmp_path):
    failing = {"service": "1 s", "failures": {"up": "1 h", "repair": "1 min"}}
    scenario = bw.Scenario(arrivals=trace_of(tmp_path, [0, 1]), workers=failing)
    with pytest.raises(bw.ScenarioError, match=r"run.horizon must be given: workers come and go for ever"):
        bw.simulate(scenario, arrivals=5)
    assert bw.simulate(scenario, horizon="10 s", replications=1)["throughput"] == 0.2
    # Begun anew for ever, a service of 2 s keeps everybody outside who fails each second.
    stuck = {"service": "2 s", "failures": {"up": "1 s", "repair": "1 s", "in_hand": "restart"}}
    scenario = bw.Scenario(arrivals=bw.Poisson(rate=1), queue={"capacity": 1, "overflow": "block"}, workers=stuck)
    with pytest.raises(bw.ScenarioError, match="workers come and go for ever, and producers may wait for good"):
        bw.simulate(scenario, arrivals=5)
    assert bw.simulate(scenario, horizon="100 s", replications=1)["throughput"] == 0


def test_the_load_is_that_of_those_who_can_work():
    def load(**workers):
        return bw.Scenario(arrivals=bw.Poisson(rate=6), workers={"service": "1 s", **workers}).load

    day = {"points": [("0 s", 2), ("8 h", 10), ("18 h", 4)]}
    assert load(shifts={**day, "every": "24 h"}) == pytest.approx(6 / ((8 * 2 + 10 * 10 + 6 * 4) / 24))
    assert load(shifts=day) == pytest.approx(6 / 4)  # the last number holds for good
    assert load(count=2, autoscale={"max": 12, "target": 0.7}) == pytest.approx(6 / 12)
    assert load(count=8, failures={"up": "9 h", "repair": "1 h"}) == pytest.approx(6 / (8 * 0.9))


def test_the_napkin_tells_of_the_staff():
    from backwater.napkin import napkin

    shifts = {"points": [("0 s", 2), ("8 h", 10)], "every": "24 h"}
    part = {"service": "1 s", "shifts": shifts, "failures": {"up": "9 h", "repair": "1 h"}, "start_up": "30 s"}
    said = dict(napkin(bw.Scenario(arrivals=bw.Poisson(rate=6), workers=part)))
    assert said["system"] == "M/D/2..10, fifo"
    assert said["workers"] == (
        "2 to 10 by shift, 7.33 in the long run; 30 s to start up; each fails after 9 h and is repaired in 60 min: "
        "90 % of the time it can work"
    )
