"""What keeps clients from sending: budgets, breakers, throttles, proxies; and work that is skipped. Known answers.

What is not exact is held by an interval that is missed once in 10,000 times.
"""

import pytest
from scipy.stats import binom
from test_timelines import trace_of

import backwater as bw
from backwater.components import breaker, budget
from backwater.statistics import mean

FAILING = [{"kind": "errors", "share": 1.0}]


def calls(count, client, faults=FAILING, horizon=None, **parts):
    """The result of so many calls, one a second, answered at once."""
    made = bw.Scenario(
        arrivals=bw.Periodic(interval="1 s"), workers={"service": "0 s", "count": 100}, client=client,
        faults=faults, **parts,
    )  # fmt: skip
    return bw.simulate(made, horizon=horizon or f"{count + 0.5} s", replications=1, record=("attempts", "jobs"))


def at_once(attempts):
    return {"kind": "constant", "base": "0 s", "jitter": "none", "max_attempts": attempts}


def retries_by_job(result):
    return (result.jobs.sort_values("job")["attempts"] - 1).tolist()


def test_the_aws_quota_pays_for_a_hundred_retries_and_then_for_none():
    # 500 tokens, 5 per retry: 50 calls of two retries each.
    budget = {"kind": "token_bucket", "capacity": 500, "cost": 5, "per_success": 1, "refund": True}
    assert retries_by_job(calls(60, {"retry": at_once(3), "retry_budget": budget})) == [2] * 50 + [0] * 10


def test_a_success_puts_back_what_its_retry_cost_and_a_first_one_puts_back_one():
    budget = {"kind": "token_bucket", "capacity": 10, "cost": 5, "per_success": 1, "refund": True}
    down = [{"kind": "errors", "share": 1.0, "start": "0 s", "duration": "2500 ms"},
            {"kind": "errors", "share": 1.0, "start": "7500 ms", "duration": "10 s"}]  # fmt: skip
    # Jobs at 1 and 2 fail: the first pays 5 + 5 = 10 tokens, the second has none. Jobs at 3..7 succeed: 5 tokens. The
    # job at 8 pays 5.
    assert retries_by_job(calls(9, {"retry": at_once(3), "retry_budget": budget}, down)) == [2, 0, 0, 0, 0, 0, 0, 1, 0]


def test_timeouts_may_cost_more_than_errors():
    budget = {"kind": "token_bucket", "capacity": 30, "cost": 5, "timeout_cost": 10}
    slow = bw.Scenario(arrivals=bw.Periodic(interval="10 s"), workers={"service": "5 s", "count": 50},
                       client={"attempt_timeout": "1 s", "retry": at_once(5), "retry_budget": budget})  # fmt: skip
    result = bw.simulate(slow, horizon="35 s", replications=1, record=("jobs",))
    assert retries_by_job(result) == [3, 0, 0]


def test_grpc_with_ten_tokens_allows_exactly_four_retries():
    # Failures leave 9, 8, 7, 6: a retry each; the fifth leaves 5, which is not more than half.
    assert sum(retries_by_job(calls(8, {"retry": at_once(9), "retry_budget": {"kind": "grpc"}}))) == 4


@pytest.mark.parametrize(("budget", "retries"), [
    # Sixteen jobs in sixteen seconds, the present one included: 1.6 retries. The tenth job gets the first one, and then
    # one comes whenever the last has left the window.
    ({"share": 0.1, "window": "16 s"}, {10: 1, 26: 1, 42: 1, 58: 1}),
    # 2.4 retries: the tenth is the first for whom one is allowed, the fourteenth the first for whom two are.
    ({"share": 0.15, "window": "16 s"}, {7: 1, 14: 1, 23: 1, 30: 1, 39: 1, 46: 1, 55: 1}),
    # Before a window is full, 10 % of the jobs so far.
    ({"share": 0.1, "window": "1000 s"}, {10: 1, 20: 1, 30: 1, 40: 1, 50: 1, 60: 1}),
    # Two in sixteen seconds whatever the jobs are: all that the first one wants, and again when these have left.
    ({"share": 0.0, "min_rate": "0.125/s", "window": "16 s"}, {1: 2, 17: 2, 33: 2, 49: 2}),
])  # fmt: skip
def test_a_ratio_bounds_retries_by_jobs(budget, retries):
    found = retries_by_job(calls(60, {"retry": at_once(3), "retry_budget": {"kind": "ratio", **budget}}))
    assert {n + 1: count for n, count in enumerate(found) if count} == retries


def test_without_a_budget_every_layer_multiplies():
    client = {"retry": at_once(3), "proxy": {"retry": at_once(4)}}
    assert calls(5, client)["attempts_per_job"] == 12


