"""What a run told event by event says of workers, faults and tokens: timelines by hand, on both engines."""

import pytest
from test_timelines import trace_of

import backwater as bw
from backwater.experiments.cli import main

ENGINES = ("simpy", "compiled")
AT_ONCE = {"kind": "constant", "base": "0 s", "jitter": "none", "max_attempts": 3}


def told(scenario, engine, horizon="20 s", job=None):
    """(time, what) of all events that concern no job, or of this one's."""
    result = bw.simulate(scenario, horizon=horizon, replications=1, seed=5, record=("events",), engine=engine)
    events = result.events[result.events["job"] == (-1 if job is None else job)]
    return [(round(event.time, 6), event.what) for event in events.itertuples()]


def served(tmp_path, times, **workers):
    return bw.Scenario(arrivals=trace_of(tmp_path, times), workers={"service": "1 s", **workers})


@pytest.mark.parametrize("engine", ENGINES)
def test_workers_that_fail_and_are_repaired_are_told(tmp_path, engine):
    made = served(tmp_path, [0], failures={"up": "4 s", "repair": "2 s"})
    assert told(made, engine, "11 s") == [
        (4, "worker 0 fails"), (6, "worker 0 is repaired"), (10, "worker 0 fails"),
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_shifts_and_faults_are_told(tmp_path, engine):
    made = served(tmp_path, [0], shifts={"points": [("0 s", 2), ("3 s", 5), ("7 s", 5), ("8 s", 1)]}).with_({
        "faults": [{"kind": "workers_slow", "share": 0.5, "factor": 3.0, "start": "4 s", "duration": "2 s"},
                   {"kind": "errors", "share": 0.25, "start": "5 s"}]})  # fmt: skip
    slow = "fault: workers_slow, a share of 50 %, a factor of 3"
    assert told(made, engine) == [
        (3, "shift: workers on duty from 2 to 5"), (4, f"{slow}, begins"),
        (5, "fault: errors, a share of 25 %, begins"), (6, f"{slow}, is over"),
        (8, "shift: workers on duty from 5 to 1"),
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_an_autoscaler_s_decisions_and_start_ups_are_told(tmp_path, engine):
    # Five jobs of 3 s at 0 s. At 2 s four wait: as many workers, from 3 s on. At 4 s one waits, and the job of worker 0
    # is done; from 5 s on it is one worker. At 6 s nobody waits; no fewer than one.
    made = served(tmp_path, [0] * 5, service="3 s", start_up="500 ms",
                  autoscale={"max": 9, "on": "queue", "target": 1, "every": "2 s", "lag": "1 s"})  # fmt: skip
    assert told(made, engine, "9 s") == [
        (3, "autoscaled: workers on duty from 1 to 4"), *((3.5, f"worker {n} has started up") for n in (1, 2, 3)),
        (5, "autoscaled: workers on duty from 4 to 1"),
    ]  # fmt: skip


def room_for_one(tmp_path, client, **parts):
    """Job 0 has the only worker for 10 s; job 1 comes at 1 s."""
    return bw.Scenario(arrivals=trace_of(tmp_path, [0, 1]), workers={"service": "10 s"}, client=client,
                       **{"queue": {"capacity": 0}, **parts})  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_why_no_retry_comes_is_told(tmp_path, engine):
    budget = {"kind": "token_bucket", "capacity": 1}
    made = room_for_one(tmp_path, {"retry": AT_ONCE, "retry_budget": budget})
    assert told(made, engine, job=1) == [
        (1, "full -> 503, again in 0 s"), (1, "full -> 503"),
        (1, "its retry budget does not pay for another attempt"), (1, "gave up after 2 attempts"),
    ]  # fmt: skip
    proxied = room_for_one(tmp_path, {"proxy": {"retry": AT_ONCE, "retry_budget": budget}})
    assert told(proxied, engine, job=1)[2:] == [
        (1, "its proxy's retry budget does not pay for another try: the client hears of the failure"),
        (1, "gave up after 2 attempts"),
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_why_no_hedge_comes_is_told(tmp_path, engine):
    hedged = {"hedge": {"after": "2 s", "most": 2}, "retry_budget": {"kind": "token_bucket", "capacity": 1}}
    made = room_for_one(tmp_path, hedged, queue={})
    assert told(made, engine, "8 s", job=1) == [
        (1, "waits"), (3, "its retry budget does not pay for a hedge"),
    ]  # fmt: skip
    assert [what for _, what in told(made, engine, "8 s", job=0)] == [
        "accepted", "service starts on worker 0", "hedge: waits", "its retry budget does not pay for a hedge",
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_a_wait_for_a_token_is_told(tmp_path, engine):
    made = room_for_one(tmp_path, {"rate_limiter": {}, "retry": AT_ONCE})
    # The first 503 is measured as 0.8 of one answer a second, and makes the rate 0.7 * 0.8 = 0.56/s; a token is there.
    # The second would make it 0.7 * 0.56 = 0.392/s, which is below the least: the next token comes 1 / 0.5 s later.
    assert told(made, engine, job=1) == [
        (1, "full -> 503, again in 0 s"), (1, "full -> 503, again in 2 s"),
        (1, "waits for a token of its rate limiter"), (3, "full -> 503"), (3, "gave up after 3 attempts"),
    ]  # fmt: skip


def test_what_was_admitted_is_told_as_such(tmp_path, capsys, monkeypatch):
    text = 'arrivals = { kind = "periodic", interval = "1 s" }\nworkers = { service = "5 s" }\n'
    (tmp_path / "s.toml").write_text(f'{text}queue.admission = {{ kind = "token_bucket", rate = "1/h" }}\n')
    monkeypatch.setattr("sys.argv", ["backwater", "steps", str(tmp_path / "s.toml"), "--first", "4"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in (0, None)
    assert "2.000 job 1 attempt 1: turned away -> 503" in capsys.readouterr().out.splitlines()
