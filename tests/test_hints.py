"""What a 503 asks of a client, and what retries may take of what is under way: tables by hand, on both engines."""

import numpy as np
import pytest
from test_clients import ENGINES, sent
from test_timelines import trace_of

import backwater as bw
from backwater.components.client import heeds
from backwater.components.presets import PRESETS


@pytest.mark.parametrize(("name", "pause", "asked", "waits"), [
    ("aws_standard_2026", 0.05, 3.0, 3.0), ("aws_standard_2026", 0.05, 10.0, 5.05),
    ("aws_standard_2026", 0.05, 0.01, 0.05), ("aws_standard_2026", 0.05, 0.0, 0.05),
    ("grpc", 0.4, 0.1, 0.1), ("grpc", 0.4, 7.0, 7.0), ("grpc", 0.4, 0.0, 0.0), ("grpc", 0.4, -1.0, 0.4),
    ("grpc", 0.4, np.inf, np.inf), ("urllib3", 0.8, 0.3, 0.3), ("urllib3", 0.8, 0.0, 0.8),
    ("urllib3", 0.8, 30_000.0, 21_600.0), ("urllib3", 0.8, np.inf, 21_600.0), ("aws_standard_js", 0.05, 3.0, 3.0),
    ("aws_standard_js", 5.0, 3.0, 5.0), ("aws_standard_js", 5.0, 0.0, 5.0), ("aws_standard_2026", 0.05, np.inf, 5.05),
])  # fmt: skip
def test_hints_are_honoured_as_each_client_does(name, pause, asked, waits):
    honours, *how = bw.Client(preset=name).hint
    assert honours
    assert heeds(pause, asked, *how) == pytest.approx(waits, rel=1e-12)


@pytest.mark.parametrize(("client", "asked", "waits"), [
    ({"preset": "grpc"}, 3.0, 3.0), ({"preset": "grpc"}, 0.0, 0.0), ({"preset": "grpc"}, np.inf, np.inf),
    # Asked for nothing; or its own policy, and 5 s more, have a say in it.
    ({"preset": "grpc"}, -1.0, np.nan), ({}, 3.0, np.nan), ({"preset": "aws_standard_2026"}, np.inf, np.nan),
    ({"preset": "aws_standard"}, np.inf, np.nan), ({}, np.inf, np.inf), ({"preset": "urllib3"}, np.inf, 21600.0),
    ({"preset": "urllib3"}, 0.0, np.nan), ({"honours_retry_after": {"most": "9 s"}}, np.inf, np.nan),
])  # fmt: skip
def test_where_a_503_alone_says_how_long_a_client_stays_away(client, asked, waits):
    assert bw.Client(**client).waits_exactly(asked) == pytest.approx(waits, nan_ok=True, abs=0)


def test_who_ignores_hints():
    deaf = {name for name in PRESETS if not bw.Client(preset=name).hint[0]}
    assert {"aws_legacy", "aws_standard", "envoy", "google", "finagle", "polly_exponential"} <= deaf


@pytest.mark.parametrize(("how", "expected"), [
    # A job holds the worker until 2 s, then all services fail. The 503 of 0.5 s asks for 3 s; then come errors, at
    # 5.5 s, ...: the pause after the first of them is the first pause, or the second.
    ({"exactly": True, "resets": True}, [0.5, 3.5, 6.5, 10.5, 16.5, 26.5]),
    ({"exactly": True}, [0.5, 3.5, 7.5, 13.5, 23.5, 41.5]),
    ({"resets": True, "least": "4 s"}, [0.5, 1.5, 3.5, 9.5, 19.5, 37.5]),
])  # fmt: skip
@pytest.mark.parametrize("engine", ENGINES)
def test_a_pushback_begins_the_backoff_anew(engine, tmp_path, how, expected):
    retry = {"base": "1 s", "jitter": "none", "max_attempts": 6}
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 0.5]), workers={"service": "2 s"},
                       queue={"capacity": 0, "retry_after": "3 s"}, client={"retry": retry, "honours_retry_after": how},
                       faults=[{"kind": "errors", "share": 1.0, "start": "2500 ms"}])  # fmt: skip
    assert sent(made, engine, job=1) == expected


