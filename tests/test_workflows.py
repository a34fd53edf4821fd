"""Jobs that lead to others: timelines worked out on paper, exact values, what must hold of every workflow."""

import tomllib

import jsonschema
import numpy as np
import pytest
from scipy.linalg import expm
from timetables import come, on_both_engines

import backwater as bw
from backwater.components.workflow import join_delay
from backwater.errors import ScenarioError

LEVEL = 0.9999  # each interval misses by chance once in 10,000 times; the seeds are fixed
ONCE = bw.Bursts(base="0/s", peak="1/s", every="1 h", length="1 s")


def lead(engine, tmp_path, jobs, times=(0,), horizon="100 s", **parts) -> bw.Result:
    """Jobs at these times, two workers unless given."""
    scenario = bw.Scenario(arrivals=come(tmp_path, times), jobs=jobs, **{"workers": bw.Workers(count=2), **parts})
    return bw.simulate(scenario, horizon=horizon, replications=1, engine=engine, record=("attempts", "jobs"))


def told(result) -> list[tuple]:
    """(class, sent, ended, origin) of every job, in the order in which they were sent."""
    table = result.jobs.sort_values(["arrived", "source", "job"])
    return [tuple(row) for row in table[["class", "arrived", "ended", "origin"]].itertuples(index=False, name=None)]


def chord(n, **then) -> dict[str, bw.Job]:
    """A job of 2 s, then n of 3 s, which another one of 1 s joins."""
    then = {"send": {"part": n}, "join": "last", **then}
    return {"first": bw.Job(service="2 s", then=then), "part": bw.Job(service="3 s"), "last": bw.Job(service="1 s")}


@on_both_engines
def test_a_chain_goes_on_as_each_link_is_served(engine, tmp_path):
    jobs = {"a": bw.Job(service="2 s", then="b"), "b": bw.Job(service="3 s", then="c"), "c": bw.Job(service="1 s")}
    result = lead(engine, tmp_path, jobs, [0, 1], workers=bw.Workers(count=1))
    assert told(result) == [
        ("a", 0, 2, 0),
        ("a", 1, 4, 1),
        ("b", 2, 7, 0),  # behind the second a, which came at 1
        ("b", 4, 10, 1),
        ("c", 7, 11, 0),
        ("c", 10, 12, 1),
    ]
    assert result["workflow_mean"] == pytest.approx((11 + 11) / 2, rel=1e-12)
    assert result["latency_mean[a]"] == pytest.approx((2 + 3) / 2, rel=1e-12)


@on_both_engines
def test_a_chord_is_joined_once_all_its_parts_have_been_served(engine, tmp_path):
    result = lead(engine, tmp_path, chord(3))
    assert told(result) == [
        ("first", 0, 2, 0), ("part", 2, 5, 0), ("part", 2, 5, 0),
        ("part", 2, 8, 0),  # waits for one of two workers
        ("last", 8, 9, 0),
    ]  # fmt: skip
    assert (result["workflow_mean"], result["workflow_failure_ratio"]) == (pytest.approx(9, rel=1e-12), 0)


@on_both_engines
def test_one_who_looks_now_and_then_sends_the_join_at_the_next_look(engine, tmp_path):
    # Parts are sent at 2 and served at 8: looked at 6, not done; at 10.
    assert told(lead(engine, tmp_path, chord(3, join_every="4 s")))[-1] == ("last", 10, 11, 0)
    # Two parts are served at 5, three seconds after they were sent: a look at that very moment finds them.
    assert told(lead(engine, tmp_path, chord(2, join_every="3 s")))[-1] == ("last", 5, 6, 0)


@on_both_engines
def test_a_part_that_fails_leaves_a_chord_without_its_join(engine, tmp_path):
    # No waiting room: of three parts one is turned away, and its client does not retry.
    result = lead(engine, tmp_path, chord(3), queue=bw.Queue(capacity=0))
    assert told(result) == [("first", 0, 2, 0), ("part", 2, 5, 0), ("part", 2, 5, 0), ("part", 2, 2, 0)]
    assert result["workflow_failure_ratio"] == 1
    assert np.isnan(result["workflow_mean"])


