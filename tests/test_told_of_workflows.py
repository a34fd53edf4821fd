"""What is told of jobs that lead to others: by check, theory, rows, events, reports, comparisons; and refused."""

import pytest
from test_workflows import chord
from timetables import come

import backwater as bw
from backwater.engines.compiled.system import System
from backwater.errors import ScenarioError
from backwater.events import Event, lines
from backwater.experiments.alt import alternatives
from backwater.experiments.cli import main
from backwater.experiments.cli_run import headline
from backwater.experiments.compare_report import decisive
from backwater.experiments.curves import curves
from backwater.experiments.figures import threshold, trade
from backwater.experiments.frontier import frontier
from backwater.experiments.report_tables import answer, at_a_glance
from backwater.experiments.require import check_serving, requirement
from backwater.experiments.theory import theory
from backwater.napkin import napkin
from backwater.outcome import assert_identical
from backwater.simulation import check_memory, replicate


def test_the_napkin_counts_what_jobs_lead_to():
    jobs = {"a": bw.Job(service="0 s", then={"send": {"b": 3}}), "b": bw.Job(service="1 s")}
    own = bw.Client(attempt_timeout="5 s")
    bursts = bw.Bursts(base="1/s", peak="4/s", every="1 min", length="6 s", client=own)
    scenario = bw.Scenario(arrivals=bursts, jobs=jobs, workers=bw.Workers(count=10))
    said = dict(napkin(scenario))
    # 1.3 jobs a second lead to 3.9; at the peak 4 to 12, whose service takes 1 s each.
    assert said["load"] == "0.39 from first attempts: 5.2/s, 3.9 workers' work; 1.2 in bursts"
    assert said["system"] == "G/G/10, fifo"  # not M/G/10: what a job leads to comes together
    assert said["after a"] == "3 b"
    assert said["timeouts of arrivals"].startswith("after 5 s")
    assert said["timeouts of what is led to"] == "none: clients wait as long as it takes"


def test_theory_refuses_where_what_is_led_to_has_another_client():
    jobs = {"a": bw.Job(then="b"), "b": bw.Job()}
    workers = bw.Workers(service=bw.Exponential(mean="100 ms"))
    patient = bw.Scenario(arrivals=bw.Poisson(rate="1/s"), jobs=jobs, workers=workers)
    own = bw.Client(attempt_timeout="50 ms")
    differ = bw.Scenario(arrivals=bw.Poisson(rate="1/s", client=own), jobs=jobs, workers=workers)
    assert theory(patient).answers
    assert not theory(differ).answers


def test_a_run_of_so_many_arrivals_holds_all_that_they_lead_to():
    jobs = {"a": bw.Job(then={"send": {"b": 1000}}), "b": bw.Job()}
    scenario = bw.Scenario(arrivals=bw.Poisson(rate="1/s"), jobs=jobs, workers=bw.Workers(service="1 s"))
    assert scenario.jobs_each == 1001
    # Twenty million jobs for one worker, who does one a second: they do not fit in memory.
    with pytest.raises(ScenarioError, match="about 20,000,000 jobs would wait"):
        check_memory(scenario, bw.Run(arrivals=20_000))


def test_as_many_sources_as_have_an_address_beside_what_they_lead_to():
    def scenario(count):
        sources = {f"s{n}": bw.Poisson(rate="1/s", jobs=("a",)) for n in range(count)}
        jobs = {"a": bw.Job(then="b"), "b": bw.Job()}
        return bw.Scenario(arrivals=sources, jobs=jobs, workers=bw.Workers(service="1 ms"))

    assert len(scenario(254).producers) == 254
    with pytest.raises(ScenarioError, match="arrivals must be fewer than 255 sources where jobs lead to others"):
        scenario(255)


def test_few_slots_hold_many_faults():
    faults = tuple(bw.Fault(kind="workers_slow", factor=2, start=f"{n} s", duration="500 ms") for n in range(20))
    scenario = bw.Scenario(
        arrivals=bw.Poisson(rate="2/s"), jobs=chord(3), workers=bw.Workers(count=9, service="1 s"), faults=faults
    )  # fmt: skip
    run = bw.Run(horizon="30 s", record=("jobs", "attempts"))
    assert_identical(System(scenario, run, 0, slots=2).go(), replicate(scenario, run, 0, "simpy"))


