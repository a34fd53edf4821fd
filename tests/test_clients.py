"""Ready-made clients against their sources: first pauses, costs and hints by hand from the formulas of each.

The tables were worked out from the formulas that ``models/clients.py`` names, not by what is under test.
"""

import numpy as np
import pytest
from test_timelines import trace_of

import backwater as bw
from backwater import random
from backwater.components.client import backoff, remembers
from backwater.components.presets import PRESETS
from backwater.models import clients
from backwater.simulation import replicate

#: Preset: u -> pauses after the first, second, ... failure [s]; one row, under any u, where there is no jitter.
PAUSES = {
    "aws_legacy": {0.0: [0, 0, 0, 0], 0.5: [0.5, 1, 2, 4], 0.999: [0.999, 1.998, 3.996, 7.992]},
    "aws_legacy_dynamodb": {"any": [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8]},
    "aws_standard": {0.0: [0, 0], 0.5: [0.5, 1.0], 0.999: [0.999, 1.998]},
    "aws_adaptive": {0.0: [0, 0], 0.5: [0.5, 1.0], 0.999: [0.999, 1.998]},
    "aws_standard_js": {0.0: [0, 0], 0.5: [0.05, 0.1], 0.999: [0.0999, 0.1998]},
    "aws_standard_2026": {0.0: [0, 0], 0.5: [0.025, 0.05], 0.999: [0.04995, 0.0999]},
    "aws_throttling_2026": {0.0: [0, 0], 0.5: [0.025, 0.05], 0.999: [0.04995, 0.0999]},
    "grpc": {0.0: [0.08, 0.16, 0.32], 0.5: [0.1, 0.2, 0.4], 0.999: [0.11996, 0.23992, 0.47984]},
    "google": {0.0: [0] * 8, 0.5: [0.5, 1, 2, 4, 8, 16, 30, 30], 0.999: [0.999, 1.998, 3.996]},
    "google_pubsub": {0.5: [0.05, 0.2, 0.8, 3.2, 12.8, 30, 30], 0.999: [0.0999, 0.3996, 1.5984, 6.3936]},
    "envoy": {0.0: [0], 0.5: [0.0125], 0.999: [0.024975]},
    "envoy_budget": {0.0: [0], 0.5: [0.0125], 0.999: [0.024975]},
    "linkerd": {"any": [0, 0, 0]},
    "finagle": {"any": [0, 0, 0]},
    "urllib3": {"any": [0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2]},
    "tenacity_exponential": {"any": [4, 4, 4, 8, 10, 10]},
    "tenacity_random_exponential": {0.5: [0.5, 1, 2, 4, 8, 16, 30, 30], 0.999: [0.999, 1.998, 3.996]},
    "tenacity_exponential_jitter": {0.0: [1, 2, 4, 8, 16, 32, 60], 0.5: [1.5, 2.5, 4.5, 8.5, 16.5, 32.5, 60]},
    "polly_constant": {0.0: [1.5, 1.5, 1.5], 0.5: [2, 2, 2], 0.999: [2.499, 2.499, 2.499]},
    "polly_linear": {0.0: [1.5, 3, 4.5], 0.5: [2, 4, 6], 0.999: [2.499, 4.998, 7.497]},
    # 2^t tanh(sqrt(4 t)) at t = 0, 1, 2 is 0, 1.928055160, 3.972149382, and at 0.5, 1.5, 2.5 it is 1.256366910,
    # 2.786571876, 5.636619024. Differences, times 2 / 1.4.
    "polly_exponential": {0.0: [0, 2.754364515, 2.920134602], 0.5: [1.794809871, 2.186007095, 4.071495925]},
    "dotnet_resilience": {0.0: [0, 2.754364515, 2.920134602], 0.5: [1.794809871, 2.186007095, 4.071495925]},
    "celery_task": {"any": [180, 180, 180]},
    "celery_publish": {"any": [0, 0.2, 0.4]},
    "sre": {0.0: [0, 0], 0.5: [0.05, 0.1], 0.999: [0.0999, 0.1998]},
    "sre_throttled": {0.5: [0.05, 0.1]},
    "brooker": {0.5: [0.05, 0.1, 0.2], 0.999: [0.0999, 0.1998, 0.3996]},
}