@on_both_engines
def test_a_part_that_is_tried_again_does_not_fail_the_chord(engine, tmp_path):
    again = bw.Client(retry=bw.Retry(kind="constant", base="4 s", jitter="none", max_attempts=2))
    result = lead(engine, tmp_path, chord(3), queue=bw.Queue(capacity=0), client=again)
    assert told(result)[-2:] == [("part", 2, 9, 0), ("last", 9, 10, 0)]  # sent again at 6
    assert (result["workflow_mean"], result["workflow_failure_ratio"]) == (pytest.approx(10, rel=1e-12), 0)


@on_both_engines
def test_a_join_waits_for_all_that_the_parts_lead_to(engine, tmp_path):
    jobs = chord(2)
    jobs |= {"part": bw.Job(service="1 s", then={"send": {"leaf": 2}}), "leaf": bw.Job(service="4 s")}
    result = lead(engine, tmp_path, jobs, workers=bw.Workers(count=4))
    assert told(result) == [
        ("first", 0, 2, 0), ("part", 2, 3, 0), ("part", 2, 3, 0),
        *[("leaf", 3, 7, 0)] * 4,
        ("last", 7, 8, 0),
    ]  # fmt: skip


@on_both_engines
def test_a_chord_of_nothing_is_joined_at_once(engine, tmp_path):
    result = lead(engine, tmp_path, chord(bw.Empirical(values=(0,))))
    assert told(result) == [("first", 0, 2, 0), ("last", 2, 3, 0)]
    nothing = {"a": bw.Job(service="2 s", then={"send": {"b": bw.Empirical(values=(0,))}}), "b": bw.Job(service="1 s")}
    assert lead(engine, tmp_path, nothing)["workflow_mean"] == pytest.approx(2, rel=1e-12)


@on_both_engines
def test_a_job_that_is_served_twice_sends_twice_what_it_leads_to(engine, tmp_path):
    # Hidden for 2 s, served for 3 s; what the second service leads to belongs to no workflow.
    jobs = {"a": bw.Job(service="3 s", then="b"), "b": bw.Job(service="1 s")}
    broker = {"visibility_timeout": "2 s", "acked_by": "any"}
    result = lead(engine, tmp_path, jobs, broker=broker, client=bw.Client(mode="async"))
    assert told(result) == [("a", 0, 3, 0), ("b", 3, 4, 0), ("b", 5, 6, 0)]
    served = result.attempts.sort_values("started")[["class", "delivery", "started", "ended"]]
    assert [tuple(row) for row in served.itertuples(index=False, name=None)] == [
        ("a", 1, 0, 3), ("a", 2, 2, 5), ("b", 1, 3, 4), ("b", 1, 5, 6),
    ]  # fmt: skip
    assert result["workflow_mean"] == pytest.approx(4, rel=1e-12)


@on_both_engines
def test_a_job_that_was_given_up_fails_its_workflow_though_it_is_served_later(engine, tmp_path):
    jobs = {"a": bw.Job(service="3 s", then="b"), "b": bw.Job(service="1 s")}
    result = lead(engine, tmp_path, jobs, client=bw.Client(attempt_timeout="2 s"))
    assert told(result) == [("a", 0, 2, 0), ("b", 3, 4, 0)]
    assert result["workflow_failure_ratio"] == 1


@on_both_engines
def test_a_service_that_ends_with_an_error_leads_to_nothing(engine, tmp_path):
    jobs = {"a": bw.Job(service="3 s", then="b"), "b": bw.Job(service="1 s")}
    faults = (bw.Fault(kind="errors", share=1.0, start="0 s", duration="4 s"),)
    result = lead(engine, tmp_path, jobs, [0, 5], faults=faults)
    assert told(result) == [("a", 0, 3, 0), ("a", 5, 8, 1), ("b", 8, 9, 1)]
    assert (result["workflow_failure_ratio"], result["workflow_mean"]) == (0.5, pytest.approx(4, rel=1e-12))
    assert [result[f"workflow_within({limit} s)"] for limit in (3.9, 4.1)] == [0, 0.5]  # of those that failed, too
    # Under way from 0 to 3, and from 5 to 9, of 100 s.
    assert (result["workflows_mean"], result["workflows_max"]) == (pytest.approx(0.07, rel=1e-12), 1)


