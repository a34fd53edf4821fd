"""Callers that go on once their job is accepted: when they are released, and when and how they learn the result."""

import math

import pytest
from test_timelines import trace_of

import backwater as bw

EVERY_2 = {"kind": "poll", "every": "2 s"}


def again(pause, attempts="forever"):
    return {"kind": "constant", "base": pause, "jitter": "none", "max_attempts": attempts}


def lives(tmp_path, times, client, engine="auto", **parts) -> list[tuple]:
    """(released, ended, attempts, outcome) of each job, in order of its number."""
    parts = {"workers": {"service": "3 s"}, "arrivals": trace_of(tmp_path, times), **parts}
    made = bw.Scenario(client={"mode": "async", **client}, **parts)
    result = bw.simulate(made, horizon="60 s", replications=1, record=("jobs",), engine=engine)
    rows = result.jobs.sort_values("job")
    return list(rows[["released", "ended", "attempts", "outcome"]].itertuples(index=False, name=None))


def test_a_caller_goes_on_once_its_job_is_accepted(tmp_path):
    # The third job finds the only place taken, and again a second later: job 1 has just been taken, so there is room.
    parts = {"times": [0, 1, 2], "queue": {"capacity": 1}}
    retry = {"retry": again("1 s")}
    pushed = lives(tmp_path, client=retry, **parts)
    assert pushed == [(0, 3, 1, "completed"), (1, 6, 1, "completed"), (3, 9, 2, "completed")]
    # Polls come at 2, 4; at 3, 5, 7; at 5, 7, 9, the very moment at which the job is done.
    polled = lives(tmp_path, client={**retry, "notify": EVERY_2}, **parts)
    assert polled == [(0, 4, 1, "completed"), (1, 7, 1, "completed"), (3, 9, 2, "completed")]
    waited = lives(tmp_path, client={**retry, "mode": "sync"}, **parts)
    assert waited == [(3, 3, 1, "completed"), (6, 6, 1, "completed"), (9, 9, 2, "completed")]


def test_blocked_is_until_acceptance_and_latency_until_the_client_knows(tmp_path):
    made = bw.Scenario(
        arrivals=trace_of(tmp_path, [0, 1, 2]), workers={"service": "3 s"}, queue={"capacity": 1},
        client={"mode": "async", "retry": again("1 s"), "notify": EVERY_2},
    )  # fmt: skip
    result = bw.simulate(made, horizon="20 s", replications=1)
    assert (result["blocked_mean"], result["blocked_max"]) == (pytest.approx(1 / 3), 1)
    assert (result["latency_mean"], result["latency_max"]) == (pytest.approx((4 + 6 + 7) / 3), 7)
    assert result["sojourn_max"] == 6


def test_timeouts_cover_acceptance_only(tmp_path):
    patience = {"attempt_timeout": "1 s", "total_timeout": "2 s", "on_timeout": "cancel"}
    assert [row[3] for row in lives(tmp_path, [0, 1], patience)] == ["completed", "completed"]
    # Turned away at 1, 2.5 and 4; the fourth attempt would come at 5.5, but at 5 its patience ends.
    found = lives(tmp_path, [0, 1], {"total_timeout": "4 s", "retry": again("1500 ms")}, queue={"capacity": 0},
                  workers={"service": "10 s"})  # fmt: skip
    assert found == [(0, 10, 1, "completed"), (5, 5, 3, "gave_up")]


def test_an_error_that_is_heard_of_later_is_tried_again_while_the_caller_has_gone_on(tmp_path):
    errors = [{"kind": "errors", "share": 1.0, "start": "0 s", "duration": "4 s"}]
    assert lives(tmp_path, [0], {"retry": again("1 s")}, faults=errors) == [(0, 7, 2, "completed")]
    # Polled at 4, sent and accepted again at 5, done at 8, polled at 7 and 9.
    found = lives(tmp_path, [0], {"retry": again("1 s"), "notify": EVERY_2}, faults=errors)
    assert found == [(0, 9, 2, "completed")]
    assert lives(tmp_path, [0], {"notify": EVERY_2}, faults=errors) == [(0, 4, 1, "gave_up")]