def test_a_proxy_hides_failures_that_its_own_tries_mend():
    # Of the calls an eighth fails, of the tries a half: a breaker that heard of these would open.
    half, breaker = [{"kind": "errors", "share": 0.5}], {"min_attempts": 100, "share": 0.4, "window": "200 s"}
    count = 20_000
    found = calls(count, {"proxy": {"retry": at_once(3)}, "breaker": breaker}, half)
    assert found["withheld_ratio"] == 0
    jobs = found.jobs
    for seen, share in (
        ((jobs["outcome"] == "completed").sum(), 7 / 8), ((jobs["attempts"] > 1).sum(), 1 / 2),
        ((jobs["attempts"] > 2).sum(), 1 / 4),
    ):  # fmt: skip
        low, high = binom.ppf([5e-5, 1 - 5e-5], count, share)
        assert low <= seen <= high, share


def test_a_breaker_opens_probes_and_closes(tmp_path):
    breaker = {"share": 0.5, "min_attempts": 4, "window": "100 s", "open_for": "10 s", "probes": 2}
    broken = [{"kind": "errors", "share": 1.0, "start": "2500 ms", "duration": "13 s"}]
    found = calls(32, {"breaker": breaker}, broken)
    # Good at 1 and 2, errors at 3 and 4: half of four, it opens at 4. The probe at 14 fails: open again, to 24. Those
    # at 24 and 25 succeed and close it.
    withheld = found.attempts.set_index("sent")["withheld"].astype(bool)
    assert [round(t) for t in withheld[withheld].index] == [*range(5, 14), *range(15, 24)]
    assert found["withheld_ratio"] == 18 / 32


def test_a_throttle_sends_twice_what_is_accepted():
    # A backend that takes 20 of 100 a second. With R attempts and A successes in the window an attempt is sent with the
    # chance (2 A + 1) / (R + 1), so what is sent is 2 + 1 / A times what is accepted; A is about 200.
    made = bw.Scenario(arrivals=bw.Poisson(rate="100/s"), workers={"service": "50 ms"}, queue={"capacity": 0},
                       client={"throttle": {"window": "20 s"}})  # fmt: skip
    found = bw.simulate(made, horizon="600 s", warmup="100 s", replications=16)
    each = found.replications[found.replications["metric"].isin(["attempt_rate", "withheld_ratio", "accepted_rate"])]
    by = each.pivot(index="replication", columns="metric", values="value")
    ratio = by["attempt_rate"] * (1 - by["withheld_ratio"]) / by["accepted_rate"]
    low, high = mean(ratio.to_numpy(), 0.9999)[1:3]
    assert low <= 2 + 1 / 200 <= high
    assert high - low < 0.05


@pytest.mark.parametrize(("sent", "accepted", "chance"), [
    (0, 0, 0), (10, 0, 10 / 11), (10, 2, 6 / 11), (10, 5, 0), (10, 9, 0), (99, 10, 79 / 100),
])  # fmt: skip
def test_a_throttle_withholds_by_the_formula_of_the_book(sent, accepted, chance):
    part = bw.Throttle(k=2, window="10 s")
    params = part.params
    for u, lets in ((chance - 1e-9, False), (chance + 1e-9, True))[chance == 0 :]:
        memory = part.memory
        for _ in range(sent):
            breaker.throttle_lets(params, memory, 1.0, 1.0)
        for _ in range(accepted):
            breaker.throttle_hears(params, memory, 1.0, True)
        assert breaker.throttle_lets(params, memory, 1.0, u) == lets


def test_work_that_nobody_waits_for_is_skipped_only_where_it_is_said(tmp_path):
    def ended(abandoned):
        made = bw.Scenario(arrivals=trace_of(tmp_path, [0, 1, 1.5, 6]), client={"attempt_timeout": "4 s"},
                           workers={"service": "3 s", "abandoned": abandoned})  # fmt: skip
        rows = bw.simulate(made, horizon="30 s", replications=1, record=("attempts",)).attempts.sort_values("job")
        return list(zip(rows["outcome"], rows["started"].fillna(-1), strict=True))

    # Job 1 is left at 5 while it is served, job 2 at 5.5 while it waits. Job 3 waits behind that, or does not.
    late = "abandoned_completed"
    assert ended("serve") == [("completed", 0), (late, 3), (late, 6), (late, 9)]
    assert ended("skip") == [("completed", 0), (late, 3), ("cancelled", -1), ("completed", 6)]