@on_both_engines
def test_workflows_belong_to_the_window_in_which_they_end_or_began(engine, tmp_path):
    scenario = bw.Scenario(arrivals=come(tmp_path, [0, 5, 20]), jobs=chord(2), workers=bw.Workers(count=2))
    run = {"horizon": "100 s", "warmup": "7 s", "windows": {"early": "1 s..15 s"}, "engine": engine}
    result = bw.simulate(scenario, replications=1, **run)
    # They end at 6, before the warm-up is over, at 11 and at 26; the second one began in the window.
    assert result["workflow_mean[first]"] == pytest.approx(6, rel=1e-12)
    found = {view: result.cells("all", view).count("workflows").tolist() for view in ("all", "early")}
    assert found == {"all": [2], "early": [1]}
    assert result.cells("part", "all").count("workflows").tolist() == [0]


@on_both_engines
def test_workflows_that_are_not_over_at_the_end_are_told(engine, tmp_path):
    # They take nine seconds; at 20 the first is over, the second has sent its parts, the third is not yet served.
    result = lead(engine, tmp_path, chord(3), [0, 12, 19], horizon="20 s")
    assert result["workflow_unfinished_ratio"] == pytest.approx(2 / 3, rel=1e-12)
    assert (result["workflow_mean"], result["workflow_failure_ratio"]) == (pytest.approx(9, rel=1e-12), 0)


def test_looks_come_after_the_parts_were_sent_and_not_before_they_are_done():
    assert [join_delay(2.0, 4.0, now) for now in (2.0, 3.0, 6.0, 6.5)] == [4.0, 3.0, 0.0, 3.5]
    assert join_delay(2.0, 0.0, 7.0) == 0.0
    rounded = [(began, now) for began in (0.1, 1e9 + 0.3) for now in began + np.linspace(0, 9, 100)]
    assert all(join_delay(began, 0.1, now) >= 0 for began, now in rounded)


def phase_type(rates) -> tuple[float, callable]:
    """Mean and distribution function of a sum of independent exponentials of these rates."""
    steps = np.diag(-np.array(rates, float)) + np.diag(rates[:-1], 1)
    return float(sum(1 / rate for rate in rates)), lambda t: 1 - expm(steps * t)[0].sum()


def test_with_workers_for_all_a_chord_takes_its_first_job_the_longest_part_and_the_join():
    one = bw.Exponential(mean="1 s")
    jobs = {"a": bw.Job(then={"send": {"b": 5}, "join": "c"}), "b": bw.Job(), "c": bw.Job()}
    scenario = bw.Scenario(arrivals=bw.Poisson(rate="1/s"), jobs=jobs, workers=bw.Workers(count=400, service=one))
    result = bw.simulate(scenario, horizon="1 h", warmup="1 min", replications=10, seed=20)
    # The longest of n exponentials is a sum of n, of the rates n, ..., 1 (Renyi).
    mean, within = phase_type([1, 5, 4, 3, 2, 1, 1])
    found = result.estimate("workflow_mean", LEVEL)
    assert found.low <= mean <= found.high
    found = result.estimate("workflow_within(4 s)", LEVEL)
    assert found.low <= within(4 * (1 + 1 / 256))
    assert within(4 * (1 - 1 / 256)) <= found.high
    found = result.estimate("workflows_mean", LEVEL)  # as many as come in the time that one takes
    assert found.low <= mean <= found.high
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        found = result.estimate(f"workflow_{name}", LEVEL)
        assert within(found.low * (1 - 1 / 512)) <= q <= within(found.high * (1 + 1 / 512)), name
    assert result["queue_max"] == 0


