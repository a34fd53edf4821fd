"""Hedged requests: tables made by hand, and what is exact where nobody waits."""

import math

import pytest
from test_modes import again
from test_timelines import trace_of

import backwater as bw

SLOW = [{"kind": "workers_slow", "share": 0.5, "factor": 5.0}]  # of two workers the second


def attempts(tmp_path, times, hedge, engine="auto", **parts) -> list[tuple]:
    """(job, number, started, ended, outcome) of each attempt, in the order in which they ended; -1: never started."""
    client = {"hedge": hedge, **parts.pop("client", {})}
    made = bw.Scenario(arrivals=trace_of(tmp_path, times), client=client, **parts)
    rows = bw.simulate(made, horizon="60 s", replications=1, record=("attempts",), engine=engine).attempts
    rows = rows.assign(started=rows["started"].fillna(-1))
    return list(rows[["job", "number", "started", "ended", "outcome"]].itertuples(index=False, name=None))


def ends(tmp_path, times, hedge, **parts) -> list[tuple]:
    """(ended, attempts, outcome) of each job, in order of its number."""
    client = {"hedge": hedge, **parts.pop("client", {})}
    made = bw.Scenario(arrivals=trace_of(tmp_path, times), client=client, **parts)
    rows = bw.simulate(made, horizon="60 s", replications=1, record=("jobs",)).jobs.sort_values("job")
    return list(rows[["ended", "attempts", "outcome"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_hedge_overtakes_an_attempt_on_a_slow_worker(tmp_path, engine):
    # Job 1 would take the slow worker 10 s; its hedge at 4 finds the fast one idle.
    parts = {"workers": {"count": 2, "service": "2 s"}, "faults": SLOW, "engine": engine}
    fast, won = (0, 1, 0, 2, "completed"), (1, 2, 4, 6, "completed")
    assert attempts(tmp_path, [0, 1], {"after": "3 s"}, **parts) == [fast, won, (1, 1, 1, 6, "cancelled")]
    for losers in ("leave", "cancel_waiting"):
        found = attempts(tmp_path, [0, 1], {"after": "3 s", "losers": losers}, **parts)
        assert found == [fast, won, (1, 1, 1, 11, "abandoned_completed")]


def test_a_hedge_is_counted_and_what_a_loser_took_is_wasted(tmp_path):
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 1]), client={"hedge": {"after": "3 s"}},
                       workers={"count": 2, "service": "2 s"}, faults=SLOW)  # fmt: skip
    result = bw.simulate(made, horizon="20 s", replications=1, record=("attempts",), sample="500 ms")
    assert result["hedge_ratio"] == 1 / 3
    assert result["wasted_ratio"] == pytest.approx(5 / (2 + 2 + 5))  # the slow worker from 1 to 6
    assert (result["goodput"], result["latency_max"], result["timeout_ratio"]) == (0.1, 5, 0)
    flags = result.attempts.set_index(["job", "number"])[["hedge", "superseded", "timed_out"]]
    assert flags.loc[(1, 1)].tolist() == [False, True, False]
    assert flags.loc[(1, 2)].tolist() == [True, False, False]
    assert result.series.set_index("time")["hedging"].loc[[3.5, 4.5, 5.5, 6.5]].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_losers_that_wait_are_withdrawn_but_a_worker_that_becomes_free_is_quicker(tmp_path, engine):
    # Hedges at 1 and 2 wait. At 4 the worker is done and takes the first of them before the client has heard of it.
    parts = {"workers": {"service": "4 s"}, "engine": engine}
    won, waiting = (0, 1, 0, 4, "completed"), (0, 3, -1, 4, "cancelled")
    found = attempts(tmp_path, [0], {"after": "1 s", "most": 2}, **parts)
    assert found == [won, waiting, (0, 2, 4, 4, "cancelled")]
    found = attempts(tmp_path, [0], {"after": "1 s", "most": 2, "losers": "cancel_waiting"}, **parts)
    assert found == [won, waiting, (0, 2, 4, 8, "abandoned_completed")]
    found = attempts(tmp_path, [0], {"after": "1 s", "most": 2, "losers": "leave"}, **parts)
    late = "abandoned_completed"
    assert found == [won, (0, 2, 4, 8, late), (0, 3, 8, 12, late)]


def test_a_call_fails_with_its_last_attempt_and_only_then_is_tried_again(tmp_path):
    # Job 0's hedge at 1 finds no room, which fails nothing: its first attempt is live. Job 1 is turned away at 2, 5, 8,
    # each time with no attempt left that could be hedged.
    parts = {"workers": {"service": "10 s"}, "queue": {"capacity": 0}, "client": {"retry": again("3 s", 3)}}
    assert ends(tmp_path, [0, 2], {"after": "1 s"}, **parts) == [(10, 2, "completed"), (8, 3, "gave_up")]
    # Errors at 2 and, of its hedge, at 3; again at 4, hedged at 5, and by 6 errors are over.
    errors = [{"kind": "errors", "share": 1.0, "start": "0 s", "duration": "5 s"}]
    parts = {"workers": {"service": "2 s", "count": 4}, "faults": errors, "client": {"retry": again("1 s")}}
    assert ends(tmp_path, [0], {"after": "1 s"}, **parts) == [(6, 4, "completed")]