def pauses(retry, u, count, after_503=False):
    """The first pauses at one u."""
    policy, out = retry.rejected_policy if after_503 else retry.policy, []
    last = policy[1]
    for failed in range(1, count + 1):
        out.append(backoff(policy, failed, last, u))
        last = remembers(policy, failed, out[-1], u)
    return out


def who_retries(client):
    return client.retry or client.proxy.retry


@pytest.mark.parametrize("name", list(PRESETS))
def test_the_first_pauses_are_those_of_the_source(name):
    retry = who_retries(bw.Client(preset=name))
    for u, expected in PAUSES[name].items():
        for each in (0.1, 0.9) if u == "any" else (u,):
            assert pauses(retry, each, len(expected)) == pytest.approx(expected, rel=1e-8, abs=1e-12), u


AWS = {"capacity": 500, "per_success": 1, "refund": True}
OLD = bw.TokenBucket(**AWS, cost=5, timeout_cost=10)
FINAGLE = bw.Ratio(share=0.2, min_rate="10/s", window="10 s")
EVER = "forever"
#: Preset: what ``limits`` says, from brokers.md, 5.4 and 6.1 to 6.5; all else is as in a plain client.
LIMITS = {
    "aws_legacy": {"attempts": 5}, "aws_legacy_dynamodb": {"attempts": 10},
    "aws_standard": {"attempts": 3, "budget": OLD}, "aws_standard_js": {"attempts": 3, "budget": OLD, "hint": {}},
    "aws_adaptive": {"attempts": 3, "budget": OLD, "rate_limiter": bw.RateLimiter(
        beta=0.7, scale=0.4, slice="500 ms", smoothing=0.8, least="0.5/s", headroom=2)},
    "aws_standard_2026": {"attempts": 3, "budget": bw.TokenBucket(**AWS, cost=14), "hint": {"beyond": 5}},
    "aws_throttling_2026": {"attempts": 3, "budget": bw.TokenBucket(**AWS, cost=14, rejection_cost=5),
                            "hint": {"beyond": 5}},
    "grpc": {"attempts": 4, "budget": bw.GrpcThrottle(max_tokens=10, token_ratio=0.1),
             "hint": {"exactly": True, "resets": True}},
    "google": {"attempts": EVER, "total_timeout": 120}, "google_pubsub": {"attempts": EVER, "total_timeout": 600},
    "envoy": {"attempts": 2, "proxy": True, "total_timeout": 15, "budget": bw.Concurrent(most=3)},
    "envoy_budget": {"attempts": 2, "proxy": True, "total_timeout": 15, "budget": bw.Concurrent(most=3, share=0.2)},
    "linkerd": {"attempts": EVER, "proxy": True, "budget": FINAGLE}, "finagle": {"attempts": EVER, "budget": FINAGLE},
    "urllib3": {"attempts": 11, "hint": {"exactly": True, "most": 21_600, "least": 1e-6}},
    "tenacity_exponential": {"attempts": EVER}, "tenacity_random_exponential": {"attempts": EVER},
    "tenacity_exponential_jitter": {"attempts": EVER},
    "polly_constant": {"attempts": 4}, "polly_linear": {"attempts": 4}, "polly_exponential": {"attempts": 4},
    "dotnet_resilience": {"attempts": 4, "attempt_timeout": bw.Constant(value=10), "total_timeout": 30,
                          "breaker": bw.Breaker(share=0.1, min_attempts=100, window=30, open_for=5),
                          "hint": {"exactly": True}},
    "celery_task": {"attempts": 4}, "celery_publish": {"attempts": 4},
    "sre": {"attempts": 3, "budget": bw.Ratio(share=0.1), "hint": {}},
    "sre_throttled": {"attempts": 3, "budget": bw.Ratio(share=0.1), "throttle": bw.Throttle(k=2, window=120),
                      "hint": {}},
    "brooker": {"attempts": 4, "budget": bw.TokenBucket(capacity=10, per_success=0.1, cost=1), "hint": {}},
}  # fmt: skip


