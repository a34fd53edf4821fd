"""The planner: right where the optimum is known from Erlang's formulas, honest where it is not."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as config
from hypothesis import strategies as st
from test_cli import run

import backwater as bw
from backwater.errors import ScenarioError
from backwater.experiments.alarm import line
from backwater.experiments.plan import plan, plans
from backwater.experiments.plan_figures import plan_figures
from backwater.experiments.plan_report import verdict
from backwater.experiments.plans_report import beside, summary
from backwater.experiments.require import requirement
from backwater.experiments.search import Range, best, least
from backwater.experiments.theory.formulas import erlang_b, mmc_wait_quantile, mmck_loss
from backwater.experiments.trials import Lab, Prices, Question
from backwater.simulation import simulate
from backwater.statistics import at_level
from backwater.units import human


def mmck(c: int, a: float, room: float = math.inf) -> bw.Scenario:
    """M/M/c with services of mean 1 s and so many waiting places."""
    queue = {} if math.isinf(room) else {"capacity": int(room)}
    return bw.Scenario(arrivals=bw.Poisson(rate=a), queue=bw.Queue(**queue),
                       workers=bw.Workers(count=c, service=bw.Exponential(mean=1)))  # fmt: skip


def between(metric, at: int) -> float:
    """A limit that ``at`` meets and ``at - 1`` does not, in the middle on a scale of logarithms."""
    return math.sqrt(metric(at) * metric(at - 1))


def text(name: str, limit: float) -> str:
    return f"{name} <= {limit:.9f}" + (" s" if "wait" in name else "")


# (scenario, what is searched, metric, its exact value at each place, the optimum)
KNOWN = [
    (mmck(1, 5, 0), "workers.count", "rejection_ratio", lambda c: erlang_b(c, 5), 11),
    (mmck(1, 40, 0), "workers.count", "rejection_ratio", lambda c: erlang_b(c, 40), 53),
    (mmck(1, 150, 0), "workers.count", "rejection_ratio", lambda c: erlang_b(c, 150), 163),
    (mmck(1, 180, 0), "workers.count", "rejection_ratio", lambda c: erlang_b(c, 180), 185),
    (mmck(1, 12, 8), "workers.count", "rejection_ratio", lambda c: mmck_loss(c, c + 8, 12), 14),
    (mmck(4, 3.2), "queue.capacity", "rejection_ratio", lambda k: mmck_loss(4, 4 + k, 3.2), 12),
    (mmck(1, 0.9), "queue.capacity", "rejection_ratio", lambda k: mmck_loss(1, 1 + k, 0.9), 30),
    (mmck(20, 21), "queue.capacity", "rejection_ratio", lambda k: mmck_loss(20, 20 + k, 21), 16),
    (mmck(1, 8), "workers.count", "wait_p99", lambda c: mmc_wait_quantile(c, 8, 1, 0.99), 11),
    (mmck(1, 90), "workers.count", "wait_p99", lambda c: mmc_wait_quantile(c, 90, 1, 0.99), 99),
]


@pytest.mark.parametrize("number", range(len(KNOWN)))
def test_the_optimum_is_the_one_of_erlangs_formulas(number):
    scenario, path, metric, exact, answer = KNOWN[number]
    limit = between(exact, answer)
    assert next(place for place in range(1, 201) if exact(place) <= limit) == answer
    wanted = [text(metric, limit), "rejection_ratio <= 100 %"]
    rate = scenario.rate
    found = plan(scenario, {path: (1, 200)}, wanted, path, most=400, parallel=1,
                 run=bw.Run(horizon=40_000 / rate, warmup=max(2_000 / rate, 20), replications=8))  # fmt: skip
    assert found.sure
    assert found.answer.setting == {path: answer}
    assert found.below.setting == {path: answer - 1}
    assert not found.below.met
    assert found.binds.require.name == metric
    assert found.seconds < 60  # 20 s on two quiet cores; here others run beside it


def test_two_aims_one_after_the_other():
    # The fewest workers with any room, then the least room, of M/M/c/K with two opposite requirements: with 21 workers
    # so much room is needed against 503s that waits are too long.
    a, wait = 20.0, 0.62
    loss = math.sqrt(mmck_loss(22, 22 + 18, a) * mmck_loss(22, 22 + 19, a))
    assert mmck_wait_p90(22, 19, a) < 0.93 * wait
    least_room = next(k for k in range(200) if mmck_loss(21, 21 + k, a) <= loss)
    assert mmck_wait_p90(21, least_room, a) > 1.5 * wait
    found = plan(
        mmck(10, a, 10), {"workers.count": (15, 40), "queue.capacity": (0, 120)},
        [f"rejection_ratio <= {loss}", f"wait_p90 <= {wait} s"], ["workers.count", "queue.capacity"],
        run=bw.Run(horizon=2000, warmup=100, replications=8),
    )  # fmt: skip
    assert found.sure
    assert found.answer.setting == {"workers.count": 22, "queue.capacity": 19}


def mmck_wait_p90(c: int, k: int, a: float) -> float:
    """The 90 % quantile of the wait of those let in to M/M/c/(c + k), by bisection of its exact tail."""
    from scipy.stats import gamma

    n = np.arange(c + k)
    shares = np.cumprod(np.where(n > 0, a / np.clip(n, 1, c), 1.0))
    shares /= shares.sum()
    low, high = 0.0, 50.0
    for _ in range(50):
        middle = (low + high) / 2
        tail = float(shares[c:] @ gamma.sf(middle, np.arange(1, k + 1), scale=1 / c))
        low, high = (middle, high) if tail > 0.1 else (low, middle)
    return high


def test_what_cannot_be_met_says_why_and_what_comes_closest():
    found = plan(mmck(1, 50, 0), {"workers.count": (1, 30)}, ["rejection_ratio <= 1 %"], "workers.count",
                 run=bw.Run(horizon=100, replications=4))  # fmt: skip
    assert found.answer is None
    assert not found.sure
    assert found.closest.setting == {"workers.count": 30}
    value = found.binds.found
    assert value.low <= erlang_b(30, 50) <= value.high


def test_cases_bind_where_they_are_hardest():
    cases = {"normal": {}, "spike": {"arrivals.scale": 1.5}}
    found = plan(mmck(1, 20, 0), {"workers.count": (1, 100)}, ["rejection_ratio <= 1 %"], "workers.count", cases=cases,
                 run=bw.Run(horizon=800, warmup=20, replications=6))  # fmt: skip
    assert found.answer.setting["workers.count"] == next(c for c in range(1, 100) if erlang_b(c, 30) <= 0.01)
    assert found.binds.case == "spike"
    assert [load for load, _ in found.loads] == [1.1, 1.2, 1.5]
    assert [trial.met for _, trial in found.loads] == [False] * 3


def test_cost_weighs_workers_against_lost_jobs():
    # a = 20 Erlang: a worker costs 1 an hour, a lost job 1/720: c + 100 B(c, 20) is least at c = 25 (and 26 nearly so).
    def cost(c: int) -> float:
        return c + 100 * erlang_b(c, 20)

    cheapest = min(range(1, 60), key=cost)
    prices = Prices(worker_hour=1.0, lost_job=100 / (20 * 3600))
    found = plan(mmck(1, 20, 0), {"workers.count": (1, 60)}, ["rejection_ratio <= 50 %"], "cost", prices=prices,
                 run=bw.Run(horizon=3000, warmup=20, replications=10))  # fmt: skip
    chosen = found.answer.setting["workers.count"]
    assert abs(chosen - cheapest) <= 1
    assert cost(chosen) <= cost(cheapest) * 1.005
    assert found.answer.cost == pytest.approx(cost(chosen), rel=0.02)


def test_the_alarm_line_lies_where_too_few_are_served_in_time():
    sign = np.repeat(np.arange(100.0), 200)
    chance = np.clip(1 - np.arange(100) / 99, 0, 1)  # of being served in time: 90 % at 9.9, 89 % at 10.9
    good = np.random.default_rng(3).random(len(sign)) < np.repeat(chance, 200)
    where, left = line(sign, good, 0.9)
    assert 7 <= where <= 13
    assert left < 0.9
    assert math.isnan(line(sign, np.ones(len(sign), bool), 0.9)[0])


def test_the_alarm_of_one_worker_is_where_its_queue_takes_too_long():
    # Services of 1 s exactly: with q waiting and one in service, a job is done within 10 s only if q <= 8.
    scenario = mmck(1, 0.7).with_({"workers.service": bw.Constant(value=1.0)})
    found = plan(scenario, {"workers.count": (1, 5)}, ["served_within(10 s) >= 90 %"], "workers.count",
                 run=bw.Run(horizon=20_000, warmup=100, replications=4))  # fmt: skip
    assert found.answer.setting == {"workers.count": 1}
    (alarm,) = found.alarms
    assert alarm.queue in (8, 9)
    assert 5 <= alarm.age <= 10  # the slower they come, the longer the same queue has waited


@config(max_examples=200, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 5))
def test_searches_find_what_is_there(bottom, last, steep):
    def value(place: int) -> tuple[float]:
        return (float(abs(place - bottom) ** steep),)

    assert best(value, last) == min(bottom, last)
    assert least(lambda place: place >= bottom, 0, last) == (bottom if bottom <= last else None)


def test_places_of_a_range():
    whole, parts = Range("workers.count", 3, 9, True), Range("client.attempt_timeout", 0.5, 1.5, False)
    assert [whole.at(place) for place in (0, whole.last)] == [3, 9]
    assert parts.at(parts.last // 2) == 1.0


def test_requirements_read_judge_and_refuse():
    one = requirement("latency_p99[all, spike] <= 2 s")
    assert (one.name, one.window, one.most, one.limit) == ("latency_p99", "spike", True, 2.0)
    share = requirement("served_within(2 s) >= 99 %")
    assert share.margin(0.995) == pytest.approx(math.log(2))
    assert share.margin(0.98) == pytest.approx(-math.log(2))
    assert share.margin(1.0) == 3.0
    assert requirement("rejection_ratio <= 0.1 %").margin(math.nan) == -3.0
    for wrong, said in [
        ("latency_p99 < 2 s", "must be METRIC <= VALUE"),
        ("latency_p9 <= 2 s", 'did you mean "latency_p99"'),
        ("latency_p99 <= 2", "a time such as"),
        ("failure_ratio <= 110 %", "must be"),
        ("queue_mean <= many", "must end with a number"),
    ]:
        with pytest.raises(ScenarioError, match=said.replace("(", r"\(")):
            requirement(wrong)


def test_met_means_as_sure_as_was_asked_for():
    run_ = bw.Run(horizon=200, warmup=20, replications=4)
    result = simulate(mmck(10, 8, 5), run_)
    near = requirement(f"rejection_ratio <= {1.05 * result['rejection_ratio']}")
    sure = near.confidence(result)
    assert 0.55 < sure < 0.9
    for asked in (sure - 0.01, sure + 0.01):
        question = Question(mmck(10, 8, 5), run_, (near,), {"as is": {}}, confidence=asked, most=4)
        assert Lab(question, run_.seed).trial({}).met is (sure >= asked)


def test_503s_are_of_attempts_and_failures_of_jobs():
    retry = mmck(10, 8, 5).with_({"client.retry": bw.Retry(base=1.0).plain()})
    run_ = bw.Run(horizon=200, warmup=20, replications=4)
    result, wanted = simulate(retry, run_), requirement("failure_ratio <= 1 %")
    (failed,) = Lab(Question(retry, run_, (wanted,), {"as is": {}}, most=4), run_.seed).trial({}).failed
    assert (failed.attempts.value, failed.jobs.value) == (result["rejection_ratio"], result["failure_ratio"])
    assert failed.attempts.value > failed.jobs.value


def test_the_answer_was_tried_with_random_numbers_of_its_own():
    found = plan(mmck(1, 20, 0), {"workers.count": (20, 40)}, ["rejection_ratio <= 2 %"], "workers.count",
                 run=bw.Run(horizon=500, warmup=20, replications=4))  # fmt: skip
    searched = next(trial for trial in found.tried if trial.setting == found.answer.setting)
    (one,), (other,) = searched.judged, found.answer.judged
    assert one.found.value != other.found.value


def test_nothing_seen_is_not_certainty():
    result = simulate(mmck(2, 1, 100), horizon=100, replications=4)
    trials = result.cells().count("attempts").sum()
    sure = requirement("rejection_ratio <= 0.1 %").confidence(result)
    assert sure == pytest.approx(1 - 0.999**trials, rel=1e-3)
    assert requirement("rejection_ratio <= 50 %").confidence(result) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"find": {}}, "--find must be given"),
        ({"find": {"workers.cout": (1, 5)}, "minimize": "workers.cout"}, 'did you mean "count"'),
        ({"find": {"workers.count": (5, 1)}}, "must go up"),
        ({"find": {"workers.count": (1.0, math.inf)}}, "must be LOW..HIGH"),
        ({"find": {"workers.count": (-3, 5)}}, "workers.count"),
        ({"require": []}, "--require must be given"),
        ({"require": ["latency_p99 <= 2 s"]}, "turning everybody away would break"),
        ({"require": ["failure_ratio[gold] <= 1 %"]}, "must name a class"),
        ({"minimize": "queue.capacity"}, "must be searched, or be cost"),
        ({"minimize": "cost"}, "must have prices"),
        ({"confidence": 1.5}, "must be from 0.5 to below 1"),
        ({"most": 1}, "at least the replications"),
        ({"cases": {"few": {"workers.count": 3}}}, "must not set what is searched"),
        ({"cases": {"spike": {"load": 1.2}}}, "must not move as workers are searched"),
        ({"cases": {"odd": {"workers.cont": 3}}}, "cases.odd"),
        ({"run": None}, "run must be given"),
    ],
)
def test_a_wrong_question_is_one_line(changes, line):
    asked = {"find": {"workers.count": (1, 5)}, "require": ["failure_ratio <= 1 %"], "minimize": "workers.count",
             "run": bw.Run(horizon=10, replications=2)} | changes  # fmt: skip
    with pytest.raises(ScenarioError) as refused:
        plan(mmck(1, 2, 5), **asked)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


EXPERIMENT = """
question = "How many workers?"
scenario = "thumbnails"
[run]
horizon = "90 s"
warmup = "20 s"
replications = 3
[sweep]
"queue.capacity" = [50, 100]
[cases]
normal = {}
more = { "arrivals.scale" = 1.2 }
[require]
failure_ratio = "<= 5 %"
"""


def test_the_command_plans_an_experiment_and_writes_its_page(tmp_path, capsys):
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    words = ["plan", str(tmp_path / "e.toml"), "--find", "workers.count=2..40", "--minimize", "workers.count", "--most",
             "12", "--price", "worker_hour=0.4"]  # fmt: skip
    status, out, _ = run(capsys, *words, "--out", str(tmp_path / "out"))
    assert status == 0
    assert "The lowest workers.count that meets all: workers.count =" in out
    assert "What binds: with workers.count =" in out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "failure_ratio &lt;= 5 %" in page
    told = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert told["sure"]
    assert told["answer"]["cost"] == pytest.approx(0.4 * told["answer"]["setting"]["workers.count"])
    assert (tmp_path / "out" / "plan.png").stat().st_size > 10_000


def test_the_first_sentence_tells_both_shares_and_is_right_in_every_case():
    found = plan(mmck(1, 20, 0), {"workers.count": (20, 60)}, ["rejection_ratio <= 2 %"], "workers.count",
                 cases={"normal": {}, "spike": {"arrivals.scale": 1.5}},
                 run=bw.Run(horizon=4000, warmup=20, replications=8))  # fmt: skip
    c = found.answer.setting["workers.count"]
    for failed, load in zip(found.answer.failed, (20, 30), strict=True):
        for share in (failed.attempts, failed.jobs):  # nobody retries
            wide = at_level(share, 1 - 1e-4 / 4)
            assert wide.low <= erlang_b(c, load) <= wide.high
    title, _ = verdict(found)
    normal, spike = (human(failed.attempts.value, "share") for failed in found.answer.failed)
    jobs = human(found.answer.failed[0].jobs.value, "share")
    assert f"in case normal {normal} of attempts got a 503 and {jobs} of jobs failed, in case spike {spike}" in title
    none = plan(mmck(1, 50, 0), {"workers.count": (1, 30)}, ["rejection_ratio <= 1 %"], "workers.count",
                run=bw.Run(horizon=100, replications=4))  # fmt: skip
    assert re.search(r"% of attempts got a 503 and .* % of jobs failed\.$", verdict(none)[0])


def test_theory_is_drawn_where_there_is_one():
    run_ = bw.Run(horizon=500, warmup=20, replications=4, windows={"late": (100, 500)})
    wanted = ["rejection_ratio <= 2 %", "wait_p99[all, late] <= 9 s"]
    found = plan(mmck(1, 20, 0), {"workers.count": (1, 60)}, wanted, "workers.count", run=run_)
    ((_, _, figure),) = plan_figures(found)
    (left, right), (window, _) = figure.axes[:2], figure.axes[2:]
    for axis, exact in [(left, lambda c: erlang_b(int(c), 20)),
                        (right, lambda load: erlang_b(found.answer.setting["workers.count"], 20 * load))]:  # fmt: skip
        (line,) = (each for each in axis.lines if each.get_zorder() == 3)
        assert [exact(x) for x in line.get_xdata()] == pytest.approx(line.get_ydata())
    assert "exact theory" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert not [each for each in window.lines if each.get_zorder() == 3]  # theory is of the whole run


def test_several_scenarios_are_planned_alike_the_cheapest_first():
    asked = {"workers.count": (1, 60)}, ["rejection_ratio <= 1 %"], "workers.count"
    run_ = bw.Run(horizon=800, warmup=20, replications=6)
    systems = {"no room": mmck(1, 20, 0), "hopeless": mmck(1, 90, 0), "room": mmck(1, 20, 10)}
    found = plans(systems, *asked, run=run_)
    assert list(found) == ["room", "no room", "hopeless"]
    assert [one.sure for one in found.values()] == [True, True, False]
    for name in ("room", "no room"):
        alone = plan(systems[name], *asked, run=run_)
        assert (found[name].answer, found[name].tried) == (alone.answer, alone.tried)
    rows = beside(found)
    assert [row[0] for row in rows] == list(found)
    assert rows[0][1] == f"workers.count = {found['room'].answer.setting['workers.count']}"
    assert rows[2][1] == "none; closest workers.count = 60"
    assert summary(found).startswith("The lowest workers.count of 3 scenarios that meets all is that of room: ")
    dear = plans(systems, *asked[:2], "cost", prices=Prices(worker_hour=1, lost_job=0.001), run=run_)
    assert list(dear)[-1] == "hopeless"
    assert dear["room"].answer.cost < dear["no room"].answer.cost
    gold = {"first": mmck(1, 2).with_({"jobs": {"gold": {}}}), "second": mmck(1, 2)}
    with pytest.raises(ScenarioError, match=r"must name a class.*\(scenario second\)"):
        plans(gold, asked[0], ["rejection_ratio[gold] <= 1 %"], asked[2], run=run_)


def test_the_command_plans_several_and_says_no_where_none_will_do(tmp_path, capsys):
    for name, room in (("a", 0), ("b", 10)):
        bw.dump(mmck(1, 20, room), tmp_path / f"{name}.toml")
    words = ["plan", str(tmp_path / "a.toml"), str(tmp_path / "b.toml"), "--require", "rejection_ratio <= 1 %",
             "--horizon", "400 s", "--warmup", "20 s", "--replications", "4"]  # fmt: skip
    status, out, _ = run(capsys, *words, "--find", "workers.count=1..60", "--out", str(tmp_path / "out"))
    assert status == 0
    assert out.splitlines()[0].startswith("The lowest workers.count of 2 scenarios that meets all is that of")
    told = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert told["cheapest"] == told["plans"][0]["name"] == str(tmp_path / "b.toml")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert run(capsys, "report", str(tmp_path / "out"), "--md")[0] == 0
    status, out, _ = run(capsys, *words, "--find", "workers.count=1..9", "--json")
    assert status == 1
    assert json.loads(out)["cheapest"] is None
    status, _, error = run(capsys, "plan", words[1], words[1], "--find", "workers.count=1..9")
    assert (status, error.count("\n")) == (2, 1)
    assert "must not be given a scenario twice" in error


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--find", "workers.count=1"], "must be PATH=LOW..HIGH"),
        (["--find", "workers.count=1..5 s"], "of the same unit"),
        (["--find", "workers.count=1..5", "--price", "worker=2"], "must be one of worker_hour, lost_job"),
        (["--find", "workers.count=1..5", "--price", "worker_hour=-2"], "must be a number of at least 0"),
        (["--find", "workers.count=1..5", "--confidence", "95"], "--confidence"),
        (["--find", "workers.count=1..5", "--case", "spike"], "must be"),
    ],
)
def test_a_wrong_flag_is_one_line(words, line, capsys):
    status, out, error = run(capsys, "plan", "thumbnails", "--require", "failure_ratio <= 1 %", *words)
    assert (status, out) == (2, "")
    assert line in error
    assert error.count("\n") == 1
