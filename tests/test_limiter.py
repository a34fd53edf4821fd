"""The rate limiter of adaptive clients against a table by hand, and who waits for whom in a run."""

import numpy as np
import pytest
from test_timelines import trace_of

import backwater as bw
from backwater.components.limiter import FILL, MEASURED, MEMORY, TOKENS, limiter_hears, take_token
from backwater.simulation import replicate

#: When an answer comes [s], whether it is a 503, and the measured rate and that of tokens after it [1/s].
ANSWERS = [
    # Counted from 0 on; nothing measured yet, so no more than 2 * 0, and no less than 0.5.
    (0.1, False, 0, 0.5), (0.2, False, 0, 0.5), (0.3, False, 0, 0.5), (0.4, False, 0, 0.5),
    # Five answers in 0.5 s: 0.8 * 10 + 0.2 * 0. The first 503: 0.7 * 8.
    (0.6, True, 8, 5.6),
    # One in 0.5 s: 0.8 * 2 + 0.2 * 8 = 3.2. K = (8 * 0.3 / 0.4)^(1/3) = 1.8171206, so 0.4 (0.6 - K)^3 + 8 = 7.2788
    # would be the rate, but twice the measured one is 6.4.
    (1.2, False, 3.2, 6.4),
    # 0.8 * 2 + 0.2 * 3.2 = 2.24, which is less than 6.4: 0.7 * 2.24.
    (1.7, True, 2.24, 1.568),
    # In the same half second: nothing new is measured. K = (2.24 * 0.75)^(1/3) = 1.68^(1/3) = 1.1887844;
    # 0.4 (0.1 - K)^3 + 2.24 = 2.24 - 0.4 * 1.2907010.
    (1.8, False, 2.24, 1.7237196),
    # Two since 1.5, in 1.5 s: 0.8 * 4 / 3 + 0.2 * 2.24 = 1.5146667. 0.4 (1.3 - K)^3 + 2.24 = 2.24 + 0.4 * 0.0013756.
    (3.0, False, 1.5146667, 2.2405503),
    # One in 0.5 s: 1.6 + 0.2 * 1.5146667 = 1.9029333; less than 2.2405503, so 0.7 * 1.9029333.
    (3.5, True, 1.9029333, 1.3320533),
    # Again: w is the lesser of 1.9029333 and 1.3320533.
    (3.6, True, 1.9029333, 0.9324373),
    # And again: 0.7 * 0.9324373, then 0.7 * 0.6527061 = 0.4568943, below the least.
    (3.7, True, 1.9029333, 0.6527061), (3.8, True, 1.9029333, 0.5),
]  # fmt: skip


def test_the_rate_after_each_answer_is_that_of_the_table():
    part = bw.RateLimiter()
    params, memory = part.params, part.memory
    assert len(memory) == MEMORY
    for time, rejected, measured, rate in ANSWERS:
        limiter_hears(params, memory, time, rejected)
        assert (memory[MEASURED], memory[FILL]) == pytest.approx((measured, rate), abs=2e-6), time


def test_tokens_come_at_the_rate_and_no_more_are_kept_than_come_in_a_second():
    part = bw.RateLimiter()
    params, memory = part.params, part.memory
    assert take_token(memory, 0.0)  # none is needed before the first 503
    for time, rejected, *_ in ANSWERS[:5]:
        limiter_hears(params, memory, time, rejected)
    # 0.1 at 1/s, then 0.5 s at 0.5/s; then 5.6/s.
    assert memory[TOKENS] == pytest.approx(0.35)
    assert not take_token(memory, 0.7)
    assert take_token(memory, 0.72)  # 0.35 + 0.12 * 5.6 = 1.022
    assert memory[TOKENS] == pytest.approx(0.022)
    assert [take_token(memory, 9.0) for _ in range(6)] == [True] * 5 + [False]


ENGINES = ("simpy", "compiled")


