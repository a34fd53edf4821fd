"""What theory says of a scenario: exact values are exact, and nothing is called so that is not."""

import math

import pytest
from gallery import gallery
from theory_cases import METRIC, cases, scenario

import backwater as bw
from backwater.errors import ScenarioError
from backwater.experiments.theory import theory
from backwater.experiments.theory.reading import alike, at_random
from backwater.experiments.theory.settling import relaxation

# Of these every value that has a metric must be exact, whatever else may be.
WHOLE = {
    "M/M/1", "M/M/c", "M/M/c/K", "ErlangB", "ErlangC", "D/M/c", "M/M/c+M", "M/G/1-LIFO", "M/G/1-prio-NP",
    "M/M/c-prio-NP", "M/M/c/K-retrial-geometric", "M/M/c/K-retrial-maxattempts", "M/M/c/K-spill-at-start",
    "M/M/c+D", "MMPP2/M/c/K", "closed-loop M/M/c//N",
}  # fmt: skip
# Of the gallery as it stands, what is exact; a new entry that is must be looked at, and named here.
GALLERY = {"poisson", "periodic, late", "renewal", "batches", "batches, modulated", "no room, no retries"}
FAILS = 1e-4  # chance that a right value is found wrong somewhere in this file

ONE = bw.Scenario(
    arrivals=bw.Poisson(rate="8/s"), queue=bw.Queue(capacity=6), workers=bw.Workers(
        count=2, service=bw.Exponential(mean="200 ms"))
)  # fmt: skip
PATIENT = {"kind": "exponential", "mean": "500 ms"}
AGAIN = {"kind": "constant", "base": "1 s", "jitter": "exponential", "max_attempts": "forever"}
MORE = {
    "left alone": {"client.attempt_timeout": PATIENT},
    "left alone after a while": {"client.attempt_timeout": "400 ms"},
    "unbounded, left alone": {"queue.capacity": None, "arrivals.rate": "7/s", "client.attempt_timeout": "400 ms"},
    "taken from the queue": {"client.attempt_timeout": PATIENT, "client.on_timeout": "cancel_waiting"},
    "taken, unbounded": {"client.attempt_timeout": PATIENT, "client.on_timeout": "cancel_waiting",
                         "queue.capacity": None, "arrivals.rate": "14/s"},
    "taken after a while": {"client.attempt_timeout": "600 ms", "client.on_timeout": "cancel_waiting",
                            "queue.capacity": None, "arrivals.rate": "13/s"},
    "stopped": {"client.attempt_timeout": PATIENT, "client.on_timeout": "cancel"},
    "stopped, again": {"client.attempt_timeout": PATIENT, "client.on_timeout": "cancel", "client.retry": AGAIN,
                       "workers.demand": "attempt"},
    "by chance, again": {"client.retry": {**AGAIN, "retry_probability": 0.5}},
    "three attempts": {"client.retry": {**AGAIN, "kind": "exponential", "max_attempts": 3}, "queue.capacity": 2},
    "slower after a 503": {"client.retry": {**AGAIN, "rejected_base": "3 s", "max_attempts": 2}, "queue.capacity": 2},
    "closed, again": {"arrivals": {"kind": "closed", "clients": 9, "think": PATIENT}, "client.retry": AGAIN},
    "modulated, again": {"arrivals": {"kind": "mmpp", "rates": ["4/s", "15/s"], "sojourns": ["2 s", "1 s"]},
                         "client.retry": {**AGAIN, "max_attempts": 2}},
    "batches": {"arrivals": {"kind": "poisson", "rate": "3/s", "batch": {1: 1, 5: 1}}},
    "random": {"queue.discipline": "random"},
    "slow at the start, again": {"queue.memory": {"slowdown": {"above": 2, "factor": 2.0}}, "client.retry": AGAIN,
                                 "arrivals.rate": "4/s"},
}  # fmt: skip


def missed(known, made, comparisons: int) -> list[str]:
    """The exact values that lie outside the intervals of a run; their chance is shared by so many comparisons."""
    exact = {answer.metric: answer.value for answer in known.exact}
    relax = relaxation(made, exact.get("attempt_rate"))
    length = max(20_000 / made.rate, 100 * relax)
    result = bw.simulate(made, warmup=8 * relax, horizon=8 * relax + length, replications=20, seed=31)
    out = []
    for metric, value in exact.items():
        found = result.estimate(metric, 1 - FAILS / comparisons)
        slack = abs(value) * (1 / 512 if "_p" in metric else 1e-9) + 1e-12
        if not found.low - slack <= value <= found.high + slack:
            out.append(f"{metric}: exact {value:.6g}, estimate {found.value:.6g} [{found.low:.6g} .. {found.high:.6g}]")
    return out