@pytest.mark.parametrize("name", ["backlog", "then"])
def test_no_source_has_the_name_of_what_no_source_sends(name):
    sources = {name: bw.Poisson(rate="1/s", jobs=("a",)), "others": bw.Poisson(rate="1/s", jobs=("a",))}
    jobs = {"a": bw.Job(then="b"), "b": bw.Job()}
    with pytest.raises(ScenarioError, match=f"arrivals.{name} must have another name"):
        bw.Scenario(arrivals=sources, jobs=jobs, workers=bw.Workers(service="1 ms"))


def test_events_say_what_was_sent_and_with_which_job_its_workflow_began(tmp_path):
    scenario = bw.Scenario(arrivals=come(tmp_path, [0]), jobs=chord(2), workers=bw.Workers(count=2))
    result = bw.simulate(scenario, horizon="20 s", replications=1, engine="simpy", record=("events",))
    of = "in the workflow of arrivals job 0"
    sent = result.events[result.events["what"].str.startswith("sent")]
    assert sent[["time", "job", "what"]].to_numpy().tolist() == [
        [2, 0, f"sent by a worker, of class part, {of}"], [2, 1, f"sent by a worker, of class part, {of}"],
        [5, 2, f"sent by a worker, of class last, {of}"],
    ]  # fmt: skip