def test_one_who_is_shed_learns_it_and_one_who_vanishes_is_never_told(tmp_path):
    # Job 2 takes the place of job 1 at 2. Shed, that is sent again at 5, when job 2 is served: done at 9.
    def found(overflow):
        queue = {"capacity": 1, "overflow": overflow}
        return lives(tmp_path, [0, 1, 2], {"retry": again("3 s"), "attempt_timeout": "1 s"}, queue=queue)[1]

    assert found("shed_oldest") == (1, 9, 2, "completed")
    assert found("drop_oldest") == (1, 2, 1, "dropped")


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_closed_population_thinks_once_its_job_is_accepted(tmp_path, engine):
    def found(**client):
        one = bw.Closed(clients=1, think="1 s")
        rows = lives(tmp_path, [0], client, engine, arrivals=one, queue={"capacity": 0})
        return [row[0] for row in rows[:4]]

    # Sent at 1 and accepted, at 2 turned away, at 4 accepted, for the worker has just become free; sent again at 5 ...
    assert found(retry=again("2 s")) == [1, 4, 7, 10]
    # ... and one that waits for its answer sends at 1, 5, 9, ...
    assert found(retry=again("2 s"), mode="sync") == [4, 8, 12, 16]


def test_acceptance_is_the_success_of_the_call(tmp_path):
    def withheld(mode):
        made = bw.Scenario(
            arrivals=bw.Periodic(interval="1 s"), workers={"service": "0 s"}, faults=[{"kind": "errors", "share": 1.0}],
            client={"mode": mode, "breaker": {"min_attempts": 2}},
        )  # fmt: skip
        return bw.simulate(made, horizon="20 s", replications=1)["withheld_ratio"]

    assert withheld("sync") > 0.5
    assert withheld("async") == 0


@pytest.mark.parametrize(("engine", "horizon"), [("simpy", "300 s"), ("compiled", "20000 s")])
def test_polls_find_an_exponential_service_after_a_geometric_number_of_them(engine, horizon):
    # Nobody waits, so the result is there after S, exponential of mean 1, and is found at the first multiple of x at or
    # after it: at k x with probability exp(-(k - 1) x) (1 - exp(-x)), on average x / (1 - exp(-x)).
    x = 0.7
    made = bw.Scenario(
        arrivals=bw.Poisson(rate=20), workers={"count": 200, "service": bw.Exponential(mean="1 s")},
        client={"mode": "async", "notify": {"kind": "poll", "every": x}},
    )  # fmt: skip
    result = bw.simulate(made, horizon=horizon, warmup="20 s", replications=10, engine=engine, seed=3)
    for name, exact in (("latency_mean", x / (1 - math.exp(-x))), ("served_within(710 ms)", 1 - math.exp(-x)),
                        ("served_within(1420 ms)", 1 - math.exp(-2 * x)), ("blocked_max", 0.0)):  # fmt: skip
        found = result.estimate(name, 0.9999)
        assert found.low <= exact <= found.high, (name, exact, found)


@pytest.mark.parametrize(("client", "says"), [
    ({"mode": "later"}, "client.mode must be 'sync' or 'async'"),
    ({"notify": {"kind": "poll", "every": "1 s"}}, 'client.notify must come with mode = "async"'),
    ({"mode": "async", "notify": "pull"}, "client.notify must be push, or poll with a time"),
    ({"mode": "async", "notify": {"kind": "poll"}}, "client.notify.every is missing"),
    ({"mode": "async", "notify": {"kind": "poll", "every": "0 s"}}, "client.notify.every must be above 0"),
])  # fmt: skip
def test_wrong_modes_are_refused_in_one_line(client, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, client=client)
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)


def test_a_mode_is_written_and_read_as_people_say_it():
    made = bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, client={"mode": "async"})
    assert bw.loads(bw.dumps(made.with_({"client.notify": "push"}))) == made
    polled = made.with_({"client.notify": {"kind": "poll", "every": "5 s"}})
    assert bw.loads(bw.dumps(polled)) == polled
    assert polled.with_({"client.notify.every": "2 s"}).client.notify == bw.Poll(every="2 s")