@pytest.mark.parametrize("case", cases(), ids=[case["id"] for case in cases()])
def test_an_exact_answer_has_every_digit(case):
    known = {answer.metric: answer.value for answer in theory(scenario(case)).exact}
    metrics = METRIC | ({"loss_prob": "cancelled_ratio"} if "patience" in case["params"] else {})
    said = {metrics[name]: value for name, value in case["exact"].items() if name in metrics}
    if "success_ratio" in said:
        said["failure_ratio"] = 1 - said.pop("success_ratio")
    for metric in set(said) & set(known):
        assert known[metric] == pytest.approx(said[metric], rel=2e-9, abs=1e-10), metric
    if case["model"] in WHOLE:
        assert set(said) <= set(known)


def exponential(made: bw.Scenario) -> bw.Scenario:
    """The scenario with arrivals at random and with services, pauses, patience and thoughts that forget."""
    changes = dict(alike(made, 0.3))
    part, kinds = made.producers[0], {part.source.kind for part in made.producers}
    if len(made.producers) > 1 or not kinds <= {"poisson", "mmpp", "closed"}:
        changes |= at_random(made)
    elif kinds == {"closed"}:
        changes["arrivals.think"] = {"kind": "exponential", "mean": "1 s"}
    where = "client" if part.source.client is None or "arrivals" in changes else "arrivals.client"
    if part.client.attempt_timeout is not None:
        changes[f"{where}.attempt_timeout"] = {"kind": "exponential", "mean": "2 s"}
    if part.client.retry is not None and part.client.retry.kind in ("constant", "linear", "exponential"):
        changes[f"{where}.retry.jitter"] = "exponential"
    return made.with_(changes)


def test_of_the_gallery_only_what_runs_agree_with_is_called_exact(tmp_path):
    found = {}
    for name, made in gallery(tmp_path).items():
        for words, each in ((name, made), (f"{name}, exponential", None)):
            try:
                each = each or exponential(made)
            except ScenarioError:
                continue  # the columns of a trace need the trace
            known = theory(each, most=2000)
            if known.exact:
                found[words] = each, known
    laws = {name for name in found if name.startswith("law:")}
    assert {name for name in found if not name.endswith(", exponential")} - laws == GALLERY
    alike_ = {str({**each.plain(), "name": ""}): (name, each, known) for name, (each, known) in found.items()}
    assert len(alike_) > 30
    once = [part for part in alike_.values() if relaxation(part[1]) < 60]
    comparisons = sum(len(known.exact) for _, _, known in once)
    wrong = {name: out for name, each, known in once if (out := missed(known, each, comparisons))}
    assert not wrong


@pytest.mark.parametrize("changes", MORE.values(), ids=MORE)
def test_what_the_gallery_has_not_agrees_too(changes):
    made = ONE.with_(changes)
    known = theory(made)
    assert len(known.exact) > 12
    assert not missed(known, made, 40 * len(MORE))


@pytest.mark.parametrize(("changes", "path"), [
    ({"faults": [{"kind": "errors", "share": 0.1}]}, "faults"),
    ({"queue.overflow": "shed_oldest"}, "queue.overflow"),
    ({"queue.discipline": "sjf"}, "queue.discipline"),
    ({"queue.backlog": 3}, "queue.backlog"),
    ({"queue.memory": {"limit": "1 kB"}, "jobs.job.size": "300 B"}, "queue.memory"),
    ({"workers.failures": {"up": "10 s", "repair": "1 s"}}, "workers.failures"),
    ({"workers.batch": {"size": 3}}, "workers.batch"),
    ({"client.hedge": {"after": "1 s"}}, "client.hedge"),
    ({"client.mode": "async"}, "client.mode"),
    ({"client.total_timeout": "3 s"}, "client.total_timeout"),
    ({"client.retry": AGAIN, "client.retry_budget": {"kind": "ratio", "share": 0.1}}, "client.retry_budget"),
    ({"client.retry": {**AGAIN, "jitter": "full"}}, "client.retry.jitter"),
    ({"client.retry": AGAIN, "queue.retry_after": "1 s"}, "queue.retry_after"),
    ({"client.retry": AGAIN, "client.attempt_timeout": PATIENT}, "client.retry"),
    ({"client.attempt_timeout": PATIENT, "workers.abandoned": "skip"}, "workers.abandoned"),
    ({"arrivals": {"kind": "bursts", "base": "1/s", "peak": "9/s", "every": "60 s", "length": "9 s"}}, "arrivals"),
    ({"workers.service": {"kind": "lognormal", "mean": "200 ms", "cv": 2.0}}, "workers.service"),
])  # fmt: skip
def test_what_stands_in_the_way_is_named_and_a_simplification_is_marked(changes, path):
    known = theory(ONE.with_(changes))
    assert path in [obstacle.path for obstacle in known.obstacles]
    assert not known.exact
    wait = known.of("wait_mean")
    assert wait.kind == "approximate"
    assert wait.simplification