def steps_of(scenario, first, tmp_path, monkeypatch, capsys) -> list[str]:
    """What ``backwater steps`` prints of it."""
    bw.dump(scenario, tmp_path / "s.toml")
    monkeypatch.setattr("sys.argv", ["backwater", "steps", str(tmp_path / "s.toml"), "--first", str(first)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in (0, None)
    return capsys.readouterr().out.splitlines()


def test_steps_tell_of_many_jobs_that_one_has_led_to_in_one_line(tmp_path, monkeypatch, capsys):
    scenario = bw.Scenario(arrivals=come(tmp_path, [0]), jobs=chord(1000), workers=bw.Workers(count=3))
    assert steps_of(scenario, 11, tmp_path, monkeypatch, capsys) == [
        "0.000 arrivals job 0 attempt 1: accepted",
        "0.000 arrivals job 0 attempt 1: service starts on worker 0",
        "2.000 arrivals job 0 attempt 1: completed",
        "2.000 then 1,000 jobs (0 to 999): sent by a worker, of class part, in the workflow of arrivals job 0",
        "2.000 then job 0 attempt 1: accepted",  # three are told one by one
        "2.000 then job 1 attempt 1: accepted",
        "2.000 then job 2 attempt 1: accepted",
        "2.000 then 997 jobs (3 to 999) attempt 1: waits",
        "2.000 then job 0 attempt 1: service starts on worker 0",
        "2.000 then job 1 attempt 1: service starts on worker 1",
        "2.000 then job 2 attempt 1: service starts on worker 2",
    ]


def test_only_what_others_led_to_is_told_together_and_only_what_is_numbered_one_after_another():
    scenario = bw.Scenario(arrivals=bw.Poisson(rate="1/s"), jobs=chord(4), workers=bw.Workers(count=3))
    numbers = [0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13]
    led, sent = ([Event(1, source, n, 2, "completed") for n in numbers] for source in (2, 0))
    later, other = led[-1]._replace(time=2, job=14), led[-1]._replace(what="timed out", job=15)
    assert list(lines([*led, later, other], scenario)) == [
        "1.000 then 4 jobs (0 to 3) attempt 2: completed",
        *(f"1.000 then job {n} attempt 2: completed" for n in (5, 6, 7)),
        "1.000 then 5 jobs (9 to 13) attempt 2: completed",
        "2.000 then job 14 attempt 2: completed", "1.000 then job 15 attempt 2: timed out",
    ]  # fmt: skip
    assert list(lines(sent, scenario)) == [f"1.000 arrivals job {n} attempt 2: completed" for n in numbers]


SERVERS = bw.Workers(count=8, service="1 s")


@pytest.fixture(scope="module")
def swept() -> bw.Sweep:
    """A chord of one part and of four, of which some are turned away."""
    scenario = bw.Scenario(
        arrivals=bw.Poisson(rate="2/s"), jobs=chord(1), queue=bw.Queue(capacity=3), workers=SERVERS
    )  # fmt: skip
    return bw.sweep(scenario, {"jobs.first.then.send.part": [1, 4]}, run=bw.Run(horizon="1 min", replications=2))


def test_a_report_tells_of_workflows_where_there_are_some(swept):
    assert "of workflows failed, and of the others 99 % took at most" in answer(curves(swept)[0])
    assert answer(curves(swept)[0]).endswith(" (cut off: many workflows were unfinished at the end).")
    assert {"workflows failed", "p99 workflow"} <= set(at_a_glance(swept).head)
    assert "p99 workflow\n(all jobs served)" in [axis.get_ylabel() for axis in threshold(swept).axes]
    alone = bw.Scenario(arrivals=bw.Poisson(rate="2/s"), workers=SERVERS)
    plain = bw.sweep(alone, {"workers.count": [6, 8]}, run=bw.Run(horizon="1 min", replications=2))
    told = [answer(curves(plain)[0]), *at_a_glance(plain).head]
    assert not any("workflow" in words for words in told)


def test_503s_are_traded_for_the_time_of_whole_workflows_where_there_are_some(swept):
    assert trade(swept, {}).axes[0].get_ylabel() == "p99 workflow (all jobs served)"
    assert frontier(swept).objectives[:2] == ("rejection_ratio", "workflow_p99")
    assert "p99 of whole workflows up" in alternatives(swept, [])["trade"]
    # Many short parts are served in two rounds: of the jobs 99 % are quick, and the whole takes longer than one part.
    jobs = {"a": bw.Job(service="2 s", then={"send": {"b": 1}}), "b": bw.Job(service="100 ms")}
    scenario = bw.Scenario(arrivals=bw.Periodic(interval="10 s"), jobs=jobs, workers=bw.Workers(count=100))
    found = bw.sweep(scenario, {"jobs.a.then.send.b": [1, 200]}, run=bw.Run(horizon="5 min", replications=2))
    curve = curves(found)[0]
    assert curve.estimates("latency_p99")[:, 0].argmin() == 1
    assert curve.knee == curve.estimates("workflow_p99")[:, 0].argmin() == 0


def test_a_comparison_and_a_run_tell_of_workflows_where_there_are_some(swept):
    scenario, run = swept.experiment.scenario, bw.Run(horizon="1 min", replications=2)
    found = bw.compare(scenario, scenario.with_({"jobs.first.then.send.part": 4}), names=["one", "four"], run=run)
    assert {"workflow_failure_ratio", "workflow_p99"} <= set(found.moving)
    assert {"workflow_failure_ratio", "workflow_p99"} <= set(decisive({"as is": found}))
    endless = [scenario.with_({"queue.capacity": None, "workers.count": count}) for count in (20, 30)]
    found = bw.compare(*endless, names=["less", "more"], run=run)
    assert "workflow_failure_ratio" in decisive({"as is": found})  # 0 % in both
    assert headline(found.results[1]).endswith("of workflows failed.")
    alone = bw.simulate(bw.Scenario(arrivals=bw.Poisson(rate="2/s"), workers=SERVERS), run)
    assert headline(alone).endswith("of jobs failed.")


def test_workflows_that_may_fail_only_seldom_need_somebody_who_serves():
    for serving in ("workflow_failure_ratio <= 1 %", "workflow_within(5 s) >= 90 %"):
        check_serving([requirement("workflow_p99 <= 2 s"), requirement(serving)])
    with pytest.raises(ScenarioError, match="must hold one that turning everybody away would break"):
        check_serving([requirement("workflow_p99 <= 2 s")])