def limits(client):
    """What bounds a client besides its pauses, where it is not that of a plain one that ignores what a 503 asks."""
    layer, hint = client.proxy or client, client.honours_retry_after
    found = {"attempts": layer.retry.max_attempts, "proxy": client.proxy is not None, "budget": layer.retry_budget}
    names = ("attempt_timeout", "total_timeout", "breaker", "throttle", "rate_limiter", "hedge")
    found |= {name: getattr(client, name) for name in names}
    asks = {} if hint is True else None if hint is False else hint.model_dump(exclude_defaults=True)
    return {name: value for name, value in found.items() if value} | ({} if asks is None else {"hint": asks})


@pytest.mark.parametrize("name", list(PRESETS))
def test_the_limits_are_those_of_the_source(name):
    client = bw.Client(preset=name)
    assert limits(client) == LIMITS[name]
    assert (client.mode, client.on_timeout, who_retries(client).retry_probability) == ("sync", "leave", 1)
    assert client.proxy is None or (client.retry, client.retry_budget) == (None, None)


@pytest.mark.parametrize(("retry", "u", "expected"), [
    # Envoy with more tries, and its newer versions.
    ({"base": "25 ms", "step": "25 ms", "cap": "250 ms"}, 0.5, [0.0125, 0.0375, 0.0875, 0.125, 0.125]),
    ({"base": "25 ms", "cap": "250 ms"}, 0.999, [0.024975, 0.04995, 0.0999, 0.1998, 0.24975]),
    # gRPC beyond its cap.
    ({"base": "100 ms", "cap": "1 s", "jitter": 0.2}, 0.0, [0.08, 0.16, 0.32, 0.64, 0.8, 0.8]),
    # urllib3 with backoff_factor=1, and with backoff_jitter=0.3: min(120, 2^(n-1) + 0.3 U).
    ({"base": "1 s", "first": "0 s", "cap": "120 s", "jitter": "none"}, 0.1, [0, 2, 4, 8, 16, 32, 64, 120, 120]),
    ({"base": "1 s", "first": "0 s", "cap": "32.2 s", "jitter": "300 ms"}, 0.5, [0, 2.15, 4.15, 8.15, 16.15, 32.15]),
    ({"base": "1 s", "first": "0 s", "cap": "32.2 s", "jitter": "300 ms"}, 0.9, [0, 2.27, 4.27, 8.27, 16.27, 32.2]),
    # tenacity's wait_random_exponential with min=2, and what equal jitter must not fall below.
    ({"base": "1 s", "floor": "2 s", "cap": "60 s"}, 0.5, [2, 2, 3, 5, 9, 17, 31, 31]),
    ({"base": "1 s", "floor": "2 s", "jitter": "equal"}, 0.5, [2, 2, 3, 6]),
    # Beyond the sixteen pauses that a policy carries: 10 + 3 (n - 1) s; and 1 s * 1.5^(n-1) + 2 s (1.5^(n-1) - 1),
    # where 3 * 1.5^16 = 1970.52326... and 3 * 1.5^17 = 2955.78490...
    ({"kind": "linear", "base": "10 s", "step": "3 s", "jitter": "none"}, 0.1, [10 + 3 * n for n in range(20)]),
])  # fmt: skip
def test_pauses_of_other_settings(retry, u, expected):
    assert pauses(bw.Retry(**retry), u, len(expected)) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_steps_beyond_the_table():
    # b_n = 1.5 b_(n-1) + 1 s from 1 s: 1, 2.5, 4.75, ...
    b, expected = 1.0, []
    for _ in range(24):
        expected.append(b)
        b = 1.5 * b + 1.0
    found = pauses(bw.Retry(base="1 s", step="1 s", factor=1.5, jitter="none"), 0.3, 24)
    assert found == pytest.approx(expected, rel=1e-12)
    assert found[:3] == [1.0, 2.5, 4.75]