def test_chains_through_one_queue_are_known_exactly():
    # Services are alike, so a queue that each job visits several times is quasi-reversible (Kelly, Reversibility and
    # Stochastic Networks, 1979, 3.1): as many are there as in an M/M/c to which all visits come at random.
    jobs = {
        "a": bw.Job(then="b"), "b": bw.Job(then={"send": {"c": bw.Empirical(values=(0, 1))}}), "c": bw.Job(then="d"),
        "d": bw.Job(),
    }  # fmt: skip
    rate, visits, c = 0.8, 3.0, 3
    workers = bw.Workers(count=c, service=bw.Exponential(mean="1 s"))
    scenario = bw.Scenario(arrivals=bw.Poisson(rate=rate), jobs=jobs, workers=workers)
    result = bw.simulate(scenario, horizon="10 h", warmup="30 min", replications=20, seed=20)
    weights = np.cumprod([1.0] + [rate * visits / min(n, c) for n in range(1, 400)])
    present = float(np.arange(400) @ weights / weights.sum())
    for name, exact in (("system_mean", present), ("workflow_mean", present / rate), ("utilization", 0.8)):
        found = result.estimate(name, LEVEL)
        assert found.low <= exact <= found.high, name
    assert scenario.load == pytest.approx(0.8, rel=1e-12)


@pytest.mark.parametrize("law", [
    bw.Exponential(mean=2), bw.Uniform(low=0, high=4), bw.Pareto(mean=4, alpha=1.5, cap=200), 3,
    bw.Empirical(values=(1, 1, 8)),
], ids=["exponential", "uniform", "pareto", "constant", "empirical"])  # fmt: skip
def test_the_load_counts_what_jobs_lead_to(law):
    jobs = {"a": bw.Job(then={"send": {"b": law}, "join": "c"}), "b": bw.Job(then="c"), "c": bw.Job()}
    workers = bw.Workers(count=50, service=bw.Exponential(mean="100 ms"))
    scenario = bw.Scenario(arrivals=bw.Poisson(rate="5/s"), jobs=jobs, workers=workers)
    # Of an exponential law, whole numbers have the mean e^(-1/4) / (1 - e^(-1/2)), not 2.
    exact = {2: np.exp(-0.25) / (1 - np.exp(-0.5))}.get(getattr(law, "mean", None))
    mean = jobs["a"].then.means["b"]
    assert exact is None or mean == pytest.approx(exact, rel=1e-3)
    assert scenario.rate == pytest.approx(5 * (1 + mean + mean + 1), rel=1e-12)
    result = bw.simulate(scenario, horizon="20 min", warmup="10 s", replications=10, seed=20)
    for name, exact in (("arrival_rate", scenario.rate), ("utilization", scenario.load)):
        found = result.estimate(name, LEVEL)
        assert found.low <= exact <= found.high, name


def test_workflows_add_up_from_their_jobs():
    # Nobody fails here; the run ends when all has been served.
    jobs = {
        "a": bw.Job(then={"send": {"b": 2, "c": bw.Uniform(low=0, high=5)}, "join": "d", "join_every": "50 ms"}),
        "b": bw.Job(then="c"), "c": bw.Job(), "d": bw.Job(then={"send": {"c": 3}}),
    }  # fmt: skip
    scenario = bw.Scenario(
        arrivals=bw.Bursts(base="0/s", peak="20/s", every="1 h", length="30 s"), jobs=jobs,
        workers=bw.Workers(count=10, service=bw.Exponential(mean="40 ms")),
    )  # fmt: skip
    result = bw.simulate(scenario, horizon="90 min", replications=2, seed=3, record=("jobs",))
    table = result.jobs.groupby(["replication", "origin"])
    lasts, of = table["ended"].max() - table["arrived"].min(), table["class"].value_counts().unstack()
    assert len(lasts) > 500
    assert result["workflow_mean"] == pytest.approx(lasts.mean(), rel=1e-9)
    assert result["workflow_max"] == pytest.approx(lasts.groupby("replication").max().mean(), rel=1e-12)
    assert (of[["a", "b", "d"]] == [1, 2, 1]).all(axis=None)
    assert of["c"].min() == 5  # of b two, of d three
    assert of["c"].max() == 10