def test_clients_that_retry_for_ever_need_a_load_below_that_of_slowed_workers():
    slow = {"queue.memory": {"slowdown": {"above": 2, "factor": 2.0}}, "client.retry": AGAIN, "arrivals.rate": "6/s"}
    known = theory(ONE.with_(slow))
    assert not known.exact
    assert "a load of 1.2 has no steady state" in known.obstacles[0].why


def test_classes_weigh_by_how_often_they_come():
    known = theory(bw.Scenario(
        arrivals=bw.Poisson(rate=0.8), workers=bw.Workers(),
        jobs={"short": bw.Job(share=3, service=0.5), "long": bw.Job(share=1, service=2.0)},
    ))  # fmt: skip
    assert known.of("utilization").value == pytest.approx(0.6 * 0.5 + 0.2 * 2.0)
    wait = (0.6 * 0.5**2 + 0.2 * 2.0**2) / 2 / (1 - 0.7)  # Pollaczek-Khinchine by hand
    assert known.of("wait_mean") == known.of("wait_mean")._replace(value=pytest.approx(wait), kind="exact")


def test_a_queue_that_grows_for_ever_has_no_answer():
    known = theory(ONE.with_({"queue.capacity": None, "arrivals.rate": "10/s"}))
    assert not known.answers
    assert "a load of 1 has no steady state" in known.obstacles[0].why


def test_a_bound_and_an_approximation_stand_beside_each_other():
    known = theory(bw.Scenario(
        arrivals=bw.Renewal(gap=bw.Uniform(low="0 s", high="2 s")),
        workers=bw.Workers(service=bw.LogNormal(mean="700 ms", cv=1.5)),
    ))  # fmt: skip
    kinds = {answer.kind: answer.value for answer in known.answers if answer.metric == "wait_mean"}
    assert kinds.keys() == {"bound", "approximate"}
    assert 0 < kinds["approximate"] < kinds["bound"]
    assert known.of("utilization").kind == "exact"  # by conservation of work
    assert known.of("utilization").value == pytest.approx(0.7)


def test_retries_with_any_pauses_have_a_fixed_point():
    made = ONE.with_({"client.retry": {"base": "1 min", "max_attempts": 4}, "arrivals.rate": "12/s"})
    known = theory(made).of("rejection_ratio")
    assert known.kind == "approximate"
    assert "fixed point" in known.source
    found = bw.simulate(made, warmup="20 min", horizon="220 min", replications=10, seed=3)["rejection_ratio"]
    assert known.value == pytest.approx(found, rel=0.05)  # pauses of 300 services; an approximation, not a claim


def test_the_share_served_within_a_time_is_known_where_asked_for():
    known = theory(ONE, ["served_within(1 s)"]).of("served_within(1 s)")
    found = bw.simulate(ONE, warmup=20, horizon=4000, replications=20, seed=4).estimate("served_within(1 s)", 0.9999)
    assert known.kind == "exact"
    assert found.low <= known.value <= found.high


def test_how_long_a_system_remembers_grows_with_its_load_and_ends_with_its_room():
    loose, tight, full = (relaxation(ONE.with_(changes)) for changes in (
        {"queue.capacity": None, "load": 0.5}, {"queue.capacity": None, "load": 0.99}, {"load": 3.0}))  # fmt: skip
    assert loose < tight
    assert full < tight
    slow = {"queue.memory": {"slowdown": {"above": 3, "factor": 2.0, "at": "now"}}}
    assert math.isinf(relaxation(ONE.with_({**slow, "load": 0.8})))