def test_after_a_503_the_throttled_aws_client_begins_at_a_second():
    retry = clients.aws_throttling_2026().retry
    assert pauses(retry, 0.5, 2, after_503=True) == [0.5, 1.0]
    steps = bw.Retry(kind="linear", base="1 s", rejected_base="3 s", jitter="none")
    assert pauses(steps, 0.1, 3, after_503=True) == [3, 6, 9]
    assert pauses(steps, 0.1, 3) == [1, 2, 3]


ENGINES = ("simpy", "compiled")
FAILING = [{"kind": "errors", "share": 1.0}]


def sent(scenario, engine, horizon="1000 s", job=0):
    """When the attempts of a job were sent [s], under seed 5."""
    outcome = replicate(scenario, bw.Run(horizon=horizon, seed=5, record=("attempts",)), 0, engine)
    return [row[5] for row in outcome.attempts if row[1] == job]


@pytest.mark.parametrize("engine", ENGINES)
def test_polly_s_pauses_in_a_run(engine, tmp_path):
    file = trace_of(tmp_path, [0])
    made = bw.Scenario(arrivals=file, workers={"service": "0 s"}, faults=FAILING, client={
        "preset": "polly_exponential", "retry": {"max_attempts": 7}})  # fmt: skip
    curve = [0.0]
    for n in range(6):
        t = n + random.uniform(np.uint64(5), 0, 0, 0, random.BACKOFF, n + 1)
        curve.append(2**t * np.tanh(np.sqrt(4 * t)))
    assert np.diff(sent(made, engine)) == pytest.approx(np.diff(curve) / 1.4 * 2.0, rel=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_urllib3_waits_as_long_as_it_is_told_to(engine, tmp_path):
    file = trace_of(tmp_path, [0, 0])
    made = bw.Scenario(arrivals=file, workers={"service": "10 s"}, queue={"capacity": 0, "retry_after": "3 s"},
                       client={"preset": "urllib3", "retry": {"max_attempts": 4}})  # fmt: skip
    assert sent(made, engine, job=1) == [0, 3, 6, 9]
    assert sent(made.with_({"queue.retry_after": "9 h"}), engine, "7 h", 1) == [0, 21600]
    plain = made.with_({"client.honours_retry_after": False, "client.retry.max_attempts": 6})
    assert sent(plain, engine, job=1) == pytest.approx([0, 0, 0.2, 0.6, 1.4, 3.0])


def retries_by_job(name, count, faults=FAILING, queue=None):
    made = bw.Scenario(arrivals=bw.Periodic(interval="100 s"), workers={"service": "0 s", "count": 100}, faults=faults,
                       client=name, queue=queue or {})  # fmt: skip
    result = bw.simulate(made, horizon=f"{100 * count + 50} s", replications=1, record=("jobs",))
    return (result.jobs.sort_values("job")["attempts"] - 1).tolist()


def test_quotas_of_aws_end_after_a_hundred_and_after_thirty_five_retries():
    assert sum(retries_by_job("aws_standard", 60)) == 100
    # 35 * 14 = 490 of 500 tokens.
    assert sum(retries_by_job("aws_standard_2026", 60)) == 35


def test_503s_may_cost_less_than_errors():
    # All workers are down and nobody may wait: 503s only. 5 tokens each with the throttled client, 14 with the other.
    down = [{"kind": "workers_down"}]
    assert sum(retries_by_job("aws_throttling_2026", 60, down, {"capacity": 0})) == 100
    assert sum(retries_by_job("aws_standard_2026", 60, down, {"capacity": 0})) == 35
    assert sum(retries_by_job("aws_throttling_2026", 60)) == 35


def test_a_success_after_a_retry_puts_back_its_cost_of_2026():
    # 17 jobs pay 28 each: 24 of 500 tokens are left, and the next pays 14 once. Then all is well, until the end: ten
    # good first tries put back ten, so 20 tokens pay for one retry.
    bad = [{"kind": "errors", "share": 1.0, "duration": "1850 s"}, {"kind": "errors", "share": 1.0, "start": "2850 s"}]
    found = retries_by_job("aws_standard_2026", 30, [{"start": "0 s", **each} for each in bad])
    assert found == [2] * 17 + [1] + [0] * 10 + [1, 0]


def test_grpc_and_brooker_stop():
    # Failures leave 9, 8, 7, 6 of ten tokens: three retries of the first job; the second job's leaves 5, half of them.
    assert retries_by_job("grpc", 20) == [3] + [0] * 19
    assert sum(retries_by_job("brooker", 20)) == 10


def test_a_preset_may_be_named_anywhere_a_client_may_stand(tmp_path):
    text = 'arrivals = { kind = "poisson", rate = "1/s" }\nworkers = { service = "1 s" }\n'
    named = bw.loads(f'{text}client = "aws_standard_2026"\n')
    assert named.client == clients.aws_standard_2026() == bw.Client(preset="aws_standard_2026")
    more = bw.loads(f'{text}[client]\npreset = "aws_standard_2026"\nattempt_timeout = "2 s"\n[client.retry]\n'
                    'max_attempts = 4\n')  # fmt: skip
    assert more.client == clients.aws_standard_2026(attempt_timeout="2 s", retry={"max_attempts": 4})
    assert (more.client.retry.base, more.client.retry.max_attempts) == (0.05, 4)
    assert bw.loads(bw.dumps(more)) == more
    changed = named.with_({"client": "grpc", "client.attempt_timeout": "3 s"})
    assert changed.client == clients.grpc(attempt_timeout="3 s")
    several = bw.Scenario(arrivals={"web": bw.Poisson(rate=1, client="grpc")}, workers={"service": "1 s"})
    assert several.producers[0].client == clients.grpc()


def test_presets_are_axes_and_cases_of_an_experiment():
    from backwater.experiments.experiment import Experiment

    made = bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, client={"total_timeout": "9 s"})
    cases = {"as is": {}, "patient": {"client": {"preset": "sre", "attempt_timeout": "3 s"}}}
    axes = {"client": ["grpc", "aws_standard"]}
    asked = Experiment(scenario=made, run=bw.Run(horizon="1 min"), sweep=axes, cases=cases)
    found = [point.scenario.client for point in asked.points()]
    patient = clients.sre(attempt_timeout="3 s")
    assert found == [clients.grpc(), patient, clients.aws_standard(), patient]