def test_each_attempt_has_its_own_timeout_and_the_total_one_ends_them_all(tmp_path):
    parts = {"workers": {"service": "10 s"}}
    patient = {"attempt_timeout": "3 s", "on_timeout": "cancel"}
    # The worker takes the hedge of 2 when the first attempt is stopped at 3; at 5 that times out too.
    found = attempts(tmp_path, [0], {"after": "2 s"}, client=patient, **parts)
    assert found == [(0, 1, 0, 3, "cancelled"), (0, 2, 3, 5, "cancelled")]
    retry = {**patient, "retry": again("1 s", 2)}
    assert ends(tmp_path, [0], {"after": "2 s"}, client=retry, **parts) == [(11, 4, "gave_up")]
    both = {"total_timeout": "4 s", "on_timeout": "cancel"}
    found = attempts(tmp_path, [0], {"after": "2 s"}, client=both, **parts)
    assert found == [(0, 2, -1, 4, "cancelled"), (0, 1, 0, 4, "cancelled")]
    assert ends(tmp_path, [0], {"after": "2 s"}, client=both, **parts) == [(4, 2, "gave_up")]


def test_a_budget_pays_for_hedges(tmp_path):
    # Two tokens and none put back: two hedges. The third job's is not paid for, and it has no second one either.
    budget = {"kind": "token_bucket", "capacity": 2}
    parts = {"workers": {"service": "5 s", "count": 50}, "client": {"retry_budget": budget}}
    found = ends(tmp_path, [0, 10, 20], {"after": "2 s", "most": 2}, **parts)
    assert [row[1] for row in found] == [3, 1, 1]


def test_a_hedge_is_one_call_to_a_breaker(tmp_path):
    # Ten attempts fail, which are five calls: only then does a breaker open that wants five.
    errors = [{"kind": "errors", "share": 1.0}]
    breaker = {"min_attempts": 5, "window": "60 s", "open_for": "30 s"}
    parts = {"workers": {"service": "2 s", "count": 50}, "faults": errors, "client": {"breaker": breaker}}
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 5, 10, 15, 20, 25]), **{
        **parts, "client": {**parts["client"], "hedge": {"after": "1 s"}}})  # fmt: skip
    rows = bw.simulate(made, horizon="60 s", replications=1, record=("attempts",)).attempts
    assert rows.groupby("job")["withheld"].sum().tolist() == [0, 0, 0, 0, 0, 1]
    assert rows.groupby("job").size().tolist() == [2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize(("engine", "horizon"), [("simpy", "250 s"), ("compiled", "20000 s")])
@pytest.mark.parametrize("demand", ["attempt", "job"])
def test_where_nobody_waits_latency_and_load_are_exact(engine, horizon, demand):
    # Services S of mean 1, hedged after d. Drawn anew, the hedge ends at d + S': P(latency > t) is exp(-t) up to d and
    # exp(-t - (t - d)) after it; on average 1 - exp(-d) + exp(-d) / 2. Of one demand, hedges change nothing. Either way
    # exp(-d) of the jobs are hedged. Losers are stopped, so drawn anew it all takes workers 1 s per job, as without
    # hedges (1 - exp(-d) / 2 of the first attempt and exp(-d) / 2 of the hedge), and of one demand exp(-d) more.
    d = 0.6
    made = bw.Scenario(
        arrivals=bw.Poisson(rate=20), client={"hedge": {"after": d}},
        workers={"count": 300, "service": bw.Exponential(mean="1 s"), "demand": demand},
    )  # fmt: skip
    result = bw.simulate(made, horizon=horizon, warmup="20 s", replications=10, engine=engine, seed=5)
    anew, e = demand == "attempt", math.exp(-d)
    tails = {t: math.exp(-t) * (math.exp(d - t) if anew and t > d else 1.0) for t in (0.3, 1.0, 2.0)}
    expected = {"latency_mean": 1 - e + e / 2 if anew else 1.0, "hedge_ratio": e / (1 + e),
                "attempts_per_job": 1 + e,
                "busy_mean": 20 * (1.0 if anew else 1.0 + e)}  # fmt: skip
    expected |= {f"served_within({t} s)": 1 - tail for t, tail in tails.items()}
    for q, name in ((0.5, "latency_p50"), (0.99, "latency_p99")):
        t = -math.log(1 - q)
        expected[name] = (t + d) / 2 if anew and t > d else t
    missed = []
    for name, exact in expected.items():
        found = result.estimate(name, 0.9999)
        slack = exact / 256 if "_p" in name or "within" in name else 0.0
        if not found.low - slack <= exact <= found.high + slack:
            missed.append((name, exact, found))
    assert not missed


@pytest.mark.parametrize(("parts", "says"), [
    ({"client": {"hedge": {}}}, "client.hedge.after is missing"),
    ({"client": {"hedge": {"after": "1 s", "most": 0}}}, "client.hedge.most must be greater than or equal to 1"),
    ({"client": {"hedge": {"after": "1 s", "losers": "stop"}}}, "client.hedge.losers must be 'leave'"),
    ({"client": {"hedge": {"after": {"kind": "linear", "per": {"x": "1 s"}}}}}, "client.hedge.after must be a random"),
    ({"client": {"hedge": {"after": "1 s"}, "mode": "async"}}, "client.hedge must stand with mode = "),
    ({"client": {"hedge": {"after": "1 s"}}, "queue": {"capacity": 1, "overflow": "drop_oldest"}},
     "client.hedge must come with a timeout where queue.overflow is drop_oldest"),
])  # fmt: skip
def test_wrong_hedges_are_refused_in_one_line(parts, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, **parts)
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)