BAD = {
    "jobs.a.then.send must be classes of jobs": {"a": bw.Job(then="x")},
    'did you mean "later"': {"a": bw.Job(then="latr"), "later": bw.Job()},
    "jobs.b.then.join must be classes of jobs": {"b": bw.Job(then={"send": "c", "join": "x"}), "c": bw.Job()},
    "jobs.a.then must not lead back to the same class": {"a": bw.Job(then="b"), "b": bw.Job(then="a")},
}


@pytest.mark.parametrize("line", BAD)
def test_what_does_not_fit_is_refused_in_one_line(line):
    with pytest.raises(ScenarioError) as refused:
        bw.Scenario(arrivals=bw.Poisson(rate="1/s"), jobs=BAD[line], workers=bw.Workers(service="1 s"))
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("then", "line"), [
    ({"send": {"b": 0}}, "then.send.b must be a whole number from 1 to 1,000,000 (got 0)"),
    ({"send": {"b": 1.5}}, "then.send.b must be a whole number from 1 to 1,000,000 (got 1.5)"),
    ({"send": {"b": "2 s"}}, "then.send.b must be a number of jobs such as 8, or a distribution of one"),
    ({"send": {"b": True}}, "then.send.b must be a number of jobs such as 8"),
    ({"send": {"b": -3}}, "then.send.b must be a number of jobs such as 8"),
    ({"send": {"b": bw.Exponential(mean="2 s")}}, "must be a number of jobs, or a distribution of one, without a unit"),
    ({"send": ["b", "c"]}, "then.send must be a class of jobs, or a table of how many jobs of each"),
    (["b", "c"], "then must be a class of jobs, or a table, as in"),
    ({"send": {"b": {"kind": "pareto", "mean": 3, "alpha": 0.9}}}, "mean"),
    ({"send": {}}, "then.send must name at least one class"),
    ({"join": "b"}, "then.send is missing"),
    ({"send": "b", "join_every": "1 s"}, "then.join_every must come with a join"),
    ({"send": "b", "joins": "b"}, 'then has no field "joins"; did you mean "join"?'),
])  # fmt: skip
def test_a_wrong_plan_is_refused_in_one_line(then, line):
    with pytest.raises(ScenarioError) as refused:
        bw.Job(then=then)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_services_of_a_trace_are_refused_for_jobs_that_others_lead_to(tmp_path):
    law = bw.Linear(constant="0 s", per={"s": "1 s"})
    with pytest.raises(ScenarioError, match="must not depend on a trace for jobs that others lead to"):
        bw.Scenario(
            arrivals=come(tmp_path, [0, 1]), jobs={"a": bw.Job(then="b"), "b": bw.Job()},
            workers=bw.Workers(service=law),
        )  # fmt: skip


def test_files_hold_what_jobs_lead_to():
    jobs = {"a": bw.Job(then="b"), "b": bw.Job(then={"send": {"c": 3, "d": bw.Uniform(low=0, high=4)}, "join": "e"}),
            "c": bw.Job(), "d": bw.Job(), "e": bw.Job()}  # fmt: skip
    scenario = bw.Scenario(arrivals=ONCE, jobs=jobs, workers=bw.Workers(service="1 s"))
    assert bw.loads(bw.dumps(scenario)) == scenario
    text = 'arrivals = { kind = "poisson", rate = "1/s" }\nworkers = { service = "1 s" }\n'
    text += '[jobs.a]\nthen = "b"\n[jobs.b]\n'
    assert bw.loads(text).jobs["a"].then.means == {"b": 1.0}
    jsonschema.validate(tomllib.loads(text), bw.json_schema())
    jsonschema.validate(tomllib.loads(bw.dumps(scenario)), bw.json_schema())
    assert scenario.with_({"jobs.b.then.send.c": 40}).jobs["b"].then.means["c"] == 40
    # A source that names no classes sends those that no other leads to.
    assert [list(jobs)[index] for index in scenario.producers[0].classes] == ["a"]
    assert [scenario.settings[f"jobs.b.then.send.{path}"] for path in ("c", "d", "d.high")] == [3, None, 4]
    assert scenario.with_({"notes": {"jobs.b.then.send.c": "counted"}}).notes