def test_a_part_of_another_kind_is_not_mixed_with_that_of_the_preset():
    assert clients.aws_standard(retry_budget={"kind": "ratio"}).retry_budget == bw.Ratio()
    assert clients.aws_standard(retry_budget={"capacity": 90}).retry_budget.cost == 5
    assert clients.aws_standard(retry_budget=None, retry=None) == bw.Client(honours_retry_after=False)


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_has_a_function_and_a_source(name):
    function = clients.CLIENTS[name]
    assert "ource" in function.__doc__
    assert function() == bw.Client(preset=name)
    made = bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, client=name)
    assert bw.loads(bw.dumps(made)) == made


@pytest.mark.parametrize(("client", "says"), [
    ("aws_standrd", 'client must be the name of a ready-made client; did you mean "aws_standard"?'),
    ({"preset": "gprc"}, 'client.preset must be the name of a ready-made client; did you mean "grpc"?'),
    ({"preset": "grpc", "retri": 1}, 'client has no field "retri"'),
    ({"honours_retry_after": {"mos": 1}}, 'client.honours_retry_after has no field "mos"'),
    ({"honours_retry_after": "yes"}, "client.honours_retry_after must be true, false or a table"),
    ({"retry": {"base": 1, "jitter": "some"}}, 'client.retry.jitter must be one of "full", '),
    ({"retry": {"base": 1, "kind": "decorrelated_v2", "first": 1}}, "client.retry.first must be left out where kind"),
    ({"retry": {"base": 1, "kind": "constant", "step": 1}}, "client.retry.step must be left out where kind is const"),
    ({"retry": {"base": 1, "cap": 2, "rejected_base": 3}}, "client.retry.cap must be at least rejected_base = 3 s"),
    ({"retry": {"base": 1, "cap": 2, "floor": 3}}, "client.retry.cap must be at least floor = 3 s"),
    ({"retry": {"base": 1, "kind": "linear", "max_attempts": "forever"}}, "client.retry.cap must be given where"),
    ({"retry": {"base": 1}, "retry_budget": {"kind": "token_bucket", "capacity": 3, "rejection_cost": 0}},
     "client.retry_budget.rejection_cost must be greater than"),
    ({"retry": {"base": 1}, "retry_budget": {"kind": "token_bucket", "capacity": 3, "rejection_cost": 4}},
     "client.retry_budget.rejection_cost must be at most capacity - reserve = 3"),
    ({"retry": {"base": 1}, "retry_budget": {"kind": "concurrent", "share": 2}}, "client.retry_budget.share must be a"),
    ({"honours_retry_after": {"least": -1}}, "client.honours_retry_after.least must be a time such as"),
    ({"honours_retry_after": {"resets": "soon"}}, "client.honours_retry_after.resets must be true or false"),
])  # fmt: skip
def test_wrong_clients_are_refused_in_one_line(client, says):
    with pytest.raises(bw.ScenarioError) as error:
        bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, client=client)
    assert str(error.value).startswith(says), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("client", "lasts"), [
    # Means of the pauses of the tables: 0.5 + 1 + 2 + 4; 8 times 0.05 * 2^n; 0.1 + 0.2 + 0.4; 1.5 + 2.5 of jitter.
    ("aws_legacy", 7.5), ("aws_legacy_dynamodb", 25.55), ("grpc", 0.7), ("urllib3", 102.2), ("polly_linear", 12.0),
    ("celery_publish", 0.6), ("aws_throttling_2026", 1.5), ("google", 120.0), ("finagle", np.inf),
    ({"retry": {"base": "1 s", "jitter": "1 s", "cap": "9 s"}}, 4.0),
    ({"retry": {"base": "1 s", "floor": "1 s", "max_attempts": 4}}, 1 + 1.5 + 2.5),
    # The curve's mean from 2 to 3, 5.750047, times 2 / 1.4.
    ("polly_exponential", 8.214353),
])  # fmt: skip
def test_how_long_a_client_persists_against_503s(client, lasts):
    from backwater.napkin import persistence

    made = bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"}, client=client)
    assert persistence(made.client) == pytest.approx(lasts, rel=1e-4)