def sent(scenario, engine, seed=1):
    """(job, when) of each attempt in the order in which they were sent."""
    outcome = replicate(scenario, bw.Run(horizon="60 s", seed=seed, record=("attempts",)), 0, engine)
    return sorted((round(row[5], 9), int(row[1])) for row in outcome.attempts)


@pytest.mark.parametrize("engine", ENGINES)
def test_jobs_wait_in_the_order_in_which_they_came(engine, tmp_path):
    # Everything is turned away. At the first 503, at 0, nothing has been measured and there is no token; they come at
    # 0.5/s, the least there is, and so one attempt goes every 2 s.
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 0.1, 0.2, 0.3]), workers={"service": "1 s"},
                       queue={"capacity": 0}, faults=[{"kind": "workers_down"}],
                       client={"rate_limiter": {}})  # fmt: skip
    assert sent(made, engine) == [(0.0, 0), (2.0, 1), (4.0, 2), (6.0, 3)]
    # Who gives up leaves the line: all before 2 s, or jobs 2 and 3 before 4 s.
    made = made.with_({"client.total_timeout": "1500 ms"})
    assert sent(made, engine) == [(0.0, 0)]
    made = made.with_({"client.total_timeout": "3 s"})
    assert sent(made, engine) == [(0.0, 0), (2.0, 1)]


@pytest.mark.parametrize("engine", ENGINES)
def test_first_attempts_wait_too_and_retries_wait_for_pause_and_token(engine, tmp_path):
    retry = {"kind": "constant", "base": "3 s", "jitter": "none", "max_attempts": 2}
    made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 1]), workers={"service": "1 s"}, queue={"capacity": 0},
                       faults=[{"kind": "workers_down"}], client={"rate_limiter": {}, "retry": retry})  # fmt: skip
    # Job 0 fails at 0 and comes back at 3, when job 1, sent at 2, has taken the token; 0.5 are there, so it goes at 4.
    # Job 1 comes back at 5, when 0.5 are there, and goes at 6.
    assert sent(made, engine) == [(0.0, 0), (2.0, 1), (4.0, 0), (6.0, 1)]


def test_an_adaptive_fleet_comes_down_to_what_is_let_in():
    # 100 a second ask for 40 that workers can do; without the limiter, more than half of the attempts get a 503.
    made = bw.Scenario(arrivals=bw.Closed(clients=400, think="3 s"), workers={"service": "100 ms", "count": 4},
                       queue={"capacity": 4}, client={"retry": bw.Retry(base="100 ms", max_attempts=5)})  # fmt: skip
    free = bw.simulate(made, horizon="300 s", warmup="60 s", replications=2)
    held = bw.simulate(made.with_({"client.rate_limiter": {}}), horizon="300 s", warmup="60 s", replications=2)
    assert free["rejection_ratio"] > 0.5
    assert held["rejection_ratio"] < 0.5 * free["rejection_ratio"]
    assert held["goodput"] > 20


@pytest.mark.parametrize(("part", "says"), [
    ({"slice": 0}, "client.rate_limiter.slice must be above 0"), ({"least": 0}, "client.rate_limiter.least must be "),
    ({"headroom": 0.5}, "client.rate_limiter.headroom must be greater"), ({"beta": 2}, "client.rate_limiter.beta must"),
    ({"smoothing": 0}, "client.rate_limiter.smoothing must be above 0"), ({"x": 1}, "client.rate_limiter has no field"),
])  # fmt: skip
def test_wrong_limiters_are_refused_in_one_line(part, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, client={"rate_limiter": part})
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)


def test_little_s_law_holds_for_the_line():
    # The audit of every run compares gauges with rows; here the line is what a run leaves.
    made = bw.Scenario(arrivals=bw.Poisson(rate=20), workers={"service": "1 s"}, queue={"capacity": 0},
                       client={"rate_limiter": {}})  # fmt: skip
    result = bw.simulate(made, horizon="100 s", replications=1)
    assert result["backoff_max"] > 500
    assert np.isfinite(result["backoff_mean"])