@pytest.mark.parametrize(("client", "says"), [
    ({"retry_budget": {"kind": "ratio"}}, "client.retry_budget must come with a retry policy"),
    ({"retry": {"base": 1}, "retry_budget": {"kind": "tokens", "capacity": 3}}, "client.retry_budget.kind must"),
    ({"retry": {"base": 1}, "retry_budget": {"kind": "token_bucket", "capacity": 3, "cost": 5}},
     "client.retry_budget.cost must be at most capacity - reserve = 3"),
    ({"breaker": {"share": 0}}, "client.breaker.share must be above 0"),
    ({"breaker": {"windows": 3}}, 'client.breaker has no field "windows"'),
    ({"throttle": {"k": 0.5}}, "client.throttle.k "),
    ({"proxy": {}}, "client.proxy.retry is missing"),
])  # fmt: skip
def test_wrong_gates_are_refused_in_one_line(client, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, client=client)
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)


def test_a_breaker_whose_probe_a_throttle_withholds_lets_another_one_go():
    # All fail from 30 s to 90 s: both hold back; afterwards both let go again.
    client = {"breaker": {"window": "2 s", "open_for": "2 s"}, "throttle": {"window": "10 s"}}
    bad = [{"kind": "errors", "share": 1.0, "start": "30 s", "duration": "60 s"}]
    made = bw.Scenario(arrivals=bw.Poisson(rate="20/s"), workers={"service": "10 ms", "count": 2}, client=client,
                       faults=bad)  # fmt: skip
    found = bw.simulate(made, horizon="600 s", warmup="300 s", replications=3)
    assert found["success_ratio"] == 1


def test_an_answer_from_before_the_breaker_opened_decides_nothing():
    part = bw.Breaker(share=0.5, min_attempts=2, window="10 s", open_for="1 s")
    params, memory = part.params, part.memory
    assert breaker.breaker_lets(params, memory, 0.0)
    sent = memory[breaker.CHANGES]
    for _ in range(2):
        breaker.breaker_hears(params, memory, 0.1, False, sent)
    assert not breaker.breaker_lets(params, memory, 0.2)  # open
    assert breaker.breaker_lets(params, memory, 1.2)  # its probe
    probe = memory[breaker.CHANGES]
    assert not breaker.breaker_lets(params, memory, 1.3)
    breaker.breaker_hears(params, memory, 1.4, True, sent)  # one that was sent at 0
    breaker.breaker_hears(params, memory, 1.4, False, sent)
    assert not breaker.breaker_lets(params, memory, 1.5)
    breaker.breaker_hears(params, memory, 1.6, True, probe)
    assert breaker.breaker_lets(params, memory, 1.7)


def heard(part, *answers):
    """A breaker's memory after these answers, one each tenth of a second, each let go."""
    memory = part.memory
    for n, ok in enumerate(answers):
        assert breaker.breaker_lets(part.params, memory, 0.1 * n)
        breaker.breaker_hears(part.params, memory, 0.1 * n, ok, memory[breaker.CHANGES])
    return memory


def test_only_a_failure_opens_a_breaker():
    part = bw.Breaker(share=0.5, min_attempts=2, window="10 s", open_for="1 s")
    memory = heard(part, False, True)  # half of two have failed, but the last one has not
    assert breaker.breaker_lets(part.params, memory, 0.3)
    breaker.breaker_hears(part.params, memory, 0.3, False, memory[breaker.CHANGES])
    assert not breaker.breaker_lets(part.params, memory, 0.4)


def test_all_probes_must_come_back_well_before_a_breaker_closes():
    part = bw.Breaker(share=0.5, min_attempts=2, window="10 s", open_for="1 s", probes=2)
    params, memory = part.params, heard(part, False, False)
    assert breaker.breaker_lets(params, memory, 1.2)
    breaker.breaker_hears(params, memory, 1.3, True, memory[breaker.CHANGES])
    assert [bool(breaker.breaker_lets(params, memory, 1.4)) for _ in range(2)] == [True, False]
    breaker.breaker_hears(params, memory, 1.5, True, memory[breaker.CHANGES])
    assert breaker.breaker_lets(params, memory, 1.6)
    # What failed before it opened is forgotten: one failure is too few again.
    breaker.breaker_hears(params, memory, 1.7, False, memory[breaker.CHANGES])
    assert breaker.breaker_lets(params, memory, 1.8)


def test_tokens_are_bounded_and_some_may_be_kept_back():
    part = bw.TokenBucket(capacity=4, per_request=1, cost=1.5, reserve=2, per_success=0.5, refund=True)
    params, memory = part.params, part.memory
    for _ in range(5):
        budget.job_sent(params, memory, 1.0)  # there are no more than four
    assert [budget.pay(params, memory, 1.0, budget.ERROR) for _ in range(2)] == [1.5e6, -1]  # 1 would be left of 2
    seen = []
    for ok, paid in ((True, 0.0), (False, 1.5e6), (True, 1e6), (True, 1.5e6)):
        budget.hear(params, memory, ok, paid)
        seen.append(memory[0] / 1e6)
    # A success puts back half a token, or what its retry cost, a failure none; there are no more than four.
    assert seen == [3, 3, 4, 4]