def test_a_preset_is_set_as_a_whole():
    made = bw.Scenario(arrivals=bw.Poisson(rate=1), workers={"service": "1 s"})
    with pytest.raises(bw.ScenarioError, match=r"client\.preset must be set as client, which it replaces as a whole"):
        made.with_({"client.preset": "grpc"})


def five_at_once(client):
    """Attempts by job: five jobs at 100 s, five at 200 s, all turned away."""
    made = bw.Scenario(arrivals=bw.Periodic(interval="100 s", batch=5), workers={"service": "1 s"}, client=client,
                       queue={"capacity": 0}, faults=[{"kind": "workers_down"}])  # fmt: skip
    result = bw.simulate(made, horizon="250 s", replications=1, record=("jobs",))
    return result.jobs.sort_values("job")["attempts"].tolist()


def test_at_most_three_retries_are_under_way_with_envoy():
    assert five_at_once("envoy") == [2, 2, 2, 1, 1] * 2


def test_a_retry_that_is_never_made_makes_room_for_another():
    # They run out of patience while they pause; then the next five find room again.
    retry, budget = {"kind": "constant", "base": "9 s", "jitter": "none"}, {"kind": "concurrent", "most": 2}
    impatient = {"retry": retry, "retry_budget": budget, "total_timeout": "5 s"}
    assert five_at_once(impatient) == [1] * 10
    assert five_at_once({**impatient, "total_timeout": "10 s"}) == [2, 2, 1, 1, 1] * 2
    # The breaker opens at the first 503 and withholds all else, retries too, until 1 s before the next five come.
    open_long = {"share": 0.5, "min_attempts": 1, "window": "10 s", "open_for": "99 s"}
    assert five_at_once({"retry": retry, "retry_budget": budget, "breaker": open_long}) == [3, 3, 1, 1, 1] * 2
