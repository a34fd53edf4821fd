"""Each front end's limit bites exactly where its documentation says, on both engines."""

import pytest

import backwater as bw
from backwater.errors import ScenarioError
from backwater.models import MODELS
from backwater.models.front_ends import NAMES
from backwater.outcome import assert_identical
from backwater.simulation import replicate

ENGINES = ("simpy", "compiled")
ONCE = {"kind": "periodic", "interval": "1 h"}  # all at once, an hour after time 0
HOUR = 3600.0


def attempts(scenario, count, engine, horizon="119 min", times=None):
    """(attempt, sent, started, ended, outcome) of so many requests at once, in the order of their places in line."""
    arrivals = {**ONCE, "batch": count} if times is None else times
    run = bw.Run(horizon=horizon, replications=1, record=("attempts",))
    rows = bw.simulate(scenario.with_({"arrivals": arrivals}), run, engine=engine).attempts
    return rows.sort_values(["job", "number"]).reset_index(drop=True)


def refused(scenario, count, engine):
    """Places in line, from 1 on, of the requests that got the 503 at once."""
    rows = attempts(scenario, count, engine)
    return [job + 1 for job in rows.job[(rows.outcome == "rejected") & (rows.ended == HOUR)]]


@pytest.mark.parametrize("name", NAMES)
def test_a_front_end_is_a_model_that_both_engines_agree_on_and_whose_limit_is_met(name):
    scenario, run = bw.model(name), MODELS[name].run
    short = run.model_copy(update={"arrivals": 3000, "warmup": 0.0, "record": ("jobs", "attempts")})
    assert_identical(replicate(scenario, short, 0, engine="simpy"), replicate(scenario, short, 0, engine="compiled"))
    whole = bw.simulate(scenario, run.model_copy(update={"replications": 1}))
    assert 0 < whole["rejection_ratio"] < 0.9


@pytest.mark.parametrize("engine", ENGINES)
def test_the_1025th_request_that_waits_for_envoy_gets_the_503(engine):
    # 1024 connections are under way, 1024 wait; 2048 requests in all are taken, and what comes after them is not.
    scenario = bw.model("envoy_proxy", service="1 s")
    assert refused(scenario, 2048, engine) == []
    assert refused(scenario, 2050, engine) == [2049, 2050]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_timeout_of_envoys_route_resets_what_is_under_way(engine):
    rows = attempts(bw.model("envoy_proxy", max_connections=1, service="9 s"), 3, engine)
    assert [(row.outcome, row.ended - HOUR) for row in rows.itertuples()] == [
        ("completed", 9), ("cancelled", 15), ("cancelled", 15)]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_haproxy_has_an_endless_queue_and_refuses_who_waits_for_longer_than_timeout_queue(engine):
    # Two at a time, 2 s each: pairs start after 0, 2, 4 s; the next would after 6 s and more, beyond the 5 s.
    scenario = bw.model("haproxy", maxconn=2, timeout_queue="5 s", service="2 s")
    rows = attempts(scenario, 5000, engine)
    assert list(rows.outcome) == ["completed"] * 6 + ["rejected"] * 4994
    assert list(rows.started[:6] - HOUR) == [0, 0, 2, 2, 4, 4]
    # With a patience of exactly 4 s the pair that starts then is served.
    assert (attempts(scenario.with_({"queue.admission.target": "4 s", "queue.admission.interval": "4 s"}), 9, engine)
            .outcome == "completed").sum() == 6  # fmt: skip
    assert refused(bw.model("haproxy", maxconn=2, maxqueue=3, service="2 s"), 7, engine) == [6, 7]


def leaky(times, rate, burst, nodelay):
    """nginx's own arithmetic: when each request passes [s], None for the 503.

    Source: ngx_http_limit_req_lookup: excess = max(excess - rate x since + 1, 0), refused if above burst, delayed by
    excess / rate. In units of 1/64 s here, in which all is exact.
    """
    excess, last, out = None, 0.0, []
    for now in times:
        mine = 0.0 if excess is None else max(excess - rate * (now - last) + 1, 0.0)
        if mine > burst:
            out.append(None)
            continue
        excess, last = mine, now
        out.append(now if nodelay else now + mine / rate)
    return out


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("nodelay", [False, True])
@pytest.mark.parametrize("burst", [0, 1, 5])
def test_nginx_passes_delays_and_refuses_just_as_its_own_arithmetic_does(burst, nodelay, engine, tmp_path):
    gaps = [0, 0, 0, 0, 0, 0, 0, 3, 5, 8, 1, 1, 1, 1, 30, 0, 2, 4, 8, 7, 1, 90, 0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 4, 4, 64]
    times = [sum(gaps[: n + 1]) / 64 for n in range(len(gaps))]
    file = tmp_path / "times.csv"
    file.write_text("t\n" + "".join(f"{time}\n" for time in times))
    behind = "1 ms" if nodelay else None
    scenario = bw.model("nginx_limit_req", rate="8/s", burst=burst, nodelay=nodelay, service=behind)
    trace = {"kind": "trace", "file": str(file), "time": "t"}
    rows = attempts(scenario, 0, engine, horizon="20 s", times=trace)
    passed = [None if row.outcome == "rejected" else row.started for row in rows.itertuples()]
    assert passed == leaky(times, 8, burst, nodelay)
    assert None in passed
    assert len(set(passed)) > 8


@pytest.mark.parametrize("engine", ENGINES)
def test_gunicorn_answers_no_503_and_a_dropped_syn_comes_again_after_1_3_7_and_15_seconds(engine):
    scenario = bw.model("gunicorn", workers=4, service="100 s", patience="20 s")
    assert refused(scenario, 4 + 2048, engine) == []
    rows = attempts(scenario, 4 + 2048 + 1, engine)
    last = rows[rows.job == 2052]
    assert list(last.sent - HOUR) == [0, 1, 3, 7, 15]
    assert set(last.outcome) == {"rejected"}
    # The kernel of old bounds the backlog to 128.
    assert refused(bw.model("gunicorn", somaxconn=128, service="100 s"), 134, engine) == [133, 134]


@pytest.mark.parametrize("engine", ENGINES)
def test_of_uvicorns_limit_of_ten_connections_nine_can_be_used(engine):
    scenario = bw.model("uvicorn", limit_concurrency=10, service="1 s")
    assert refused(scenario, 9, engine) == []
    assert refused(scenario, 11, engine) == [10, 11]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("concurrency", [1, 3])
def test_knative_holds_ten_times_as_many_as_are_under_way(concurrency, engine):
    scenario = bw.model("knative", container_concurrency=concurrency, service="1 s")
    assert refused(scenario, 11 * concurrency, engine) == []
    assert refused(scenario, 11 * concurrency + 2, engine) == [11 * concurrency + 1, 11 * concurrency + 2]


@pytest.mark.parametrize(
    ("name", "parameters", "line"),
    [
        ("uvicorn", {"limit_concurrency": 1}, "limit_concurrency must be at least 2: one less can be used (got 1)"),
        ("knative", {"container_concurrency": 0}, "must be at least 1: Knative's 0 bounds nothing (got 0)"),
        ("nginx_limit_req", {"rate": "0/s"}, "rate must be above 0"),
        ("haproxy", {"timeout_queue": "soon"}, "target must be a time"),
    ],
)
def test_a_limit_that_bounds_nothing_is_one_line(name, parameters, line):
    with pytest.raises(ScenarioError) as error:
        bw.model(name, **parameters)
    assert line in str(error.value)