@pytest.mark.parametrize(("client", "expected"), [
    # A 503 at 0.5 s; an error at 2 s, after which job 0 comes again in 0.1 s.
    ("grpc", ([0, 2.1], [0.5])), ({"retry": {"base": "100 ms", "jitter": "none"}}, ([0, 2.1], [0.5])),
    ({"retry": {"base": "100 ms", "jitter": "none"}, "honours_retry_after": False}, ([0, 2.1], [0.5, 0.6, 0.8])),
    ({"proxy": {"retry": {"base": "100 ms", "jitter": "none"}}}, ([0, 2.1], [0.5])),
])  # fmt: skip
@pytest.mark.parametrize("engine", ENGINES)
def test_a_503_that_says_never_is_final_and_an_error_is_not(engine, tmp_path, client, expected):
    client = {"preset": "grpc", "retry": {"jitter": "none"}} if client == "grpc" else client
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 0.5]), workers={"service": "2 s"}, client=client,
                       queue={"capacity": 0, "retry_after": "never"},
                       faults=[{"kind": "errors", "share": 1.0, "duration": "3 s"}])  # fmt: skip
    assert tuple(sent(made, engine, job=job) for job in (0, 1)) == tuple(
        pytest.approx(each, rel=1e-12) for each in expected)  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_a_503_that_says_never_still_takes_a_token(engine):
    # Two jobs get 503s, which leaves 8 of ten tokens; each of the others fails four times a job: 7, 6, 5, and no more.
    faults = [{"kind": "workers_down", "duration": "250 s"}, {"kind": "errors", "share": 1.0, "start": "250 s"}]
    made = bw.Scenario(arrivals=bw.Periodic(interval="100 s"), workers={"service": "1 s"}, client="grpc",
                       queue={"capacity": 0, "retry_after": "never"}, faults=faults)  # fmt: skip
    result = bw.simulate(made, horizon="550 s", replications=1, record=("jobs",), engine=engine)
    assert result.jobs.sort_values("job")["attempts"].tolist() == [1, 1, 3, 1, 1]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pushback_of_nothing_is_at_once(engine, tmp_path):
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 1]), workers={"service": "10 s"}, client="grpc",
                       queue={"capacity": 0, "retry_after": "0 s"})  # fmt: skip
    assert sent(made, engine, job=1) == [1, 1, 1, 1]
    slow = made.with_({"client": {"preset": "urllib3", "retry": {"max_attempts": 4}}})
    assert sent(slow, engine, job=1) == pytest.approx([1, 1, 1.2, 1.6])


@pytest.mark.parametrize(("most", "share", "expected"), [
    # Five are under way whenever others fail: three, two, one, and three again, of which a retry that waits is one.
    (0, 0.6, [5, 6, 7]), (0, 0.5, [5, 6]), (0, 0.39, [5]), (0, 0.19, []), (3, 0.4, [5, 6, 7]), (1, 0.4, [5, 6]),
    (0, 1.0, [5, 6, 7, 8, 14]),
])  # fmt: skip
@pytest.mark.parametrize("engine", ENGINES)
def test_retries_may_be_a_share_of_what_is_active(engine, tmp_path, most, share, expected):
    # Five workers take five jobs at 0 s and at 20 s, for 10 s; four more are turned away a second later each time.
    times = [0] * 5 + [1] * 4 + [20] * 5 + [21] * 4
    made = bw.Scenario(
        arrivals=trace_of(tmp_path, times), workers={"count": 5, "service": "10 s"}, queue={"capacity": 0},
        client={"retry": {"kind": "constant", "base": "99 s", "jitter": "none"},
                "retry_budget": {"kind": "concurrent", "most": most, "share": share}})  # fmt: skip
    jobs = bw.simulate(made, horizon="50 s", replications=1, record=("jobs",), engine=engine).jobs
    assert sorted(jobs[jobs["outcome"] == "unfinished"]["job"]) == expected


@pytest.mark.parametrize(("client", "asked", "lasts"), [
    ("grpc", "never", 0.0), ("grpc", "2 s", 6.0), ("aws_legacy", "2 s", 7.5), ("aws_standard_2026", "1 s", 2.0),
    ({"retry": {"base": "1 s", "max_attempts": 4}}, "1 s", 1 + 1 + 2),
])  # fmt: skip
def test_a_client_persists_for_as_long_as_503s_ask(client, asked, lasts):
    from backwater.napkin import persistence

    assert persistence(
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, client=client).client,
        bw.Queue(retry_after=asked).asked,
    ) == pytest.approx(lasts, rel=1e-12)


@pytest.mark.parametrize(("given", "says"), [
    ("nevr", 'must be a time such as "2 s", or "never" (got "nevr")'), (-1, "must be a time such as"),
    ("3 kB", "must be a time such as"),
])  # fmt: skip
def test_what_a_503_asks_is_a_time_or_never(given, says):
    with pytest.raises(bw.ScenarioError, match="retry_after " + says.split("(")[0].strip()):
        bw.Queue(retry_after=given)
    assert bw.loads(bw.dumps(bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, queue={
        "retry_after": "never"}))).queue.asked == np.inf  # fmt: skip


def test_a_client_that_comes_again_at_once_for_ever_is_refused():
    retry = {"base": "1 s", "max_attempts": "forever", "cap": "9 s"}
    made = {"arrivals": bw.Poisson(rate=1), "workers": {"service": "1 s"}, "queue": {"capacity": 0, "retry_after": 0},
            "client": {"retry": retry, "honours_retry_after": {"exactly": True}}}  # fmt: skip
    with pytest.raises(bw.ScenarioError, match=r"client\.retry\.base must be above 0 where"):
        bw.Scenario(**made)
    bw.Scenario(**{**made, "queue": {"capacity": 0, "retry_after": "1 ms"}})
    once = {"kind": "constant", "base": "0 s", "jitter": "none", "max_attempts": "forever"}
    with pytest.raises(bw.ScenarioError, match=r"client\.proxy\.retry\.base must be above 0 where"):
        bw.Scenario(**{**made, "client": {"proxy": {"retry": once}}})
    bw.Scenario(**{**made, "client": {"proxy": {"retry": once}}, "queue": {}})
